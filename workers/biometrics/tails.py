"""The tail of non-mated scores: the most alike of different subjects, exactly, and how many comparisons are below.

The tail decides FMR at the thresholds that matter. Legend: K scores kept of N completed; B replicates, S subjects.
"""

from dataclasses import dataclass
from typing import Protocol, Self

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from app.dataset.measures import CONFIDENCE, Interval
from workers.biometrics.errors import Unresolvable
from workers.biometrics.intervals import exact_interval

Floats = NDArray[np.float64]
Codes = NDArray[np.int64]


class Pairs(Protocol):
    """Which non-mated comparisons there are, as far as weighing them needs it."""

    def weigh(self, multiplicities: Floats) -> Floats:
        """Summed weight [B] of all non-mated comparisons, when subjects count [B, S] times; a comparison weighs the
        product of both its subjects'."""
        ...


@dataclass(frozen=True, eq=False)
class ListedPairs:
    """Comparisons listed one by one."""

    counts: sparse.csr_array
    """[S, S] comparisons of reference subject with probe subject."""

    @classmethod
    def of(cls, references: Codes, probes: Codes, subjects: int) -> Self:
        """Count comparisons by pair of subjects."""
        ones = np.ones(len(references))
        return cls(sparse.coo_array((ones, (references, probes)), shape=(subjects, subjects)).tocsr())

    def weigh(self, multiplicities: Floats) -> Floats:
        """See Pairs."""
        return np.asarray(((self.counts @ multiplicities.T).T * multiplicities).sum(1))


@dataclass(frozen=True, eq=False)
class CrossedPairs:
    """Every reference template with every probe template of another subject, or, within one table, each pair once."""

    references: Floats
    """[S] templates of each subject on the reference side."""
    probes: Floats | None
    """[S] on the probe side; None within one table."""

    def weigh(self, multiplicities: Floats) -> Floats:
        """See Pairs."""
        left = multiplicities * self.references
        if self.probes is None:
            return np.asarray((left.sum(1) ** 2 - (left**2).sum(1)) / 2)
        right = multiplicities * self.probes
        return np.asarray(left.sum(1) * right.sum(1) - (left * right).sum(1))


@dataclass(frozen=True, kw_only=True, eq=False)
class NonMatedTail:
    """The K highest non-mated scores; all N of them if nothing was cut."""

    scores: NDArray[np.floating]
    """[K] descending."""
    references: Codes
    """[K] subject of the reference."""
    probes: Codes
    """[K] subject of the probe."""
    total: int
    """N, all completed non-mated comparisons."""
    pairs: Pairs

    @property
    def complete(self) -> bool:
        """Whether no score was cut off."""
        return len(self.scores) == self.total

    def reaching(self, threshold: float) -> int:
        """How many non-mated scores are >= threshold; raises Unresolvable if that is more than were kept."""
        count = int(np.count_nonzero(self.scores >= np.float64(threshold)))
        if count == len(self.scores) and not self.complete:
            raise Unresolvable(
                f"all {count:,} scores kept of the non-mated tail reach {threshold:g}; keep a longer tail"
            )
        return count


@dataclass(frozen=True, kw_only=True)
class TailPoint:
    """One point of the tail: the k-th highest non-mated score."""

    rank: int
    """k, from 1."""
    score: float
    fmr: float
    """k / N: the FMR of a threshold at this score, if no lower-ranked score ties with it."""
    interval: Interval


@dataclass(frozen=True, kw_only=True)
class LookAlikes:
    """Two subjects that score high though they are different."""

    score: float
    reference: int
    probe: int


def tail_points(tail: NonMatedTail, per_decade: int = 4, confidence: float = CONFIDENCE) -> list[TailPoint]:
    """Read the tail at ranks spaced evenly in log: from FMR 1/N to what was kept. Intervals are Clopper–Pearson's."""
    kept = len(tail.scores)
    if not kept:
        raise Unresolvable("there are no non-mated comparisons, so there is no tail")
    steps = np.arange(int(np.log10(kept) * per_decade) + 1) / per_decade
    ranks = np.unique(np.append(np.round(10**steps).astype(int), kept))
    return [
        TailPoint(
            rank=int(rank),
            score=float(tail.scores[rank - 1]),
            fmr=rank / tail.total,
            interval=exact_interval(int(rank), tail.total, confidence),
        )
        for rank in ranks
    ]


def look_alikes(tail: NonMatedTail, count: int = 20) -> list[LookAlikes]:
    """The pairs of subjects with the highest non-mated scores, each pair once with its best."""
    seen: set[tuple[int, int]] = set()
    found = []
    for score, reference, probe in zip(tail.scores, tail.references, tail.probes, strict=True):
        pair = (min(reference, probe), max(reference, probe))
        if pair not in seen:
            seen.add(pair)
            found.append(LookAlikes(score=float(score), reference=int(reference), probe=int(probe)))
            if len(found) == count:
                break
    return found
