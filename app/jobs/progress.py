"""Progress, counted from the shard reports that are stored; never incremented."""

from collections import Counter
from collections.abc import Collection
from typing import Self

from pydantic import BaseModel, ConfigDict

from app.dataset.calibration import MOST_SCALES
from app.dataset.plan import Plan
from app.jobs.phases import GENERATE, JUDGE, NOTHING, SURVEY, TRY, Facts, Step, current
from app.jobs.state import state_of


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
    phase: Step | None
    """What is being done now; null at the end."""
    scales_tried: int
    """By the calibration: scales measured in full."""
    scales_most: int
    """So many will be tried at the most; 0 without a target."""
    judged_done: int
    """Samples whose shard the judges have seen."""
    judged_total: int
    eta_s: float | None = None
    """Seconds until it is done, by how long such parts took here; null where that is not known (`app.jobs.eta`)."""

    @classmethod
    def none(cls, plan: Plan) -> Self:
        """Nothing is done yet."""
        return cls.of(NOTHING, plan)

    @classmethod
    def of(cls, facts: Facts, plan: Plan, eta_s: float | None = None) -> Self:
        """Count what is done."""
        samples = sum(len(plan.shard(int(shard))) for shard in GENERATE.done(facts))
        tried = Counter(part.partition("/")[0] for part in TRY.done(facts))
        left = None if state_of(facts, plan).final else current(plan, facts)
        return cls(
            identities_checked=sum(len(plan.survey_block(int(block))) for block in SURVEY.done(facts)),
            samples_done=samples,
            samples_total=plan.samples,
            fraction=samples / plan.samples,
            phase=left[0].step if left else None,
            scales_tried=sum(count == len(plan.calibrated_shards) for count in tried.values()),
            scales_most=MOST_SCALES if plan.target else 0,
            judged_done=_judged(plan, [int(shard) for shard in JUDGE.done(facts)]),
            judged_total=_judged(plan),
            eta_s=None if eta_s is None else round(eta_s, 1),
        )


def _judged(plan: Plan, shards: Collection[int] | None = None) -> int:
    """Judged samples of the plan, or of some of its shards."""
    if not plan.shards_to_judge:
        return 0
    if shards is None:
        return plan.first(plan.judged_subjects) + plan.judged_distractors
    return sum(plan.judged(place) for shard in shards for place in plan.places(plan.shard(shard)))
