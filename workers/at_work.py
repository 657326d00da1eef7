"""What surrounds every task while a worker is at it: it is said so, counted, and told of in log lines and a span."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from app.errors import QueueUnavailable
from app.queue import EVALUATE, Task
from app.tracing import Origin, coming_from
from workers.resources import Resources


@dataclass
class Noted:
    """What is told of a task when it has ended, for figures."""

    ending: str = "done"
    model: str = ""


@contextmanager
def working_on(resources: Resources, task: Task) -> Iterator[Noted]:
    """Say again and again that the task is being worked on, from a thread; at the end that it no longer is.

    What it took is counted, and log lines and a span tell what it is about and which request it comes of.
    """
    queue, ended, noted = resources.queue, threading.Event(), Noted()

    def beat() -> None:
        while True:
            with suppress(QueueUnavailable):
                queue.working(task)
            if ended.wait(resources.settings.queue.running_marker_s / 4):
                return

    thread = threading.Thread(target=beat, name="beat", daemon=True)
    thread.start()
    began = time.monotonic()
    try:
        with _told_of(resources, task, noted):
            yield noted
    finally:
        ended.set()
        thread.join()
        seconds = time.monotonic() - began
        _count(resources, task, noted, seconds)
        with suppress(QueueUnavailable):
            queue.done(task, seconds)


@contextmanager
def _told_of(resources: Resources, task: Task, noted: Noted) -> Iterator[None]:
    came = task.origin or Origin()
    about = "evaluation" if task.kind == EVALUATE else "dataset"
    with resources.tracing.span(task.phase, "consumer", came.traceparent) as span:
        # What comes of it hangs on the request, not on this task: else a long set would be one long chain.
        came = came if came.traceparent else Origin(came.request, span.traceparent)
        resources.tracing.past("wait for a worker", span.traceparent, task.waited_s)
        with coming_from(came, tenant=task.tenant, task=str(task), **{about: task.subject}):
            yield
        span.tell(
            facsimile__tenant=task.tenant,
            facsimile__subject=task.subject,
            facsimile__part=task.part,
            facsimile__request_id=came.request,
            facsimile__model=noted.model,
            facsimile__ending=noted.ending,
            facsimile__waited_s=task.waited_s,
        )
        if noted.ending in ("failed", "refused"):
            span.failed(noted.ending)


def _count(resources: Resources, task: Task, noted: Noted, seconds: float) -> None:
    figures = resources.figures
    figures.observe("task_seconds", seconds, task.phase, noted.model)
    figures.observe("wait_seconds", task.waited_s, task.kind.queue)
    figures.count("task_endings", task.phase, noted.ending)
    figures.count("tenant_seconds", task.tenant, by=seconds)
    with suppress(QueueUnavailable):  # what is lost of figures is lost
        resources.queue.note(figures.take())
