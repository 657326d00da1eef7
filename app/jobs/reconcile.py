"""Looking over whatever is unfinished: one pass at a time, within a budget, and only at what nobody is at.

A pass asks the queue, not the store, which datasets and evaluations have something on its way; those it leaves alone.
So its cost follows what has come to a stop, not what there is.
"""

import random
import time
from collections.abc import Callable, Iterator

import structlog

from app.dataset import keys
from app.dataset.keys import DatasetKeys
from app.errors import Corrupt
from app.jobs.datasets.advance import advance
from app.jobs.datasets.removal import clear_away
from app.jobs.evaluations.ends import reconcile_evaluation
from app.jobs.uploads import UploadService
from app.queue import TaskQueue
from app.storage import ObjectInfo, ObjectStore

log = structlog.get_logger()

HALF_ACCEPTED_S = 600.0
"""A marker without a request older than this is what a crash between two writes left behind."""

BUDGET_S = 5.0
"""How long a pass may take; what it does not come to is for the next, which begins somewhere else."""

LOCK_S = 60.0
"""After so long a pass counts as dead."""

ASKED_AT_ONCE = 500


def reconcile(
    store: ObjectStore,
    queue: TaskQueue,
    uploads: UploadService,
    clock: Callable[[], float] = time.time,
    budget_s: float = BUDGET_S,
) -> dict[str, int]:
    """Move on what has come to a stop, clear away what an interrupted submission left, see that tickets suffice.

    Returns how many unfinished ones there are, how many were looked at, tasks enqueued and left-overs cleared; nothing
    at all where another pass is at it.
    """
    if not queue.only_one("reconcile", LOCK_S):
        return {}
    counts = {"unfinished": 0, "looked_at": 0, "enqueued": 0, "cleared": 0}
    until = clock() + budget_s
    try:
        looks = ((keys.UNFINISHED, _dataset), (keys.UNFINISHED_EVALUATIONS, _evaluation))
        for prefix, look in looks:
            for tenant, subject, marker in _stopped(store, queue, prefix, counts):
                if clock() > until:
                    break
                counts["looked_at"] += 1
                old = clock() - marker.modified > HALF_ACCEPTED_S
                try:
                    enqueued, cleared = look(store, queue, uploads, tenant, subject, old, clock())
                except Corrupt as exc:  # must not keep the others from going on
                    log.error("unreadable", tenant=tenant, subject=subject, reason=str(exc))
                    continue
                counts["enqueued"] += enqueued
                counts["cleared"] += cleared
        queue.replenish()
    finally:
        queue.free("reconcile")
    if counts["enqueued"] or counts["cleared"]:
        log.info("reconciled", **counts)
    return counts


def _stopped(
    store: ObjectStore, queue: TaskQueue, prefix: str, counts: dict[str, int]
) -> Iterator[tuple[str, str, ObjectInfo]]:
    """The unfinished ones that nobody is at, in any order: a pass that ends early leaves others each time."""
    found = list(store.list(prefix))
    counts["unfinished"] += len(found)
    random.shuffle(found)
    for start in range(0, len(found), ASKED_AT_ONCE):
        some = found[start : start + ASKED_AT_ONCE]
        owners = [keys.owner_of(marker.key, prefix) for marker in some]
        for (tenant, subject), marker, live in zip(owners, some, queue.on_their_way(owners), strict=True):
            if not live:
                yield tenant, subject, marker


def _dataset(
    store: ObjectStore, queue: TaskQueue, uploads: UploadService, tenant: str, dataset: str, old: bool, now: float
) -> tuple[int, int]:
    if store.exists(DatasetKeys(tenant, dataset).request):
        return advance(store, queue, tenant, dataset), 0
    return 0, int(old and clear_away(store, tenant, dataset, now))


def _evaluation(
    store: ObjectStore, queue: TaskQueue, uploads: UploadService, tenant: str, evaluation: str, old: bool, now: float
) -> tuple[int, int]:
    return reconcile_evaluation(store, queue, uploads, tenant, evaluation, old=old)
