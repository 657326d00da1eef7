"""A study on methods whose every dimension is known: figures follow what was put in, and a broken study goes on."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch")

from app.dataset.model import ModelCard
from app.dataset.report import MatcherFacts
from app.errors import Corrupt, RequestRefused
from workers.images import to_floats
from workers.matchers.base import NetworkMatcher
from workers.matchers.comparison import COSINE
from workers.matchers.detector import Face
from workers.report.faults import faults_of
from workers.study.page import Picture, Pictures, render_study
from workers.study.run import DATA, PAGE, Studied, run_study
from workers.study.spec import Method, StudyFound

WHO, HOW = 12, 8
SIDE = WHO + HOW

SIZES = {"subjects": 28, "samples": 3, "distractors": 10, "sigmas": (0.3, 2.0)}


class Generator:
    """A column a latent."""

    device = "cpu"

    def __init__(self, card: ModelCard) -> None:
        self.card = card
        self.made = 0

    def generate(self, identity: Any, observation: Any, width: int, height: int) -> Any:
        self.made += len(identity)
        values = np.tanh(np.concatenate([identity, observation], 1) / 3)
        return np.repeat(np.repeat(values[:, None, :, None], SIDE, 1), 3, 3).astype(np.float32)


class Sees(NetworkMatcher):
    """Reads who it is off a picture, and so much of how it was taken."""

    version, dimensions, score, provenance = "1", WHO, COSINE, "nothing"

    def __init__(self, name: str, disturbed: float) -> None:
        self.name, self._disturbed = name, disturbed

    @property
    def digest(self) -> str:
        return self.name

    def align(self, pixels: Any, face: Face) -> Any:
        return pixels

    def template(self, chip: Any) -> Any:
        values = 3 * np.arctanh(np.clip(to_floats(chip[0, :, 0]), -0.99, 0.99))
        mixed = values[:WHO] + self._disturbed * np.resize(values[WHO:], WHO)
        return (mixed / np.linalg.norm(mixed)).astype(np.float32)


class Finds:
    name = "finder"

    def detect(self, pixels: Any) -> Face:
        return Face(box=np.zeros(4, np.float32), points=np.zeros((5, 2), np.float32), score=1.0)


MATCHERS = [Sees("good", 0.6), Sees("poor", 1.6)]
FACTS = [
    MatcherFacts(
        name=one.name, version="1", digest=one.name, dimensions=WHO, score="cosine", provenance="", independent=True
    )
    for one in MATCHERS
]


def studied(name: str = "toy", **update: Any) -> tuple[Studied, Generator]:
    card = ModelCard.model_validate(
        {
            "name": name,
            "version": "1",
            "kind": "stylegan2",
            "description": "",
            "sizes": [[SIDE, SIDE]],
            "latent": {"identity": WHO, "observation": {"residual": [0, HOW]}},
            "licence": "CC0-1.0",
            "provenance": "<script>alert(1)</script>",
            **update,
        }
    )
    method = Method(
        name=name, version="1", kind=card.kind, digest=card.digest, licence=card.licence, provenance=card.provenance
    )
    generator = Generator(card)
    return Studied(method=method, load=lambda: generator, trained_on={}), generator


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, StudyFound]:
    folder = tmp_path_factory.mktemp("study")
    return folder, run_study(folder, [studied()[0]], MATCHERS, FACTS, Finds(), **SIZES)


def test_figures_follow_what_was_put_in(done: tuple[Path, StudyFound]) -> None:
    _, found = done
    (method,) = found.methods
    assert found.spec.sigmas == (0.3, 1.0, 2.0)
    for name in ("good", "poor"):
        rates = [at.eer.value for at in method.by(name).over_sigma if at.eer]
        assert rates[0] < rates[1] < rates[2]
        assert method.by(name).ordinary.identification
        assert method.by(name).ordinary.uniqueness.identities == 38
    seen = [one for one in method.improvements if one.sigma == 1]
    assert [(one.better, one.worse, one.seen) for one in seen] == [("good", "poor", True)]
    assert seen[0].interval.low < seen[0].difference < seen[0].interval.high
    assert method.faults == faults_of("stylegan2")
    assert method.look_alikes[0][2] >= method.look_alikes[-1][2]


def test_the_page_holds_all_of_it_and_loads_nothing(done: tuple[Path, StudyFound]) -> None:
    folder, found = done
    page = (folder / PAGE).read_text()
    assert "<script>" not in page
    assert "&lt;script&gt;" in page
    assert "://" not in page.replace('xmlns="http://www.w3.org/2000/svg"', "")
    for words in (
        "That good is better than poor is seen on toy at σ 1",
        "InterFaceGAN",
        "DET curves over σ",
        "Distractors",
    ):
        assert words in page
    assert page.count("<svg") == 2 + 3 * 2
    assert page.count("data:image/jpeg") == 1 + len(found.methods[0].look_alikes)
    assert StudyFound.model_validate(json.loads((folder / DATA).read_text())) == found


RATE = {"errors": 1, "trials": 4, "exact": {"low": 0, "high": 1, "confidence": 0.95, "method": "Clopper–Pearson"}}


def test_what_too_few_comparisons_leave_open_is_said(done: tuple[Path, StudyFound]) -> None:
    _, found = done

    def told(matcher: str, *open_at: float) -> str:
        """The page's sentence where FNMR at some σ is not resolved."""
        raw = found.model_dump(mode="json")
        for one in raw["methods"][0]["by_matcher"]:
            for at in one["over_sigma"]:
                at["fnmr"] = None if at["sigma"] in open_at else {**(at["fnmr"] or RATE), "value": at["sigma"] / 4}
        pictures = {"toy": Pictures(method="toy", sheet=Picture(b"", 1), pairs=())}
        page = render_study(StudyFound.model_validate(raw), pictures).decode()
        (sentence,) = (line for line in page.split("<p") if f"By {matcher}, FNMR" in line)
        return sentence

    assert "rises with every step of σ for 1 (toy) of 1.</p>" in told("good")
    few = "cannot be told at every σ for 1 (toy): too few comparisons"
    assert f"By good, FNMR at FMR 1% {few}" in told("good", 1.0)
    assert f"By poor, FNMR at FMR 1% {few}" in told("poor", 0.3, 2.0)


