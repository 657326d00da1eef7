"""Calibrations of models: asked for, looked at, and looked up when a dataset names a target.

A calibration belongs to a model and not to a tenant: whoever asks the same question gets the same answer, made once.
It is a job like a dataset's, under an owner of its own, that ends when the scale is found.
"""

import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from app.config import Settings
from app.dataset import keys
from app.dataset.calibration import CALIBRATION_SEED, Calibration, CalibrationRequest, TriedScale, calibration_id
from app.dataset.keys import DatasetKeys
from app.dataset.model import ModelCard
from app.dataset.plan import Plan
from app.dataset.planning import calibration_question, make_plan, shard_size_for
from app.dataset.request import DatasetRequest
from app.errors import Conflict, Corrupt, NotFound, ObjectNotFound, QuotaExceeded
from app.jobs.calibrations.tried import tried_scales
from app.jobs.catalogues.matchers import MatcherCatalogue
from app.jobs.catalogues.models import ModelCatalogue
from app.jobs.datasets.advance import accept
from app.jobs.progress import Progress
from app.jobs.quota import UnfinishedQuota
from app.jobs.records import Accepted, read_accepted, read_json, read_plan, write_json
from app.jobs.state import State, known_facts, state_of
from app.queue import TaskQueue
from app.storage import ObjectStore


class CalibrationJob(BaseModel):
    """A calibration as the API shows it."""

    model_config = ConfigDict(frozen=True)

    id: str
    """SHA-256 over all that decides the answer: model and matcher by their digests, target, mix, who and how many."""
    state: State
    model: dict[str, Any]
    request: dict[str, Any]
    progress: Progress
    from_cache: bool
    """Whether the answer was there already when it was asked for."""
    tried: tuple[TriedScale, ...] = ()
    """Scales measured so far, while the search goes on; then `result` has the curve."""
    result: Calibration | None
    """Null until the state is `succeeded`."""
    failure: str | None


