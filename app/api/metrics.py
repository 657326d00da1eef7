"""What Prometheus is told. Every label has few values: route templates, known methods; no tenants."""

import platform
from collections.abc import Iterator

from prometheus_client import (
    CollectorRegistry,
    Counter,
    GCCollector,
    Histogram,
    Info,
    PlatformCollector,
    ProcessCollector,
    generate_latest,
)
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from app.dataset import keys
from app.errors import FacsimileError
from app.queue import TaskQueue
from app.storage import ObjectStore

METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"})
UNMATCHED = "unmatched"
"""Route label of a request that no route took."""

_BUCKETS_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 120.0)


class Metrics:
    """The counters of one application, in a registry of their own."""

    def __init__(self, store: ObjectStore, queue: TaskQueue, version: str) -> None:
        self._registry = CollectorRegistry()
        ProcessCollector(registry=self._registry)
        PlatformCollector(registry=self._registry)
        GCCollector(registry=self._registry)
        Info("facsimile", "The version that runs", registry=self._registry).info(
            {"version": version, "python": platform.python_version()}
        )
        self._requests = Counter(
            "facsimile_http_requests",
            "Requests answered",
            ["method", "route", "status"],
            registry=self._registry,
        )
        self._seconds = Histogram(
            "facsimile_http_request_seconds",
            "From a request's arrival to the last byte of its answer",
            ["method", "route"],
            buckets=_BUCKETS_S,
            registry=self._registry,
        )
        self._registry.register(_Backlog(store, queue))

    def count(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count one answered request; `route` is the template."""
        known = method if method in METHODS else "OTHER"
        self._requests.labels(known, route, str(status)).inc()
        self._seconds.labels(known, route).observe(seconds)

    def render(self) -> bytes:
        """Everything in Prometheus' text format; asks the store and the queue, so it blocks."""
        return generate_latest(self._registry)


class _Backlog(Collector):
    """Looks at the store and the queue when asked: what waits, and whether they answer."""

    def __init__(self, store: ObjectStore, queue: TaskQueue) -> None:
        self._store = store
        self._queue = queue

    def describe(self) -> Iterator[Metric]:
        # Without this, registering would ask servers that need not be there yet.
        return iter(())

    def collect(self) -> Iterator[Metric]:
        up = GaugeMetricFamily("facsimile_up", "Whether a server that we need answers", labels=["server"])
        depth = GaugeMetricFamily("facsimile_queue_depth", "Tasks that wait", labels=["queue"])
        unfinished = GaugeMetricFamily("facsimile_datasets_unfinished", "Datasets that have work left")
        try:
            for name, waiting in self._queue.depth().items():
                depth.add_metric([name], waiting)
            up.add_metric(["queue"], 1)
        except FacsimileError:
            up.add_metric(["queue"], 0)
        try:
            unfinished.add_metric([], sum(1 for _ in self._store.list(keys.UNFINISHED)))
            up.add_metric(["store"], 1)
        except FacsimileError:
            up.add_metric(["store"], 0)
        yield from (up, depth, unfinished)
