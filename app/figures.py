"""Figures of a process, for Prometheus: counts and times by name and labels, until they are taken to be told.

Workers hand theirs to the queue's server, where all of them add up (`app.queue`); the API shows those and its own.
Every label has few values: phases, models, lanes, operations; tenants are shown to those who may know them.
"""

import json
import threading
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from time import perf_counter
from typing import NamedTuple

BUCKETS_S = (0.005, 0.025, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 900.0)
"""Upper ends of a histogram's buckets, seconds; one more takes what is above."""

Observe = Callable[[str, float, bool], None]
"""Is told of one call: what was called, how many seconds it took, and whether it failed."""


class Histogram(NamedTuple):
    """Times of one kind."""

    buckets: tuple[float, ...]
    """How many were at most as long as each of BUCKETS_S, and how many there were."""
    seconds: float
    """All of them together."""


class Figures:
    """Counts what happens in one process; threads may share it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: dict[str, float] = defaultdict(float)

    def count(self, name: str, *labels: str, by: float = 1.0) -> None:
        """Add to a counter."""
        with self._lock:
            self._counts[json.dumps([name, *labels])] += by

    def observe(self, name: str, seconds: float, *labels: str) -> None:
        """Add a time to a histogram."""
        with self._lock:
            self._counts[json.dumps([f"{name}_sum", *labels])] += seconds
            self._counts[json.dumps([f"{name}_bucket", *labels, bisect_left(BUCKETS_S, seconds)])] += 1

    def store_call(self, operation: str, seconds: float, failed: bool) -> None:
        """Note a call of the object store; an `Observe`."""
        self.observe("store_seconds", seconds, operation)
        if failed:
            self.count("store_failures", operation)

    def look(self) -> dict[str, float]:
        """All that was counted."""
        with self._lock:
            return dict(self._counts)

    def take(self) -> dict[str, float]:
        """All that was counted since it was last taken."""
        with self._lock:
            taken, self._counts = dict(self._counts), defaultdict(float)
            return taken


@contextmanager
def timed(observe: Observe, operation: str, failure: type[Exception]) -> Iterator[None]:
    """Tell `observe` how long something takes, and whether it ends in a `failure`."""
    began, failed = perf_counter(), False
    try:
        yield
    except failure:
        failed = True
        raise
    finally:
        observe(operation, perf_counter() - began, failed)


def counters(found: Mapping[str, float], name: str) -> Iterator[tuple[tuple[str, ...], float]]:
    """(labels, value) of a counter among what was counted."""
    for key, value in found.items():
        known, *labels = json.loads(key)
        if known == name:
            yield tuple(labels), value


def histograms(found: Mapping[str, float], name: str) -> Iterator[tuple[tuple[str, ...], Histogram]]:
    """(labels, histogram) of times among what was counted."""
    sums = dict(counters(found, f"{name}_sum"))
    counts: dict[tuple[str, ...], list[float]] = {}
    for (*labels, bucket), value in counters(found, f"{name}_bucket"):
        counts.setdefault(tuple(labels), [0.0] * (len(BUCKETS_S) + 1))[int(bucket)] += value
    for labelled, each in counts.items():
        rising = tuple(sum(each[: end + 1]) for end in range(len(each)))
        yield labelled, Histogram(rising, sums.get(labelled, 0.0))