class CalibrationService:
    """The use cases of calibrations."""

    def __init__(
        self,
        store: ObjectStore,
        queue: TaskQueue,
        models: ModelCatalogue,
        matchers: MatcherCatalogue,
        settings: Settings,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._store = store
        self._queue = queue
        self._models = models
        self._matchers = matchers
        self._settings = settings
        self._clock = clock
        self._quota = UnfinishedQuota(store, settings.limits.unfinished_calibrations, clock, what="calibrations")

    def ask(self, tenant: str, request: CalibrationRequest, body: dict[str, Any]) -> CalibrationJob:
        """Find the answer, or put the question on its way; one that failed or was cancelled before is tried again.

        Raises RequestRefused, QuotaExceeded and Unavailable; then nothing was accepted.
        """
        plan = self._plan(request, self._models.asked_for(request.model))
        try:
            known = self.get(plan.dataset)
        except NotFound:
            known = None
        if known and not known.state.final:
            self._note_asked(tenant, plan.dataset)
            # One who cancels looks for others after cancelling: either is seen by the other.
            known = self.get(plan.dataset)
        if known and known.state not in (State.FAILED, State.CANCELLED):
            return known.model_copy(update={"from_cache": known.state is State.SUCCEEDED})
        self._check_share(tenant)
        self._quota.admit(keys.SERVICE)
        self._queue.ping()
        at = DatasetKeys(keys.SERVICE, plan.dataset)
        if known:
            self._store.delete_prefix(at.all_attempts)
            self._store.delete_prefix(at.all_asked)
            self._store.delete(at.failed)
            self._store.delete(at.cancelled)
        accepted = Accepted(
            id=plan.dataset,
            tenant=keys.SERVICE,
            name="calibration",
            created_at=datetime.fromtimestamp(self._clock(), UTC).isoformat(timespec="milliseconds"),
            request=body,
        )
        self._note_asked(tenant, plan.dataset)
        accept(self._store, self._queue, accepted, plan)
        return self.get(plan.dataset)

    def cancel(self, tenant: str, calibration: str) -> CalibrationJob:
        """Take back a question: nothing new of it starts within two seconds, unless others asked it, too.

        Raises NotFound, and Conflict where it has ended otherwise, or others asked and this tenant did not.
        """
        shown = self.get(calibration)
        if shown.state is State.CANCELLED:
            return shown
        if shown.state.final:
            raise Conflict(f"calibration {calibration!r} has {shown.state} and cannot be cancelled any more")
        at = DatasetKeys(keys.SERVICE, calibration)
        if not self._store.exists(at.asked(tenant)):
            raise Conflict(f"calibration {calibration!r} was asked for by others, and goes on for them")
        self._store.delete(at.asked(tenant))
        self._store.delete(keys.calibration_asked(tenant, calibration))
        if not self._is_asked(at):
            write_json(self._store, at.cancelled, {"at": self._clock()})
            if self._is_asked(at):  # meanwhile
                self._store.delete(at.cancelled)
        return self.get(calibration)

    def _is_asked(self, at: DatasetKeys) -> bool:
        return next(iter(self._store.list(at.all_asked)), None) is not None

    def _note_asked(self, tenant: str, calibration: str) -> None:
        self._store.put(keys.calibration_asked(tenant, calibration), b"")
        self._store.put(DatasetKeys(keys.SERVICE, calibration).asked(tenant), b"")

    def _check_share(self, tenant: str) -> None:
        """Refuse a tenant that has asked for as many unfinished ones as it may; marks of those that ended go."""
        prefix = keys.calibration_asked(tenant, "")
        asked = {info.key[len(prefix) :] for info in self._store.list(prefix)}
        under_way = f"{keys.UNFINISHED}{keys.SERVICE}/"
        left = asked & {info.key[len(under_way) :] for info in self._store.list(under_way)} if asked else set()
        for ended in asked - left:
            self._store.delete(prefix + ended)
        most = self._settings.limits.unfinished_calibrations_per_tenant
        if len(left) >= most:
            raise QuotaExceeded(f"{most} calibrations that you asked for are unfinished; wait for one to end")

    def get(self, calibration: str) -> CalibrationJob:
        """Show one calibration; raises NotFound."""
        try:
            accepted = read_accepted(self._store, keys.SERVICE, calibration)
            plan = read_plan(self._store, keys.SERVICE, calibration)
        except NotFound as exc:
            raise NotFound(f"there is no calibration {calibration!r}; ask for it by POST /v1/calibrations") from exc
        at = DatasetKeys(keys.SERVICE, calibration)
        facts = known_facts(self._store, self._queue, keys.SERVICE, calibration)
        state = state_of(facts, plan)
        return CalibrationJob(
            id=calibration,
            state=state,
            model=plan.model.model_dump(),
            request=accepted.request,
            progress=Progress.of(facts, plan),
            from_cache=False,
            tried=tried_scales(self._store, at, plan, facts),
            result=self._result(at) if state is State.SUCCEEDED else None,
            failure=read_json(self._store, at.failed)["reason"] if state is State.FAILED else None,
        )

    def known(self, plan: Plan, request: DatasetRequest, card: ModelCard) -> Calibration | None:
        """What a calibration of the model found for the target that a request became, if there was one.

        Only one with the usual numbers of subjects and samples is looked for.
        """
        question = calibration_question(plan, request, card)
        return None if question is None else self._result(DatasetKeys(keys.SERVICE, calibration_id(question)))

    def _result(self, at: DatasetKeys) -> Calibration | None:
        try:
            return Calibration.model_validate_json(self._store.get(at.calibration))
        except ObjectNotFound:
            return None
        except ValidationError as exc:
            raise Corrupt("a stored calibration cannot be read") from exc

    def _plan(self, request: CalibrationRequest, card: ModelCard) -> Plan:
        wanted = request.as_dataset()
        # Only the target's matcher is run, and only it is part of the question.
        matchers = {name: found for name, found in self._matchers.all().items() if name == request.target.matcher}
        samples = request.subjects * request.samples_per_subject
        plan = make_plan(
            wanted,
            card,
            dataset="",
            seed=CALIBRATION_SEED,
            shard_size=shard_size_for(
                samples, most=self._settings.shard_size, shards=self._settings.shards_per_dataset
            ),
            max_comparisons=0,
            matchers=matchers or self._matchers.all(),
        ).model_copy(update={"purpose": "calibration"})
        judges = tuple(judge for judge in plan.judges if judge.name == request.target.matcher)
        plan = plan.model_copy(update={"judges": judges})
        return plan.model_copy(update={"dataset": calibration_id(plan)})
