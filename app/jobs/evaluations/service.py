"""What users can do with evaluations: ask for one, look, list the history of a release, delete.

An evaluation is accepted when its request.json is written; it is over when result.json or failed.json is. Until then
a marker tells the reconciler of it, and what it needs of uploads is held.
"""

import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from app.config import LimitSettings
from app.dataset import keys
from app.dataset.candidates import SearchesFound
from app.dataset.evaluation import Evaluation, Verdict
from app.dataset.evaluation_request import Earlier, EvaluationRequest, TemplateFiles, Uploaded, UploadedText
from app.dataset.galleries import GalleriesAsked, GalleriesFound, GalleryPoint
from app.dataset.keys import EvaluationKeys
from app.dataset.measures import Rate
from app.errors import Conflict, FacsimileError, NotFound, ObjectNotFound, RequestRefused, Withdrawn
from app.jobs.evaluations.records import AcceptedEvaluation, Handed, Result, indexed, read_evaluation, read_result
from app.jobs.idempotency import IdempotencyKeys
from app.jobs.ids import EVALUATION, new_id
from app.jobs.quota import UnfinishedQuota
from app.jobs.records import JSON, read_accepted, read_json, read_plan, write_json
from app.jobs.releases.service import ReleaseService
from app.jobs.state import State, known_facts, state_of
from app.jobs.uploads import UploadService
from app.queue import EVALUATE, Task, TaskQueue
from app.storage import ObjectStore

Document = Literal["junit", "markdown", "det", "galleries", "rank_one", "page"]
"""What an evaluation writes, by its key's name."""


class EvaluationState(StrEnum):
    """Where an evaluation stands."""

    ACCEPTED = "accepted"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"


class Shown(BaseModel):
    """An evaluation as the API lists it."""

    model_config = ConfigDict(frozen=True)

    id: str
    name: str
    state: EvaluationState
    created_at: str
    dataset: str | None
    """Null of templates whose file says whose they are."""
    release: str | None
    verdict: Verdict | None
    """Null until it has succeeded, and where no limit was given."""
    reason: str | None
    fnmr: Rate | None
    """Generalised, at the rule's FMR or threshold; null of searches."""
    fnir: Rate | None = None
    """Of candidate lists, at the first FPIR asked for."""
    widest: GalleryPoint | None = None
    """Of templates that were searched: FNIR in the galleries that limits are about, at the first FPIR."""
    increase: float | None
    """Of generalised FNMR, or of FNIR, over the baseline's."""
    failure: str | None


class ShownWhole(Shown):
    """One evaluation with all that was measured."""

    request: dict[str, Any]
    result: Evaluation | None
    """What was measured of scores."""
    searches: SearchesFound | None = None
    """What was measured of candidate lists."""
    galleries: GalleriesFound | None = None
    """What was measured of templates that were searched."""


