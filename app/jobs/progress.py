"""Progress, counted from the shard reports that are stored; never incremented."""

from typing import Self

from pydantic import BaseModel, ConfigDict

from app.dataset.plan import Plan
from app.jobs.state import Facts


class Progress(BaseModel):
    """How far a dataset is."""

    model_config = ConfigDict(frozen=True)

    identities_checked: int
    """Identities templated for the uniqueness check."""
    samples_done: int
    """Samples whose shard is stored."""
    samples_total: int
    fraction: float
    """0 to 1."""

    @classmethod
    def none(cls, plan: Plan) -> Self:
        """Nothing is done yet."""
        return cls(identities_checked=0, samples_done=0, samples_total=plan.samples, fraction=0.0)


def progress_of(facts: Facts, plan: Plan) -> Progress:
    """Count what is done."""
    done = sum(len(plan.shard(number)) for number in facts.reported)
    checked = sum(len(plan.survey_block(number)) for number in facts.surveyed)
    return Progress(
        identities_checked=checked,
        samples_done=done,
        samples_total=plan.samples,
        fraction=done / plan.samples,
    )
