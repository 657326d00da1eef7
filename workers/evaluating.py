"""One attempt at an evaluation: what surrounds the work itself. As workers.attempt does for the tasks of a dataset.

What no repetition would mend (a file that does not fit, say) ends the evaluation at once, with the reason. A worker
that lost its store or queue has not failed: the reconciler gives the evaluation out again.
"""

from contextlib import suppress

import structlog

from app.dataset.keys import EvaluationKeys
from app.errors import Cancelled, Corrupt, NotFound, ObjectNotFound, RequestRefused, Unavailable
from app.jobs.evaluations.ends import settle
from app.jobs.evaluations.records import read_evaluation
from app.jobs.records import write_json
from app.jobs.uploads import UploadService
from app.queue import Task
from app.storage import ObjectStore
from workers.attempt import marked
from workers.biometrics.errors import ScoresRefused, Unresolvable
from workers.counting import counted, died_too_often
from workers.resources import Resources
from workers.verdict.job import evaluate_stored

log = structlog.get_logger()

HOPELESS = (ScoresRefused, Unresolvable, RequestRefused, Corrupt, NotFound, ObjectNotFound)


def evaluation_attempted(resources: Resources, task: Task) -> None:
    """Make an evaluation, and count the attempt; raises nothing that is not a bug of ours."""
    store = resources.store
    uploads = UploadService(store, resources.settings.limits)
    at = EvaluationKeys(task.tenant, task.dataset)
    with marked(resources.queue, task, resources.settings.queue.running_marker_s):
        try:
            accepted = read_evaluation(store, task.tenant, task.dataset)
            if not (store.exists(at.result) or store.exists(at.failed)):
                if reason := died_too_often(store, at.attempts, resources.settings.worker.max_deaths):
                    _fail(store, at, "GivenUp", reason)
                else:
                    with counted(store, at.attempts, task) as outcome:
                        try:
                            evaluate_stored(store, accepted, lambda: not store.exists(at.request))
                        except HOPELESS as exc:
                            _fail(store, at, type(exc).__name__, _reason(exc))
                    if outcome.failed:
                        return
            settle(store, uploads, accepted)
        except NotFound:
            return  # deleted meanwhile
        except Cancelled:
            log.info("called_off", task=task)
        except Unavailable as exc:
            log.warning("put_off", task=task, error=str(exc))
            return
    with suppress(Unavailable):  # deleted while we wrote: what was written after that is removed by us
        if not store.exists(at.request):
            store.delete_prefix(at.prefix)


def _fail(store: ObjectStore, at: EvaluationKeys, error: str, reason: str) -> None:
    write_json(store, at.failed, {"error": error, "reason": reason})
    log.error("evaluation_failed", key=at.prefix, reason=reason)


def _reason(exc: Exception) -> str:
    """For the user: the text of a missing object names a key of the store."""
    if isinstance(exc, ObjectNotFound):
        return "something that it needs was deleted: the dataset, an upload, or the evaluation that is its baseline"
    return str(exc)
