"""What is kept of non-mated scores as they pass: the highest exactly, all of them in bins that widen as need be."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from workers.biometrics.histogram import ScoreHistogram

Floats = NDArray[np.float64]
Codes = NDArray[np.int64]

BINS = 2**18
"""Bins over the range that scores turn out to have."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Tail:
    """The K highest scores, descending; ties by reference and probe, so that the order of rows is no matter."""

    scores: Floats
    """[K]"""
    references: Codes
    """[K] the subject's code."""
    probes: Codes
    """[K]"""
    cells: Codes | None = None
    """[K] where each comparison is in the list; None in what was kept before that was."""

    def __len__(self) -> int:
        return len(self.scores)


class Highest:
    """Keeps the `keep` highest of any number of scores, holding at most about three times as many."""

    def __init__(self, keep: int) -> None:
        self._keep = keep
        self._cut = -np.inf
        self._held = 0
        self._parts: list[tuple[Floats, Codes, Codes, Codes]] = []

    def add(self, scores: Floats, references: Codes, probes: Codes, cells: Codes) -> None:
        """Take some in; their subjects' codes, and where they are in the list, beside them."""
        if self._cut > -np.inf:
            near = scores >= self._cut
            scores, references, probes, cells = scores[near], references[near], probes[near], cells[near]
        self._parts.append((scores, references, probes, cells))
        self._held += len(scores)
        if self._held > 2 * self._keep:
            top = self._top()
            self._parts, self._held = [top], len(top[0])
            self._cut = float(top[0][-1])

    def tail(self) -> Tail:
        """What is kept."""
        scores, references, probes, cells = self._top()
        return Tail(scores=scores, references=references, probes=probes, cells=cells)

    def _top(self) -> tuple[Floats, Codes, Codes, Codes]:
        none = np.zeros(0, np.int64)
        columns = zip((np.zeros(0), none, none, none), *self._parts, strict=True)
        scores, references, probes, cells = (np.concatenate(column) for column in columns)
        if len(scores) > self._keep:
            # Ties with the last stay for now, so that the order below decides among them.
            near = scores >= np.partition(scores, len(scores) - self._keep)[len(scores) - self._keep]
            scores, references, probes, cells = scores[near], references[near], probes[near], cells[near]
        order = np.lexsort((cells, probes, references, -scores))[: self._keep]
        return scores[order], references[order], probes[order], cells[order]


class WideningHistogram:
    """Counts scores of a range not known beforehand. What comes out depends on the scores alone, not their order."""

    def __init__(self) -> None:
        self._counted = ScoreHistogram.over(0.0, 1.0)
        self._low = np.inf
        self._high = -np.inf

    def add(self, scores: Floats) -> None:
        """Count some finite scores."""
        if not len(scores):
            return
        low, high = min(self._low, float(scores.min())), max(self._high, float(scores.max()))
        if (low, high) != (self._low, self._high):
            self._widen(low, high)
        self._counted.add(scores)

    def counted(self) -> ScoreHistogram:
        """The counts so far; an empty histogram of [0, 1] without any."""
        return self._counted

    def _widen(self, low: float, high: float) -> None:
        wider = ScoreHistogram.over(low, high if high > low else low + max(1.0, abs(low)), BINS)
        before = self._counted
        if self._low == self._high:
            # All are one score; bins of the range made up for it may be wider than the new ones.
            wider.add(np.array([self._low]))
            wider.counts[:] *= before.total
        elif before.total:
            # A power of two wider, so each bin goes into one bin whole.
            held = np.flatnonzero(before.counts)
            at = ((before.first + held) >> (before.exponent - wider.exponent)) - wider.first
            np.add.at(wider.counts, at, before.counts[held])
        self._counted, self._low, self._high = wider, low, high
