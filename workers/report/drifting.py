"""Do the judges agree? Their scores of the same comparisons, and their FNMR at the same FMR."""

from itertools import combinations

import numpy as np
from numpy.typing import NDArray
from scipy.stats import spearmanr

from app.dataset.report import Drift, JudgeReport
from workers.biometrics.templates import Comparer
from workers.report import figures
from workers.report.evidence import Evidence, JudgedBy

MOST = 100_000
"""Comparisons of a side that correlations rest on, at the most; then evenly spaced ones."""

FEWEST = 10


def drift(evidence: Evidence, reports: tuple[JudgeReport, ...]) -> tuple[Drift, ...]:
    """Every two judges beside each other."""
    found = []
    for (first, left), (second, right) in combinations(zip(evidence.judges, reports, strict=True), 2):
        rows = np.flatnonzero(evidence.mated & ~np.isnan(first.templates[:, 0]) & ~np.isnan(second.templates[:, 0]))
        mated, non_mated = _pairs(evidence.subjects[rows])
        sides = [_correlation(first, second, rows[pairs]) for pairs in (mated, non_mated)]
        shared = {
            f"{point.target_fmr:g}": (point.fnmr.value, other.fnmr.value)
            for point in left.points
            if point.fnmr and (other := right.at_fmr(point.target_fmr)) and other.fnmr
        }
        found.append(
            Drift(
                judges=(left.matcher.name, right.matcher.name),
                mated_correlation=sides[0],
                non_mated_correlation=sides[1],
                comparisons=len(mated) + len(non_mated),
                fnmr=shared,
            )
        )
    return tuple(found)


def _pairs(subjects: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Pairs of rows, mated and non-mated, [P, 2]; at most MOST of each, evenly spaced. Rows come by subject."""
    starts = np.flatnonzero(np.append(True, subjects[1:] != subjects[:-1])) if len(subjects) else np.zeros(0, int)
    sizes = np.diff(np.append(starts, len(subjects)))
    mated = [
        np.stack(np.triu_indices(size, 1), 1) + start for start, size in zip(starts, sizes, strict=True) if size > 1
    ]
    every = np.concatenate([np.zeros((0, 2), np.int64), *mated])
    total = len(subjects) * (len(subjects) - 1) // 2
    # Numbers of pairs (i < j) in the order of np.triu_indices, turned into i and j without listing all of them.
    number = np.unique(np.linspace(0, total - 1, min(2 * MOST, total)).astype(np.int64)) if total else np.zeros(0, int)
    count = len(subjects)
    left = np.floor(count - 0.5 - np.sqrt((count - 0.5) ** 2 - 2 * number)).astype(np.int64)
    right = number - left * (2 * count - left - 1) // 2 + left + 1
    apart = subjects[left] != subjects[right]
    return _thinned(every), _thinned(np.stack([left[apart], right[apart]], 1))


def _thinned(pairs: NDArray[np.int64]) -> NDArray[np.int64]:
    if len(pairs) <= MOST:
        return pairs
    return pairs[np.linspace(0, len(pairs) - 1, MOST).astype(np.int64)]


def _correlation(first: JudgedBy, second: JudgedBy, pairs: NDArray[np.int64]) -> float | None:
    if len(pairs) < FEWEST:
        return None
    scores = [_scores(judge, pairs) for judge in (first, second)]
    if any(side.min() == side.max() for side in scores):
        return None
    return figures.rounded(float(spearmanr(*scores).statistic))


def _scores(judge: JudgedBy, pairs: NDArray[np.int64]) -> NDArray[np.float32]:
    rows, places = np.unique(pairs, return_inverse=True)
    templates = judge.templates[rows]
    places = places.reshape(pairs.shape)
    return Comparer.of(templates, templates, judge.metric).pairs(places[:, 0], places[:, 1])
