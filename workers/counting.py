"""Counting the attempts at a task, so that one that kills its workers again and again is given up.

Each attempt leaves a mark in the store before it begins, and takes it off when it ends in an orderly way. What is left
is how often a worker died on the task or failed at it.
"""

import traceback
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from weakref import WeakKeyDictionary

import structlog

from app.errors import Cancelled, ObjectNotFound, Unavailable, Unfinished
from app.jobs.records import read_json, write_json
from app.queue import Task
from app.storage import ObjectStore

log = structlog.get_logger()

_left_over: WeakKeyDictionary[ObjectStore, set[str]] = WeakKeyDictionary()
"""Marks of orderly attempts that could not be taken off, for the store was away: who counts next sees to them."""


@dataclass
class Outcome:
    """How an attempt ended."""

    failed: bool = False


@contextmanager
def counted(store: ObjectStore, marks: str, task: Task) -> Iterator[Outcome]:
    """Count an attempt at `task` under the prefix `marks`.

    Unavailable, Cancelled and Unfinished are nobody's failure and go on upwards. Whatever else the work raises is
    recorded in its mark, and the outcome says that it failed.
    """
    mark = f"{marks}{uuid.uuid4().hex}"
    write_json(store, mark, {"error": "the worker was lost"})
    outcome = Outcome()
    try:
        yield outcome
    except (Unavailable, Cancelled, Unfinished):
        _take_off(store, mark)
        raise
    except Exception as exc:  # noqa: BLE001  (whatever it is, it is recorded, and tried again so many times)
        log.error("attempt_failed", task=task, error=str(exc), trace=traceback.format_exc())
        write_json(store, mark, {"error": f"{type(exc).__name__}: {exc}"})
        outcome.failed = True
    else:
        _take_off(store, mark)


def died_too_often(store: ObjectStore, marks: str, most: int) -> str | None:
    """Why a task is given up, if as many attempts at it as may be were lost; `marks` is the prefix of their marks."""
    _take_off_left_over(store)
    found = list(store.list(marks))
    if len(found) < most:
        return None
    last = max(found, key=lambda info: info.modified)
    with suppress(ObjectNotFound):
        return f"given up after {len(found)} attempts; the last: {read_json(store, last.key)['error']}"
    return None


def _take_off(store: ObjectStore, mark: str) -> None:
    try:
        store.delete(mark)
    except Unavailable:
        _left_over.setdefault(store, set()).add(mark)


def _take_off_left_over(store: ObjectStore) -> None:
    for mark in list(_left_over.get(store, ())):
        store.delete(mark)
        _left_over[store].discard(mark)
