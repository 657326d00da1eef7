"""Previews: a small contact sheet made at once, kept under the digest of its plan."""

import hashlib
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from pydantic import BaseModel, ConfigDict

from app.config import Settings
from app.dataset import keys
from app.dataset.plan import Plan
from app.dataset.planning import make_plan
from app.dataset.request import Checks, ComparisonsSpec, DatasetRequest, PreviewRequest
from app.errors import NotFound, ObjectNotFound, QueueUnavailable, RequestRefused
from app.jobs.catalogues.models import ModelCatalogue
from app.queue import TaskQueue
from app.storage import ObjectStore


class PlannedPreview(BaseModel):
    """What a worker is given to draw."""

    model_config = ConfigDict(frozen=True)

    plan: Plan
    row: int | None = None
    """Of the sheet, the one row that is wanted; None for the whole."""


class PreviewService:
    """Asks workers for contact sheets and fetches them; each call is one tenant's."""

    def __init__(self, store: ObjectStore, queue: TaskQueue, models: ModelCatalogue, settings: Settings) -> None:
        self._store = store
        self._queue = queue
        self._models = models
        self._limits = settings.limits
        self._waiting: Counter[tuple[str, str]] = Counter()

    def ask(self, tenant: str, request: PreviewRequest) -> str:
        """Put a preview on its way unless it is there; returns its id.

        Raises RequestRefused, QuotaExceeded, Unavailable.
        """
        for field, value, limit in (
            ("subjects", request.subjects, self._limits.preview_subjects),
            ("samples_per_subject", request.samples_per_subject, self._limits.preview_samples_per_subject),
        ):
            if value > limit:
                raise RequestRefused([(field, f"a preview shows at most {limit}; ask for a dataset instead")])
        if request.variability.target is not None:
            raise RequestRefused(
                [("variability.target", "a preview shows a scale; POST /v1/calibrations finds that of a target")]
            )
        if request.row is not None and request.row >= request.subjects:
            raise RequestRefused([("row", f"the sheet has {request.subjects} rows, from 0; ask for one of those")])
        text = PlannedPreview(plan=self._plan(request), row=request.row).model_dump_json()
        digest = hashlib.sha256(text.encode()).hexdigest()
        if not self._store.exists(keys.preview(tenant, digest)):
            self._queue.enqueue_preview(tenant, digest, text, self._limits.previews_waiting_per_tenant)
        return digest

    @contextmanager
    def waiting(self, tenant: str, preview: str) -> Iterator[None]:
        """While somebody waits for a preview here; see `forget`."""
        self._waiting[tenant, preview] += 1
        try:
            yield
        finally:
            self._waiting[tenant, preview] -= 1
            if not self._waiting[tenant, preview]:
                del self._waiting[tenant, preview]

    def forget(self, tenant: str, preview: str) -> None:
        """Take a preview back that nobody here waits for any more, if no worker is at it: the next one has its turn.

        Who waits for the same one elsewhere asks again, as everybody does who waits.
        """
        if not self._waiting[tenant, preview]:
            self._queue.forget_preview(tenant, preview)

    def under_way(self, tenant: str, preview: str) -> bool:
        """Whether it waits or a worker is at it, as far as the queue can be asked: so long the store need not be."""
        try:
            return self._queue.on_their_way([(tenant, preview)])[0] > 0
        except QueueUnavailable:
            return False

    def fetch(self, tenant: str, preview: str) -> bytes | None:
        """The contact sheet as PNG, or None while it is not there."""
        try:
            return self._store.get(keys.preview(tenant, preview))
        except ObjectNotFound:
            return None

    def find(self, tenant: str, preview: str) -> bytes:
        """The contact sheet as PNG; raises NotFound."""
        sheet = self.fetch(tenant, preview)
        if sheet is None:
            raise NotFound("there is no such preview, or it is not made yet; repeat the POST that asked for it")
        return sheet

    def _plan(self, request: PreviewRequest) -> Plan:
        wanted = DatasetRequest(
            name="preview",
            model=request.model,
            subjects=request.subjects,
            samples_per_subject=request.samples_per_subject,
            variability=request.variability,
            attributes=request.attributes,
            image=request.image,
            checks=Checks(unique=False, face_found=False),
            comparisons=ComparisonsSpec(selection="none"),
        )
        return make_plan(
            wanted,
            self._models.asked_for(request.model),
            dataset="preview",
            seed=request.seed,
            shard_size=request.subjects * request.samples_per_subject,
            max_comparisons=0,
        )
