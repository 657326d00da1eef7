"""The state machine. What exists in the store is the state; what is missing is the work.

accepted → running → assembling → succeeded
                                ↘ failed | cancelled (from any state before)
"""

from collections.abc import Iterator
from contextlib import suppress
from enum import StrEnum

from app.dataset.keys import DatasetKeys
from app.dataset.plan import Plan
from app.errors import Conflict, QueueUnavailable
from app.jobs.phases import CALIBRATE, GENERATE, SURVEY, Facts, current, parts_among
from app.jobs.records import read_accepted, read_plan
from app.queue import Task, TaskQueue
from app.storage import ObjectStore


class State(StrEnum):
    """Where a dataset stands."""

    ACCEPTED = "accepted"
    RUNNING = "running"
    ASSEMBLING = "assembling"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def final(self) -> bool:
        """Whether nothing more will happen."""
        return self in (State.SUCCEEDED, State.FAILED, State.CANCELLED)


def read_facts(store: ObjectStore, tenant: str, dataset: str) -> Facts:
    """List what there is of a dataset; one pass over its keys."""
    at = DatasetKeys(tenant, dataset)
    flags = {at.cancelled: False, at.failed: False, at.manifest: False, at.calibration: False}
    attempts = False

    def names() -> Iterator[str]:
        nonlocal attempts
        for found in store.list(at.prefix):
            if found.key in flags:
                flags[found.key] = True
            attempts = attempts or found.key.startswith(at.all_attempts)
            yield found.key.removeprefix(at.prefix)

    done = parts_among(names())
    return Facts(
        cancelled=flags[at.cancelled],
        failed=flags[at.failed],
        manifest=flags[at.manifest],
        calibrated=flags[at.calibration],
        begun=attempts or any(phase.kind.name in done for phase in (SURVEY, CALIBRATE, GENERATE)),
        done=done,
    )


def known_facts(store: ObjectStore, queue: TaskQueue, tenant: str, dataset: str) -> Facts:
    """What there is of a dataset, by what workers have told of its parts; listed only where nothing was told.

    What was told is never more than what is stored, but may be less: a worker can die in between. Then the task is
    given out once more, finds its part stored, and tells.
    """
    try:
        done = queue.told(tenant, dataset)
    except QueueUnavailable:
        return read_facts(store, tenant, dataset)
    if done is None:
        facts = read_facts(store, tenant, dataset)
        with suppress(QueueUnavailable):
            parts = [(kind, part) for kind, names in facts.done.items() for part in names]
            queue.tell(tenant, dataset, parts, all_of_it=True)
        return facts
    at = DatasetKeys(tenant, dataset)
    return Facts(
        cancelled=store.exists(at.cancelled),
        failed=store.exists(at.failed),
        manifest=store.exists(at.manifest),
        calibrated=store.exists(at.calibration),
        begun=bool(done) or next(iter(store.list(at.all_attempts)), None) is not None,
        done={kind: frozenset(names) for kind, names in done.items()},
    )


def require_succeeded(store: ObjectStore, tenant: str, dataset: str, what: str) -> DatasetKeys:
    """Keys of a succeeded dataset; raises NotFound, or Conflict with the state it is in. `what` it is asked for."""
    read_accepted(store, tenant, dataset)
    at = DatasetKeys(tenant, dataset)
    if store.exists(at.manifest) and not store.exists(at.cancelled):
        return at
    state = state_of(read_facts(store, tenant, dataset), read_plan(store, tenant, dataset))
    raise Conflict(f"dataset {dataset!r} is {state}; it has {what} only once it has succeeded")


def state_of(facts: Facts, plan: Plan) -> State:
    """Name the state that the facts are."""
    if facts.cancelled:
        return State.CANCELLED
    if facts.failed:
        return State.FAILED
    if facts.calibrated if plan.purpose == "calibration" else facts.manifest:
        return State.SUCCEEDED
    if len(GENERATE.done(facts)) == plan.shards:
        return State.ASSEMBLING
    return State.RUNNING if facts.begun else State.ACCEPTED


def work_left(facts: Facts, plan: Plan, tenant: str) -> list[Task]:
    """List the tasks that can be done now; none when the dataset is at its end."""
    if state_of(facts, plan).final or (found := current(plan, facts)) is None:
        return []
    phase, missing = found
    return [phase.task(tenant, plan.dataset, part) for part in missing]
