"""The queue: what a task is, and putting tasks on their way. The only file of `app` that names Celery."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple, Protocol

import redis
from celery import Celery
from kombu.exceptions import OperationalError

from app.config import QueueSettings
from app.errors import QueueUnavailable

PREVIEWS, CONTROL, SHARDS = QUEUES = ("previews", "control", "shards")
"""In the order in which a worker empties them."""


class Kind(NamedTuple):
    """A kind of task."""

    name: str
    """As Celery calls it, `facsimile.generate_shard`."""
    queue: str
    """Where it waits."""


ADVANCE = Kind("facsimile.advance_dataset", CONTROL)
RECONCILE = Kind("facsimile.reconcile", CONTROL)
RETAIN = Kind("facsimile.retain", CONTROL)
PREVIEW = Kind("facsimile.make_preview", PREVIEWS)
EVALUATE = Kind("facsimile.evaluate_scores", SHARDS)


class Task(NamedTuple):
    """One unit of work: what is done, on what, and on which part of it. All by name: nothing is told by its place."""

    kind: Kind
    tenant: str
    subject: str
    """Id of the dataset, calibration or evaluation."""
    part: str = ""
    """Of the subject, as `app.jobs.phases` calls it; "" for a task that is about all of it."""

    @property
    def marker(self) -> str:
        """Key of the marker that says that this task is on its way or being done."""
        return f"facsimile:task:{self.kind.name}:{self.tenant}:{self.subject}:{self.part}"

    @property
    def label(self) -> str:
        """What it is within its subject, as attempts at it are filed: `generate_shard-000012`."""
        return f"{self._short}-{self.part}" if self.part else self._short

    def __str__(self) -> str:
        """For people: `generate_shard 12`."""
        numbers = "/".join(piece.lstrip("0") or "0" for piece in self.part.split("/"))
        return f"{self._short} {numbers}" if self.part else self._short

    @property
    def _short(self) -> str:
        return self.kind.name.rsplit(".", 1)[-1]


class TaskQueue(Protocol):
    """What the services ask of the queue. Raises QueueUnavailable."""

    def ping(self) -> None:
        """Return if the queue answers."""

    def enqueue(self, task: Task) -> bool:
        """Put a task on its way unless it is already; returns whether it was put."""

    def enqueue_preview(self, tenant: str, digest: str, preview: str) -> None:
        """Ask for a contact sheet; `preview` is the plan's JSON."""

    def working(self, task: Task) -> None:
        """Say that the task is being worked on; to be repeated within `running_marker_s`."""

    def done(self, task: Task) -> None:
        """Say that the task has ended, so that it may be enqueued again if need be."""

    def depth(self) -> dict[str, int]:
        """How many tasks wait in each queue."""

    def allow(self, tenant: str, per_minute: int) -> bool:
        """Count a request of the tenant; False if it has used up this minute's."""


def make_celery(settings: QueueSettings) -> Celery:
    """Configure Celery: tasks are acknowledged when done, delivered again when a worker dies, JSON only."""
    celery = Celery("facsimile", broker=settings.url.get_secret_value())
    celery.conf.update(
        task_serializer="json",
        accept_content=["json"],
        task_ignore_result=True,  # the object store holds the record
        task_acks_late=True,
        task_reject_on_worker_lost=True,
        worker_prefetch_multiplier=1,
        # A task that hangs loses its process; one that ran longer would be delivered twice anyway.
        task_time_limit=settings.visibility_timeout_s // 2,
        worker_soft_shutdown_timeout=settings.soft_shutdown_s,
        task_default_queue=CONTROL,
        broker_connection_retry_on_startup=True,
        broker_transport_options={
            "visibility_timeout": settings.visibility_timeout_s,
            # Without these two a killed worker's task comes back after a minute and a half.
            "unacked_restore_interval": 5,
            "unacked_restore_throttle": 1,
            "queue_order_strategy": "priority",
            "socket_timeout": settings.timeout_s + 30,
            "socket_connect_timeout": settings.timeout_s,
        },
        beat_schedule={
            "reconcile": {
                "task": RECONCILE.name,
                "schedule": settings.reconcile_interval_s,
                # While all workers are busy these must not pile up.
                "options": {"expires": settings.reconcile_interval_s},
            },
            "retain": {
                "task": RETAIN.name,
                "schedule": settings.retain_interval_s,
                "options": {"expires": settings.retain_interval_s},
            },
        },
        worker_hijack_root_logger=False,
        worker_send_task_events=False,
        task_track_started=False,
    )
    return celery


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except (redis.RedisError, OperationalError, OSError) as exc:
        raise QueueUnavailable("the queue does not answer") from exc


class CeleryQueue:
    """The queue on a Redis-protocol server. Markers there are a cache: wiped, work is merely looked at again."""

    def __init__(self, celery: Celery, settings: QueueSettings) -> None:
        self._celery = celery
        self._settings = settings
        self._redis: Any = redis.Redis.from_url(
            settings.url.get_secret_value(),
            socket_timeout=settings.timeout_s,
            socket_connect_timeout=settings.timeout_s,
        )

    def ping(self) -> None:
        """See TaskQueue."""
        with _translated():
            self._redis.ping()

    def enqueue(self, task: Task) -> bool:
        """See TaskQueue."""
        with _translated():
            if not self._redis.set(task.marker, "queued", nx=True, ex=self._settings.queued_marker_s):
                return False
            try:
                self._send(task.kind, [task.tenant, task.subject, task.part])
            except BaseException:
                self._redis.delete(task.marker)
                raise
        return True

    def enqueue_preview(self, tenant: str, digest: str, preview: str) -> None:
        """See TaskQueue."""
        with _translated():
            if self._redis.set(f"facsimile:preview:{tenant}:{digest}", "queued", nx=True, ex=60):
                self._send(PREVIEW, [tenant, digest, preview])

    def _send(self, kind: Kind, args: list[Any]) -> None:
        # Fail at once: our caller answers 503 or is tried again itself.
        self._celery.send_task(kind.name, args=args, queue=kind.queue, retry=False)

    def working(self, task: Task) -> None:
        """See TaskQueue."""
        with _translated():
            self._redis.set(task.marker, "running", ex=self._settings.running_marker_s)

    def done(self, task: Task) -> None:
        """See TaskQueue."""
        with _translated():
            self._redis.delete(task.marker)

    def depth(self) -> dict[str, int]:
        """See TaskQueue."""
        with _translated():
            return {name: int(self._redis.llen(name)) for name in QUEUES}

    def allow(self, tenant: str, per_minute: int) -> bool:
        """See TaskQueue."""
        with _translated():
            minute = self._redis.time()[0] // 60
            key = f"facsimile:rate:{tenant}:{minute}"
            with self._redis.pipeline() as pipe:
                pipe.incr(key)
                pipe.expire(key, 120)
                return int(pipe.execute()[0]) <= per_minute


def open_queue(settings: QueueSettings) -> CeleryQueue:
    """Make the queue that the settings name; nothing is connected yet."""
    return CeleryQueue(make_celery(settings), settings)
