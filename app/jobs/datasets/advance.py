"""Moving a dataset on: enqueue what can be done now, and look over whatever is unfinished."""

import time
from collections.abc import Callable

import structlog

from app.dataset import keys
from app.dataset.keys import DatasetKeys
from app.dataset.plan import Plan
from app.errors import Corrupt, NotFound
from app.jobs.datasets.removal import clear_away
from app.jobs.records import JSON, Accepted, read_plan, write_json
from app.jobs.state import read_facts, state_of, work_left
from app.queue import ADVANCE, Task, TaskQueue
from app.storage import ObjectStore

log = structlog.get_logger()

AHEAD = 1_000
"""Tasks of one dataset that are on their way at once; the reconciler sends more as these get done. A set of a hundred
thousand shards that is cancelled must not leave as many tasks before those of other tenants."""

HALF_ACCEPTED_S = 600.0
"""A marker without a request older than this is what a crash between two writes left behind."""


def advance(store: ObjectStore, queue: TaskQueue, tenant: str, dataset: str) -> int:
    """Enqueue what can be done of the dataset now and is not on its way, so far ahead; returns how many tasks.

    A dataset at its end loses its unfinished marker. To call it once too often does no harm.
    """
    try:
        plan = read_plan(store, tenant, dataset)
    except NotFound:
        return 0
    facts = read_facts(store, tenant, dataset)
    if state_of(facts, plan).final:
        if store.exists(DatasetKeys(tenant, dataset).request):  # else it is being deleted, and the marker is for that
            store.delete(keys.unfinished(tenant, dataset))
        return 0
    return sum(queue.enqueue(task) for task in work_left(facts, plan, tenant)[:AHEAD])


def advance_if_phase_ended(store: ObjectStore, queue: TaskQueue, done: Task) -> None:
    """After a task: enqueue the next phase if that was the last of its phase.

    Tasks of the same phase are on their way already; asking the queue about each would cost as much as the work.
    """
    plan = read_plan(store, done.tenant, done.subject)
    left = work_left(read_facts(store, done.tenant, done.subject), plan, done.tenant)
    if not left or left[0].kind != done.kind:
        advance(store, queue, done.tenant, done.subject)


def reconcile(store: ObjectStore, queue: TaskQueue, clock: Callable[[], float] = time.time) -> dict[str, int]:
    """Advance every unfinished dataset, and clear away what an interrupted submission left.

    Returns how many datasets were looked at, tasks enqueued and left-overs cleared.
    """
    seen = enqueued = cleared = 0
    for marker in store.list(keys.UNFINISHED):
        tenant, dataset = keys.owner_of(marker.key)
        seen += 1
        at = DatasetKeys(tenant, dataset)
        if store.exists(at.request):
            try:
                enqueued += advance(store, queue, tenant, dataset)
            except Corrupt as exc:  # must not keep the others from going on
                log.error("dataset_unreadable", tenant=tenant, dataset=dataset, reason=str(exc))
        elif clock() - marker.modified > HALF_ACCEPTED_S:
            cleared += clear_away(store, tenant, dataset, clock())
    if enqueued or cleared:
        log.info("reconciled", unfinished=seen, enqueued=enqueued, cleared=cleared)
    return {"unfinished": seen, "enqueued": enqueued, "cleared": cleared}


def accept(store: ObjectStore, queue: TaskQueue, accepted: Accepted, plan: Plan) -> None:
    """Write an acceptance, the request last, and ask a worker to begin."""
    at = DatasetKeys(accepted.tenant, accepted.id)
    store.put(keys.unfinished(accepted.tenant, accepted.id), b"", JSON)
    write_json(store, at.plan, plan)
    write_json(store, at.request, accepted)
    first_step(queue, accepted.tenant, accepted.id)


def first_step(queue: TaskQueue, tenant: str, dataset: str) -> None:
    """Ask a worker to advance a dataset, however many tasks that means."""
    queue.enqueue(Task(ADVANCE, tenant, dataset))


def fail(store: ObjectStore, tenant: str, dataset: str, reason: str) -> None:
    """End a dataset as failed; `reason` is shown to the user."""
    write_json(store, DatasetKeys(tenant, dataset).failed, {"reason": reason})
    store.delete(keys.unfinished(tenant, dataset))
    log.error("dataset_failed", tenant=tenant, dataset=dataset, reason=reason)
