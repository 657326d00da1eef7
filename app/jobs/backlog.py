"""How much work is left that a worker could begin now, counted from the store: what a cluster scales its workers on."""

import threading
from collections.abc import Callable

from pydantic import BaseModel, ConfigDict

from app.dataset import keys
from app.errors import Corrupt, NotFound
from app.jobs.records import read_plan
from app.jobs.state import known_facts, work_left
from app.queue import TaskQueue
from app.storage import ObjectStore

MAX_AGE_S = 5.0
"""An answer serves for so long: everyone who asks within it costs one look."""


class Backlog(BaseModel):
    """What waits or is being made."""

    model_config = ConfigDict(frozen=True)

    tasks: int
    """Tasks that can be done now, those that a worker is at included."""
    datasets: int
    """Datasets and calibrations that have work left."""
    evaluations: int
    """Evaluations that have no result yet; each is one of the tasks."""


class BacklogCount:
    """Counts the backlog, for the whole service; threads may share it."""

    def __init__(self, store: ObjectStore, queue: TaskQueue, clock: Callable[[], float]) -> None:
        self._store = store
        self._queue = queue
        self._clock = clock
        self._lock = threading.Lock()
        self._found: tuple[float, Backlog] | None = None

    def look(self) -> Backlog:
        """Count, or give the count of a moment ago; raises Unavailable."""
        with self._lock:
            if self._found is None or not 0 <= self._clock() - self._found[0] < MAX_AGE_S:
                counted = count_backlog(self._store, self._queue)
                self._found = self._clock(), counted
            return self._found[1]


def count_backlog(store: ObjectStore, queue: TaskQueue) -> Backlog:
    """Count over all tenants, by what workers told of stored parts.

    A dataset whose record cannot be read is left to the reconciler, which reports it.
    """
    tasks = datasets = 0
    for marker in store.list(keys.UNFINISHED):
        tenant, dataset = keys.owner_of(marker.key)
        try:
            facts = known_facts(store, queue, tenant, dataset)
            left = len(work_left(facts, read_plan(store, tenant, dataset), tenant))
        except (Corrupt, NotFound):  # NotFound: it is being accepted or deleted at this moment
            continue
        tasks += left
        datasets += left > 0
    evaluations = sum(1 for _ in store.list(keys.UNFINISHED_EVALUATIONS))
    return Backlog(tasks=tasks + evaluations, datasets=datasets, evaluations=evaluations)
