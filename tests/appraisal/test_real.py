"""Real faces to compare with: thresholds, crowding, the domain gap, and what a folder must hold."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from app.cli.main import run
from app.dataset.reference import Reference, read_reference
from app.errors import Misconfigured, RequestRefused
from workers.appraisal.judged import Judged, Seen
from workers.appraisal.real import RealFaces, discrepancy, read_real_faces, reference_of, tail_rows, yardstick
from workers.appraisal.table import appraise
from workers.biometrics.templates import TemplateTable
from workers.matchers import registry as matchers
from workers.matchers.comparison import COSINE
from workers.photographs import Unusable


def table_of(rng: Any, subjects: int, each: int, *, common: float) -> TemplateTable:
    """Unit templates about subjects' own directions, all of which share a direction to some degree."""
    own = rng.standard_normal((subjects, 64)) / 8
    own[:, 0] += common
    templates = np.repeat(own, each, 0) + 0.03 * rng.standard_normal((subjects * each, 64))
    templates /= np.linalg.norm(templates, axis=1, keepdims=True)
    return TemplateTable(templates=templates.astype(np.float32), subjects=np.repeat(np.arange(subjects), each))


def collection(name: str, table: TemplateTable) -> RealFaces:
    return RealFaces(name=name, subjects=int(table.subjects.max()) + 1, pictures=len(table), tables={"m": table})


def judged(table: TemplateTable) -> Judged:
    empty = np.zeros((len(table), 1), np.float32)
    seen = Seen(tables={"m": table}, identity=empty, observation=empty, faces=())
    return Judged(seed=1, at={1.0: seen}, portraits=seen)


def test_the_discrepancy_is_nothing_between_draws_of_one_kind_and_grows_with_what_they_share() -> None:
    rng = np.random.default_rng(3)
    real, again = (table_of(rng, 150, 2, common=0.2) for _ in range(2))
    apart = [discrepancy(table_of(rng, 150, 2, common=common), real) for common in (0.5, 1.0, 2.0)]
    assert abs(discrepancy(real, again)) < 0.02 * apart[0]
    assert apart[0] < apart[1] < apart[2]
    # Copies of one subject's image are no independent draws: they must not count as likeness within the set.
    rows = np.repeat(np.arange(len(real)), 5)
    copied = real.take(rows)
    assert discrepancy(copied, again) == pytest.approx(discrepancy(real, again), abs=0.02 * apart[0])


def test_the_discrepancy_is_that_of_its_definition() -> None:
    a = TemplateTable(templates=np.eye(2, dtype=np.float32), subjects=np.arange(2))
    b = TemplateTable(templates=np.eye(2, dtype=np.float32)[[0, 0]], subjects=np.arange(2))
    assert discrepancy(a, b) == pytest.approx(1 + 8 - 2 * (8 + 1 + 8 + 1) / 4)


def test_two_collections_are_the_yardstick_and_halves_where_there_is_one(reading: Any) -> None:
    rng, judge = np.random.default_rng(4), reading("m", COSINE)
    first, second = (collection(n, table_of(rng, 80, 2, common=c)) for n, c in (("a", 0.2), ("b", 0.4)))
    size, note = yardstick(judge, [first, second])
    assert size == pytest.approx(abs(discrepancy(first.tables["m"], second.tables["m"])))
    assert "1 pairs of real collections" in note
    halves, note = yardstick(judge, [first])
    assert 0 < halves < size
    assert "second --against" in note


