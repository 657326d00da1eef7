"""One attempt at a task of a dataset: what surrounds the work itself, whatever the work is.

Attempts are counted (workers.counting). A worker that lost its store or queue has not failed: the reconciler gives the
task out again.
"""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

import structlog

from app.config import Settings
from app.dataset.calibration import Calibration
from app.dataset.keys import DatasetKeys
from app.dataset.layout import Layout
from app.dataset.plan import Plan
from app.errors import Cancelled, NotFound, QueueUnavailable, Unavailable, Unfinished
from app.jobs.datasets.advance import advance_if_phase_ended, fail
from app.jobs.datasets.removal import clear_away, still_wanted
from app.jobs.records import read_plan, write_json
from app.queue import LAYOUT, Task, TaskQueue
from app.storage import ObjectStore
from workers.counting import counted, died_too_often
from workers.generator.base import Generator
from workers.resources import Resources

log = structlog.get_logger()


@dataclass(frozen=True, kw_only=True)
class Attempt:
    """What the work of a task gets to know."""

    task: Task
    at: DatasetKeys
    plan: Plan
    """As asked; once its target is calibrated, with the scale found in the target's place."""
    store: ObjectStore
    resources: Resources

    @property
    def settings(self) -> Settings:
        """The worker's settings."""
        return self.resources.settings

    @property
    def generator(self) -> Generator:
        """The plan's model, loaded when it is asked for; raises Misconfigured where this worker does not have it."""
        return self.resources.generator(self.plan)

    def called_off(self) -> bool:
        """Whether the dataset was cancelled or deleted; to be asked before every batch."""
        return not still_wanted(self.store, self.task.tenant, self.task.dataset, time.time())


def attempted(resources: Resources, task: Task, work: Callable[[Attempt], None]) -> None:
    """Do a task's work, count the attempt, and move its dataset on; raises nothing that is not a bug of ours."""
    store, queue = resources.store, resources.queue
    at = DatasetKeys(task.tenant, task.dataset)
    unfinished = False
    with marked(queue, task, resources.settings.queue.running_marker_s):
        try:
            plan = read_plan(store, task.tenant, task.dataset)
            if store.exists(at.cancelled) or store.exists(at.failed):
                return
            marks = at.attempts(f"{task.name.rsplit('.', 1)[-1]}-{task.number:06d}")
            if reason := died_too_often(store, marks, resources.settings.worker.max_deaths):
                _give_up(store, at, task, reason)
                return
            with counted(store, marks, task) as outcome:
                work(Attempt(task=task, at=at, plan=_effective(store, at, plan), store=store, resources=resources))
            if outcome.failed:
                return
        except NotFound:
            return  # deleted meanwhile
        except Cancelled:
            log.info("called_off", task=task)
            _sweep_if_deleted(store, task)
            return
        except Unavailable as exc:
            log.warning("put_off", task=task, error=str(exc))
            return
        except Unfinished as exc:
            log.info("goes_on", task=task, detail=str(exc))
            unfinished = True
    if unfinished:
        with suppress(QueueUnavailable):  # whoever looks after the dataset gives it out again
            queue.enqueue(task)
        return
    with suppress(NotFound, Unavailable):  # the reconciler sees to what is left
        _sweep_if_deleted(store, task)
        advance_if_phase_ended(store, queue, task.tenant, task.dataset, task.name)


def _effective(store: ObjectStore, at: DatasetKeys, plan: Plan) -> Plan:
    if plan.target is None or not store.exists(at.calibration):
        return plan
    scale = Calibration.model_validate_json(store.get(at.calibration)).scale
    return plan if scale is None else plan.scaled(scale)


def _give_up(store: ObjectStore, at: DatasetKeys, task: Task, reason: str) -> None:
    """End the dataset as failed; but one that has succeeded stays so, and only its layout is not to be had."""
    what = f"{task.name.rsplit('.', 1)[-1]} {task.number}: {reason}"
    if task.name == LAYOUT and store.exists(at.manifest):
        write_json(store, at.layout_failed(list(Layout)[task.number]), {"reason": reason})
        log.error("layout_failed", task=task, reason=reason)
    else:
        fail(store, task.tenant, task.dataset, what)


@contextmanager
def marked(queue: TaskQueue, task: Task, marker_s: float) -> Iterator[None]:
    """Say again and again that the task is being worked on, from a thread; at the end that it no longer is."""
    ended = threading.Event()

    def beat() -> None:
        while True:
            with suppress(QueueUnavailable):
                queue.working(task)
            if ended.wait(marker_s / 4):
                return

    thread = threading.Thread(target=beat, name="beat", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
        with suppress(QueueUnavailable):
            queue.done(task)


def _sweep_if_deleted(store: ObjectStore, task: Task) -> None:
    """A dataset may be deleted while we write: what was written after that is removed by us."""
    if not store.exists(DatasetKeys(task.tenant, task.dataset).request):
        clear_away(store, task.tenant, task.dataset, time.time())