def test_a_study_goes_on_where_it_was(done: tuple[Path, StudyFound], tmp_path: Path) -> None:
    folder, found = done
    again = tmp_path / "again"
    shutil.copytree(folder, again)
    (again / "parts" / "toy-2.safetensors").unlink()
    (again / DATA).unlink()
    one, generator = studied()
    assert run_study(again, [one], MATCHERS, FACTS, Finds(), **SIZES) == found
    assert (again / DATA).read_bytes() == (folder / DATA).read_bytes()
    assert (again / PAGE).read_bytes() == (folder / PAGE).read_bytes()
    assert generator.made < 28 * 3 + 30  # one part, and the pictures of the page


def test_another_study_or_another_models_parts_are_refused(done: tuple[Path, StudyFound], tmp_path: Path) -> None:
    folder, _ = done
    again = tmp_path / "again"
    shutil.copytree(folder, again)
    with pytest.raises(RequestRefused, match="other settings \\(subjects\\)"):
        run_study(again, [studied()[0]], MATCHERS, FACTS, Finds(), **{**SIZES, "subjects": 29})
    with pytest.raises(RequestRefused, match="methods"):
        run_study(again, [studied(version="2")[0]], MATCHERS, FACTS, Finds(), **SIZES)
    (again / "study.json").unlink()
    with pytest.raises(Corrupt, match="is of another model"):
        run_study(again, [studied(version="2")[0]], MATCHERS, FACTS, Finds(), **SIZES)
    (again / "study.json").unlink()
    (again / "parts" / "toy-1.safetensors").write_bytes(b"none")
    with pytest.raises(Corrupt, match="is not a part of this study"):
        run_study(again, [studied()[0]], MATCHERS, FACTS, Finds(), **SIZES)


def test_photographs_stand_beside_methods_and_are_not_shown(tmp_path: Path) -> None:
    from workers.appraisal.real import RealFaces
    from workers.biometrics.templates import TemplateTable

    rng = np.random.default_rng(1)
    who = np.repeat(rng.standard_normal((20, WHO)), 3, 0)
    tables = {
        one.name: TemplateTable(
            templates=(who + 0.3 * rng.standard_normal(who.shape)).astype(np.float32),
            subjects=np.repeat(np.arange(20), 3),
        )
        for one in MATCHERS
    }
    faces = RealFaces(name="real", subjects=20, pictures=60, tables=tables)
    method = Method(name="real", version="", kind="photographs", digest="", licence="", provenance="")
    found = run_study(
        tmp_path,
        [Studied(method=method, photographs=faces, trained_on={})],
        MATCHERS,
        FACTS,
        Finds(),
        **SIZES,
    )
    assert found.methods[0].by("good").ordinary.eer is not None
    assert "data:image" not in (tmp_path / PAGE).read_text()
