"""The table of a model, over a matcher and a generator whose answers are known."""

from collections.abc import Callable
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest

from app.dataset.model import ModelCard
from workers.evaluation import table
from workers.evaluation.pictures import sweep_plot, sweep_sheet
from workers.evaluation.samples import samples_at
from workers.evaluation.table import Evaluation, evaluate
from workers.generator import latents as lt
from workers.matchers.comparison import COSINE, MINUS_EUCLIDEAN
from workers.matchers.detector import Face

SIGMAS = (0.25, 0.5, 0.75, 1.0, 1.25, 1.5, 1.75, 2.0)


class Writing:
    """A generator that writes its latents into the pixels, where a matcher can read them."""

    device = "none"

    def __init__(self) -> None:
        self.card = ModelCard.model_validate(
            {
                "name": "writing",
                "version": "1",
                "kind": "writing",
                "description": "For tests",
                "sizes": [[16, 16]],
                "latent": {"identity": lt.IDENTITY, "observation": lt.FACTORS},
                "licence": "none",
                "provenance": "none",
            }
        )

    def generate(self, identity: Any, observation: Any, width: int, height: int) -> Any:
        values = np.concatenate([identity, observation], 1).clip(-4, 4) / 4
        images = np.zeros((len(values), height * width * 3), np.float32)
        images[:, : values.shape[1]] = values
        return images.reshape(-1, height, width, 3)


class Reading:
    """A matcher that reads them: identity plus a share of the observation, which is what errors come from."""

    version, digest, provenance = "1", "00", "none"
    dimensions = lt.IDENTITY

    def __init__(self, name: str, score: Any, blind_above: float = 99.0) -> None:
        self.name, self.score, self._blind_above = name, score, blind_above

    def detect(self, pixels: Any) -> Any:
        return None if abs(self._latents(pixels)[lt.IDENTITY]) > self._blind_above else object()

    def align(self, pixels: Any, face: Any) -> Any:
        return pixels

    def template(self, chip: Any) -> Any:
        latents = self._latents(chip)
        template = latents[: lt.IDENTITY].copy()
        template[: lt.OBSERVATION] += 1.3 * latents[lt.IDENTITY :]
        return (template / np.linalg.norm(template)).astype(np.float32)

    def _latents(self, pixels: Any) -> Any:
        return (pixels.ravel()[: lt.IDENTITY + lt.OBSERVATION].astype(np.float64) / 127.5 - 1) * 4


class TellTale:
    """A detector that finds every face, and points that show exactly the yaw asked for."""

    name = "tell-tale"

    def detect(self, pixels: Any) -> Face:
        yaw = float(lt.yaw_degrees(Reading("", COSINE)._latents(pixels)[lt.IDENTITY :]))
        nose = 30 + 20 * np.sin(np.radians(yaw)) / 1.62
        points = np.array([[20, 20], [40, 20], [nose, 32], [25, 40], [35, 40]], np.float32)
        return Face(box=(0, 0, 1, 1), points=points, score=1.0)


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Evaluation]:
    monkeypatch.setattr(table, "load_detector", TellTale)

    def run(*judges: Reading, **options: Any) -> Evaluation:
        return evaluate(Writing(), judges, subjects=40, samples=3, identities=60, **options)  # type: ignore[arg-type]

    return run


def rows(found: Evaluation, judge: str) -> dict[str, table.Row]:
    return {row.measure: row for row in found.rows if row.judge == judge}


