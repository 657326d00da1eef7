"""Evaluations: what is asked of comparison scores, and what comes out: metrics, a difference, and a verdict.

Policy on failures: a comparison without a score failed. FMR and FNMR are over completed comparisons (ISO/IEC
19795-1); the *generalised* FNMR counts a failed mated comparison as a non-match, and it is the one that decides.
"""

from enum import StrEnum
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from app.dataset.measures import Data, DetPoint, EqualErrorRate, Rate
from app.dataset.resolution import LOWEST_RATE
from app.numerals import number

DEFAULT_FMR = 1e-3
DEFAULT_ALPHA = 0.01

LimitName = Literal["max_fnmr", "max_fnmr_increase", "max_fnir", "max_fnir_increase"]

INCREASE = r"^[0-9]*\.?[0-9]+([eE]-?[0-9]{1,2})?%?$"
"""A rate, `0.01`, or a share of the baseline's FNMR, `10%`."""


class Verdict(StrEnum):
    """What an evaluation says for a pipeline."""

    PASS = "PASS"  # noqa: S105  (no password)
    FAIL = "FAIL"
    UNDECIDED = "UNDECIDED"


class _Asked(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Rule(_Asked):
    """What is allowed. Without a limit there are metrics and no verdict."""

    at_fmr: Annotated[float, Field(ge=LOWEST_RATE, lt=1)] = DEFAULT_FMR
    """Each matcher's FNMR is taken at its own threshold: the smallest whose FMR, on the set's own non-mated
    comparisons, is at most this. Scores of two versions need not have one scale, so one threshold would not do."""
    threshold: Annotated[float, Field(allow_inf_nan=False)] | None = None
    """Take this threshold instead, as a deployed matcher has it: its FMR is then what it is, and reported."""
    baseline_threshold: Annotated[float, Field(allow_inf_nan=False)] | None = None
    """The baseline's, where it is another than `threshold`."""
    distances: bool = False
    """What is handed in are distances: lower is more alike, and a comparison matches iff `distance <= threshold`.
    Thresholds, given and found, are distances then."""
    max_fnmr: Annotated[float, Field(ge=LOWEST_RATE, lt=1)] | None = None
    """Generalised FNMR may be so high at the most."""
    max_fnmr_increase: Annotated[str, Field(pattern=INCREASE, max_length=20)] | None = None
    """Generalised FNMR may be so much above the baseline's: absolute, `0.01`, or relative, `10%`."""
    alpha: Annotated[float, Field(ge=1e-4, le=0.2)] = DEFAULT_ALPHA
    """FAIL where all is within the limits, and PASS where it is not, have at most this probability each."""

    @property
    def limits(self) -> int:
        """How many limits there are; alpha is shared out among them."""
        return (self.max_fnmr is not None) + (self.max_fnmr_increase is not None)

    @property
    def increase(self) -> "Increase | None":
        """`max_fnmr_increase`, read."""
        return None if self.max_fnmr_increase is None else Increase.parse(self.max_fnmr_increase)

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.baseline_threshold is not None and self.threshold is None:
            raise ValueError("baseline_threshold needs threshold; leave both out to compare at an FMR")
        if self.max_fnmr_increase is not None:
            Increase.parse(self.max_fnmr_increase)
        return self


class Increase(_Asked):
    """How far FNMR may rise over the baseline's."""

    absolute: float = 0.0
    relative: float = 0.0

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `0.01` (absolute) or `10%` (of the baseline's FNMR); raises ValueError."""
        share = text.endswith("%")
        value = number(text.removesuffix("%")) / (100 if share else 1)
        if share:
            if value > 10:
                raise ValueError("an increase may be 1000% of the baseline's at the most")
            return cls(relative=value)
        if value >= 1:
            raise ValueError(f"an increase of {text} is no rate; write 0.01, or 10% of the baseline's")
        return cls(absolute=value)

    def __str__(self) -> str:
        return self.told("FNMR")

    def told(self, rate: str) -> str:
        """How much of which rate."""
        return f"{100 * self.relative:.4g}% of the baseline's {rate}" if self.relative else f"{self.absolute:.4g}"

    def of(self, baseline: float) -> float:
        """The increase allowed over a baseline's FNMR."""
        return self.absolute + self.relative * baseline


class PointFound(Data):
    """FNMR at one FMR, or at one threshold."""

    target_fmr: float | None
    """Null where the threshold was given."""
    threshold: float | None
    """As printed it has the rates that are printed. Null: every comparison matches. A distance, if `rule.distances`."""
    fmr: Rate
    fnmr: Rate
    """Over completed comparisons."""
    generalised_fnmr: Rate
    """Failed comparisons counted as non-matches."""
    resolved: bool
    """Whether there are enough non-mated comparisons to speak of this FMR (rule of 30)."""


class ScoresFound(Data):
    """What was measured of one matcher's scores."""

    mated: int
    """Completed mated comparisons."""
    non_mated: int
    mated_failed: int
    non_mated_failed: int
    subjects: int
    points: tuple[PointFound, ...]
    """The one that the rule is about comes first."""
    eer: EqualErrorRate
    det: tuple[DetPoint, ...]
    """From FMR 1 down."""
    exact: bool
    """False where so many non-mated scores were given that those far below the thresholds were counted in bins."""


class DifferenceFound(Data):
    """How generalised FNMR changed from the baseline to the new scores, on the same comparisons."""

    increase: float
    """New minus baseline."""
    low: float
    high: float
    """One-sided bounds, each wrong with a probability of at most alpha."""
    alpha: float
    method: str
    subjects_worse: int
    subjects_better: int
    same_scores: bool
    """Whether every single score is the baseline's."""


class LimitFound(Data):
    """How one limit was decided."""

    limit: LimitName
    allowed: str
    verdict: Verdict
    reason: str
    excess: float
    """Above the limit; negative within it."""
    low: float
    high: float
    subjects_to_settle: int | None
    """About so many subjects would tell, if the rates are as measured; only with UNDECIDED."""


class PairFound(Data):
    """A comparison that went wrong: a mated one that is missed, or a non-mated one that matches."""

    reference: str
    """The sample's label."""
    probe: str
    reference_image: str
    """Where its picture is: a path, or a URL."""
    probe_image: str
    score: float | None
    """As handed in; null if the comparison failed."""
    baseline_score: float | None
    """Null without a baseline, if the comparison failed, and where so low a non-mated score was counted in bins."""


class SubjectFound(Data):
    """A subject that got worse."""

    subject: str
    tried: int
    """Mated comparisons."""
    missed: int
    """Failures included."""
    missed_before: int | None
    """By the baseline; null without one."""
    worse: int
    """Comparisons that matched before and are missed now; without a baseline all that are missed."""
    pairs: tuple[PairFound, ...]
    """The worst of these."""


class WorseFound(Data):
    """Who got worse than with the baseline; without one, who is missed."""

    pairs: int
    """Mated comparisons that matched before and are missed now; without a baseline all that are missed."""
    pairs_better: int | None
    """The other way round; null without a baseline."""
    subjects: int
    """That have such a comparison."""
    listed: tuple[SubjectFound, ...]
    """The worst of them first."""


class FalseMatchesFound(Data):
    """Strangers who match and did not with the baseline; without one, all who match."""

    pairs: int
    """Non-mated comparisons that match now and did not before; without a baseline all that match."""
    pairs_better: int | None
    """The other way round; null without a baseline."""
    listed: tuple[PairFound, ...]
    """Those with the highest scores first."""


class GroupFound(Data):
    """FNMR within one group of subjects, at the threshold that holds for all."""

    attribute: str
    group: str
    subjects: int
    fnmr: Rate
    """Generalised: failed comparisons count as non-matches."""
    baseline_fnmr: Rate | None
    subjects_worse: int
    subjects_better: int


class EvaluatedSet(Data):
    """Which comparisons these are scores of."""

    dataset: str
    release: str | None
    """NAME@VERSION."""
    name: str
    comparisons: int
    comparisons_sha256: str | None


class Evaluation(Data):
    """All that came out of comparison scores."""

    schema_version: Literal[1] = 1
    set: EvaluatedSet
    rule: Rule
    scores: ScoresFound
    baseline: ScoresFound | None
    difference: DifferenceFound | None
    worse: WorseFound | None = None
    """Null in what an older version wrote."""
    false_matches: FalseMatchesFound | None = None
    """Null in what an older version wrote, and where the threshold lies below the scores that are kept one by one."""
    groups: tuple[GroupFound, ...] = ()
    limits: tuple[LimitFound, ...]
    verdict: Verdict | None
    """Null without a limit."""
    reason: str
    notes: tuple[str, ...]
    """What else should be known, a sentence each."""
