"""No two subjects alike, across the whole set."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from app.dataset.plan import SURVEY_BLOCK, Plan
from app.errors import Unfinished
from workers.pipeline import identities
from workers.pipeline.identities import NO_FACE, Choosing, choose_identities, survey_block

PlanFor = Callable[..., Plan]
UNIQUE = {"unique": True, "face_found": False}


class LineUp:
    """A matcher whose templates are told beforehand, by (subject, attempt); a None is no face."""

    name, version, digest, dimensions = "sface", "test", "00", 128

    def __init__(self, direction: dict[tuple[int, int], int | None]) -> None:
        self.direction = direction

    def template(self, subject: int, attempt: int) -> np.ndarray | None:
        axis = self.direction.get((subject, attempt), subject)
        return None if axis is None else np.eye(128, dtype=np.float32)[axis % 128]

    def extract(self, pixels: Any) -> np.ndarray | None:
        return self.template(*pixels)


@pytest.fixture
def line_up(monkeypatch: pytest.MonkeyPatch) -> Callable[[dict[tuple[int, int], int | None]], LineUp]:
    """Puts a LineUp in place of the matcher, and portraits that are (subject, attempt) in place of pixels."""

    def install(direction: dict[tuple[int, int], int | None]) -> LineUp:
        matcher = LineUp(direction)
        monkeypatch.setattr(identities, "load_filter", lambda plan: (matcher, 0.5))
        monkeypatch.setattr(
            identities,
            "generate_portraits",
            lambda plan, generator, subjects, attempts: list(zip(subjects, attempts, strict=True)),
        )
        return matcher

    return install


def choose(plan: Plan, paint: Any) -> Any:
    blocks = [survey_block(plan, number, generator=paint, batch_size=3) for number in range(plan.survey_blocks)]
    return choose_identities(plan, blocks, generator=paint)


def test_different_identities_keep_their_first_draw(paint: Any, plan_for: PlanFor, line_up: Any) -> None:
    line_up({})
    choice = choose(plan_for(paint.card, subjects=100, samples_per_subject=1, checks=UNIQUE), paint)
    assert (choice.attempts, choice.missing, choice.rejected) == ({}, {}, ())


def test_a_copy_takes_its_next_draw(paint: Any, plan_for: PlanFor, line_up: Any) -> None:
    line_up({(3, 0): 1, (3, 1): 50, (7, 0): 50, (7, 1): 1, (7, 2): 51})
    choice = choose(plan_for(paint.card, subjects=10, samples_per_subject=1, checks=UNIQUE), paint)
    # 3 was a copy of 1; 7 was then a copy of what 3 had become, next of 1, and ends on its third draw.
    assert choice.attempts == {3: 1, 7: 2}
    assert [(item.id, item.attempt) for item in choice.rejected] == [
        ("S0000003", 0),
        ("S0000007", 0),
        ("S0000007", 1),
    ]
    assert "a copy of S0000003" in choice.rejected[1].reason


def test_copies_are_found_across_blocks(
    paint: Any, plan_for: PlanFor, line_up: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(identities, "COMPARED_AT_ONCE", 100)
    last = SURVEY_BLOCK + 20
    far = {(subject, 0): None for subject in range(10, last)} | {(subject, 1): None for subject in range(10, last)}
    line_up(far | {(last, 0): 5, (last, 1): 120})
    plan = plan_for(paint.card, subjects=last + 1, samples_per_subject=1, checks=UNIQUE)
    choice = choose(plan.model_copy(update={"max_attempts": 2}), paint)
    assert choice.attempts == {last: 1}
    assert set(choice.missing) == set(range(10, last))


def test_a_rejected_identity_stands_in_nobodys_way(paint: Any, plan_for: PlanFor, line_up: Any) -> None:
    line_up({(1, 0): 0, (1, 1): 60, (2, 0): 60, (2, 1): 61})
    choice = choose(plan_for(paint.card, subjects=3, samples_per_subject=1, checks=UNIQUE), paint)
    assert choice.attempts == {1: 1, 2: 1}


def test_an_identity_without_a_face_is_drawn_again_and_at_last_missing(
    paint: Any, plan_for: PlanFor, line_up: Any
) -> None:
    line_up({(0, 0): None, (1, 0): None, **{(2, attempt): None for attempt in range(5)}})
    choice = choose(plan_for(paint.card, subjects=4, samples_per_subject=1, checks=UNIQUE), paint)
    assert choice.attempts == {0: 1, 1: 1}
    assert list(choice.missing) == [2]
    assert NO_FACE in choice.missing[2]
    assert len(choice.rejected) == 2 + 5


class Crowd(LineUp):
    """A matcher to whom one pair of identities in eight is a copy."""

    def template(self, subject: int, attempt: int) -> np.ndarray | None:
        rng = np.random.default_rng([subject, attempt])
        if rng.random() < 0.02:
            return None
        found = np.zeros(self.dimensions, np.float32)
        found[:11] = rng.standard_normal(11)
        return found / np.linalg.norm(found)


def in_order(matcher: LineUp, identities: int, attempts: int) -> tuple[dict[int, int], list[int], int]:
    """Attempts, missing ones and rejections as the definition has them: one after another, each beside all before."""
    kept, chosen, missing, rejected = np.zeros((identities, matcher.dimensions), np.float32), {}, [], 0
    for subject in range(identities):
        for attempt in range(attempts):
            template = matcher.template(subject, attempt)
            if template is not None and not (kept[:subject] @ template >= 0.5).any():
                kept[subject] = template
                chosen |= {subject: attempt} if attempt else {}
                break
            rejected += 1
        else:
            missing.append(subject)
    return chosen, missing, rejected


def test_blocks_batches_and_pauses_choose_as_one_after_another(
    paint: Any, plan_for: PlanFor, line_up: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    line_up({})
    crowd = Crowd({})
    monkeypatch.setattr(identities, "load_filter", lambda plan: (crowd, 0.5))
    plan = plan_for(paint.card, subjects=3 * SURVEY_BLOCK - 100, samples_per_subject=1, checks=UNIQUE)
    blocks = [survey_block(plan, number, generator=paint, batch_size=32) for number in range(plan.survey_blocks)]
    at_once = choose_identities(plan, blocks, generator=paint, batch_size=7)
    expected = in_order(crowd, plan.identities, plan.max_attempts)
    assert (at_once.attempts, sorted(at_once.missing), len(at_once.rejected)) == expected
    assert len(expected[0]) > 50
    assert len(expected[1]) > 50

    packed: list[bytes] = []
    for _ in range(plan.survey_blocks - 1):
        with pytest.raises(Unfinished):
            choose_identities(
                plan,
                blocks,
                generator=paint,
                batch_size=7,
                so_far=Choosing.unpack(packed[-1]) if packed else None,
                pause=lambda choosing: packed.append(choosing.pack()) is None,
            )
    paused = choose_identities(plan, blocks, generator=paint, batch_size=7, so_far=Choosing.unpack(packed[-1]))
    assert paused == at_once


def test_who_must_be_drawn_again_is_drawn_together(
    paint: Any, plan_for: PlanFor, line_up: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    line_up({(subject, 0): 0 for subject in range(1, 41)})
    portraits, sizes = identities.generate_portraits, []
    monkeypatch.setattr(
        identities,
        "generate_portraits",
        lambda plan, generator, subjects, attempts: (
            sizes.append(len(subjects)) or portraits(plan, generator, subjects, attempts)
        ),
    )
    plan = plan_for(paint.card, subjects=60, samples_per_subject=1, checks=UNIQUE)
    blocks = [survey_block(plan, 0, generator=paint, batch_size=60)]
    sizes.clear()
    choose_identities(plan, blocks, generator=paint, batch_size=32)
    assert sizes == [32, 8]


def test_distractors_are_surveyed_too(paint: Any, plan_for: PlanFor, line_up: Any) -> None:
    line_up({(4, 0): 0})
    plan = plan_for(paint.card, subjects=2, samples_per_subject=1, distractors=3, checks=UNIQUE)
    assert choose(plan, paint).attempts == {4: 1}


def test_real_portraits_of_one_identity_are_copies(renderer: Any, plan_for: PlanFor) -> None:
    plan = plan_for(renderer.card, subjects=3, samples_per_subject=1, image={"size": 64}, checks=UNIQUE)
    block = survey_block(plan, 0, generator=renderer, batch_size=2)
    assert np.allclose(np.linalg.norm(block, axis=1), 1, atol=1e-5)
    block[2] = block[0]
    choice = choose_identities(plan, [block], generator=renderer)
    assert choice.attempts == {2: 1}
