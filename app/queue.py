"""The queue: what a task is, and putting tasks on their way. The only file of `app` that names Celery."""

import math
import os
import socket
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

import redis
from celery import Celery
from kombu.exceptions import OperationalError

from app.config import QueueSettings
from app.errors import QueueUnavailable, QuotaExceeded
from app.tracing import Origin, origin
from app.turns import Turns, Waiting, Waits

PREVIEWS, CONTROL, SHARDS = QUEUES = ("previews", "control", "shards")
"""In the order in which a worker empties them."""


class Kind(NamedTuple):
    """A kind of task."""

    name: str
    """As Celery calls it, `facsimile.generate_shard`."""
    queue: str
    """Where it waits."""


TICKET = "facsimile.take_turn"
"""What Celery carries: the right to one task."""

AHEAD_PER_WORKER = 4
FEWEST_AHEAD = 16
"""Tasks of one subject that are on their way at once: enough to keep every worker busy, and no more. A set of a hundred
thousand shards that is cancelled leaves no more than these behind."""

MOST_TENANTS_TOLD = 1_000
"""Whose waiting is told by name; those whose turn comes first."""

ADVANCE = Kind("facsimile.advance_dataset", CONTROL)
RECONCILE = Kind("facsimile.reconcile", CONTROL)
RETAIN = Kind("facsimile.retain", CONTROL)
PREVIEW = Kind("facsimile.make_preview", PREVIEWS)
EVALUATE = Kind("facsimile.evaluate_scores", SHARDS)


@dataclass(frozen=True)
class Task:
    """One unit of work: what is done, on what, and on which part of it. All by name: nothing is told by its place."""

    kind: Kind
    tenant: str
    subject: str
    """Id of the dataset, calibration or evaluation."""
    part: str = ""
    """Of the subject, as `app.jobs.phases` calls it; "" for a task that is about all of it."""
    origin: Origin | None = field(default=None, compare=False)
    """The request that it comes of; None until it was taken from the queue."""
    waited_s: float = field(default=0.0, compare=False)
    """How long it waited there."""

    @property
    def marker(self) -> str:
        """What tells this task from every other."""
        return f"{self.kind.name}:{self.tenant}:{self.subject}:{self.part}"

    @property
    def label(self) -> str:
        """What it is within its subject, as attempts at it are filed: `generate_shard-000012`."""
        return f"{self.phase}-{self.part}" if self.part else self.phase

    def __str__(self) -> str:
        """For people: `generate_shard 12`."""
        numbers = "/".join(piece.lstrip("0") or "0" for piece in self.part.split("/"))
        return f"{self.phase} {numbers}" if self.part else self.phase

    @property
    def phase(self) -> str:
        """Its kind, in short: `generate_shard`."""
        return self.kind.name.rsplit(".", 1)[-1]


