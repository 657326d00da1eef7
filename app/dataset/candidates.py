"""What came out of 1:N searches whose candidate lists were handed in. Terms and definitions: ISO/IEC 19795-1.

A *mated* search is of a probe whose subject has a reference in the gallery, a *non-mated* one of a probe whose subject
has none. FNIR(T) is the share of mated searches that do not return the mate with a score >= T, FPIR(T) the share of
non-mated searches that return anybody with a score >= T. A search that returned nobody is a miss, and no false
positive.
"""

from typing import Literal

from app.dataset.evaluation import EvaluatedSet
from app.dataset.measures import Data, Rate


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
    notes: tuple[str, ...]
