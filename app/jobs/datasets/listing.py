"""Pages of a tenant's datasets, newest first, filtered by state and name.

Ids sort by age, so a page without a filter looks at as many datasets as it shows. A filter must look at every one,
once: the name and the state of a dataset that has ended never change, and are remembered.
"""

import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import NamedTuple, Protocol, TypeVar

from app.dataset import keys
from app.errors import NotFound
from app.jobs.state import State
from app.storage import ObjectStore

PAGE_SCAN_LIMIT = 500
"""Datasets looked at for one filtered page at the most; the cursor goes on from there."""

AT_ONCE = 8
"""Datasets looked at together: each look is a few questions to the store, one after another."""

REMEMBERED = 100_000


class Listed(Protocol):
    """What a filter asks of a dataset."""

    @property
    def name(self) -> str:
        """Its name."""

    @property
    def state(self) -> State:
        """Where it stands."""


ShownT = TypeVar("ShownT", bound=Listed)


class Filter(NamedTuple):
    """Which datasets are wanted."""

    state: State | None
    name: str | None
    """Part of the name."""

    def fits(self, state: State, name: str) -> bool:
        """Whether a dataset is wanted."""
        return (self.state is None or state == self.state) and (self.name is None or self.name in name)


class Listing:
    """Lists the datasets of a store; each call is one tenant's."""

    def __init__(self, store: ObjectStore) -> None:
        self._store = store
        self._pool = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="listing")
        self._lock = threading.Lock()
        self._ended: OrderedDict[tuple[str, str], tuple[State, str]] = OrderedDict()
        """State and name of datasets that have ended, by (tenant, id)."""

    def page(
        self, tenant: str, show: Callable[[str], ShownT], wanted: Filter, *, limit: int, after: str | None
    ) -> tuple[list[ShownT], str | None]:
        """Up to `limit` datasets behind the id `after`, and the cursor of the next page (None at the end).

        `show` looks at one dataset by its id, and raises NotFound for one that is gone.
        """
        ids = sorted(self._store.folders(keys.datasets(tenant)), reverse=True)
        unlike = self._known_unlike(tenant, wanted)
        candidates = iter([dataset for dataset in ids if (after is None or dataset < after) and dataset not in unlike])
        found: list[ShownT] = []
        looked = 0
        # Never more together than may still be shown: without a filter none is looked at in vain.
        while chunk := list(islice(candidates, min(limit - len(found), PAGE_SCAN_LIMIT - looked))):
            for dataset, shown in zip(chunk, self._look(show, chunk), strict=True):
                looked += 1
                if shown is not None:
                    self._remember(tenant, dataset, shown)
                    if wanted.fits(shown.state, shown.name):
                        found.append(shown)
                if dataset != ids[-1] and (len(found) == limit or looked == PAGE_SCAN_LIMIT):
                    return found, dataset
        return found, None

    def _look(self, show: Callable[[str], ShownT], chunk: list[str]) -> Iterator[ShownT | None]:
        def one(dataset: str) -> ShownT | None:
            try:
                return show(dataset)
            except NotFound:  # deleted meanwhile, or not yet accepted
                return None

        return self._pool.map(one, chunk) if len(chunk) > 1 else map(one, chunk)

    def _known_unlike(self, tenant: str, wanted: Filter) -> set[str]:
        """Datasets that have ended and are not wanted; they need not be looked at."""
        if wanted == Filter(None, None):
            return set()
        with self._lock:
            known = [(dataset, ended) for (owner, dataset), ended in self._ended.items() if owner == tenant]
        return {dataset for dataset, (state, name) in known if not wanted.fits(state, name)}

    def _remember(self, tenant: str, dataset: str, shown: Listed) -> None:
        if not shown.state.final:
            return
        with self._lock:
            self._ended[tenant, dataset] = (shown.state, shown.name)
            if len(self._ended) > REMEMBERED:
                self._ended.popitem(last=False)
