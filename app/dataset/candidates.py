"""What came out of 1:N searches whose candidate lists were handed in. Terms and definitions: ISO/IEC 19795-1.

A *mated* search is of a probe whose subject has a reference in the gallery, a *non-mated* one of a probe whose subject
has none. FNIR(T) is the share of mated searches that do not return the mate with a score >= T, FPIR(T) the share of
non-mated searches that return anybody with a score >= T. A search that returned nobody is a miss, and no false
positive.
"""

from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from app.dataset.evaluation import (
    DEFAULT_ALPHA,
    INCREASE,
    DifferenceFound,
    EvaluatedSet,
    Increase,
    LimitFound,
    Verdict,
)
from app.dataset.measures import Data, DetPoint, Rate
from app.dataset.resolution import LOWEST_RATE

Fpir = Annotated[float, Field(ge=LOWEST_RATE, lt=1)]


class SearchRule(BaseModel):
    """What is allowed of searches. Without a limit there are metrics and no verdict."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    at_fpir: Annotated[tuple[Fpir, ...], Field(min_length=1, max_length=20)] = (0.1, 0.01)
    """FNIR is told at each; limits are about the first, at each matcher's own threshold of it."""
    max_fnir: Annotated[float, Field(ge=LOWEST_RATE, lt=1)] | None = None
    """FNIR may be so high at the most."""
    max_fnir_increase: Annotated[str, Field(pattern=INCREASE, max_length=20)] | None = None
    """FNIR may be so much above the baseline's: absolute, `0.01`, or relative, `10%`."""
    alpha: Annotated[float, Field(ge=1e-4, le=0.2)] = DEFAULT_ALPHA
    """FAIL where all is within the limits, and PASS where it is not, have at most this probability each."""

    @property
    def limits(self) -> int:
        """How many limits there are; alpha is shared out among them."""
        return (self.max_fnir is not None) + (self.max_fnir_increase is not None)

    @property
    def increase(self) -> Increase | None:
        """`max_fnir_increase`, read."""
        return None if self.max_fnir_increase is None else Increase.parse(self.max_fnir_increase)

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.max_fnir_increase is not None:
            Increase.parse(self.max_fnir_increase)
        return self


class SearchPoint(Data):
    """FNIR at the lowest threshold whose FPIR is at most the target."""

    target_fpir: float
    threshold: float | None
    """As printed it has the rates that are printed. Null: every score is returned."""
    fpir: Rate
    """As measured there: at most the target."""
    fnir: Rate
    """The mate is missing, or below the threshold, at any rank of the list."""
    resolved: bool
    """Whether 30 false positives are to be expected at the target."""


class RankPoint(Data):
    """The cumulative match characteristic at one rank: without a threshold."""

    rank: int
    found: float
    """Share of mated searches whose mate stands at this rank or before; a tie with another counts against it."""


class SearchesFound(Data):
    """All that was measured of candidate lists."""

    schema_version: Literal[1] = 1
    set: EvaluatedSet
    gallery: int
    """References that were searched."""
    mated: int
    """Searches of a probe whose subject is in the gallery."""
    non_mated: int
    non_mated_are: Literal["probes without a mate", "mated searches, the mate put aside"]
    """Where every probe has a mate, each search is taken once more without it: a gallery one smaller."""
    candidates: int
    """Rows of the lists."""
    shortest: int
    """Candidates of the shortest list."""
    longest: int
    points: tuple[SearchPoint, ...]
    rank_one: Rate
    """Share of mated searches whose mate does not stand alone at rank 1."""
    ranks: tuple[RankPoint, ...]
    det: tuple[DetPoint, ...] = ()
    """FNIR (told as `fnmr`) over FPIR (as `fmr`), FPIR falling; empty in what an older version wrote."""
    notes: tuple[str, ...]
    rule: SearchRule = SearchRule()
    baseline: "SearchesFound | None" = None
    """The same searches by the version before."""
    difference: DifferenceFound | None = None
    """Of FNIR at the first FPIR, to the baseline."""
    limits: tuple[LimitFound, ...] = ()
    verdict: Verdict | None = None
    """Null without a limit."""
    reason: str = ""
