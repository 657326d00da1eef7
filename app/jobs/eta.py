"""How long a dataset will still take: what is left of it, by the seconds that such parts took their workers here."""

import hashlib
import json
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import NamedTuple

from app.dataset.plan import Plan
from app.errors import QueueUnavailable
from app.jobs.phases import CALIBRATE, CHOOSE, GENERATE, JUDGE, LAYOUT, PHASES, SURVEY, TRY, Facts, Phase
from app.jobs.state import State, state_of
from app.queue import TaskQueue


class Left(NamedTuple):
    """What is left of one phase."""

    name: str
    """Under which its pace is known: the same for parts that take alike."""
    amount: float
    """Of samples, or identities."""
    parts: int


def pace_name(phase: Phase, plan: Plan, part: str) -> str:
    """What parts that cost the same per sample have in common: phase, model, image, and what is done to each."""
    decides = [
        phase.kind.name,
        part if phase is LAYOUT else "",
        plan.model.digest,
        plan.image.model_dump(),
        plan.face_found,
        plan.marking.model_dump(),
        plan.templates.digest if plan.templates else "",
        plan.unique.matcher if plan.unique else "",
        [judge.digest for judge in plan.judges] if phase is not GENERATE else [],
    ]
    return hashlib.sha256(json.dumps(decides).encode()).hexdigest()[:24]


def amount_of(phase: Phase, plan: Plan, part: str) -> float:
    """How much a part is: samples, or identities where those are what is looked at; 0 if it cannot be said."""
    if phase is SURVEY:
        return len(plan.survey_block(int(part)))
    if phase is CHOOSE:
        return plan.identities
    if phase is TRY:
        return len(plan.shard(int(part.rpartition("/")[2])))
    if phase is GENERATE:
        return len(plan.shard(int(part)))
    if phase is JUDGE:
        return sum(plan.judged(place) for place in plan.places(plan.shard(int(part))))
    return 0 if phase is CALIBRATE else plan.samples


def note_pace(queue: TaskQueue, phase: Phase, plan: Plan, part: str, seconds: float) -> None:
    """Note how long a worker took for a part that it made."""
    if (amount := amount_of(phase, plan, part)) > 0 and seconds > 0:
        queue.note_pace(pace_name(phase, plan, part), amount, seconds)


def eta_of(queue: TaskQueue, tenant: str, plan: Plan, facts: Facts) -> float | None:
    """Seconds until the dataset is done, with as many workers as are at it now; None where that is not known.

    It is not known before a worker has begun, while a scale is sought (nobody knows how many it takes), while no part
    of the phase under way was measured here, and while the queue is away. Later phases of which nothing was measured
    count nothing.
    """
    state = state_of(facts, plan)
    if state.final or state is State.ACCEPTED or (plan.target and not facts.calibrated):
        return None
    left = list(_left(plan, facts))
    if not left:
        return None
    with suppress(QueueUnavailable):
        paces = queue.paces([phase.name for phase in left])
        if paces[0] is not None:
            return _seconds(left, paces, max(1, queue.at_work(tenant, plan.dataset)))
    return None


def _seconds(left: Sequence[Left], paces: Sequence[float | None], workers: int) -> float:
    return sum(
        phase.amount * pace / min(workers, phase.parts)
        for phase, pace in zip(left, paces, strict=True)
        if pace is not None
    )


def _left(plan: Plan, facts: Facts) -> Iterator[Left]:
    """What is left, the phase under way first."""
    for phase in PHASES:
        if missing := phase.missing(plan, facts):
            if phase is LAYOUT:
                yield from (Left(pace_name(phase, plan, part), plan.samples, len(missing)) for part in missing)
            else:
                amount = sum(amount_of(phase, plan, part) for part in missing)
                yield Left(pace_name(phase, plan, missing[0]), amount, len(missing))
