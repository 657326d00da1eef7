"""Looks at datasets that event streams share: one a second of each dataset, however many watch it.

A few looks at a time are taken, so that streams leave the threads that answer requests to others.
"""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import anyio
from anyio.lowlevel import RunVar
from fastapi.concurrency import run_in_threadpool

from app.errors import NotFound, Unavailable
from app.jobs.datasets.service import Dataset

AT_ONCE = 4
"""Looks under way at a time."""

FORGOTTEN_S = 30.0
"""What nobody has looked at for so long is dropped."""

_turns: RunVar[anyio.Semaphore] = RunVar("facsimile_looks")


@dataclass
class _Seen:
    when: float = -1e9
    what: Dataset | NotFound | Unavailable | None = None
    lock: threading.Lock = field(default_factory=threading.Lock)


class Looks:
    """What was seen of datasets lately."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._seen: dict[tuple[str, str], _Seen] = {}

    async def see(self, tenant: str, dataset: str, look: Callable[[], Dataset], at_least_s: float) -> Dataset:
        """The dataset as it was at most `at_least_s` ago; `look` blocks, and raises NotFound and Unavailable."""
        seen = self._seen.get((tenant, dataset))
        if seen is None:
            self._forget()
            seen = self._seen.setdefault((tenant, dataset), _Seen())
        async with self._turn():
            if not self._fresh(seen, at_least_s):
                await run_in_threadpool(self._look, seen, look, at_least_s)
        if isinstance(seen.what, Dataset):
            return seen.what
        raise seen.what or Unavailable("nothing was seen of it")

    def _look(self, seen: _Seen, look: Callable[[], Dataset], at_least_s: float) -> None:
        with seen.lock:
            if self._fresh(seen, at_least_s):
                return
            try:
                seen.what = look()
            except (NotFound, Unavailable) as exc:
                seen.what = exc.with_traceback(None)
            seen.when = self._clock()

    def _fresh(self, seen: _Seen, at_least_s: float) -> bool:
        return self._clock() - seen.when < at_least_s

    def _forget(self) -> None:
        now = self._clock()
        for key in [key for key, seen in self._seen.items() if 0 < seen.when < now - FORGOTTEN_S]:
            self._seen.pop(key, None)

    @staticmethod
    def _turn() -> anyio.Semaphore:
        try:
            return _turns.get()
        except LookupError:
            turns = anyio.Semaphore(AT_ONCE)
            _turns.set(turns)
            return turns
