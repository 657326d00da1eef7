"""Moving a dataset on: enqueue what can be done now."""

import structlog

from app.dataset import keys
from app.dataset.keys import DatasetKeys
from app.dataset.plan import Plan
from app.errors import NotFound
from app.jobs.records import JSON, Accepted, read_plan, write_json
from app.jobs.state import known_facts, state_of, work_left
from app.jobs.webhooks.outbox import tell_dataset_ended
from app.queue import ADVANCE, Task, TaskQueue
from app.storage import ObjectStore

log = structlog.get_logger()


def advance(store: ObjectStore, queue: TaskQueue, tenant: str, dataset: str) -> int:
    """Enqueue what can be done of the dataset now and is not on its way, so far ahead; returns how many tasks.

    A dataset at its end loses its unfinished marker. To call it once too often does no harm.
    """
    try:
        plan = read_plan(store, tenant, dataset)
    except NotFound:
        return 0
    facts = known_facts(store, queue, tenant, dataset)
    if state_of(facts, plan).final:
        if store.exists(DatasetKeys(tenant, dataset).request):  # else it is being deleted, and the marker is for that
            ended(store, tenant, dataset)
        return 0
    room = queue.ahead() - queue.on_their_way([(tenant, dataset)])[0]
    enqueued = 0
    for task in work_left(facts, plan, tenant):
        if enqueued >= room:
            break
        enqueued += queue.enqueue(task)
    return enqueued


def advance_after(store: ObjectStore, queue: TaskQueue, done: Task) -> None:
    """After a task: enqueue what comes next, once half of what may be on its way is done."""
    if queue.on_their_way([(done.tenant, done.subject)])[0] <= queue.ahead() // 2:
        advance(store, queue, done.tenant, done.subject)


def accept(store: ObjectStore, queue: TaskQueue, accepted: Accepted, plan: Plan) -> None:
    """Write an acceptance, the request last, and ask a worker to begin."""
    at = DatasetKeys(accepted.tenant, accepted.id)
    store.put(keys.unfinished(accepted.tenant, accepted.id), b"", JSON)
    write_json(store, at.plan, plan)
    write_json(store, at.request, accepted)
    log.info("dataset_accepted", tenant=accepted.tenant, dataset=accepted.id)
    first_step(queue, accepted.tenant, accepted.id)


def first_step(queue: TaskQueue, tenant: str, dataset: str) -> None:
    """Ask a worker to advance a dataset, however many tasks that means."""
    queue.enqueue(Task(ADVANCE, tenant, dataset))


def ended(store: ObjectStore, tenant: str, dataset: str) -> None:
    """A dataset has ended: put down that its tenant is to be told, then take its marker away. Twice does no harm."""
    tell_dataset_ended(store, tenant, dataset)
    store.delete(keys.unfinished(tenant, dataset))


def fail(store: ObjectStore, tenant: str, dataset: str, reason: str) -> None:
    """End a dataset as failed; `reason` is shown to the user."""
    write_json(store, DatasetKeys(tenant, dataset).failed, {"reason": reason})
    ended(store, tenant, dataset)
    log.error("dataset_failed", tenant=tenant, dataset=dataset, reason=reason)
