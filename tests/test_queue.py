"""The queue's wiring; what it does on a real server is seen in tests/integration."""

import socket

import pytest
from pydantic import SecretStr

from app import queue
from app.config import QueueSettings
from app.errors import QueueUnavailable
from app.jobs.phases import GENERATE, PHASES
from app.queue import CeleryQueue, Task, make_celery, open_queue

KINDS = [queue.ADVANCE, queue.RECONCILE, queue.RETAIN, queue.PREVIEW, queue.EVALUATE, *(phase.kind for phase in PHASES)]


@pytest.fixture
def dead_queue() -> CeleryQueue:
    """A queue on a port where nobody listens."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
    return open_queue(QueueSettings(url=SecretStr(f"redis://127.0.0.1:{port}/0"), timeout_s=0.5))


def test_every_kind_waits_in_a_queue_that_workers_empty() -> None:
    assert {kind.queue for kind in KINDS} == set(queue.QUEUES)
    # Who waits before a screen comes first; bulk work comes last.
    assert queue.QUEUES[0] == queue.PREVIEW.queue
    assert queue.QUEUES[-1] == GENERATE.kind.queue


def test_a_killed_workers_task_comes_back_and_nothing_is_pickled() -> None:
    conf = make_celery(QueueSettings(visibility_timeout_s=1234)).conf
    assert conf.task_acks_late
    assert conf.task_reject_on_worker_lost
    assert conf.worker_prefetch_multiplier == 1
    assert conf.worker_disable_prefetch
    assert conf.accept_content == ["json"]
    assert conf.broker_transport_options["visibility_timeout"] == 1234
    assert conf.broker_transport_options["unacked_restore_interval"] <= 5


def test_reconciling_does_not_pile_up() -> None:
    entry = make_celery(QueueSettings(reconcile_interval_s=9)).conf.beat_schedule["reconcile"]
    assert entry["task"] == queue.RECONCILE.name
    assert entry["options"]["expires"] == entry["schedule"] == 9


def test_markers_tell_tasks_apart() -> None:
    tasks = [
        Task(kind, tenant, dataset, part)
        for kind in KINDS
        for tenant in ("a", "b")
        for dataset in ("ds_1", "ds_11")
        for part in ("", "000000", "000001", "lfw")
    ]
    assert len({task.marker for task in tasks}) == len(tasks)


@pytest.mark.parametrize(
    "operation",
    [
        "ping",
        "enqueue",
        "enqueue_preview",
        "forget_preview",
        "take",
        "working",
        "done",
        "depth",
        "allow",
        "told",
        "replenish",
    ],
)
def test_a_queue_that_does_not_answer(dead_queue: CeleryQueue, operation: str) -> None:
    task = Task(queue.ADVANCE, "acme", "ds_1")
    arguments: dict[str, tuple[object, ...]] = {
        "ping": (),
        "enqueue": (task,),
        "enqueue_preview": ("acme", "d", "{}", 1),
        "forget_preview": ("acme", "d"),
        "take": ("ticket",),
        "told": ("acme", "ds_1"),
        "replenish": (),
        "working": (task,),
        "done": (task,),
        "depth": (),
        "allow": ("acme", 10),
    }
    with pytest.raises(QueueUnavailable, match="does not answer") as failed:
        getattr(dead_queue, operation)(*arguments[operation])
    assert failed.value.__cause__ is not None
