"""Places for what lasts, uploads and event streams: so many in a process, and so many of them for one tenant."""

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from app.errors import QuotaExceeded, Unavailable


class Places:
    """Counts who holds a place; safe to share between threads."""

    def __init__(self, most: int, most_per_tenant: int, what: str) -> None:
        self._most = most
        self._most_per_tenant = most_per_tenant
        self._what = what
        self._held: Counter[str] = Counter()
        self._lock = threading.Lock()

    def take(self, tenant: str) -> None:
        """Take a place, to be left; raises QuotaExceeded where the tenant has its share, Unavailable without any."""
        with self._lock:
            if self._held[tenant] >= self._most_per_tenant:
                raise QuotaExceeded(
                    f"{self._most_per_tenant} {self._what} of yours are under way here; wait for one to end", 5
                )
            if self._held.total() >= self._most:
                raise Unavailable(f"there are as many {self._what} under way as this process takes; try again", 5)
            self._held[tenant] += 1

    def leave(self, tenant: str) -> None:
        """Give a place back."""
        with self._lock:
            self._held[tenant] -= 1
            self._held += Counter()  # whoever holds none is not kept in mind

    @contextmanager
    def taken(self, tenant: str) -> Iterator[None]:
        """Hold a place for as long as a block lasts."""
        self.take(tenant)
        try:
            yield
        finally:
            self.leave(tenant)

    def held(self) -> dict[str, int]:
        """How many places each tenant holds."""
        with self._lock:
            return dict(self._held)
