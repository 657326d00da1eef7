"""How many datasets, or evaluations, a tenant may have under way at a time."""

import threading
from collections.abc import Callable

from app.dataset import keys
from app.errors import QuotaExceeded
from app.storage import ObjectStore

REMEMBERED_S = 5.0
"""How long a count is believed. Listing at every submission would cost more than the submission itself."""


class UnfinishedQuota:
    """Refuses a tenant that has as many unfinished ones as it may have; counted by the markers below `prefix`.

    Between two counts every admission counts as one more dataset, so a tenant is never let in too often by this
    process; and before it is refused it is counted anew, so it is never refused wrongly.
    """

    def __init__(
        self,
        store: ObjectStore,
        limit: int,
        clock: Callable[[], float],
        what: str = "datasets",
        prefix: str = keys.UNFINISHED,
    ) -> None:
        self._prefix = prefix
        self._store = store
        self._limit = limit
        self._clock = clock
        self._what = what
        self._lock = threading.Lock()
        self._counted: dict[str, tuple[float, int]] = {}
        """Tenant to when it was counted, and the count with admissions since."""

    def admit(self, tenant: str) -> None:
        """Let one more in; raises QuotaExceeded."""
        with self._lock:
            when, count = self._counted.get(tenant, (-REMEMBERED_S, 0))
            if self._clock() - when >= REMEMBERED_S or count >= self._limit:
                when, count = self._clock(), self._count(tenant)
            if count >= self._limit:
                raise QuotaExceeded(
                    f"{self._limit} {self._what} are unfinished already; wait for one to end, or cancel one"
                )
            self._counted[tenant] = (when, count + 1)

    def _count(self, tenant: str) -> int:
        count = 0
        for count, _ in enumerate(self._store.list(f"{self._prefix}{tenant}/"), start=1):
            if count >= self._limit:
                break
        return count
