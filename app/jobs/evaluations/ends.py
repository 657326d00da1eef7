"""How evaluations end, and what sees to it that every one does."""

import structlog

from app.dataset import keys
from app.dataset.keys import EvaluationKeys
from app.errors import NotFound
from app.jobs.evaluations.records import AcceptedEvaluation, read_evaluation
from app.jobs.records import write_json
from app.jobs.uploads import UploadService
from app.jobs.webhooks.outbox import tell_evaluation_ended
from app.queue import EVALUATE, Task, TaskQueue
from app.storage import ObjectStore

log = structlog.get_logger()


def settle(store: ObjectStore, uploads: UploadService, accepted: AcceptedEvaluation) -> None:
    """An evaluation has ended: let its uploads go and take its marker away. To call it twice does no harm."""
    for upload in accepted.uploads:
        uploads.let_go(accepted.tenant, upload, accepted.id, keep=accepted.keep_uploads)
    tell_evaluation_ended(store, accepted)
    store.delete(keys.unfinished_evaluation(accepted.tenant, accepted.id))


def fail_evaluation(store: ObjectStore, at: EvaluationKeys, error: str, reason: str) -> None:
    """End an evaluation as failed; `error` is the kind of failure, `reason` is shown to the user."""
    write_json(store, at.failed, {"error": error, "reason": reason})
    log.error("evaluation_failed", key=at.prefix, reason=reason)


def reconcile_evaluation(
    store: ObjectStore, queue: TaskQueue, uploads: UploadService, tenant: str, evaluation: str, *, old: bool
) -> tuple[int, int]:
    """Put an unfinished evaluation on its way again, or clear away what is left of it if it is `old`.

    Returns how many tasks were enqueued and left-overs cleared; raises Corrupt.
    """
    at = EvaluationKeys(tenant, evaluation)
    try:
        accepted = read_evaluation(store, tenant, evaluation)
    except NotFound:
        if old:
            store.delete_prefix(at.prefix)
            store.delete(keys.unfinished_evaluation(tenant, evaluation))
        return 0, int(old)
    if store.exists(at.result) or store.exists(at.failed):
        settle(store, uploads, accepted)
        return 0, 0
    return int(queue.enqueue(Task(EVALUATE, tenant, evaluation))), 0
