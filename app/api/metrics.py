"""What Prometheus is told: who waits for what, how long work takes, what is refused, whether all answers.

Every label has few values: route templates, known methods, phases, models. Tenants are named only where the operator
has set a token for reading this. What workers count comes from the queue's server, the same from every process of the
API: take `max` over instances, not `sum`.
"""

import platform
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

from prometheus_client import (
    CollectorRegistry,
    Counter,
    GCCollector,
    Info,
    PlatformCollector,
    ProcessCollector,
    generate_latest,
)
from prometheus_client import Histogram as Seconds
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

from app.dataset import keys
from app.errors import FacsimileError
from app.figures import BUCKETS_S, Figures, Histogram, counters, histograms
from app.queue import TaskQueue
from app.storage import ObjectStore

METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"})
UNMATCHED = "unmatched"
"""Route label of a request that no route took."""

ALL_TENANTS = "_all"
"""Tenant label where tenants are not named; no tenant can have this name."""

_BUCKETS_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 120.0)


class Metrics:
    """The counters of one application, in a registry of their own."""

    def __init__(
        self,
        store: ObjectStore,
        queue: TaskQueue,
        figures: Figures,
        version: str,
        clock: Callable[[], float],
        *,
        name_tenants: bool,
    ) -> None:
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
        self._refusals = Counter(
            "facsimile_refusals", "Requests answered by an error, by its kind", ["error"], registry=self._registry
        )
        self._seconds = Seconds(
            "facsimile_http_request_seconds",
            "From a request's arrival to the last byte of its answer",
            ["method", "route"],
            buckets=_BUCKETS_S,
            registry=self._registry,
        )
        self._registry.register(_Waiting(store, queue, clock, name_tenants=name_tenants))
        self._registry.register(_Work(queue, figures, name_tenants=name_tenants))

    def count(self, method: str, route: str, status: int, seconds: float, error: str | None = None) -> None:
        """Count one answered request; `route` is the template, `error` the name of the error that was answered."""
        known = method if method in METHODS else "OTHER"
        self._requests.labels(known, route, str(status)).inc()
        self._seconds.labels(known, route).observe(seconds)
        if error:
            self._refusals.labels(error).inc()

    def render(self) -> bytes:
        """Everything in Prometheus' text format; asks the store and the queue, so it blocks."""
        return generate_latest(self._registry)


class _LookedAt(Collector):
    """What is looked up when it is asked for."""

    def describe(self) -> Iterator[Metric]:
        # Without this, registering would ask servers that need not be there yet.
        return iter(())


class _Waiting(_LookedAt):
    """What waits, and whether the servers answer."""

    def __init__(self, store: ObjectStore, queue: TaskQueue, clock: Callable[[], float], *, name_tenants: bool) -> None:
        self._store = store
        self._queue = queue
        self._clock = clock
        self._name_tenants = name_tenants

    def collect(self) -> Iterator[Metric]:
        up = GaugeMetricFamily("facsimile_up", "Whether a server that we need answers", labels=["server"])
        try:
            yield from self._in_the_queue()
            up.add_metric(["queue"], 1)
        except FacsimileError:
            up.add_metric(["queue"], 0)
        try:
            yield from self._unfinished()
            up.add_metric(["store"], 1)
        except FacsimileError:
            up.add_metric(["store"], 0)
        yield up

    def _in_the_queue(self) -> Iterator[Metric]:
        depth = GaugeMetricFamily("facsimile_queue_depth", "Tasks that wait", labels=["queue"])
        for name, waiting in self._queue.depth().items():
            depth.add_metric([name], waiting)
        found = [((self._tenant(wait.tenant), wait.lane), wait.tasks, wait.oldest_s) for wait in self._queue.waits()]
        tasks = GaugeMetricFamily("facsimile_waiting_tasks", "Tasks that wait", labels=["tenant", "lane"])
        oldest = GaugeMetricFamily(
            "facsimile_waiting_oldest_seconds",
            "How long the task that came first has waited for a worker",
            labels=["tenant", "lane"],
        )
        for labels, (count, age) in _added_up(found).items():
            tasks.add_metric(labels, count)
            oldest.add_metric(labels, age)
        workers = GaugeMetricFamily("facsimile_workers", "Worker processes that have taken a task of late")
        workers.add_metric([], self._queue.workers())
        yield from (depth, tasks, oldest, workers)

    def _unfinished(self) -> Iterator[Metric]:
        now = self._clock()
        looks = (
            (keys.UNFINISHED, "datasets_unfinished", "datasets_oldest_unfinished", "Datasets that have work left"),
            (
                keys.UNFINISHED_EVALUATIONS,
                "evaluations_unfinished",
                "evaluations_oldest_unfinished",
                "Evaluations that have no result yet",
            ),
            (keys.WEBHOOK_EVENTS, "webhook_events", "webhook_events_oldest", "Events that a webhook has not taken yet"),
        )
        for prefix, counted, aged, text in looks:
            found = [
                ((self._tenant(keys.owner_of(marker.key, prefix)[0]),), 1, max(0.0, now - marker.modified))
                for marker in self._store.list(prefix)
            ]
            count = GaugeMetricFamily(f"facsimile_{counted}", text, labels=["tenant"])
            oldest = GaugeMetricFamily(f"facsimile_{aged}_seconds", "Since the oldest of them came", labels=["tenant"])
            for labels, (number, age) in (_added_up(found) or {(ALL_TENANTS,): (0, 0.0)}).items():
                count.add_metric(labels, number)
                oldest.add_metric(labels, age)
            yield from (count, oldest)

    def _tenant(self, tenant: str) -> str:
        return tenant if self._name_tenants else ALL_TENANTS


