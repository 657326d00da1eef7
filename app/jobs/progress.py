"""Progress, counted from the shard reports that are stored; never incremented."""

from collections import Counter
from collections.abc import Collection
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict

from app.dataset.calibration import MOST_SCALES
from app.dataset.plan import Plan
from app.jobs.state import NOTHING, Facts, work_left
from app.queue import ASSEMBLE, CALIBRATE, CHOOSE, GENERATE, JUDGE, LAYOUT, REPORT, SURVEY, TRY

Phase = Literal["survey", "choose", "calibrate", "generate", "judge", "report", "layout", "assemble"]

_PHASES: dict[str, Phase] = {
    SURVEY: "survey",
    CHOOSE: "choose",
    CALIBRATE: "calibrate",
    TRY: "calibrate",
    GENERATE: "generate",
    JUDGE: "judge",
    REPORT: "report",
    LAYOUT: "layout",
    ASSEMBLE: "assemble",
}


class Progress(BaseModel):
    """How far a dataset is."""

    model_config = ConfigDict(frozen=True)

    identities_checked: int
    """Identities templated for the uniqueness check."""
    samples_done: int
    """Samples whose shard is stored."""
    samples_total: int
    fraction: float
    """0 to 1, of the samples."""
    phase: Phase | None
    """What is being done now; null at the end."""
    scales_tried: int
    """By the calibration: scales measured in full."""
    scales_most: int
    """So many will be tried at the most; 0 without a target."""
    judged_done: int
    """Samples whose shard the judges have seen."""
    judged_total: int

    @classmethod
    def none(cls, plan: Plan) -> Self:
        """Nothing is done yet."""
        return cls(
            identities_checked=0,
            samples_done=0,
            samples_total=plan.samples,
            fraction=0.0,
            phase=_PHASES[work_left(NOTHING, plan, "")[0].name],
            scales_tried=0,
            scales_most=MOST_SCALES if plan.target else 0,
            judged_done=0,
            judged_total=_judged(plan),
        )


def progress_of(facts: Facts, plan: Plan) -> Progress:
    """Count what is done."""
    done = sum(len(plan.shard(number)) for number in facts.reported)
    checked = sum(len(plan.survey_block(number)) for number in facts.surveyed)
    left = work_left(facts, plan, "")
    tried = Counter(step for step, _ in facts.tried)
    return Progress(
        identities_checked=checked,
        samples_done=done,
        samples_total=plan.samples,
        fraction=done / plan.samples,
        phase=_PHASES[left[0].name] if left else None,
        scales_tried=sum(count == len(plan.calibrated_shards) for count in tried.values()),
        scales_most=MOST_SCALES if plan.target else 0,
        judged_done=_judged(plan, facts.judged),
        judged_total=_judged(plan),
    )


def _judged(plan: Plan, shards: Collection[int] | None = None) -> int:
    """Judged samples of the plan, or of some of its shards."""
    if not plan.judges:
        return 0
    if shards is None:
        return plan.judged_subjects * plan.samples_per_subject + plan.judged_distractors
    return sum(plan.judged(place) for shard in shards for place in plan.places(plan.shard(shard)))
