"""What tenants have and have under way: datasets, samples, bytes; for those who run the service."""

import threading
import time
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

from pydantic import BaseModel, ConfigDict, Field

from app.dataset import keys
from app.dataset.keys import DatasetKeys
from app.dataset.manifest import read_summary
from app.errors import Corrupt, ObjectNotFound
from app.storage import ObjectStore

LOOK_S = 2.0
"""How long one look reads summaries at the most; the next one goes on."""

AT_ONCE = 8
REMEMBERED = 200_000


class TenantUse(BaseModel):
    """One tenant's."""

    model_config = ConfigDict(frozen=True)

    tenant: str
    datasets: int = Field(description="In the store, those that only a release keeps included.")
    unfinished: int = Field(description="Of them, those that have work left.")
    unfinished_evaluations: int
    samples: int = Field(description="Of the datasets that were looked at.")
    bytes: int = Field(description="Of these samples' files.")
    looked_at: int = Field(description="Datasets whose samples are counted; ask again while they are fewer than all.")


class Usage:
    """Counts what tenants have; what has ended is read once and remembered. Threads may share it."""

    def __init__(self, store: ObjectStore, clock: Callable[[], float] = time.monotonic) -> None:
        self._store = store
        self._clock = clock
        self._lock = threading.Lock()
        self._known: OrderedDict[tuple[str, str], tuple[int, int]] = OrderedDict()
        """(tenant, dataset) that has ended to its samples and bytes."""
        self._pool = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="usage")

    def look(self, tenant: str | None) -> list[TenantUse]:
        """Of one tenant, or of all by their names; raises Unavailable."""
        until = self._clock() + LOOK_S
        unfinished = self._unfinished(keys.UNFINISHED, tenant)
        evaluations = self._unfinished(keys.UNFINISHED_EVALUATIONS, tenant)
        busy = Counter(owner for owner, _ in evaluations)
        tenants = sorted(self._store.folders(keys.TENANTS)) if tenant is None else [tenant]
        return [self._one(name, unfinished, busy[name], until) for name in tenants]

    def _one(self, tenant: str, unfinished: set[tuple[str, str]], evaluations: int, until: float) -> TenantUse:
        datasets = list(self._store.folders(keys.datasets(tenant)))
        ended = [dataset for dataset in datasets if (tenant, dataset) not in unfinished]
        with self._lock:
            known = {dataset: self._known[tenant, dataset] for dataset in ended if (tenant, dataset) in self._known}
        unread = [dataset for dataset in ended if dataset not in known]
        known.update(self._read(tenant, unread, until))
        under_way = len(datasets) - len(ended)
        return TenantUse(
            tenant=tenant,
            datasets=len(datasets),
            unfinished=under_way,
            unfinished_evaluations=evaluations,
            samples=sum(samples for samples, _ in known.values()),
            bytes=sum(size for _, size in known.values()),
            looked_at=len(known) + under_way,
        )

    def _read(self, tenant: str, datasets: list[str], until: float) -> Iterator[tuple[str, tuple[int, int]]]:
        def read(dataset: str) -> tuple[int, int]:
            try:
                counts = read_summary(self._store.get(DatasetKeys(tenant, dataset).summary)).counts
            except (ObjectNotFound, Corrupt):  # failed, cancelled, or damaged, which whoever asks for it is told
                return 0, 0
            return counts.samples, counts.bytes

        for start in range(0, len(datasets), 8 * AT_ONCE):
            if self._clock() > until:
                return
            some = datasets[start : start + 8 * AT_ONCE]
            for dataset, counted in zip(some, self._pool.map(read, some), strict=True):
                with self._lock:
                    self._known[tenant, dataset] = counted
                    if len(self._known) > REMEMBERED:
                        self._known.popitem(last=False)
                yield dataset, counted

    def _unfinished(self, prefix: str, tenant: str | None) -> set[tuple[str, str]]:
        below = prefix if tenant is None else f"{prefix}{tenant}/"
        return {keys.owner_of(found.key, prefix) for found in self._store.list(below)}
