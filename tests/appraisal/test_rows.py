"""Lines of the table: seeds put together, what is wanted, labels and groups."""

from typing import Any

import numpy as np
import pytest

from app.dataset.model import ModelCard
from workers.appraisal.rows import Row, pooled_rows
from workers.appraisal.seen import _classified
from workers.appraisal.table import appraise
from workers.generator import latents as lt
from workers.matchers.comparison import COSINE


def test_a_line_of_several_seeds_has_their_mean_and_range() -> None:
    seeds = [Row(measure="a", judge="m", value=value, low=0, high=1, wanted=("≤", 0.3)) for value in (0.1, 0.2, 0.6)]
    (row,) = pooled_rows([[one] for one in seeds])
    assert row.value == pytest.approx(0.3)
    assert (row.low, row.high, row.by_seed, row.asked) == (0.1, 0.6, (0.1, 0.2, 0.6), "≤ 0.3")
    assert pooled_rows([[seeds[0]]]) == [seeds[0]]


def test_seeds_without_a_value_are_said() -> None:
    (row,) = pooled_rows([[Row(measure="a", judge="m", value=value)] for value in (0.5, None)])
    assert (row.value, row.by_seed, row.note) == (0.5, (0.5, None), "measured in 1 of 2 seeds")
    (row,) = pooled_rows([[Row(measure="a", judge="m", value=None, note="why")] for _ in range(2)])
    assert (row.value, row.met, row.note) == (None, None, "why")


@pytest.mark.parametrize(
    ("wanted", "met"), [(("≤", 0.5), True), (("≥", 0.6), False), ((">", 0.5), False), (None, None)]
)
def test_what_is_wanted_is_judged_by_the_value(wanted: Any, met: bool | None) -> None:
    assert Row(measure="a", judge="m", value=0.5, wanted=wanted).met is met


def test_the_classifier_tells_what_can_be_told_and_guesses_else() -> None:
    rng = np.random.default_rng(1)
    y = rng.choice(["a", "b", "c"], 400, p=[0.6, 0.3, 0.1])
    x = rng.standard_normal((400, 20))
    guessed = _classified(x[:200], y[:200], x[200:])
    assert (guessed == y[200:]).mean() < 0.6
    x[:, 0] += 6 * (y == "a")
    x[:, 1] += 6 * (y == "c")
    assert (_classified(x[:200], y[:200], x[200:]) == y[200:]).mean() > 0.95


def test_labels_and_groups_of_a_model_with_attributes(writing: Any, reading: Any, tell_tale: Any) -> None:
    told = {**writing.card.model_dump(), "attributes": lt.attributes(lt.FIRST)}
    card = ModelCard.model_validate(told)

    class Labelled:
        device = "none"
        generate = staticmethod(writing.generate)

        def __init__(self) -> None:
            self.card = card

    found = appraise(
        Labelled(), [reading("m", COSINE)], detector=tell_tale(), subjects=30, samples=3, identities=250, seeds=2
    )
    rows = {row.measure: row for row in found.rows}
    # The template holds the latent that decides the sex, disturbed by the observation.
    sex = rows["sex as labelled, σ = 1, by a linear classifier"]
    assert 0.6 < sex.value < 1
    assert sex.by_seed == ()
    groups = {name: row for name, row in rows.items() if name.startswith("FNMR at FMR 1e-3, σ = 1: ")}
    assert {name.split(": ")[1] for name in groups} >= {
        "sex female",
        "sex male",
        "age 19 to 36",
        "age 53 to 70",
        "skin_tone dark",
        "skin_tone light",
    }
    made = [int(row.note.split(" of ")[1].split()[0].replace(",", "")) for n, row in groups.items() if ": sex" in n]
    assert sum(made) == 2 * 30 * 3, "every mated comparison of every seed is in one group"
    ratio = rows["FNMR at FMR 1e-3, dark over light skin"]
    dark, light = (groups[f"FNMR at FMR 1e-3, σ = 1: skin_tone {tone}"].value for tone in ("dark", "light"))
    assert ratio.value == pytest.approx(dark / light)
    assert rows["glasses as asked, σ = 1"].value is None
    assert found.seeds == 2
    assert len(rows["EER, σ = 1"].by_seed) == 2
