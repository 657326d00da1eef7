"""One attempt at a task: what surrounds the work itself, whatever the work is, on a dataset or an evaluation.

How an attempt can end, and what is tried again, is decided in `app.jobs.attempts`.
"""

import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import structlog
from celery.exceptions import SoftTimeLimitExceeded

from app.config import Settings
from app.dataset.calibration import Calibration
from app.dataset.keys import DatasetKeys, EvaluationKeys
from app.dataset.plan import FinalPlan, Plan
from app.errors import NotFound, ObjectNotFound, QueueUnavailable, TookTooLong, Unavailable
from app.jobs.attempts import Ending, counted, ending_of, given_up, reason_of
from app.jobs.datasets.advance import advance_after, fail
from app.jobs.datasets.removal import clear_away, still_wanted
from app.jobs.eta import note_pace
from app.jobs.evaluations.ends import fail_evaluation, settle
from app.jobs.evaluations.records import AcceptedEvaluation, read_evaluation
from app.jobs.phases import CALIBRATE, LAYOUT, PHASES
from app.jobs.records import read_plan, write_json
from app.jobs.uploads import UploadService
from app.queue import Task
from app.storage import ObjectStore
from app.tracing import Origin, coming_from
from workers.at_work import working_on
from workers.generator.base import Generator
from workers.resources import Resources

log = structlog.get_logger()


@dataclass(frozen=True, kw_only=True)
class Attempt:
    """What the work of a dataset's task gets to know."""

    task: Task
    at: DatasetKeys
    plan: Plan
    store: ObjectStore
    resources: Resources
    meanwhile: Callable[[], None] = lambda: None
    """What may be done between two batches."""

    @property
    def settings(self) -> Settings:
        """The worker's settings."""
        return self.resources.settings

    @property
    def number(self) -> int:
        """Number of the shard, survey block or step that the task is about."""
        return int(self.task.part)

    @property
    def generator(self) -> Generator:
        """The plan's model, loaded when it is asked for; raises Misconfigured where this worker does not have it."""
        return self.resources.generator(self.plan)

    def final_plan(self) -> FinalPlan:
        """The plan as it is carried out: with the scale that the calibration found for its target, if it has one."""
        if self.plan.target is None:
            return self.plan.final()
        return self.plan.final(Calibration.model_validate_json(self.store.get(self.at.calibration)).scale)

    def called_off(self) -> bool:
        """Whether the dataset was cancelled or deleted; to be asked before every batch."""
        self.meanwhile()
        return not still_wanted(self.store, self.task.tenant, self.task.subject, time.time())


class Subject(Protocol):
    """What an attempt is about."""

    @property
    def marks(self) -> str:
        """Prefix of the marks of attempts at the task."""

    def exists(self) -> bool:
        """Whether it was not deleted."""

    def has_ended(self) -> bool:
        """Whether there is nothing to do any more."""

    def work(self) -> None:
        """Do the task's work."""

    def fail(self, error: str, reason: str) -> None:
        """End it as failed; `error` is the kind of failure, `reason` for the user."""

    def sweep(self) -> None:
        """Remove what was written after it was deleted."""

    @property
    def model(self) -> str:
        """Name of the model that the work used; "" where it was not begun, or uses none."""


class Took(NamedTuple):
    """What was made, and how long it took."""

    plan: Plan
    seconds: float


class DatasetSubject:
    """A dataset's or a calibration's task."""

    took: Took | None = None
    """Once the work is done."""

    def __init__(
        self, resources: Resources, task: Task, work: Callable[[Attempt], None], meanwhile: Callable[[], None]
    ) -> None:
        self._meanwhile = meanwhile
        self._resources = resources
        self._store = resources.store
        self.task = self._task = task
        self._work = work
        self._at = DatasetKeys(task.tenant, task.subject)
        self.marks = self._at.attempts(task.label)
        self.model = ""

    def exists(self) -> bool:
        """See Subject. One that a release keeps has its plan still."""
        return self._store.exists(self._at.plan)

    def has_ended(self) -> bool:
        """See Subject."""
        return self._store.exists(self._at.cancelled) or self._store.exists(self._at.failed)

    def work(self) -> None:
        """See Subject."""
        plan, began = read_plan(self._store, self._task.tenant, self._task.subject), time.monotonic()
        self.model = plan.model.name
        self._work(
            Attempt(
                task=self._task,
                at=self._at,
                plan=plan,
                store=self._store,
                resources=self._resources,
                meanwhile=self._meanwhile,
            )
        )
        self.took = Took(plan, time.monotonic() - began)

    def fail(self, error: str, reason: str) -> None:
        """See Subject. One that has succeeded stays so, and only its layout is not to be had."""
        if self._task.kind == LAYOUT.kind and self._store.exists(self._at.manifest):
            write_json(self._store, self._at.layout_failed(self._task.part), {"reason": reason})
            log.error("layout_failed", task=str(self._task), reason=reason)
        else:
            fail(self._store, self._task.tenant, self._task.subject, reason)

    def sweep(self) -> None:
        """See Subject."""
        if not self._store.exists(self._at.request):
            clear_away(self._store, self._task.tenant, self._task.subject, time.time())


