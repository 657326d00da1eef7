"""The state machine. What exists in the store is the state; what is missing is the work.

accepted → running → assembling → succeeded
                                ↘ failed | cancelled (from any state before)
"""

from dataclasses import dataclass
from enum import StrEnum

from app.dataset.keys import DatasetKeys, number_in
from app.dataset.plan import Plan
from app.errors import Conflict
from app.jobs.records import read_accepted, read_plan
from app.queue import ASSEMBLE, CALIBRATE, CHOOSE, GENERATE, JUDGE, LAYOUT, REPORT, SURVEY, TRY, Task
from app.storage import ObjectStore


class State(StrEnum):
    """Where a dataset stands."""

    ACCEPTED = "accepted"
    RUNNING = "running"
    ASSEMBLING = "assembling"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def final(self) -> bool:
        """Whether nothing more will happen."""
        return self in (State.SUCCEEDED, State.FAILED, State.CANCELLED)


@dataclass(frozen=True, kw_only=True)
class Facts:
    """What the store holds of one dataset."""

    cancelled: bool
    failed: bool
    manifest: bool
    identities: bool
    calibrated: bool
    report: bool
    """Whether there are the report and, after it, the documents about the set."""
    surveyed: frozenset[int]
    """Survey blocks that are done."""
    steps: frozenset[int]
    """Steps of the calibration whose scale is decided."""
    tried: frozenset[tuple[int, int]]
    """(step, shard) whose samples are measured at that scale."""
    reported: frozenset[int]
    """Shards that are done."""
    judged: frozenset[int]
    """Shards whose samples are judged."""
    laid_out: frozenset[str]
    """Layouts that are made."""
    begun: bool
    """Whether a worker has begun anything."""


NOTHING = Facts(
    cancelled=False,
    failed=False,
    manifest=False,
    identities=False,
    calibrated=False,
    report=False,
    surveyed=frozenset(),
    steps=frozenset(),
    tried=frozenset(),
    reported=frozenset(),
    judged=frozenset(),
    laid_out=frozenset(),
    begun=False,
)
"""Of a dataset that was accepted this moment."""


def read_facts(store: ObjectStore, tenant: str, dataset: str) -> Facts:
    """List what there is of a dataset; one pass over its keys."""
    at = DatasetKeys(tenant, dataset)
    names: set[str] = set()
    surveyed: set[int] = set()
    steps: set[int] = set()
    tried: set[tuple[int, int]] = set()
    reported: set[int] = set()
    judged: set[int] = set()
    laid_out: set[str] = set()
    numbered = {at.surveys: surveyed, at.judgements: judged}
    begun = False
    for found in store.list(at.prefix):
        if folder := next((prefix for prefix in numbered if found.key.startswith(prefix)), None):
            numbered[folder].add(number_in(found.key, folder))
        elif found.key.startswith(at.calibration_steps):
            step = number_in(found.key, at.calibration_steps)
            if found.key == at.calibration_step(step):
                steps.add(step)
            else:
                tried.add((step, number_in(found.key, f"{at.calibration_steps}{step:06d}/")))
        elif found.key.startswith(at.layouts):
            laid_out.add(found.key.removeprefix(at.layouts))
        elif found.key.startswith(at.shards):
            if found.key.endswith("/report.json"):
                reported.add(number_in(found.key, at.shards))
        elif found.key.startswith(at.all_attempts):
            begun = True
        else:
            names.add(found.key)
    return Facts(
        cancelled=at.cancelled in names,
        failed=at.failed in names,
        manifest=at.manifest in names,
        identities=at.identities in names,
        calibrated=at.calibration in names,
        report=at.report in names and at.croissant in names,
        surveyed=frozenset(surveyed),
        steps=frozenset(steps),
        tried=frozenset(tried),
        reported=frozenset(reported),
        judged=frozenset(judged),
        laid_out=frozenset(laid_out),
        begun=begun or bool(surveyed or steps or reported),
    )


def require_succeeded(store: ObjectStore, tenant: str, dataset: str, what: str) -> DatasetKeys:
    """Keys of a succeeded dataset; raises NotFound, or Conflict with the state it is in. `what` it is asked for."""
    read_accepted(store, tenant, dataset)
    at = DatasetKeys(tenant, dataset)
    if store.exists(at.manifest) and not store.exists(at.cancelled):
        return at
    state = state_of(read_facts(store, tenant, dataset), read_plan(store, tenant, dataset))
    raise Conflict(f"dataset {dataset!r} is {state}; it has {what} only once it has succeeded")


def state_of(facts: Facts, plan: Plan) -> State:
    """Name the state that the facts are."""
    if facts.cancelled:
        return State.CANCELLED
    if facts.failed:
        return State.FAILED
    if facts.calibrated if plan.purpose == "calibration" else facts.manifest:
        return State.SUCCEEDED
    if len(facts.reported) == plan.shards:
        return State.ASSEMBLING
    return State.RUNNING if facts.begun else State.ACCEPTED


def work_left(facts: Facts, plan: Plan, tenant: str) -> list[Task]:
    """List the tasks that can be done now; none when the dataset is at its end.

    Identities first (templates block by block, then one choice over all); then, for a target, one scale after
    another until one meets it (a step decides the next scale, then every judged shard is tried at it); then the
    shards, the judging of some of them, the report, layouts, and the assembly.
    """
    if state_of(facts, plan).final:
        return []
    if plan.unique and not facts.identities:
        blocks = [block for block in range(plan.survey_blocks) if block not in facts.surveyed]
        if blocks:
            return [Task(SURVEY, tenant, plan.dataset, block) for block in blocks]
        return [Task(CHOOSE, tenant, plan.dataset)]
    if plan.target and not facts.calibrated:
        step = len(facts.steps) - 1
        untried = [shard for shard in plan.calibrated_shards if (step, shard) not in facts.tried]
        if facts.steps and untried:
            return [Task(TRY, tenant, plan.dataset, try_number(plan, step, shard)) for shard in untried]
        return [Task(CALIBRATE, tenant, plan.dataset, step + 1)]
    shards = [shard for shard in range(plan.shards) if shard not in facts.reported]
    if shards:
        return [Task(GENERATE, tenant, plan.dataset, shard) for shard in shards]
    unjudged = [shard for shard in plan.judged_shards if shard not in facts.judged]
    if unjudged:
        return [Task(JUDGE, tenant, plan.dataset, shard) for shard in unjudged]
    if not facts.report:
        return [Task(REPORT, tenant, plan.dataset)]
    layouts = [layout for layout in plan.layouts if layout.stored and layout not in facts.laid_out]
    if layouts:
        return [Task(LAYOUT, tenant, plan.dataset, layout.number) for layout in layouts]
    return [Task(ASSEMBLE, tenant, plan.dataset)]


def try_number(plan: Plan, step: int, shard: int) -> int:
    """The number of a TRY task; `divmod(number, plan.shards)` takes it apart."""
    return step * plan.shards + shard
