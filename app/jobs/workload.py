"""What waits and what workers are at, phase by phase: for those who run the service."""

from pydantic import BaseModel, ConfigDict, Field

from app.jobs.phases import PHASES
from app.queue import EVALUATE, PREVIEW, TaskQueue

_NAMES = {phase.kind.name: phase.step for phase in PHASES} | {EVALUATE.name: "evaluate", PREVIEW.name: "preview"}
OTHER = "advance"
"""What moves datasets on, from one phase to the next."""

ORDER = [*dict.fromkeys(phase.step for phase in PHASES), "evaluate", "preview", OTHER]


class PhaseLoad(BaseModel):
    """One phase."""

    model_config = ConfigDict(frozen=True)

    phase: str
    waiting: int = Field(description="Tasks that are given out and that no worker has taken.")
    at_work: int = Field(description="Tasks that a worker is at.")


class Workload(BaseModel):
    """All that is given out; a set that is large has more left than that."""

    model_config = ConfigDict(frozen=True)

    workers: int = Field(description="Worker processes that took a task within the last ten minutes.")
    phases: tuple[PhaseLoad, ...]


def look_at(queue: TaskQueue) -> Workload:
    """Count what is on its way, of all tenants; raises QueueUnavailable."""
    counts: dict[str, tuple[int, int]] = {}
    for kind, (waiting, at_work) in queue.flights().items():
        name = _NAMES.get(kind, OTHER)
        before = counts.get(name, (0, 0))
        counts[name] = (before[0] + waiting, before[1] + at_work)
    phases = [PhaseLoad(phase=name, waiting=waiting, at_work=at_work) for name, (waiting, at_work) in counts.items()]
    return Workload(workers=queue.workers(), phases=tuple(sorted(phases, key=lambda load: ORDER.index(load.phase))))
