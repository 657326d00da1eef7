"""The pairs of samples to look at first: of one subject and least alike, of different subjects and most alike."""

import heapq
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from app.dataset.names import sample_name
from app.dataset.report import SamplePair
from workers.biometrics.crossed import CrossedScores
from workers.biometrics.tails import look_alikes
from workers.biometrics.templates import Comparer
from workers.report import figures
from workers.report.evidence import Evidence, JudgedBy

LISTED = 12
"""Pairs named of either kind."""

BLOCK = 512
"""Rows of a block of one subject's scores, so that memory does not grow with its samples."""


class _Extreme(NamedTuple):
    """One pair of rows of the evidence, `first` < `second`."""

    score: float
    first: int
    second: int


def worst_mated(evidence: Evidence, judge: JudgedBy, listed: int = LISTED) -> tuple[SamplePair, ...]:
    """The lowest mated score of each subject, the lowest first; ties by subject.

    One pair a subject: else all would show the same failed sample. Subjects with fewer than two templates have none.
    """
    rows = _rows(evidence, judge)
    comparer = Comparer.of(judge.templates[rows], judge.templates[rows], judge.metric)
    lowest = heapq.nsmallest(listed, (_lowest(comparer, rows, part) for part in _by_subject(evidence.subjects[rows])))
    return tuple(_named(evidence, pair) for pair in lowest if pair.score < np.inf)


def most_alike(
    evidence: Evidence, judge: JudgedBy, scores: CrossedScores, listed: int = LISTED
) -> tuple[SamplePair, ...]:
    """The two samples that score highest of each of the pairs of subjects most alike, the highest first."""
    rows = _rows(evidence, judge)
    owners = evidence.subjects[rows]
    comparer = Comparer.of(judge.templates[rows], judge.templates[rows], judge.metric)
    found = []
    for pair in look_alikes(scores.tail, listed):
        left, right = (slice(*np.searchsorted(owners, [who, who + 1]).tolist()) for who in (pair.reference, pair.probe))
        best = max(_highest(comparer, rows, left, right))
        found.append(best)
    return tuple(_named(evidence, pair) for pair in sorted(found, key=lambda pair: (-pair.score, pair[1:])))


def _rows(evidence: Evidence, judge: JudgedBy) -> NDArray[np.int64]:
    """Rows of judged subjects that have a template, by subject and sample."""
    extracted = ~np.isnan(judge.templates[:, 0]) if len(judge.templates) else np.zeros(0, bool)
    rows = np.flatnonzero(extracted & evidence.mated)
    return rows[np.lexsort((evidence.samples[rows], evidence.subjects[rows]))]


def _by_subject(owners: NDArray[np.int64]) -> Iterator[slice]:
    ends = [*np.flatnonzero(np.diff(owners)) + 1, len(owners)]
    start = 0
    for end in ends:
        yield slice(start, int(end))
        start = int(end)


def _lowest(comparer: Comparer, rows: NDArray[np.int64], part: slice) -> _Extreme:
    """The lowest score within a subject's rows; infinite where there are fewer than two."""
    lowest = _Extreme(np.inf, 0, 0)
    for top in range(part.start, part.stop, BLOCK):
        block = comparer.block(slice(top, min(top + BLOCK, part.stop)), slice(top, part.stop))
        # Each pair once: what is right of the diagonal.
        block[np.tril_indices(len(block), 0, block.shape[1])] = np.inf
        at, other = np.unravel_index(int(block.argmin()), block.shape)
        found = _Extreme(float(block[at, other]), int(rows[top + at]), int(rows[top + other]))
        lowest = min(lowest, found)
    return lowest


def _highest(comparer: Comparer, rows: NDArray[np.int64], left: slice, right: slice) -> Iterator[_Extreme]:
    for top in range(left.start, left.stop, BLOCK):
        block = comparer.block(slice(top, min(top + BLOCK, left.stop)), right)
        at, other = np.unravel_index(int(block.argmax()), block.shape)
        first, second = sorted((int(rows[top + at]), int(rows[right.start + other])))
        yield _Extreme(float(block[at, other]), first, second)


def _named(evidence: Evidence, pair: _Extreme) -> SamplePair:
    names = [sample_name(int(evidence.subjects[row]), int(evidence.samples[row])) for row in pair[1:]]
    return SamplePair(score=figures.rounded(pair.score), samples=(names[0], names[1]))
