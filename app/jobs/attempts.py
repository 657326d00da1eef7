"""Attempts at a task: how one can end, what is tried again, and when a task is given up. One rule for every subject.

Each attempt leaves a mark in the store before it begins, and takes it off when it ends in an orderly way. What is left
is how often a worker was lost on the task, or failed at it. A mark says of which boot of a worker it is (its parent and
the children that it forked), so that what the task did to a child is told from what happened to the whole worker:

    failed at it, or a child was lost and its parent lives   counts
    the whole worker stopped in order (a deploy, `down`)     does not count
    the whole worker was lost (power, kill -9, the pod)      counts a fourth: a task may be the reason, but rarely is
"""

import traceback
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from enum import Enum, auto
from weakref import WeakKeyDictionary

import structlog

from app.dataset import keys
from app.errors import (
    Cancelled,
    FacsimileError,
    Misconfigured,
    NotFound,
    ObjectNotFound,
    TookTooLong,
    Unavailable,
    Unfinished,
)
from app.jobs.records import read_json, write_json
from app.queue import Task
from app.storage import ObjectStore

log = structlog.get_logger()

LOST = "the worker was lost"

BOOT = uuid.uuid4().hex
"""This boot: made when the parent imports this module, and inherited by the children that it forks."""

WHOLE_WORKERS = 4
"""So many times as often as children may whole workers be lost at a task."""


class Ending(Enum):
    """How an attempt ended."""

    DONE = auto()
    GOES_ON = auto()
    """What is done is kept; another attempt, at once, goes on with it."""
    CALLED_OFF = auto()
    """Its subject was cancelled or deleted."""
    PUT_OFF = auto()
    """The store or the queue was away: nobody's failure, and not counted. The reconciler gives the task out again."""
    REFUSED = auto()
    """No repetition would mend it: its subject fails at once, with the reason."""
    FAILED = auto()
    """Counted; the reconciler gives the task out again, so many times."""


def ending_of(exc: Exception) -> Ending:
    """How an attempt ended that raised this: what is tried again and what is not."""
    match exc:
        case Cancelled():
            return Ending.CALLED_OFF
        case Unavailable():
            return Ending.PUT_OFF
        case Unfinished():
            return Ending.GOES_ON
        case Misconfigured() | ObjectNotFound() | TookTooLong():
            # Another worker may have what this one lacks, or the time; and the object may just be on its way.
            return Ending.FAILED
        case FacsimileError():
            return Ending.REFUSED
        case _:
            return Ending.FAILED


def reason_of(exc: Exception) -> str:
    """An error in words for the user: the text of a missing object names a key of the store."""
    if isinstance(exc, NotFound | ObjectNotFound):
        return f"something that it needs was deleted ({exc})" if isinstance(exc, NotFound) else "an object is missing"
    return str(exc) if isinstance(exc, FacsimileError) else f"{type(exc).__name__}: {exc}"


@contextmanager
def counted(store: ObjectStore, marks: str, task: Task) -> Iterator[None]:
    """Count an attempt at `task` under the prefix `marks`; whatever the work raises goes on upwards."""
    mark = f"{marks}{uuid.uuid4().hex}"
    write_json(store, mark, {"error": LOST, "boot": BOOT})
    try:
        yield
    except Exception as exc:
        if ending_of(exc) is Ending.FAILED:
            log.error("attempt_failed", task=str(task), error=str(exc), trace=traceback.format_exc())
            write_json(store, mark, {"error": reason_of(exc)})
        else:
            _take_off(store, mark)
        raise
    else:
        _take_off(store, mark)


def given_up(store: ObjectStore, marks: str, task: Task, most: int) -> str | None:
    """Why a task is given up, if as many attempts at it as may be went wrong; `marks` is the prefix of their marks."""
    _take_off_left_over(store)
    found = sorted(store.list(marks), key=lambda info: info.modified)
    if len(found) < most:
        return None
    counting, whole = 0, 0
    last = LOST
    for info in found:
        with suppress(ObjectNotFound):  # taken off meanwhile
            mark = read_json(store, info.key)
            boot = mark.get("boot", BOOT)
            if boot != BOOT and store.exists(keys.stopped_boot(boot)):
                store.delete(info.key)
                continue
            counting, whole = (counting + 1, whole) if boot == BOOT else (counting, whole + 1)
            last = mark["error"]
    if counting < most and counting + whole < WHOLE_WORKERS * most:
        return None
    return f"given up after {counting + whole} attempts at {task}; the last: {last}"


def note_orderly_stop(store: ObjectStore) -> None:
    """Say that this boot ends in order: what its children leave behind is no fault of their tasks."""
    write_json(store, keys.stopped_boot(BOOT), {})


_left_over: WeakKeyDictionary[ObjectStore, set[str]] = WeakKeyDictionary()
"""Marks of orderly attempts that could not be taken off, for the store was away: who counts next sees to them."""


def _take_off(store: ObjectStore, mark: str) -> None:
    try:
        store.delete(mark)
    except Unavailable:
        _left_over.setdefault(store, set()).add(mark)


def _take_off_left_over(store: ObjectStore) -> None:
    for mark in list(_left_over.get(store, ())):
        store.delete(mark)
        _left_over[store].discard(mark)
