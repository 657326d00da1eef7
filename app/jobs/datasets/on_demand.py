"""Layouts of succeeded datasets that were not asked for in time: made when they are first asked for, then kept."""

import time
from collections.abc import Callable

from app.dataset.keys import DatasetKeys
from app.dataset.layout import Layout, why_not
from app.errors import Conflict, ObjectNotFound, RequestRefused
from app.jobs.datasets.layout_sizes import LayoutSize, layout_sizes
from app.jobs.phases import LAYOUT
from app.jobs.records import read_json, read_plan
from app.jobs.state import require_succeeded
from app.queue import TaskQueue
from app.storage import ObjectStore

TRY_AGAIN_S = 3600.0
"""How long a layout that could not be made counts as one that cannot."""


class LayoutService:
    """Has workers lay datasets out; each call is one tenant's."""

    def __init__(self, store: ObjectStore, queue: TaskQueue, clock: Callable[[], float] = time.time) -> None:
        self._store = store
        self._queue = queue
        self._clock = clock

    def ask(self, tenant: str, dataset: str, layout: Layout) -> bool:
        """As `provide`, for a dataset that must have succeeded; raises NotFound, and Conflict if it has not."""
        require_succeeded(self._store, tenant, dataset, "an archive")
        return self.provide(tenant, dataset, layout)

    def sizes(self, tenant: str, dataset: str) -> list[LayoutSize]:
        """Every layout with its size, of a dataset that must have succeeded; raises NotFound, and Conflict."""
        require_succeeded(self._store, tenant, dataset, "layouts")
        return layout_sizes(self._store, tenant, dataset)

    def released_sizes(self, tenant: str, dataset: str) -> list[LayoutSize]:
        """The same of a dataset that a release keeps: it may be gone for the API of datasets."""
        return layout_sizes(self._store, tenant, dataset)

    def provide(self, tenant: str, dataset: str, layout: Layout) -> bool:
        """Whether a layout's archive is there; if not, it is put on its way.

        Raises Conflict if the layout could not be made; RequestRefused if the set cannot be had in it; Unavailable.
        """
        at = DatasetKeys(tenant, dataset)
        if not layout.stored or self._store.exists(at.layout(layout)):
            return True
        if reason := why_not(layout, read_plan(self._store, tenant, dataset).shape):
            raise RequestRefused([("layout", reason)])
        self._refuse_what_failed(at, layout)
        self._queue.enqueue(LAYOUT.task(tenant, dataset, layout.value))
        return False

    def _refuse_what_failed(self, at: DatasetKeys, layout: Layout) -> None:
        """Raise Conflict if the layout was given up a short while ago; what was given up before may be tried again."""
        key = at.layout_failed(layout)
        try:
            failed_at = self._store.stat(key).modified
            reason = read_json(self._store, key)["reason"]
        except ObjectNotFound:
            return
        left_s = failed_at + TRY_AGAIN_S - self._clock()
        if left_s > 0:
            raise Conflict(f"layout {layout.value!r} could not be made: {reason}; ask again in {left_s / 60:.0f} min")
        self._store.delete_prefix(at.attempts(LAYOUT.task("", "", layout.value).label))
        self._store.delete(key)
