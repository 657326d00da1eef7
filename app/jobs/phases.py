"""The phases of a dataset: one table of what each leaves in the store, which parts a plan needs, and who makes them.

A phase is begun when all before it are done. A part is called by its name, which stands in its object's key and in the
task that makes it: `000012` (a shard or survey block), `000001/000012` (a shard tried at a step's scale), `lfw` (a
layout); a phase of one piece has the part "".
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Literal

from app.dataset import keys
from app.dataset.keys import numbered
from app.dataset.plan import Plan
from app.queue import CONTROL, SHARDS, Kind, Task

Step = Literal["survey", "choose", "calibrate", "generate", "judge", "report", "layout", "assemble"]
"""What progress calls a phase."""


@dataclass(frozen=True, kw_only=True)
class Facts:
    """What the store holds of one dataset."""

    cancelled: bool = False
    failed: bool = False
    manifest: bool = False
    calibrated: bool = False
    begun: bool = False
    """Whether a worker has begun anything."""
    done: Mapping[str, frozenset[str]] = field(default_factory=lambda: MappingProxyType({}))
    """Phase, by the name of its task, to the parts that are there; phases without one are left out."""


NOTHING = Facts()
"""Of a dataset that was accepted this moment."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Phase:
    """A row of the table."""

    kind: Kind
    """The task that makes a part."""
    step: Step
    stored: str
    """Key of a part below the dataset's prefix, with {} for its name; it is written last of all that the part is."""
    needed: Callable[[Plan, Facts], Iterable[str]]
    """The parts that a plan needs, once all phases before are done."""

    def done(self, facts: Facts) -> frozenset[str]:
        """The parts that are there."""
        return facts.done.get(self.kind.name, frozenset())

    def missing(self, plan: Plan, facts: Facts) -> list[str]:
        """The parts that are needed and not there."""
        done = self.done(facts)
        return [part for part in self.needed(plan, facts) if part not in done]

    def task(self, tenant: str, dataset: str, part: str = "") -> Task:
        """The task that makes a part."""
        return Task(self.kind, tenant, dataset, part)

    def part_in(self, name: str) -> str | None:
        """The part whose object is called so below the dataset's prefix; None where it is of something else."""
        before, hole, after = self.stored.partition("{}")
        if not hole:
            return "" if name == before else None
        if name.startswith(before) and name.endswith(after) and len(name) > len(before) + len(after):
            return name[len(before) : len(name) - len(after)]
        return None


def _blocks(plan: Plan, facts: Facts) -> Iterable[str]:
    # Once identities are chosen the survey is of no use any more.
    return [] if CHOOSE.done(facts) else numbered(range(plan.survey_blocks))


def _choice(plan: Plan, facts: Facts) -> Iterable[str]:
    return [""] if plan.unique else []


def _tries(plan: Plan, facts: Facts) -> Iterator[str]:
    """Every judged shard at the scale decided last."""
    steps = len(CALIBRATE.done(facts))
    if plan.target and not facts.calibrated and steps:
        (step,) = numbered([steps - 1])
        yield from (f"{step}/{shard}" for shard in numbered(plan.calibrated_shards))


def _next_step(plan: Plan, facts: Facts) -> Iterable[str]:
    return numbered([len(CALIBRATE.done(facts))]) if plan.target and not facts.calibrated else []


SURVEY = Phase(kind=Kind("facsimile.survey_identities", SHARDS), step="survey", stored=keys.SURVEY, needed=_blocks)
# Of a large set it goes on for long: among shards other tenants have their turn between its steps.
CHOOSE = Phase(kind=Kind("facsimile.choose_identities", SHARDS), step="choose", stored=keys.IDENTITIES, needed=_choice)
TRY = Phase(kind=Kind("facsimile.try_scale", SHARDS), step="calibrate", stored=keys.CALIBRATION_PART, needed=_tries)
CALIBRATE = Phase(
    kind=Kind("facsimile.calibrate_dataset", CONTROL),
    step="calibrate",
    stored=keys.CALIBRATION_STEP,
    needed=_next_step,
)
GENERATE = Phase(
    kind=Kind("facsimile.generate_shard", SHARDS),
    step="generate",
    stored=keys.SHARD_REPORT,
    needed=lambda plan, facts: numbered(range(plan.shards)),
)
JUDGE = Phase(
    kind=Kind("facsimile.judge_shard", SHARDS),
    step="judge",
    stored=keys.JUDGEMENT,
    needed=lambda plan, facts: numbered(plan.shards_to_judge),
)
CLOSE = Phase(
    kind=Kind("facsimile.close_dataset", CONTROL),
    step="report",
    stored=keys.LAID_ASIDE,  # written after the report, the documents and all else that tells about the set
    needed=lambda plan, facts: [""],
)
LAYOUT = Phase(
    kind=Kind("facsimile.lay_out_dataset", SHARDS),
    step="layout",
    stored=keys.LAYOUT,
    needed=lambda plan, facts: [layout.value for layout in plan.layouts if layout.stored],
)
PUBLISH = Phase(
    kind=Kind("facsimile.publish_dataset", CONTROL),
    step="assemble",
    stored=keys.MANIFEST,
    needed=lambda plan, facts: [""],
)

PHASES = (SURVEY, CHOOSE, TRY, CALIBRATE, GENERATE, JUDGE, CLOSE, LAYOUT, PUBLISH)
"""In order: identities first (templates block by block, then one choice over all); then, for a target, one scale after
another until one meets it (a step decides the next scale, then every judged shard is tried at it); then the shards,
the judging of some of them, all that tells about the set (its manifest laid aside), layouts, the manifest itself."""


def parts_among(names: Iterable[str]) -> dict[str, frozenset[str]]:
    """Which parts of which phases are there, by the names of a dataset's objects below its prefix."""
    by_folder: dict[str, list[Phase]] = {}
    for phase in PHASES:
        by_folder.setdefault(phase.stored.partition("/")[0], []).append(phase)
    found: dict[str, set[str]] = {}
    for name in names:
        for phase in by_folder.get(name.partition("/")[0], ()):
            if (part := phase.part_in(name)) is not None:
                found.setdefault(phase.kind.name, set()).add(part)
    return {kind: frozenset(parts) for kind, parts in found.items()}


def current(plan: Plan, facts: Facts) -> tuple[Phase, list[str]] | None:
    """The phase that has work left, and its missing parts; None after the last."""
    for phase in PHASES:
        if missing := phase.missing(plan, facts):
            return phase, missing
    return None
