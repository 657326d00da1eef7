"""Pages of a tenant's datasets, newest first, filtered by state and name.

Ids sort by age, so a page without a filter looks at as many datasets as it shows. A filter must look at every one,
once: the name and the state of a dataset that has ended never change, and are remembered.
"""

import threading
from bisect import bisect_left
from collections import OrderedDict
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple, Protocol, TypeVar

from app.dataset import keys
from app.errors import NotFound
from app.jobs.ids import DATASET, ids_since
from app.jobs.records import read_accepted
from app.jobs.state import State
from app.storage import ObjectStore

PAGE_SCAN_LIMIT = 500
"""Datasets looked at for one filtered page at the most; the cursor goes on from there."""

NAME_SCAN_LIMIT = 2_000
"""Datasets whose name alone is read for one page at the most: that is a fifth of the questions of a whole look."""

NAMES_AT_ONCE = 128

AT_ONCE = 8
"""Datasets looked at together: each look is a few questions to the store, one after another."""

REMEMBERED = 100_000

ALL_EVERY_S = 60.0
"""So often all ids are listed; in between only young ones, for ids sort by age and none comes among the old."""

YOUNG_S = 3_600.0
"""Ids that are no older are listed each time: the clocks of two processes do not differ by more."""

TENANTS_REMEMBERED = 200


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

    def __init__(self, store: ObjectStore, clock: Callable[[], float]) -> None:
        self._store = store
        self._clock = clock
        self._pool = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="listing")
        self._lock = threading.Lock()
        self._ended: OrderedDict[tuple[str, str], tuple[State, str]] = OrderedDict()
        """State and name of datasets that have ended, by (tenant, id)."""
        self._names: OrderedDict[tuple[str, str], str] = OrderedDict()
        """Names by (tenant, id); they never change."""
        self._ids: OrderedDict[str, tuple[float, list[str]]] = OrderedDict()
        """When a tenant's ids were all listed, and what was found, in order."""

    def page(
        self, tenant: str, show: Callable[[str], ShownT], wanted: Filter, *, limit: int, after: str | None
    ) -> tuple[list[ShownT], str | None]:
        """Up to `limit` datasets behind the id `after`, and the cursor of the next page (None at the end).

        `show` looks at one dataset by its id, and raises NotFound for one that is gone.
        """
        ids = self._all_ids(tenant)
        unlike = self._known_unlike(tenant, wanted)
        left = [dataset for dataset in ids if (after is None or dataset < after) and dataset not in unlike]
        found: list[ShownT] = []
        looked = named = 0
        while left:
            some = left[: PAGE_SCAN_LIMIT if wanted.name is None else NAMES_AT_ONCE]
            left = left[len(some) :]
            named += len(some)
            for chunk in self._chunks(self._called(tenant, some, wanted.name), lambda: limit - len(found)):
                for dataset, shown in zip(chunk, self._look(show, chunk), strict=True):
                    looked += 1
                    if shown is not None:
                        self._remember(tenant, dataset, shown)
                        if wanted.fits(shown.state, shown.name):
                            found.append(shown)
                    if dataset != ids[-1] and (len(found) == limit or looked == PAGE_SCAN_LIMIT):
                        return found, dataset
            if left and named >= NAME_SCAN_LIMIT:
                return found, some[-1]
        return found, None

    def _all_ids(self, tenant: str) -> list[str]:
        """Ids of all datasets, the newest first, and of some perhaps that went within the last minute."""
        now, prefix = self._clock(), keys.datasets(tenant)
        with self._lock:
            listed, known = self._ids.get(tenant, (now - 2 * ALL_EVERY_S, []))
        if not 0 <= now - listed < ALL_EVERY_S:
            found = sorted(self._store.folders(prefix))
            with self._lock:
                self._ids[tenant] = now, found
                self._ids.move_to_end(tenant)
                if len(self._ids) > TENANTS_REMEMBERED:
                    self._ids.popitem(last=False)
            return found[::-1]
        young = ids_since(DATASET, now - YOUNG_S)
        return [*sorted(self._store.folders(prefix, young), reverse=True), *known[: bisect_left(known, young)][::-1]]

    def _chunks(self, datasets: list[str], most: Callable[[], int]) -> Iterator[list[str]]:
        """Never more together than may still be shown: without a filter none is looked at in vain."""
        while datasets:
            chunk = datasets[: max(1, most())]
            yield chunk
            datasets = datasets[len(chunk) :]

    def _called(self, tenant: str, datasets: list[str], part: str | None) -> list[str]:
        """Those of some datasets whose name has this part; only their names are read, and each once."""
        if part is None:
            return datasets
        with self._lock:
            names = {dataset: self._names[tenant, dataset] for dataset in datasets if (tenant, dataset) in self._names}

        def read(dataset: str) -> str | None:
            try:
                return read_accepted(self._store, tenant, dataset).name
            except NotFound:
                return None

        unread = [dataset for dataset in datasets if dataset not in names]
        read_now = zip(unread, self._pool.map(read, unread), strict=True)
        names |= {dataset: name for dataset, name in read_now if name is not None}
        with self._lock:
            for dataset, name in names.items():
                self._names[tenant, dataset] = name
                if len(self._names) > REMEMBERED:
                    self._names.popitem(last=False)
        return [dataset for dataset in datasets if part in names.get(dataset, "")]

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
