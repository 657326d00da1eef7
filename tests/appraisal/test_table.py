"""The table of a model, over a matcher and a generator whose answers are known."""

import json
from collections.abc import Callable
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest

from app.dataset.model import ModelCard
from workers.appraisal import judged
from workers.appraisal.pictures import sweep_plot, sweep_sheet
from workers.appraisal.rows import Row
from workers.appraisal.samples import samples_at
from workers.appraisal.table import Appraisal, appraise
from workers.generator import latents as lt
from workers.matchers.comparison import COSINE, MINUS_EUCLIDEAN

SIGMAS = (0.25, 0.5, 0.75, 1.0, 1.25, 1.5, 1.75, 2.0)


@pytest.fixture
def measured(writing: Any, tell_tale: Any) -> Callable[..., Appraisal]:
    def run(*judges: Any, **options: Any) -> Appraisal:
        return appraise(
            writing, judges, subjects=40, samples=3, identities=60, detector=tell_tale(), **{"seeds": 1, **options}
        )

    return run


def rows(found: Appraisal, judge: str) -> dict[str, Row]:
    return {row.measure: row for row in found.rows if row.judge == judge}


def test_a_knob_that_works_is_seen_to_work(measured: Callable[..., Appraisal], reading: Any) -> None:
    found = measured(reading("cosine", COSINE), reading("distance", MINUS_EUCLIDEAN))
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
    measured: Callable[..., Appraisal], monkeypatch: pytest.MonkeyPatch, reading: Any
) -> None:
    draw = judged.samples_at
    monkeypatch.setattr(
        judged, "samples_at", lambda generator, sigma, **options: draw(generator, min(sigma, 1) and 1.0, **options)
    )
    found = rows(measured(reading("cosine", COSINE)), "cosine")
    assert not found["Spearman of σ and FNMR at FMR 1e-2, 8 settings"].met
    assert not found["smaller step of EER from σ = 0.5 over 1 to 1.5"].met


def test_faces_and_yaw_are_judged_by_the_detector(measured: Callable[..., Appraisal], reading: Any) -> None:
    found = rows(measured(reading("cosine", COSINE)), "tell-tale")
    assert found["face found, σ = 1"].value == 1
    assert found["face found, σ = 1"].low == pytest.approx(0.025 ** (1 / 120))  # Clopper–Pearson of 120 of 120
    assert found["yaw seen against yaw asked for, correlation"].value > 0.99


def test_a_model_without_the_factor_has_no_yaw_to_measure(
    measured: Callable[..., Appraisal], reading: Any, writing: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    latent = {"identity": lt.FIRST.identity, "observation": {"residual": (0, lt.FIRST.observation)}}
    card = ModelCard.model_validate({**writing.card.model_dump(), "latent": latent})
    monkeypatch.setattr(writing, "card", card)
    found = measured(reading("cosine", COSINE))
    yaw = rows(found, "tell-tale")["yaw seen against yaw asked for, correlation"]
    assert (yaw.value, yaw.low, yaw.met, yaw.note) == (None, None, None, "the model has no factor pose")
    assert rows(found, "tell-tale")["face found, σ = 1"].value == 1
    assert json.loads(json.dumps(found.as_card(), allow_nan=False))["rows"][1]["value"] is None


def test_where_no_face_is_found_nothing_is_correlated(
    measured: Callable[..., Appraisal], reading: Any, tell_tale: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tell_tale, "detect", lambda self, pixels: None)
    found = rows(measured(reading("cosine", COSINE)), "tell-tale")
    assert found["face found, σ = 1"].value == 0
    assert found["yaw seen against yaw asked for, correlation"].value is None


def test_u_class_stands_beside_what_chance_leaves(measured: Callable[..., Appraisal], reading: Any) -> None:
    (row,) = [row for row in measured(reading("cosine", COSINE)).rows if row.measure.startswith("U_class of 60 ")]
    assert row.note == f"independent identities would leave {0.999**59:.2f}"


def test_too_few_comparisons_for_an_fmr_are_said_and_nothing_is_divided_by_it(
    writing: Any, reading: Any, tell_tale: Any
) -> None:
    judges = [reading("cosine", COSINE)]
    found = appraise(
        writing, judges, detector=tell_tale(), seeds=1, subjects=6, samples=2, identities=10
    )  # 60 non-mated
    row = rows(found, "cosine")["largest change of FMR at a fixed threshold"]
    assert (row.value, row.met) == (None, None)
    assert "too few comparisons" in row.note
    json.dumps(found.as_card(), allow_nan=False)


def test_samples_without_a_template_are_told_beside_the_rates(measured: Callable[..., Appraisal], reading: Any) -> None:
    found = measured(reading("blind", COSINE, blind_above=1.0))
    shares = {point.sigma: point.not_extracted for point in found.curve}
    assert shares[0.25] == 0
    assert shares[2.0] == pytest.approx(0.62, abs=0.12)  # |N(0, 2²)| above 1


def test_progress_reaches_its_total(measured: Callable[..., Appraisal], reading: Any) -> None:
    told: list[tuple[int, int]] = []
    measured(reading("cosine", COSINE), on_progress=lambda done, total: told.append((done, total)))
    assert told[-1] == (8 * 120 + 60, 8 * 120 + 60)
    assert [done for done, _ in told] == sorted(done for done, _ in told)


def test_every_sigma_has_the_same_latents(writing: Any) -> None:
    one, half = (
        np.concatenate([batch.observation for batch in samples_at(writing, sigma, subjects=3, samples=2)])
        for sigma in (1.0, 0.5)
    )
    assert np.allclose(half, one / 2)


def test_the_pictures_can_be_read(measured: Callable[..., Appraisal], reading: Any, writing: Any) -> None:
    found = measured(reading("cosine & co", COSINE))
    plot = ElementTree.fromstring(sweep_plot(found))
    lines = [element for element in plot.iter() if element.tag.endswith("polyline")]
    assert len(lines) == 1
    assert len(lines[0].attrib["points"].split()) == 8
    assert sweep_sheet(writing, (0.5, 1.0), subjects=2, samples=3).shape == (2 * 16, 6 * 16, 3)


def test_a_card_keeps_the_table_and_stays_the_same_model(
    measured: Callable[..., Appraisal], reading: Any, writing: Any
) -> None:
    card = writing.card
    kept = card.model_copy(update={"evaluation": measured(reading("cosine", COSINE)).as_card()})
    assert kept.digest == card.digest
    again = ModelCard.model_validate_json(kept.model_dump_json())
    assert again.digest == card.digest
    assert again.model_extra is not None
    assert again.model_extra["evaluation"]["rows"][0]["measure"] == "face found, σ = 1"
