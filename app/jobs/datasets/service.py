"""What users can do with datasets: submit, look, list, cancel, delete."""

import secrets
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any

from pydantic import BaseModel, ConfigDict

from app.config import Settings
from app.dataset import keys
from app.dataset.calibration import TriedScale
from app.dataset.keys import DatasetKeys
from app.dataset.manifest import read_summary
from app.dataset.marking import MarkingCard
from app.dataset.model import ModelCard
from app.dataset.plan import Plan
from app.dataset.planning import make_plan, shard_size_for
from app.dataset.request import SEED_LIMIT, DatasetRequest
from app.dataset.resolution import shortcomings
from app.errors import (
    Conflict,
    FacsimileError,
    NotFound,
    ObjectNotFound,
    RequestRefused,
)
from app.jobs.audit import Action, AuditLog, iso
from app.jobs.calibrations.service import CalibrationService
from app.jobs.calibrations.tried import tried_scales
from app.jobs.catalogues.marking import read_marking
from app.jobs.catalogues.matchers import MatcherCatalogue
from app.jobs.catalogues.models import ModelCatalogue
from app.jobs.datasets.advance import accept, ended
from app.jobs.datasets.listing import Filter, Listing
from app.jobs.datasets.removal import remove_dataset
from app.jobs.datasets.retention import expiry_of
from app.jobs.eta import eta_of
from app.jobs.idempotency import IdempotencyKeys
from app.jobs.ids import DATASET, new_id
from app.jobs.progress import Progress
from app.jobs.quota import UnfinishedQuota
from app.jobs.records import Accepted, AskedBy, read_accepted, read_json, read_plan, write_json
from app.jobs.remembered import Remembered
from app.jobs.state import State, known_facts, look_at, state_of
from app.queue import TaskQueue
from app.storage import ObjectStore

REMEMBERED_BYTES = 8 * 1024 * 1024
"""Of requests, plans and summaries, as they are stored; in memory they are some times as large."""


class Dataset(BaseModel):
    """A dataset as the API shows it, without links."""

    model_config = ConfigDict(frozen=True)

    id: str
    name: str
    state: State
    created_at: str
    asked_by: AskedBy | None = None
    """The key that asked for it; null of sets of an older version."""
    expires_at: str | None
    """When it may be deleted by its retention rule; None where it is kept, or has not ended yet."""
    model: dict[str, Any]
    seed: int
    request: dict[str, Any]
    progress: Progress
    tried: tuple[TriedScale, ...] = ()
    """With a target, scales measured so far, while the one that meets it is sought."""
    counts: dict[str, int] | None
    failure: str | None
    digests: dict[str, str] | None
    warnings: tuple[str, ...] = ()
    """What its comparisons cannot resolve, and what would, a sentence each."""


