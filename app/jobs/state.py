"""The state machine. What exists in the store is the state; what is missing is the work.

accepted → running → assembling → succeeded
                                ↘ failed | cancelled (from any state before)
"""

from collections.abc import Iterator, Mapping
from contextlib import suppress
from enum import StrEnum
from typing import NamedTuple

from app.dataset.keys import DatasetKeys
from app.dataset.plan import Plan
from app.errors import Conflict, QueueUnavailable
from app.jobs.phases import CALIBRATE, GENERATE, SURVEY, Facts, current, parts_among
from app.jobs.records import read_accepted, read_plan
from app.queue import Task, TaskQueue
from app.storage import ObjectInfo, ObjectStore


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


class Look(NamedTuple):
    """What lies directly below a dataset's prefix, seen by one question to the store."""

    at: DatasetKeys
    objects: Mapping[str, ObjectInfo]
    """By key."""
    folders: frozenset[str]
    """Prefixes that have objects below them."""

    @property
    def accepted(self) -> bool:
        """Whether there is such a dataset; one whose objects a release keeps is none."""
        return self.at.request in self.objects

    @property
    def stamp(self) -> tuple[str, frozenset[str]]:
        """Differs whenever one of the objects came, went or was written anew."""
        return self.at.prefix, frozenset(f"{info.key} {info.etag}" for info in self.objects.values())

    def facts(self, begun: bool, done: Mapping[str, frozenset[str]]) -> Facts:
        """With what is known of parts, which lie deeper."""
        at = self.at
        return Facts(
            cancelled=at.cancelled in self.objects,
            failed=at.failed in self.objects,
            manifest=at.manifest in self.objects,
            calibrated=at.calibration in self.objects,
            begun=begun,
            done=done,
        )


def look_at(store: ObjectStore, tenant: str, dataset: str) -> Look:
    """See what lies directly below a dataset's prefix."""
    at = DatasetKeys(tenant, dataset)
    found = list(store.directly_below(at.prefix))
    return Look(
        at,
        {info.key: info for info in found if not info.key.endswith("/")},
        frozenset(info.key for info in found if info.key.endswith("/")),
    )


def read_facts(store: ObjectStore, tenant: str, dataset: str) -> Facts:
    """List what there is of a dataset; one pass over its keys."""
    at = DatasetKeys(tenant, dataset)
    objects: dict[str, ObjectInfo] = {}
    attempts = False

    def names() -> Iterator[str]:
        nonlocal attempts
        for found in store.list(at.prefix):
            name = found.key.removeprefix(at.prefix)
            if "/" not in name:
                objects[found.key] = found
            attempts = attempts or found.key.startswith(at.all_attempts)
            yield name

    done = parts_among(names())
    begun = attempts or any(phase.kind.name in done for phase in (SURVEY, CALIBRATE, GENERATE))
    return Look(at, objects, frozenset()).facts(begun, done)


def known_facts(store: ObjectStore, queue: TaskQueue, tenant: str, dataset: str, look: Look | None = None) -> Facts:
    """What there is of a dataset, by what workers have told of its parts; listed only where nothing was told.

    What was told is never more than what is stored, but may be less: a worker can die in between. Then the task is
    given out once more, finds its part stored, and tells. `look` is one of this moment, where there is one.
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
    look = look or look_at(store, tenant, dataset)
    begun = bool(done) or look.at.all_attempts in look.folders
    return look.facts(begun, {kind: frozenset(names) for kind, names in done.items()})


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
