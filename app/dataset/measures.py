"""What a report says of one measure: rates with their intervals, points of curves, counts in bins.

Rates are shares in [0, 1] over completed comparisons. A comparison matches iff `score >= threshold`, so FMR is the
share of non-mated scores >= threshold and FNMR the share of mated scores < threshold. Scores are in the matcher's own
unit, higher is more alike. Numbers are rounded to six digits; thresholds are not, for a rounded one would have another
FMR.
"""

from pydantic import BaseModel, ConfigDict


class Data(BaseModel):
    """Readers must take fields that they do not know: a later version may say more."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class Interval(Data):
    """Where a value lies with a stated confidence, both ends included."""

    low: float
    high: float | None
    """None: without an upper limit."""
    confidence: float
    """0.95 is 95%."""
    method: str
    """How it was found, and over what."""


class Rate(Data):
    """A share of trials, with all that is needed to judge it."""

    name: str
    """FMR, FNMR, FTE (failure to enrol), FTX (failure to extract)."""
    value: float
    errors: int
    trials: int
    """Completed comparisons (FMR, FNMR) or attempts (FTE, FTX)."""
    failed: int
    """Comparisons that gave no score; not among the trials."""
    side: str
    """What counts as an error, tie rule included."""
    exact: Interval
    """Clopper–Pearson over trials: too narrow where trials share a subject."""
    by_subject: Interval | None
    """Bootstrap by subject; None where subjects are too few to be resampled, or scores too many to be kept."""
    rounding: float = 0.0
    """By at most so much the value is too high because scores were binned."""


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
    """One point of the DET curve."""

    target_fmr: float
    resolved: bool
    fmr: float
    fnmr: float
    low: float
    """Of FNMR, 95%: bootstrap by subject where `by_subject`, else Clopper–Pearson."""
    high: float
    by_subject: bool


class EqualErrorRate(Data):
    """Where FMR and FNMR cross, on the straight line between the two steps around the crossing."""

    value: float
    threshold: float
    mated: int
    non_mated: int
    by_subject: Interval | None


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