class EvaluationService:
    """The use cases of evaluations over a store and a queue; each call is one tenant's."""

    def __init__(
        self,
        store: ObjectStore,
        queue: TaskQueue,
        uploads: UploadService,
        releases: ReleaseService,
        limits: LimitSettings,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._store = store
        self._queue = queue
        self._uploads = uploads
        self._releases = releases
        self._clock = clock
        self._keys = IdempotencyKeys(store, "evaluation", clock, space="evaluation ")
        self._quota = UnfinishedQuota(
            store, limits.unfinished_evaluations_per_tenant, clock, "evaluations", keys.UNFINISHED_EVALUATIONS
        )

    def submit(
        self, tenant: str, request: EvaluationRequest, body: dict[str, Any], key: str | None
    ) -> tuple[ShownWhole, bool]:
        """Accept an evaluation: check what it names, write it to the store, put it on its way; and whether it is new.

        `body` is the request as the user wrote it. With an idempotency `key`, a repeat returns the same evaluation,
        which is not new, and the same key with another body raises Conflict. Raises RequestRefused, QuotaExceeded,
        Unavailable; then nothing was accepted.
        """
        if key is not None and (known := self._known(tenant, key, body)):
            return known, False
        dataset, release = self._set(tenant, request)
        evaluation = new_id(EVALUATION, self._clock())
        self._quota.admit(tenant)
        self._queue.ping()
        if key is not None:
            made = self._keys.reserve(tenant, key, body, evaluation, lambda known: self._exists(tenant, known))
            if made != evaluation:
                return self.get(tenant, made), False
        try:
            accepted = self._accepted(tenant, evaluation, request, body, dataset, release)
            self._accept(accepted)
        except FacsimileError:
            self._take_back(tenant, evaluation, request, key)
            raise
        return self.get(tenant, evaluation), True

    def get(self, tenant: str, evaluation: str) -> ShownWhole:
        """Show one evaluation; raises NotFound."""
        accepted = read_evaluation(self._store, tenant, evaluation)
        found, result = self._look(accepted)
        return ShownWhole(
            **dict(found),
            request=accepted.request,
            result=result if isinstance(result, Evaluation) else None,
            searches=result if isinstance(result, SearchesFound) else None,
            galleries=result if isinstance(result, GalleriesFound) else None,
        )

    def list(
        self, tenant: str, *, release: str | None, dataset: str | None, limit: int, after: str | None
    ) -> tuple[list[Shown], str | None]:
        """Show a page of evaluations, newest first, and the cursor of the next page (None at the end).

        `release` is NAME or NAME@VERSION: its history.
        """
        ids = sorted(set(self._ids(tenant, release, dataset)), reverse=True)
        if after is not None:
            ids = [evaluation for evaluation in ids if evaluation < after]
        found: list[Shown] = []
        for seen, evaluation in enumerate(ids, start=1):
            with suppress(NotFound):  # deleted meanwhile, or not yet accepted
                found.append(self._look(read_evaluation(self._store, tenant, evaluation))[0])
            if len(found) == limit:
                return found, evaluation if seen < len(ids) else None
        return found, None

    def delete(self, tenant: str, evaluation: str) -> None:
        """Remove an evaluation with all that was measured, whether or not it has ended; raises NotFound."""
        accepted = read_evaluation(self._store, tenant, evaluation)
        at = EvaluationKeys(tenant, evaluation)
        # Broken off later than here, the marker without a request leads the reconciler to the rest.
        self._store.put(keys.unfinished_evaluation(tenant, evaluation), b"", JSON)
        for upload in accepted.uploads:
            self._uploads.let_go(tenant, upload, evaluation, keep=accepted.keep_uploads)
        for place in indexed(accepted):
            self._store.delete(place)
        self._store.delete(at.request)
        self._store.delete_prefix(at.prefix)
        self._store.delete(keys.unfinished_evaluation(tenant, evaluation))

    def document(self, tenant: str, evaluation: str, name: Document) -> bytes:
        """What an evaluation wrote for people and machines; raises NotFound, and Conflict before it has succeeded."""
        accepted = read_evaluation(self._store, tenant, evaluation)
        at = EvaluationKeys(tenant, evaluation)
        if not self._store.exists(at.result):
            raise Conflict(f"evaluation {evaluation!r} has not succeeded; it has this only once it has")
        try:
            return self._store.get(getattr(at, name))
        except ObjectNotFound as exc:
            text = f"evaluation {evaluation!r} is of {accepted.kind}, or of an older version, which has none"
            raise NotFound(text) from exc

    def _set(self, tenant: str, request: EvaluationRequest) -> tuple[str | None, str | None]:
        """The dataset that is meant, if any, and, if it was named so, its release; raises RequestRefused."""
        if request.release is None and request.dataset is None:
            return None, None
        try:
            if request.release is None:
                dataset, release = str(request.dataset), None
                read_accepted(self._store, tenant, dataset)
                facts = known_facts(self._store, self._queue, tenant, dataset)
                plan = read_plan(self._store, tenant, dataset)
                if (state := state_of(facts, plan)) is not State.SUCCEEDED:
                    text = f"dataset {dataset!r} is {state}; only one that succeeded will do"
                    raise RequestRefused([("dataset", text)])
            else:
                found = self._releases.get(tenant, *request.release.split("@"))
                dataset, release = found.dataset, str(found.ref)
                plan = read_plan(self._store, tenant, dataset)
        except (NotFound, Withdrawn) as exc:
            raise RequestRefused([("release" if request.release else "dataset", str(exc))]) from exc
        if request.scores is None:
            if plan.samples_per_subject < 2:
                text = "its subjects have one sample each, so there is no probe that could be searched"
                raise RequestRefused([("dataset", text)])
        elif plan.comparisons == "none":
            raise RequestRefused(
                [("dataset", "it was made with comparisons.selection 'none', so there is nothing to compare")]
            )
        return dataset, release

    def _accepted(
        self,
        tenant: str,
        evaluation: str,
        request: EvaluationRequest,
        body: dict[str, Any],
        dataset: str | None,
        release: str | None,
    ) -> AcceptedEvaluation:
        baseline = None
        if isinstance(request.baseline, Earlier):
            baseline = self._earlier(tenant, request, request.baseline.evaluation, dataset)
        elif request.baseline is not None:
            baseline = self._held(tenant, evaluation, "baseline.upload", request.baseline)
        return AcceptedEvaluation(
            id=evaluation,
            tenant=tenant,
            name=request.name,
            created_at=datetime.fromtimestamp(self._clock(), UTC).isoformat(timespec="milliseconds"),
            dataset=dataset,
            release=release,
            rule=request.rule,
            scores=self._held(tenant, evaluation, "scores.upload", request.scores) if request.scores else None,
            baseline=baseline,
            candidates=self._held(tenant, evaluation, "candidates.upload", request.candidates)
            if request.candidates
            else None,
            gallery=self._held(tenant, evaluation, "gallery.upload", request.gallery) if request.gallery else None,
            searches=request.searches,
            templates=self._held(tenant, evaluation, "templates.upload", request.templates)
            if request.templates
            else None,
            galleries=GalleriesAsked(**request.templates.model_dump(include=set(GalleriesAsked.model_fields)))
            if request.templates
            else GalleriesAsked(),
            keep_uploads=request.keep_uploads,
            request=body,
        )

    def _held(
        self, tenant: str, evaluation: str, field: str, uploaded: Uploaded | UploadedText | TemplateFiles
    ) -> Handed:
        try:
            data = self._uploads.hold(tenant, uploaded.upload, evaluation)
        except NotFound as exc:
            raise RequestRefused([(field, str(exc))]) from exc
        further: dict[str, tuple[Handed, ...]] = {}
        if isinstance(uploaded, TemplateFiles):
            for name in ("distractors", "real_distractors"):
                files = [UploadedText(upload=one) for one in getattr(uploaded, name)]
                at = field.removesuffix("upload") + name
                further[name] = tuple(
                    self._held(tenant, evaluation, f"{at}.{number}", file) for number, file in enumerate(files)
                )
        return Handed(upload=uploaded.upload, data=data, metric=getattr(uploaded, "metric", None), **further)

    def _earlier(self, tenant: str, request: EvaluationRequest, evaluation: str, dataset: str | None) -> Handed:
        try:
            before = read_evaluation(self._store, tenant, evaluation)
        except NotFound as exc:
            raise RequestRefused([("baseline.evaluation", str(exc))]) from exc
        if before.dataset != dataset:
            was, now = (f"dataset {one!r}" if one else "no dataset" for one in (before.dataset, dataset))
            text = f"evaluation {evaluation!r} is of {was}, and this one of {now}"
            raise RequestRefused([("baseline.evaluation", f"{text}; a baseline must be of the same comparisons")])
        if before.kind != request.kind:
            text = f"evaluation {evaluation!r} is of {before.kind}, and this of {request.kind}"
            raise RequestRefused([("baseline.evaluation", text)])
        if not self._store.exists(EvaluationKeys(tenant, evaluation).result):
            text = f"evaluation {evaluation!r} has not succeeded; wait for its end, or name its upload"
            raise RequestRefused([("baseline.evaluation", text)])
        return Handed(evaluation=evaluation)

    def _accept(self, accepted: AcceptedEvaluation) -> None:
        self._store.put(keys.unfinished_evaluation(accepted.tenant, accepted.id), b"", JSON)
        for place in indexed(accepted):
            self._store.put(place, b"", JSON)
        write_json(self._store, EvaluationKeys(accepted.tenant, accepted.id).request, accepted)
        self._queue.enqueue(Task(EVALUATE, accepted.tenant, accepted.id))

    def _take_back(self, tenant: str, evaluation: str, request: EvaluationRequest, key: str | None) -> None:
        """Undo a half-made acceptance as far as the store lets us; the reconciler clears what is left."""
        with suppress(FacsimileError):
            self._store.delete(EvaluationKeys(tenant, evaluation).request)
            if key is not None:
                self._keys.release(tenant, key)
            for upload in request.uploads:
                self._store.delete(keys.UploadKeys(tenant, upload).user(evaluation))
            self._store.delete(keys.unfinished_evaluation(tenant, evaluation))

    def _look(self, accepted: AcceptedEvaluation) -> tuple[Shown, Result | None]:
        at = EvaluationKeys(accepted.tenant, accepted.id)
        result, failure = read_result(self._store, accepted), None
        if result is not None:
            state = EvaluationState.SUCCEEDED
        elif self._store.exists(at.failed):
            state, failure = EvaluationState.FAILED, str(read_json(self._store, at.failed)["reason"])
        elif next(iter(self._store.list(at.attempts)), None) is not None:
            state = EvaluationState.RUNNING
        else:
            state = EvaluationState.ACCEPTED
        shown = Shown(
            id=accepted.id,
            name=accepted.name,
            state=state,
            created_at=accepted.created_at,
            dataset=accepted.dataset,
            release=accepted.release,
            verdict=result and result.verdict,
            reason=result and result.reason,
            fnmr=result.scores.points[0].generalised_fnmr if isinstance(result, Evaluation) else None,
            fnir=result.points[0].fnir if isinstance(result, SearchesFound) else None,
            widest=result.widest if isinstance(result, GalleriesFound) else None,
            increase=result.difference.increase if result and result.difference else None,
            failure=failure,
        )
        return shown, result

    def _ids(self, tenant: str, release: str | None, dataset: str | None) -> Iterable[str]:
        if release is not None:
            name, _, version = release.partition("@")
            prefix = keys.evaluations_of(tenant, f"release/{name}/{version}/" if version else f"release/{name}/")
        elif dataset is not None:
            prefix = keys.evaluations_of(tenant, f"dataset/{dataset}/")
        else:
            return self._store.folders(keys.evaluations(tenant))
        return [info.key.rsplit("/", 1)[-1] for info in self._store.list(prefix)]

    def _known(self, tenant: str, key: str, body: dict[str, Any]) -> ShownWhole | None:
        """The evaluation made under an idempotency key before, if any; raises Conflict for another body."""
        made = self._keys.find(tenant, key, body)
        with suppress(NotFound):
            return self.get(tenant, made) if made else None
        return None

    def _exists(self, tenant: str, evaluation: str) -> bool:
        return self._store.exists(EvaluationKeys(tenant, evaluation).request)
