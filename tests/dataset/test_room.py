"""How many identities find room in a model."""

from typing import Any

import numpy as np
import pytest

from app.dataset.model import ModelCard
from app.dataset.plan import MAX_ATTEMPTS
from app.dataset.planning import make_plan
from app.dataset.request import DatasetRequest
from app.dataset.room import MOST_MISSING, missing_share, room
from app.errors import RequestRefused


def card_with(toy_card: dict[str, Any], **measured: Any) -> ModelCard:
    checks = {"unique": {"matcher": "sface", "threshold": 0.5, "basis": "none"}}
    return ModelCard.model_validate(toy_card | {"checks": checks, "measured": measured})


@pytest.mark.parametrize("identities", [1, 100, 5_000, 40_000])
def test_the_share_is_the_mean_over_the_identities_kept_before(toy_card: dict[str, Any], identities: int) -> None:
    copied = -np.expm1(-1e-4 * (np.arange(identities) + 0.5))
    found = missing_share(card_with(toy_card, unique_fmr=1e-4), identities)
    assert found == pytest.approx((copied**MAX_ATTEMPTS).mean(), rel=1e-3, abs=1e-12)


def test_room_is_the_largest_number_within_the_share(toy_card: dict[str, Any]) -> None:
    card = card_with(toy_card, unique_fmr=1e-4)
    most = room(card, MOST_MISSING)
    assert most is not None
    assert 20_000 < most < 40_000
    assert (missing_share(card, most) or 1) <= MOST_MISSING < (missing_share(card, most + 1) or 0)


@pytest.mark.parametrize("measured", [{}, {"unique_fmr": None}, {"unique_fmr": True}, {"unique_fmr": 0}])
def test_of_a_card_that_does_not_say_it_nothing_is_reckoned(toy_card: dict[str, Any], measured: dict[str, Any]) -> None:
    card = card_with(toy_card, **measured)
    assert (missing_share(card, 10**6), room(card, 0.1)) == (None, None)


def test_more_than_there_is_room_for_is_refused_with_what_there_is(toy_card: dict[str, Any]) -> None:
    card = card_with(toy_card, unique_fmr=1e-4)

    def plan(subjects: int, distractors: int = 0, **more: Any) -> Any:
        body = {"name": "t", "subjects": subjects, "samples_per_subject": 2, "distractors": distractors, **more}
        return make_plan(
            DatasetRequest.model_validate(body), card, dataset="ds", seed=1, shard_size=100, max_comparisons=10**9
        )

    most = room(card, MOST_MISSING)
    assert most is not None
    assert plan(most - 10, 10).identities == most
    with pytest.raises(RequestRefused, match=f"no room for {most + 1:,} identities.*beyond {most:,}"):
        plan(most, 1)
    assert plan(most + 1, checks={"unique": False}).unique is None
