"""Rates with their intervals, points of curves, counts in bins: one model of each, wherever one is measured or told.

Rates are shares in [0, 1] over completed comparisons. A comparison matches iff `score >= threshold`, so FMR is the
share of non-mated scores >= threshold and FNMR the share of mated scores < threshold. Scores are in the matcher's own
unit, higher is more alike. A report's numbers are rounded to six digits; thresholds never are, for a rounded one would
have another FMR.
"""

import math
from typing import Annotated, Any, Self

from pydantic import (
    AliasChoices,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    WithJsonSchema,
    model_validator,
)

CONFIDENCE = 0.95
"""Two-sided confidence of every interval unless another is asked for."""

FMR_SIDE = "non-mated scores >= threshold"
FNMR_SIDE = "mated scores < threshold"


class Data(BaseModel):
    """Readers must take fields that they do not know: a later version may say more."""

    model_config = ConfigDict(frozen=True, extra="ignore")


Upper = Annotated[
    float,
    BeforeValidator(lambda value: math.inf if value is None else value),
    PlainSerializer(lambda value: value if math.isfinite(value) else None, return_type=float | None, when_used="json"),
    WithJsonSchema({"anyOf": [{"type": "number"}, {"type": "null"}]}),
]
"""An upper end; infinite where there is none, which JSON writes as null."""


class Interval(Data):
    """Where a value lies with a stated confidence, both ends included."""

    low: float
    high: Upper
    confidence: float
    """0.95 is 95%."""
    method: str
    """How it was found, and over what."""

    def __contains__(self, value: float) -> bool:
        return self.low <= value <= self.high

    @model_validator(mode="before")
    @classmethod
    def _from_two_ends(cls, value: Any) -> Any:
        """Calibrations and contracts of before kept both ends alone, of 95% intervals."""
        if isinstance(value, list | tuple) and len(value) == 2:
            return {"low": value[0], "high": value[1], "confidence": CONFIDENCE, "method": ""}
        return value


class Rate(Data):
    """A share of trials, with all that is needed to judge it."""

    name: str = ""
    """FMR, FNMR, FTE (failure to enrol), FTX (failure to extract); empty in what an older version wrote."""
    value: float
    errors: int
    trials: int
    """Completed comparisons (FMR, FNMR) or attempts (FTE, FTX)."""
    failed: int = 0
    """Comparisons of this side that gave no score; not among the trials."""
    side: str = ""
    """What counts as an error, tie rule included."""
    exact: Annotated[Interval, Field(validation_alias=AliasChoices("exact", "interval"))]
    """Clopper–Pearson over trials: too narrow where trials share a subject."""
    by_subject: Interval | None = None
    """Bootstrap by subject; None where subjects are too few to be resampled, or scores too many to be kept."""
    rounding: float = 0.0
    """By at most so much the value is too high because scores were binned; 0 if it is exact."""

    @property
    def interval(self) -> Interval:
        """The better of its intervals: by subject where there is one."""
        return self.by_subject or self.exact

    def with_interval(self, by_subject: Interval | None) -> Self:
        """The same rate with another interval by subject."""
        return self.model_copy(update={"by_subject": by_subject})


class OperatingPoint(Data):
    """FNMR at the smallest threshold whose FMR is at most the target."""

    target_fmr: float
    resolved: bool
    """Whether, by the rule of 30, there are non-mated comparisons enough for this FMR."""
    needs: str
    """What would resolve it; empty if it is."""
    threshold: float | None
    """None: every score matches."""
    fmr: Rate | None
    """As measured there; None, as is FNMR, where the point is not resolved or a side has no comparison."""
    fnmr: Rate | None


class DetPoint(Data):
    """One point of the DET curve: FNMR at the smallest threshold whose FMR is at most the target.

    What an older version kept of an evaluation's curve has its two rates alone.
    """

    target_fmr: float | None = None
    resolved: bool = True
    """Whether the rule of 30 lets the set's non-mated comparisons speak of the target."""
    fmr: float
    """As measured."""
    fnmr: float
    low: float | None = None
    """Of FNMR, 95%: bootstrap by subject where `by_subject`, else Clopper–Pearson."""
    high: float | None = None
    by_subject: bool = False

    @property
    def at(self) -> float:
        """Where it stands along the curve: the target, or the FMR measured where no target was kept."""
        return self.fmr if self.target_fmr is None else self.target_fmr

    @property
    def band(self) -> tuple[float, float]:
        """Both ends of FNMR's interval; of a point without one, FNMR itself."""
        return (self.fnmr, self.fnmr) if self.low is None or self.high is None else (self.low, self.high)


class EqualErrorRate(Data):
    """Where FMR and FNMR cross.

    Rates step from one score to the next, so they seldom meet. EER here: of the DET's corners take the last with
    FNMR < FMR and the first with FNMR >= FMR, join them by a straight line, and cross it with FMR = FNMR.
    """

    value: float
    threshold: float
    """Of the first corner with FNMR >= FMR."""
    mated: int = 0
    """Completed comparisons; 0 in what an older version wrote."""
    non_mated: int = 0
    rounding: float = 0.0
    """By at most so much the value may be off because scores were binned."""
    by_subject: Interval | None = None


class Bins(Data):
    """Counts in bins of one width; bin i holds values in [low + i·width, low + (i + 1)·width)."""

    low: float
    width: float
    counts: tuple[int, ...]


class Distribution(Data):
    """How values lie."""

    count: int
    mean: float
    deviation: float
    """Standard deviation over all of them."""
    minimum: float
    p05: float
    """5% of the values are at or below it."""
    median: float
    p95: float
    maximum: float
    bins: Bins


class Counted(Data):
    """How often something came."""

    reason: str
    count: int