def test_crowding_is_the_share_of_strangers_that_match_at_a_real_threshold(reading: Any) -> None:
    rng, judge = np.random.default_rng(5), reading("m", COSINE)
    real = collection("mine", table_of(rng, 120, 2, common=0.2))
    reference = reference_of(real, [judge], name="ours")
    assert [point.target_fmr for point in reference.thresholds] == [1e-2, 1e-3, 1e-4]
    point = reference.of("m", judge.digest)[1]
    assert (point.subjects, point.comparisons, point.source) == (120, 240 * 239 // 2 - 120, "ours")
    assert reference.of("m", "f" * 64) == (), "another network of the name"
    scores = real.tables["m"].templates @ real.tables["m"].templates.T
    strangers = scores[np.less.outer(real.tables["m"].subjects, real.tables["m"].subjects)]
    assert 0 < (strangers >= point.threshold).mean() <= 1e-3
    shares = []
    for common in (0.2, 1.5):
        made = judged(table_of(rng, 60, 2, common=common))
        tail, unique = tail_rows(judge, made, real, point.threshold, 60)
        assert tail.asked == "≤ 0.03"
        shares.append(tail.value)
        assert unique.note.startswith("independent identities would leave")
    assert shares[0] < 0.01
    assert shares[1] > 0.5
    assert Reference.model_validate_json(reference.model_dump_json()) == reference


def pictures(folder: Path, subjects: int, each: int = 2) -> Path:
    """Pictures that the reading matcher tells apart, a folder for each subject."""
    rng = np.random.default_rng(6)
    for subject in range(subjects):
        own = rng.integers(0, 256, (16, 16, 3))
        (folder / f"s{subject:03d}").mkdir(parents=True)
        for number in range(each):
            pixels = np.clip(own + rng.integers(-9, 10, own.shape), 0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(folder / f"s{subject:03d}" / f"{number}.png")
    return folder


def test_a_folder_of_one_subject_is_told_what_is_needed(tmp_path: Path, reading: Any, tell_tale: Any) -> None:
    judge = reading("m", COSINE)
    with pytest.raises(RequestRefused, match=r"pictures of 1 subject; different people are compared: .* 46 subjects"):
        read_real_faces(pictures(tmp_path / "one", 1), [judge], detector=tell_tale())
    few = read_real_faces(pictures(tmp_path / "few", 5), [judge], detector=tell_tale())
    with pytest.raises(RequestRefused, match=r"few gives 40 comparisons of different people by m; .* needs 1,000"):
        reference_of(few, [judge], "few")
    (tmp_path / "few" / "s000" / "broken.jpg").write_bytes(b"no picture")
    with pytest.raises(Unusable, match=r"1 pictures .*s000/broken.jpg is no picture"):
        read_real_faces(tmp_path / "few", [judge], detector=tell_tale())


def test_a_model_is_set_beside_real_faces(tmp_path: Path, writing: Any, reading: Any, tell_tale: Any) -> None:
    judge = reading("m", COSINE)
    folder = pictures(tmp_path / "mine", 24)
    real = read_real_faces(folder, [judge], detector=tell_tale())
    found = appraise(
        writing, [judge], detector=tell_tale(), subjects=12, samples=3, identities=15, seeds=2, against=[real]
    )
    assert found.against == {"mine": (24, 48)}
    told = {row.measure: row for row in found.rows}
    tail = told["non-mated pairs that match, σ = 1, threshold of FMR 1e-3 on mine"]
    assert len(tail.by_seed) == 2
    assert tail.low <= tail.value <= tail.high
    assert len(told["domain gap to mine, σ = 1"].by_seed) == 2
    assert found.as_card()["against"] == {"mine": [24, 48]}


def test_a_reference_holds_figures_alone_and_can_be_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], reading: Any, tell_tale: Any
) -> None:
    from workers.matchers import detector

    monkeypatch.setattr(matchers, "load_matcher", lambda name, settings: reading(name, COSINE))
    monkeypatch.setattr(matchers, "BUILT_IN", {"m": None})
    monkeypatch.setattr(detector, "load_detector", tell_tale)
    out = tmp_path / "reference.json"
    folder = pictures(tmp_path / "mine", 25)
    assert run(["matchers", "reference", str(folder), "--out", str(out), "--name", "staff"]) == 0
    printed = capsys.readouterr().out
    assert "FACSIMILE_WORKER__REFERENCE" in printed
    found = read_reference(out)
    assert {(point.matcher, point.source, point.subjects) for point in found.thresholds} == {("m", "staff", 25)}
    assert out.stat().st_size < 4_000
    assert "s000" not in out.read_text()
    assert run(["matchers", "reference", str(pictures(tmp_path / "one", 1)), "--out", str(out)]) == 2
    assert "46 subjects" in capsys.readouterr().err
    assert read_reference(out) == found
    with pytest.raises(Misconfigured, match="matchers reference FOLDER"):
        read_reference(folder / "s000" / "0.png")