def test_a_knob_that_works_is_seen_to_work(measured: Callable[..., Evaluation]) -> None:
    found = measured(Reading("cosine", COSINE), Reading("distance", MINUS_EUCLIDEAN))
    for judge in ("cosine", "distance"):
        table_of = rows(found, judge)
        assert table_of["Spearman of σ and FNMR at FMR 1e-2, 8 settings"].met
        assert table_of["EER, σ = 0.5"].value < table_of["EER, σ = 1"].value < table_of["EER, σ = 1.5"].value
        curve = sorted((p for p in found.curve if p.judge == judge), key=lambda p: p.sigma)
        assert [point.sigma for point in curve] == list(SIGMAS)
        assert all(point.fnmr_low <= point.fnmr <= point.fnmr_high for point in curve)
        assert curve[3].fmr_at_fixed == pytest.approx(0.01, abs=0.002)
        assert all(point.not_extracted == 0 for point in curve)
    # Unit vectors: minus the distance is a monotone map of the cosine, so both judges agree.
    cosine, distance = (rows(found, judge)["EER, σ = 1"].value for judge in ("cosine", "distance"))
    assert cosine == pytest.approx(distance, abs=5e-3)


def test_a_knob_that_does_nothing_is_seen_to_do_nothing(
    measured: Callable[..., Evaluation], monkeypatch: pytest.MonkeyPatch
) -> None:
    draw = table.samples_at
    monkeypatch.setattr(
        table, "samples_at", lambda generator, sigma, **options: draw(generator, min(sigma, 1) and 1.0, **options)
    )
    found = rows(measured(Reading("cosine", COSINE)), "cosine")
    assert not found["Spearman of σ and FNMR at FMR 1e-2, 8 settings"].met
    assert not found["EER, σ = 1"].met


def test_faces_and_yaw_are_judged_by_the_detector(measured: Callable[..., Evaluation]) -> None:
    found = rows(measured(Reading("cosine", COSINE)), "tell-tale")
    assert found["face found, σ = 1"].value == 1
    assert found["face found, σ = 1"].low == pytest.approx(0.025 ** (1 / 120))  # Clopper–Pearson of 120 of 120
    assert found["yaw seen against yaw asked for, correlation"].value > 0.99


def test_samples_without_a_template_are_told_beside_the_rates(measured: Callable[..., Evaluation]) -> None:
    found = measured(Reading("blind", COSINE, blind_above=1.0))
    shares = {point.sigma: point.not_extracted for point in found.curve}
    assert shares[0.25] == 0
    assert shares[2.0] == pytest.approx(0.62, abs=0.12)  # |N(0, 2²)| above 1


def test_progress_reaches_its_total(measured: Callable[..., Evaluation]) -> None:
    told: list[tuple[int, int]] = []
    measured(Reading("cosine", COSINE), on_progress=lambda done, total: told.append((done, total)))
    assert told[-1] == (8 * 120 + 60, 8 * 120 + 60)
    assert [done for done, _ in told] == sorted(done for done, _ in told)


def test_every_sigma_has_the_same_latents() -> None:
    generator = Writing()
    one, half = (
        np.concatenate([batch.observation for batch in samples_at(generator, sigma, subjects=3, samples=2)])
        for sigma in (1.0, 0.5)
    )
    assert np.allclose(half, one / 2)


def test_the_pictures_can_be_read(measured: Callable[..., Evaluation]) -> None:
    found = measured(Reading("cosine & co", COSINE))
    plot = ElementTree.fromstring(sweep_plot(found))
    lines = [element for element in plot.iter() if element.tag.endswith("polyline")]
    assert len(lines) == 1
    assert len(lines[0].attrib["points"].split()) == 8
    assert sweep_sheet(Writing(), (0.5, 1.0), subjects=2, samples=3).shape == (2 * 16, 6 * 16, 3)


def test_a_card_keeps_the_table_and_stays_the_same_model(measured: Callable[..., Evaluation]) -> None:
    card = Writing().card
    kept = card.model_copy(update={"evaluation": measured(Reading("cosine", COSINE)).as_card()})
    assert kept.digest == card.digest
    again = ModelCard.model_validate_json(kept.model_dump_json())
    assert again.digest == card.digest
    assert again.model_extra is not None
    assert again.model_extra["evaluation"]["rows"][0]["measure"] == "face found, σ = 1"