class DatasetService:
    """The use cases of datasets over a store and a queue; each call is one tenant's."""

    def __init__(
        self,
        store: ObjectStore,
        queue: TaskQueue,
        models: ModelCatalogue,
        settings: Settings,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._store = store
        self._queue = queue
        self._models = models
        self._matchers = MatcherCatalogue(store)
        self._calibrations = CalibrationService(store, queue, models, self._matchers, settings, clock)
        self._audit = AuditLog(store, clock)
        self._settings = settings
        self._clock = clock
        self._listing = Listing(store, clock)
        self._ended: Remembered[Dataset] = Remembered(REMEMBERED_BYTES)
        """Datasets that have ended, by their look's stamp."""
        self._keys = IdempotencyKeys(store, "dataset", clock)
        self._quota = UnfinishedQuota(store, settings.limits.unfinished_datasets_per_tenant, clock)

    def submit(
        self,
        tenant: str,
        request: DatasetRequest,
        body: dict[str, Any],
        key: str | None,
        by: AskedBy | None = None,
    ) -> tuple[Dataset, bool]:
        """Accept a request: plan it, write it to the store, put its first task on its way; and whether it is new.

        `body` is the request as the user wrote it. With an idempotency `key`, a repeat returns the same dataset, which
        is not new, and the same key with another body raises Conflict. Raises RequestRefused, QuotaExceeded,
        Unavailable; then nothing was accepted.
        """
        if key is not None and (known := self._known(tenant, key, body)):
            return known, False
        card = self._models.asked_for(request.model)
        dataset = new_id(DATASET, self._clock())
        plan = self._plan(request, card, dataset)
        self._quota.admit(tenant)
        self._queue.ping()
        if key is not None:
            made = self._keys.reserve(tenant, key, body, dataset, lambda known: self._exists(tenant, known))
            if made != dataset:
                return self.get(tenant, made), False
        accepted = Accepted(
            id=dataset,
            tenant=tenant,
            name=request.name,
            created_at=iso(self._clock()),
            request=body,
            by=by,
        )
        try:
            accept(self._store, self._queue, accepted, plan)
        except FacsimileError:
            self._take_back(tenant, dataset, key)
            raise
        return self._show(accepted, plan, State.ACCEPTED, Progress.none(plan)), True

    def plan_only(self, request: DatasetRequest) -> Plan:
        """Plan a request without accepting it; raises RequestRefused as `submit` does."""
        return self._plan(request, self._models.asked_for(request.model), "none")

    def get(self, tenant: str, dataset: str) -> Dataset:
        """Show one dataset; raises NotFound.

        Of one that has ended, and was shown before, one look at the store says that it is still there as it was.
        """
        look = look_at(self._store, tenant, dataset)
        if not look.accepted:
            raise NotFound(f"there is no dataset {dataset!r}")
        if known := self._ended.get(look.stamp):
            return known
        accepted = read_accepted(self._store, tenant, dataset)
        plan = read_plan(self._store, tenant, dataset)
        facts = known_facts(self._store, self._queue, tenant, dataset, look)
        try:
            progress = Progress.of(facts, plan, eta_of(self._queue, tenant, plan, facts))
            shown = self._show(accepted, plan, state_of(facts, plan), progress)
            tried = tried_scales(self._store, look.at, plan, facts)
        except ObjectNotFound as exc:  # deleted while we looked
            raise NotFound(f"there is no dataset {dataset!r}") from exc
        if tried:
            shown = shown.model_copy(update={"tried": tried})
        if shown.state.final and state_of(look.facts(True, facts.done), plan) is shown.state:
            told = (look.at.request, look.at.plan, look.at.summary)
            self._ended.put(look.stamp, shown, sum(look.objects[key].size for key in told if key in look.objects))
        return shown

    def list(
        self, tenant: str, *, state: State | None, name: str | None, limit: int, after: str | None
    ) -> tuple[list[Dataset], str | None]:
        """Show a page of datasets, newest first, and the cursor of the next page (None at the end)."""
        wanted = Filter(state, name)
        return self._listing.page(tenant, partial(self.get, tenant), wanted, limit=limit, after=after)

    def cancel(self, tenant: str, dataset: str) -> Dataset:
        """Stop a dataset: no new batch starts within two seconds. Raises Conflict if it has ended otherwise."""
        shown = self.get(tenant, dataset)
        if shown.state is State.CANCELLED:
            return shown
        if shown.state.final:
            raise Conflict(f"dataset {dataset!r} has {shown.state} and cannot be cancelled any more")
        write_json(self._store, DatasetKeys(tenant, dataset).cancelled, {"at": self._clock()})
        ended(self._store, tenant, dataset)
        return self.get(tenant, dataset)

    def delete(self, tenant: str, dataset: str, *, by: str = "operator") -> None:
        """Remove a dataset with every object of it, cancelling it first where it is under way.

        Objects that a release shares stay until it is withdrawn. `by` is the id of the API key that asked.
        """
        accepted = read_accepted(self._store, tenant, dataset)
        self._audit.note(tenant, Action.DELETED, dataset, by=by, details={"name": accepted.name})
        remove_dataset(self._store, tenant, dataset, self._clock())

    def _plan(self, request: DatasetRequest, card: ModelCard, dataset: str) -> Plan:
        limits = self._settings.limits
        total = request.subjects * request.samples_per_subject + request.distractors
        if total > limits.samples_per_dataset:
            raise RequestRefused(
                [
                    (
                        "subjects",
                        f"{total:,} samples are more than the {limits.samples_per_dataset:,} that one dataset "
                        "may have; ask for fewer, or split the set over several seeds",
                    )
                ]
            )
        marked = request.marking.c2pa or request.marking.watermark
        plan = make_plan(
            request,
            card,
            dataset=dataset,
            seed=secrets.randbelow(SEED_LIMIT + 1) if request.seed is None else request.seed,
            shard_size=shard_size_for(total, most=self._settings.shard_size, shards=self._settings.shards_per_dataset),
            max_comparisons=limits.comparisons_per_dataset,
            matchers=self._matchers.all(),
            marking=read_marking(self._store) if marked else MarkingCard(),
        )
        return self._with_start(plan, request, card)

    def _with_start(self, plan: Plan, request: DatasetRequest, card: ModelCard) -> Plan:
        """Let a plan's calibration begin where the model's ended; refuse a target that the model does not reach."""
        known = self._calibrations.known(plan, request, card)
        if plan.target is None or known is None:
            return plan
        if known.scale is None:
            raise RequestRefused([("variability.target", f"by calibration of the model, {known.note}")])
        return plan.model_copy(update={"target": plan.target.model_copy(update={"start": known.scale})})

    def _take_back(self, tenant: str, dataset: str, key: str | None) -> None:
        """Undo a half-made acceptance as far as the store lets us; the reconciler clears what is left."""
        at = DatasetKeys(tenant, dataset)
        with suppress(FacsimileError):
            self._store.delete(at.request)
            if key is not None:
                self._keys.release(tenant, key)
            self._store.delete(at.plan)
            self._store.delete(keys.unfinished(tenant, dataset))

    def _known(self, tenant: str, key: str, body: dict[str, Any]) -> Dataset | None:
        """The dataset made under an idempotency key before, if any; raises Conflict for another body."""
        made = self._keys.find(tenant, key, body)
        with suppress(NotFound):
            return self.get(tenant, made) if made else None
        return None

    def _exists(self, tenant: str, dataset: str) -> bool:
        return self._store.exists(DatasetKeys(tenant, dataset).request)

    def _show(self, accepted: Accepted, plan: Plan, state: State, progress: Progress) -> Dataset:
        at = DatasetKeys(accepted.tenant, accepted.id)
        summary = read_summary(self._store.get(at.summary)) if state is State.SUCCEEDED else None
        failure = read_json(self._store, at.failed)["reason"] if state is State.FAILED else None
        expiry = expiry_of(self._store, accepted, self._settings.limits) if state.final else None
        return Dataset(
            id=accepted.id,
            name=accepted.name,
            state=state,
            created_at=accepted.created_at,
            asked_by=accepted.by,
            expires_at=expiry.at if expiry else None,
            model=plan.model.model_dump(),
            seed=plan.seed,
            request=accepted.request,
            progress=progress,
            counts=summary and summary.counts.as_dict(),
            failure=failure,
            digests=summary and summary.digests.model_dump(),
            warnings=(
                *plan.unreachable,
                *shortcomings(
                    plan.comparisons, plan.subjects, plan.samples_per_subject, plan.distractors, plan.sample_counts
                ),
            ),
        )