def _added_up(found: Iterable[tuple[tuple[str, ...], int, float]]) -> dict[tuple[str, ...], tuple[int, float]]:
    """The sum of counts and the highest age of each set of labels."""
    totals: dict[tuple[str, ...], tuple[int, float]] = {}
    for labels, number, age in found:
        known = totals.get(labels, (0, 0.0))
        totals[labels] = known[0] + number, max(known[1], age)
    return totals


class _Told(NamedTuple):
    """How something that is counted in `app.figures` is told."""

    name: str
    text: str
    labels: tuple[str, ...] = ()


TIMES = {
    "task_seconds": _Told("facsimile_task_seconds", "What a task took a worker", ("phase", "model")),
    "wait_seconds": _Told("facsimile_wait_seconds", "How long a task waited for a worker", ("lane",)),
}
COUNTS = {
    "task_endings": _Told("facsimile_task_endings", "How attempts at tasks ended", ("phase", "ending")),
    "tenant_seconds": _Told("facsimile_tenant_worker_seconds", "Seconds of workers that a tenant has had", ("tenant",)),
}
STORE_TIMES = _Told("facsimile_store_seconds", "Until the object store answered", ("side", "operation"))
STORE_FAILURES = _Told("facsimile_store_failures", "Calls that it did not answer", ("side", "operation"))


class _Work(_LookedAt):
    """What workers have counted, and what this process has counted of the store."""

    def __init__(self, queue: TaskQueue, figures: Figures, *, name_tenants: bool) -> None:
        self._queue = queue
        self._figures = figures
        self._name_tenants = name_tenants

    def collect(self) -> Iterator[Metric]:
        sides = {"api": self._figures.look()}
        try:
            sides["worker"] = self._queue.figures()
        except FacsimileError:
            sides["worker"] = {}  # facsimile_up says so
        for name, told in TIMES.items():
            yield _seconds(told, histograms(sides["worker"], name))
        for name, told in COUNTS.items():
            if name != "tenant_seconds" or self._name_tenants:
                yield _count(told, counters(sides["worker"], name))
        yield _seconds(
            STORE_TIMES,
            [
                ((side, *labels), found)
                for side, all_ in sides.items()
                for labels, found in histograms(all_, "store_seconds")
            ],
        )
        yield _count(
            STORE_FAILURES,
            [
                ((side, *labels), value)
                for side, all_ in sides.items()
                for labels, value in counters(all_, "store_failures")
            ],
        )


def _seconds(told: _Told, found: Iterable[tuple[tuple[str, ...], Histogram]]) -> Metric:
    family = HistogramMetricFamily(told.name, told.text, labels=told.labels)
    ends = [*map(floatToGoString, BUCKETS_S), "+Inf"]
    for labels, times in sorted(found):
        family.add_metric(labels, list(zip(ends, times.buckets, strict=True)), times.seconds)
    return family


def _count(told: _Told, found: Iterable[tuple[tuple[str, ...], float]]) -> Metric:
    family = CounterMetricFamily(told.name, told.text, labels=told.labels)
    for labels, value in sorted(found):
        family.add_metric(labels, value)
    return family
