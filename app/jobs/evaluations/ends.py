"""How evaluations end, and what sees to it that every one does."""

import time
from collections.abc import Callable

import structlog

from app.dataset import keys
from app.dataset.keys import EvaluationKeys
from app.errors import Corrupt, NotFound
from app.jobs.evaluations.records import AcceptedEvaluation, read_evaluation
from app.jobs.records import write_json
from app.jobs.uploads import UploadService
from app.queue import EVALUATE, Task, TaskQueue
from app.storage import ObjectStore

log = structlog.get_logger()

HALF_ACCEPTED_S = 600.0
"""A marker without a request older than this is what a crash between two writes left behind."""


def settle(store: ObjectStore, uploads: UploadService, accepted: AcceptedEvaluation) -> None:
    """An evaluation has ended: let its uploads go and take its marker away. To call it twice does no harm."""
    for upload in accepted.uploads:
        uploads.let_go(accepted.tenant, upload, accepted.id, keep=accepted.keep_uploads)
    store.delete(keys.unfinished_evaluation(accepted.tenant, accepted.id))


def fail_evaluation(store: ObjectStore, at: EvaluationKeys, error: str, reason: str) -> None:
    """End an evaluation as failed; `error` is the kind of failure, `reason` is shown to the user."""
    write_json(store, at.failed, {"error": error, "reason": reason})
    log.error("evaluation_failed", key=at.prefix, reason=reason)


def reconcile_evaluations(
    store: ObjectStore, queue: TaskQueue, uploads: UploadService, clock: Callable[[], float] = time.time
) -> dict[str, int]:
    """Put every unfinished evaluation on its way again, and clear away what is left of others; returns counts."""
    seen = enqueued = cleared = 0
    for marker in store.list(keys.UNFINISHED_EVALUATIONS):
        tenant, evaluation = marker.key[len(keys.UNFINISHED_EVALUATIONS) :].split("/")
        seen += 1
        at = EvaluationKeys(tenant, evaluation)
        try:
            accepted = read_evaluation(store, tenant, evaluation)
            if store.exists(at.result) or store.exists(at.failed):
                settle(store, uploads, accepted)
            else:
                enqueued += queue.enqueue(Task(EVALUATE, tenant, evaluation))
        except NotFound:
            if clock() - marker.modified > HALF_ACCEPTED_S:
                store.delete_prefix(at.prefix)
                store.delete(marker.key)
                cleared += 1
        except Corrupt as exc:  # must not keep the others from going on
            log.error("evaluation_unreadable", tenant=tenant, evaluation=evaluation, reason=str(exc))
    return {"unfinished": seen, "enqueued": enqueued, "cleared": cleared, "swept": uploads.sweep()}
