"""Scores in fixed fine bins, so that any number of them takes the same memory.

Bins are 2^-e wide with edges at whole multiples of it. Scaling by a power of two and rounding down are exact in
floating point, so every score is in its own bin, and counts at a bin's edge are exact; within a bin a count is
known to lie between those at its two edges.
"""

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

LARGEST_NUMBER = 60
"""Bits of a bin's number, at the most."""

LARGEST_EXPONENT = 1_000
"""Two to this power is still a number in double precision."""


@dataclass(frozen=True, kw_only=True, eq=False)
class ScoreHistogram:
    """Counts of scores by bin; bin i holds scores in [(first + i)·width, (first + i + 1)·width)."""

    first: int
    exponent: int
    """e: a bin is 2^-e wide."""
    counts: NDArray[np.int64]
    """[bins]"""

    @classmethod
    def over(cls, low: float, high: float, bins: int = 2**17) -> Self:
        """An empty histogram for scores from low to high in at most so many bins, and a few beyond for rounding."""
        if not low < high:
            raise ValueError(f"low must be below high, not {low} and {high}")
        exponent = int(np.floor(np.log2(bins) - np.log2(high - low)))
        # Scores that differ in their last bits only: a bin's number must stay an exact 64-bit integer.
        exponent = min(exponent, LARGEST_NUMBER - int(np.ceil(np.log2(max(abs(low), abs(high))))), LARGEST_EXPONENT)
        first = int(np.floor(low * 2.0**exponent)) - 2
        last = int(np.floor(high * 2.0**exponent)) + 2
        return cls(first=first, exponent=exponent, counts=np.zeros(last - first + 1, np.int64))

    @property
    def width(self) -> float:
        """Of a bin: by at most so much a threshold found on binned scores is too high."""
        return 2.0**-self.exponent

    @property
    def edges(self) -> NDArray[np.float64]:
        """[bins + 1], the upper end of the last bin included."""
        return np.asarray((self.first + np.arange(len(self.counts) + 1)) * self.width, np.float64)

    @property
    def total(self) -> int:
        """Scores counted."""
        return int(self.counts.sum())

    def add(self, scores: NDArray[Any]) -> None:
        """Count scores of any shape; raises ValueError if one is NaN or outside the range of bins."""
        if not scores.size:
            return
        scaled = np.floor(np.multiply(scores.ravel(), scores.dtype.type(2.0**self.exponent)))
        places = scaled.astype(np.int64)
        places -= self.first
        # NaN becomes the lowest integer, which bincount would refuse in words of its own.
        if places.min() < 0 or places.max() >= len(self.counts):
            edges = self.edges
            raise ValueError(f"a score is NaN or outside {edges[0]} … {edges[-1]}")
        counted = np.bincount(places)
        self.counts[: len(counted)] += counted

    def merge(self, other: "ScoreHistogram") -> "ScoreHistogram":
        """Both counted together; raises ValueError unless they have the same bins."""
        if (self.first, self.exponent, len(self.counts)) != (other.first, other.exponent, len(other.counts)):
            raise ValueError("histograms with different bins cannot be merged")
        return ScoreHistogram(first=self.first, exponent=self.exponent, counts=self.counts + other.counts)

    def reaching(self, threshold: float) -> tuple[int, int]:
        """How many scores are >= threshold, at least and at most; both are equal where it is a bin's edge."""
        place = np.float64(threshold) * 2.0**self.exponent
        above = np.append(np.cumsum(self.counts[::-1])[::-1], 0)
        # Round first: 1e-249 minus 65,536 would be a bin's edge, and is none.
        least = int(np.clip(np.ceil(place) - self.first, 0, len(self.counts)))
        most = int(np.clip(np.floor(place) - self.first, 0, len(self.counts)))
        return int(above[least]), int(above[most])

    def edge_allowing(self, matches: int) -> float:
        """The lowest edge that at most so many scores reach."""
        above = np.append(np.cumsum(self.counts[::-1])[::-1], 0)
        return float((self.first + int(np.argmax(above <= matches))) * self.width)