class TaskQueue(Protocol):
    """What the services and the workers ask of the queue. Raises QueueUnavailable."""

    def ping(self) -> None:
        """Return if the queue answers."""

    def enqueue(self, task: Task) -> bool:
        """Put a task on its way unless it is already; returns whether it was put."""

    def enqueue_preview(self, tenant: str, digest: str, preview: str, most: int) -> bool:
        """Ask for a contact sheet, unless it is on its way; `preview` is the plan's JSON.

        Raises QuotaExceeded where `most` of the tenant's wait already.
        """

    def forget_preview(self, tenant: str, digest: str) -> None:
        """Take a contact sheet back that waits; nothing if it does not, or a worker is at it."""

    def preview(self, tenant: str, digest: str) -> str | None:
        """The plan of a contact sheet that was asked for; None where nobody waits for it any more."""

    def take(self, ticket: str, *, previews_only: bool = False) -> Task | None:
        """The task whose turn it is, for who holds a ticket; the same again until the ticket is given back."""

    def give_back(self, ticket: str) -> None:
        """A ticket has been used."""

    def working(self, task: Task) -> None:
        """Say that the task is being worked on; to be repeated within `running_marker_s`."""

    def done(self, task: Task, seconds: float = 0.0) -> None:
        """Say that the task has ended, after so many seconds of work, so that it may be enqueued again if need be."""

    def on_their_way(self, subjects: Sequence[tuple[str, str]]) -> list[int]:
        """How many tasks of each (tenant, subject) wait or are worked on."""

    def at_work(self, tenant: str, subject: str) -> int:
        """How many tasks of a subject workers are at."""

    def workers(self) -> int:
        """How many worker processes have taken something of late."""

    def flights(self) -> dict[str, tuple[int, int]]:
        """Kind of task to how many of all tenants' wait, and how many workers are at."""

    def note_pace(self, name: str, amount: float, seconds: float) -> None:
        """Note that a worker took so many seconds for so much of what goes by this name."""

    def paces(self, names: Sequence[str]) -> list[float | None]:
        """Seconds that one of each takes a worker, by those noted last; None where none was."""

    def ahead(self) -> int:
        """How many tasks of one subject may be on their way at a time."""

    def told(self, tenant: str, subject: str) -> dict[str, set[str]] | None:
        """What is known to be done of a subject: kind of task to parts; None where nothing is known."""

    def tell(self, tenant: str, subject: str, done: Iterable[tuple[str, str]], *, all_of_it: bool) -> None:
        """Note what is done of a subject: `all_of_it`, or something more of it."""

    def forget(self, tenant: str, subject: str) -> None:
        """Forget what is known to be done of a subject."""

    def only_one(self, what: str, for_s: float) -> bool:
        """Whether nobody else is at `what`; if so, nobody else may be for so long, or until `free`."""

    def free(self, what: str) -> None:
        """Let somebody else be at `what`."""

    def replenish(self) -> int:
        """See that there is a ticket for what waits, whatever became of those that were sent; returns how many were."""

    def depth(self) -> dict[str, int]:
        """How many tasks wait in each lane."""

    def waits(self) -> list[Waits]:
        """What waits, by tenant and lane."""

    def note(self, figures: Mapping[str, float]) -> None:
        """Add to what workers have counted (`app.figures`)."""

    def figures(self) -> dict[str, float]:
        """What all workers have counted; it begins anew when the queue is wiped."""

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
        # A worker that is killed takes nothing with it that it has not begun.
        worker_disable_prefetch=True,
        # A task that takes so long is ended with the reason; one that hangs, and does not hear it, loses its process.
        # What ran longer would be delivered twice anyway.
        task_soft_time_limit=settings.longest_task_s,
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
    """The queue on a Redis-protocol server. What it knows is a cache: wiped, work is merely looked at again.

    Tasks wait in `app.turns`; what Celery carries are tickets, each of which entitles a worker to one task, whichever
    it is whose turn it is then.
    """

    def __init__(self, celery: Celery, settings: QueueSettings) -> None:
        self._celery = celery
        self._settings = settings
        self._redis: Any = redis.Redis.from_url(
            settings.url.get_secret_value(),
            socket_timeout=settings.timeout_s,
            socket_connect_timeout=settings.timeout_s,
        )
        self._turns = Turns(self._redis)
        self._name = f"{socket.gethostname()}:{os.getpid()}"

    def ping(self) -> None:
        """See TaskQueue."""
        with _translated():
            self._redis.ping()

    def enqueue(self, task: Task) -> bool:
        """See TaskQueue."""
        with _translated():
            if not self._turns.put(_waiting(task)):
                return False
            self._send_ticket(task.kind.queue)
        return True

    def enqueue_preview(self, tenant: str, digest: str, preview: str, most: int) -> bool:
        """See TaskQueue."""
        task = Task(PREVIEW, tenant, digest)
        with _translated():
            if self._turns.live([(tenant, digest)])[0]:
                return False
            if self._turns.waiting(PREVIEWS, tenant) >= most:
                raise QuotaExceeded(f"{most} previews wait already; look at those first", retry_after_s=5)
            self._redis.set(f"facsimile:preview:{tenant}:{digest}", preview, ex=self._settings.preview_expires_s)
        return self.enqueue(task)

    def forget_preview(self, tenant: str, digest: str) -> None:
        """See TaskQueue."""
        with _translated():
            self._turns.take_back(_waiting(Task(PREVIEW, tenant, digest)))

    def preview(self, tenant: str, digest: str) -> str | None:
        """See TaskQueue."""
        with _translated():
            found = self._redis.get(f"facsimile:preview:{tenant}:{digest}")
        return found.decode() if found else None

    def take(self, ticket: str, *, previews_only: bool = False) -> Task | None:
        """See TaskQueue."""
        with _translated():
            hold_s = self._settings.running_marker_s
            found = self._turns.take(ticket, self._name, hold_s, previews_only=previews_only)
        if found is None:
            return None
        came = Origin(found.request, found.traceparent)
        return Task(Kind(found.kind, found.lane), found.tenant, found.subject, found.part, came, found.waited_s)

    def give_back(self, ticket: str) -> None:
        """See TaskQueue."""
        with _translated():
            self._turns.give_back(ticket)

    def working(self, task: Task) -> None:
        """See TaskQueue."""
        with _translated():
            self._turns.working(_waiting(task), self._settings.running_marker_s)

    def done(self, task: Task, seconds: float = 0.0) -> None:
        """See TaskQueue."""
        with _translated():
            self._turns.end(_waiting(task), seconds)

    def on_their_way(self, subjects: Sequence[tuple[str, str]]) -> list[int]:
        """See TaskQueue."""
        with _translated():
            return self._turns.live(subjects)

    def at_work(self, tenant: str, subject: str) -> int:
        """See TaskQueue."""
        with _translated():
            return self._turns.at_work(tenant, subject)

    def workers(self) -> int:
        """See TaskQueue."""
        with _translated():
            return self._turns.workers()

    def flights(self) -> dict[str, tuple[int, int]]:
        """See TaskQueue."""
        with _translated():
            return self._turns.flights()

    def note_pace(self, name: str, amount: float, seconds: float) -> None:
        """See TaskQueue."""
        with _translated():
            self._turns.note_pace(name, amount, seconds)

    def paces(self, names: Sequence[str]) -> list[float | None]:
        """See TaskQueue."""
        with _translated():
            return self._turns.paces(names)

    def ahead(self) -> int:
        """See TaskQueue."""
        with _translated():
            return max(FEWEST_AHEAD, AHEAD_PER_WORKER * self._turns.workers())

    def told(self, tenant: str, subject: str) -> dict[str, set[str]] | None:
        """See TaskQueue."""
        with _translated():
            return self._turns.told(tenant, subject)

    def tell(self, tenant: str, subject: str, done: Iterable[tuple[str, str]], *, all_of_it: bool) -> None:
        """See TaskQueue."""
        with _translated():
            self._turns.tell(tenant, subject, done, all_of_it=all_of_it)

    def forget(self, tenant: str, subject: str) -> None:
        """See TaskQueue."""
        with _translated():
            self._turns.forget(tenant, subject)

    def only_one(self, what: str, for_s: float) -> bool:
        """See TaskQueue."""
        with _translated():
            return bool(self._redis.set(f"facsimile:lock:{what}", self._name, nx=True, ex=math.ceil(for_s)))

    def free(self, what: str) -> None:
        """See TaskQueue."""
        with _translated():
            self._redis.delete(f"facsimile:lock:{what}")

    def replenish(self) -> int:
        """See TaskQueue."""
        with _translated():
            tickets = sum(int(self._redis.llen(name)) for name in QUEUES)
            missing = min(sum(self._turns.depth().values()) - tickets, self.ahead())
            for _ in range(missing):
                self._send_ticket(SHARDS)
        return max(missing, 0)

    def depth(self) -> dict[str, int]:
        """See TaskQueue."""
        with _translated():
            found = self._turns.depth()
        return {name: max(found.get(name, 0), 0) for name in QUEUES}

    def waits(self) -> list[Waits]:
        """See TaskQueue."""
        with _translated():
            return self._turns.waits(MOST_TENANTS_TOLD)

    def note(self, figures: Mapping[str, float]) -> None:
        """See TaskQueue."""
        with _translated():
            self._turns.note(figures)

    def figures(self) -> dict[str, float]:
        """See TaskQueue."""
        with _translated():
            return self._turns.figures()

    def allow(self, tenant: str, per_minute: int) -> bool:
        """See TaskQueue."""
        with _translated():
            minute = self._redis.time()[0] // 60
            key = f"facsimile:rate:{tenant}:{minute}"
            with self._redis.pipeline() as pipe:
                pipe.incr(key)
                pipe.expire(key, 120)
                return int(pipe.execute()[0]) <= per_minute

    def _send_ticket(self, queue: str) -> None:
        # Fail at once: our caller answers 503 or is tried again itself.
        self._celery.send_task(TICKET, queue=queue, retry=False)


def _waiting(task: Task) -> Waiting:
    came = task.origin or origin()
    return Waiting(
        task.kind.name, task.kind.queue, task.tenant, task.subject, task.part, came.request, came.traceparent
    )


def open_queue(settings: QueueSettings) -> CeleryQueue:
    """Make the queue that the settings name; nothing is connected yet."""
    return CeleryQueue(make_celery(settings), settings)