class EvaluationSubject:
    """An evaluation."""

    def __init__(
        self,
        resources: Resources,
        task: Task,
        work: Callable[[ObjectStore, AcceptedEvaluation, Callable[[], bool]], None],
    ) -> None:
        self._store = resources.store
        self._uploads = UploadService(resources.store, resources.settings.limits)
        self._task = task
        self._work = work
        self._at = EvaluationKeys(task.tenant, task.subject)
        self.marks = self._at.attempts
        self.model = ""

    def exists(self) -> bool:
        """See Subject."""
        return self._store.exists(self._at.request)

    def has_ended(self) -> bool:
        """See Subject."""
        return self._store.exists(self._at.result) or self._store.exists(self._at.failed)

    def work(self) -> None:
        """See Subject."""
        self._work(self._store, self._accepted(), lambda: not self._store.exists(self._at.request))

    def fail(self, error: str, reason: str) -> None:
        """See Subject."""
        fail_evaluation(self._store, self._at, error, reason)

    def settle(self) -> None:
        """Let go of what it held, if it has ended."""
        if self.has_ended():
            settle(self._store, self._uploads, self._accepted())

    def sweep(self) -> None:
        """See Subject."""
        if not self._store.exists(self._at.request):
            self._store.delete_prefix(self._at.prefix)

    def _accepted(self) -> AcceptedEvaluation:
        return read_evaluation(self._store, self._task.tenant, self._task.subject)


def attempt_dataset(
    resources: Resources,
    task: Task,
    work: Callable[[Attempt], None],
    *,
    meanwhile: Callable[[], None] = lambda: None,
) -> None:
    """Attempt a task of a dataset, and move the dataset on; raises nothing that is not a bug of ours.

    `meanwhile` is called between two batches.
    """
    subject = DatasetSubject(resources, task, work, meanwhile)
    if _attempt(resources, task, subject) is Ending.DONE:
        # What comes next comes of the same request; the reconciler sees to what is left.
        with coming_from(task.origin or Origin()), suppress(NotFound, Unavailable):
            # What left nothing behind is not given out again at once; the last step of a calibration leaves its result.
            if _tell(resources, subject) or task.kind == CALIBRATE.kind:
                advance_after(resources.store, resources.queue, task)


def _tell(resources: Resources, subject: DatasetSubject) -> bool:
    """Note that a part is done, so that nobody need list the store to know; returns whether it is stored."""
    task = subject.task
    phase = next(phase for phase in PHASES if phase.kind == task.kind)
    stored = resources.store.exists(DatasetKeys(task.tenant, task.subject).prefix + phase.stored.format(task.part))
    if stored:
        resources.queue.tell(task.tenant, task.subject, [(task.kind.name, task.part)], all_of_it=False)
        if subject.took:
            note_pace(resources.queue, phase, subject.took.plan, task.part, subject.took.seconds)
    return stored


def attempt_evaluation(
    resources: Resources, task: Task, work: Callable[[ObjectStore, AcceptedEvaluation, Callable[[], bool]], None]
) -> None:
    """Attempt an evaluation; raises nothing that is not a bug of ours."""
    subject = EvaluationSubject(resources, task, work)
    _attempt(resources, task, subject)
    with suppress(NotFound, Unavailable):  # the reconciler sees to what is left
        subject.settle()


def _attempt(resources: Resources, task: Task, subject: Subject) -> Ending:
    with working_on(resources, task) as noted:
        ending = _work(resources, task, subject)
        noted.ending, noted.model = ending.name.lower(), subject.model
    if ending is Ending.GOES_ON:
        with suppress(QueueUnavailable):  # whoever looks after the subject gives it out again
            resources.queue.enqueue(task)
    elif ending is not Ending.PUT_OFF:
        with suppress(Unavailable):
            subject.sweep()
    return ending


def _work(resources: Resources, task: Task, subject: Subject) -> Ending:
    store = resources.store
    try:
        if subject.has_ended():
            return Ending.CALLED_OFF
        if reason := given_up(store, subject.marks, task, resources.settings.worker.max_deaths):
            subject.fail("GivenUp", reason)
            return Ending.REFUSED
        with counted(store, subject.marks, task):
            try:
                subject.work()
            except SoftTimeLimitExceeded as exc:
                raise TookTooLong(
                    f"it was not done after {resources.settings.queue.longest_task_s:,} s, the longest that a task may "
                    "take (FACSIMILE_QUEUE__VISIBILITY_TIMEOUT_S decides it)"
                ) from exc
    except Exception as exc:  # noqa: BLE001  (whatever it is, it is told from the others and recorded)
        ending = ending_of(exc)
        log.info("attempt_ended", task=str(task), subject=task.subject, ending=ending.name, detail=str(exc))
        if isinstance(exc, ObjectNotFound):
            # What was said to be there is not: look again, rather than believe it.
            with suppress(QueueUnavailable):
                resources.queue.forget(task.tenant, task.subject)
        return _refuse(subject, exc) if ending is Ending.REFUSED else ending
    return Ending.DONE


def _refuse(subject: Subject, exc: Exception) -> Ending:
    try:
        if not subject.exists():
            return Ending.CALLED_OFF
        subject.fail(type(exc).__name__, reason_of(exc))
    except Unavailable as away:
        log.warning("put_off", detail=str(away))
        return Ending.PUT_OFF
    return Ending.REFUSED
