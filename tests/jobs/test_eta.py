"""How long a set will still take: by what such parts took, and nothing where nothing was measured."""

from dataclasses import replace
from typing import Any

import pytest

from app.dataset.model import ModelCard
from app.dataset.plan import Plan
from app.dataset.planning import make_plan
from app.dataset.request import DatasetRequest
from app.errors import QueueUnavailable
from app.jobs.eta import eta_of, note_pace, pace_name
from app.jobs.phases import CHOOSE, CLOSE, GENERATE, LAYOUT, NOTHING, PHASES, PUBLISH, Facts, Phase

CARD = {
    "name": "toy",
    "version": "1",
    "kind": "parametric",
    "description": "",
    "sizes": [[128, 128], [64, 64]],
    "latent": {"identity": 2, "observation": {"pose": [0, 1]}},
    "licence": "",
    "provenance": "",
}


def plan(**fields: Any) -> Plan:
    """600 samples in shards of 250, 250 and 100."""
    body = {"name": "x", "subjects": 300, "samples_per_subject": 2, "checks": {"unique": False}} | fields
    request, card = DatasetRequest.model_validate(body), ModelCard.model_validate(CARD)
    return make_plan(request, card, dataset="ds_1", seed=1, shard_size=250, max_comparisons=10**9, matchers={})


def having(facts: Facts, phase: Phase, *parts: str) -> Facts:
    return replace(facts, begun=True, done={**facts.done, phase.kind.name: frozenset(parts)})


CHOSEN = having(NOTHING, CHOOSE, "")
HALFWAY = having(CHOSEN, GENERATE, "000000")
REPORTED = having(CHOSEN, GENERATE, "000000", "000001", "000002")
FINISHED = replace(having(having(REPORTED, CLOSE, ""), PUBLISH, ""), manifest=True)


def measured(queue: Any, phase: Phase, seconds: float, part: str = "000000", **fields: Any) -> None:
    note_pace(queue, phase, plan(**fields), part, seconds)


def test_what_is_left_takes_as_long_as_such_parts_took(memory_queue: Any) -> None:
    assert eta_of(memory_queue, "acme", plan(), HALFWAY) is None  # nothing was measured yet
    measured(memory_queue, GENERATE, 50.0)  # 250 samples
    assert eta_of(memory_queue, "acme", plan(), HALFWAY) == pytest.approx(350 * 50 / 250)
    measured(memory_queue, CLOSE, 12.0, "")
    measured(memory_queue, PUBLISH, 3.0, "")
    assert eta_of(memory_queue, "acme", plan(), HALFWAY) == pytest.approx(350 * 50 / 250 + 15)
    assert eta_of(memory_queue, "acme", plan(), REPORTED) == pytest.approx(15)


def test_several_workers_share_what_is_left(memory_queue: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    measured(memory_queue, GENERATE, 50.0)
    measured(memory_queue, CLOSE, 12.0, "")
    monkeypatch.setattr(memory_queue, "at_work", lambda tenant, subject: 8)
    # Two shards are left, so two workers at the most; and one closes the set.
    assert eta_of(memory_queue, "acme", plan(), HALFWAY) == pytest.approx(350 / 5 / 2 + 12)


@pytest.mark.parametrize("facts", [NOTHING, FINISHED, replace(CHOSEN, cancelled=True), replace(CHOSEN, failed=True)])
def test_it_is_not_known_before_the_beginning_nor_after_the_end(memory_queue: Any, facts: Facts) -> None:
    for phase in PHASES:
        memory_queue.noted[pace_name(phase, plan(), "")] = 1.0
    assert eta_of(memory_queue, "acme", plan(), facts) is None


def test_it_is_not_known_while_the_queue_is_away(memory_queue: Any) -> None:
    measured(memory_queue, GENERATE, 50.0)
    memory_queue.fault = lambda operation: QueueUnavailable("away")
    assert eta_of(memory_queue, "acme", plan(), CHOSEN) is None


def test_only_what_costs_the_same_has_the_same_pace(memory_queue: Any) -> None:
    measured(memory_queue, GENERATE, 50.0, image={"size": 64, "format": "jpeg"})
    assert eta_of(memory_queue, "acme", plan(), CHOSEN) is None
    assert pace_name(LAYOUT, plan(), "lfw") != pace_name(LAYOUT, plan(), "bob")
    assert pace_name(GENERATE, plan(), "000000") == pace_name(GENERATE, plan(subjects=9, name="y"), "000007")
