"""What a matcher makes of a gallery: distributions of scores and FNMR at FMR, every subject weighing alike.

Legend: S subjects; scores are counted on a fine grid of F cells; `mated` [S, F] is each subject's own distribution over
its mated pairs (rows sum to 1, or 0 where there are none), `shared` [S, F] holds for each subject the sum, over all
others, of the distribution of its comparisons with that other.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from app.dataset.profile import LEAST_CELL, ROUNDED_TO, Histogram, Point
from app.dataset.resolution import comparisons_needed
from workers.biometrics.templates import Comparer, Metric, TemplateTable
from workers.profile.tell import Floats, Noise, rounded, tell_histogram

FINE = 2_048
"""Cells in which scores are counted here; FINE // COARSE of them make one that may be told."""

COARSE = 256

ENDS: dict[Metric, tuple[float, float]] = {"cosine": (-1.0, 1.0), "euclidean": (-2.0, 0.0)}
"""Of the grid; what lies beyond is counted at its ends."""

TOLD = 8

FMRS = (1e-2, 1e-3, 1e-4)
"""At which FNMR is told, as far as there are subjects enough."""

OTHERS_SENSITIVITY = 3.0
"""Of the non-mated histogram: a subject's own comparisons weigh 2, and the others lose 1 to make room."""

NORMAL_95 = 1.96


@dataclass(frozen=True, kw_only=True, eq=False)
class ScoreWeights:
    """See the legend."""

    metric: Metric
    mated: Floats
    shared: Floats

    @property
    def has_mated(self) -> NDArray[np.bool_]:
        """[S] whether a subject has a mated pair."""
        return np.asarray(self.mated.sum(1) > 0)

    @property
    def edges(self) -> Floats:
        """[F + 1]"""
        low, high = ENDS[self.metric]
        return np.linspace(low, high, FINE + 1)


def weigh_scores(
    table: TemplateTable,
    metric: Metric,
    subjects: int,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> ScoreWeights:
    """Compare all templates of a table with each other; `on_progress` gets subjects done and in all."""
    kept = table.take(table.extracted)
    kept = kept.take(np.argsort(kept.subjects, kind="stable"))
    counts = np.bincount(kept.subjects, minlength=subjects)
    starts = np.concatenate([[0], np.cumsum(counts)])
    mated, shared = np.zeros((subjects, FINE)), np.zeros((subjects, FINE))
    weight = 1 / counts[kept.subjects] if len(kept) else np.zeros(0)
    low, high = ENDS[metric]
    comparer = Comparer.of(kept.templates, kept.templates, metric) if len(kept) else None
    for subject in range(subjects):
        rows = slice(int(starts[subject]), int(starts[subject + 1]))
        if comparer is None or rows.start == rows.stop:
            continue
        scores = comparer.block(rows, slice(0, len(kept))).astype(np.float64)
        cells = np.clip(((scores - low) / (high - low) * FINE).astype(np.int64), 0, FINE - 1)
        own = cells[:, rows][np.triu_indices(rows.stop - rows.start, 1)]
        if len(own):
            mated[subject] = np.bincount(own, minlength=FINE) / len(own)
        every = np.broadcast_to(weight / counts[subject], cells.shape).copy()
        every[:, rows] = 0
        shared[subject] = np.bincount(cells.ravel(), weights=every.ravel(), minlength=FINE)
        on_progress(subject + 1, subjects)
    return ScoreWeights(metric=metric, mated=mated, shared=shared)


def tell_scores(name: str, found: ScoreWeights, noise: Noise, to: int) -> tuple[Histogram | None, Histogram]:
    """Histograms of mated scores, None where there are none, and of non-mated ones."""
    there = int((found.shared.sum(1) > 0).sum())
    others = found.shared.sum(0) / max(there - 1, 1)
    told = []
    for kind, weights, sensitivity in (
        ("mated", found.mated.sum(0), 1.0),
        ("non_mated", others, OTHERS_SENSITIVITY),
    ):
        coarse = np.append(weights.reshape(COARSE, -1).sum(1), 0.0)
        told.append(
            tell_histogram(
                f"{name}.{kind}",
                coarse,
                found.edges[:: FINE // COARSE].tolist(),
                unit="score",
                told=TOLD,
                noise=noise,
                to=to,
                sensitivity=sensitivity,
            )
        )
    return (told[0] if told[0].total else None), told[1]


def tell_points(found: ScoreWeights) -> tuple[Point, ...]:
    """FNMR at FMRs, and by how much it moves at the most when any one subject is left out."""
    sums = _Sums.of(found)
    return tuple(_point(sums, fmr) for fmr in FMRS)


def fnmr_of(found: ScoreWeights) -> dict[float, tuple[float, float, float]]:
    """FNMR with its interval at the FMRs that are resolved, weighed as profiles weigh it and not rounded."""
    sums = _Sums.of(found)
    there, tried = int(sums.there.sum()), int(sums.has_mated.sum())
    pairs = there * (there - 1) / 2
    rates = {}
    for target in FMRS:
        if pairs >= comparisons_needed(target) and tried:
            edge = int(np.argmax(sums.shared_above.sum(0) / 2 <= target * pairs))
            shares = sums.missed[sums.has_mated, edge]
            rate, error = float(shares.mean()), NORMAL_95 * float(shares.std()) / math.sqrt(tried)
            rates[target] = (rate, max(rate - error, 0.0), min(rate + error, 1.0))
    return rates


@dataclass(frozen=True, kw_only=True, eq=False)
class _Sums:
    """Cumulated over the grid, so that leaving one subject out is a subtraction."""

    shared_above: Floats
    """[S, F + 1] weight at or above each edge."""
    missed: Floats
    """[S, F + 1] share of each subject's mated pairs below each edge."""
    has_mated: NDArray[np.bool_]
    there: NDArray[np.bool_]
    """[S] whether a subject has comparisons with others."""

    @classmethod
    def of(cls, found: ScoreWeights) -> "_Sums":
        above = np.zeros((len(found.shared), FINE + 1))
        above[:, :-1] = np.cumsum(found.shared[:, ::-1], 1)[:, ::-1]
        missed = np.zeros_like(above)
        missed[:, 1:] = np.cumsum(found.mated, 1)
        return cls(
            shared_above=above, missed=missed, has_mated=found.has_mated, there=np.asarray(found.shared.sum(1) > 0)
        )


def _point(sums: _Sums, target: float) -> Point:
    there = int(sums.there.sum())
    pairs = there * (there - 1) / 2
    resolved = pairs >= comparisons_needed(target)
    if not resolved or not sums.has_mated.any():
        return Point(target_fmr=target, fnmr=None, low=0.0, high=1.0, one_subject=0.0, resolved=resolved)
    whole = sums.shared_above.sum(0) / 2
    edge = int(np.argmax(whole <= target * pairs))
    told = _told(sums.missed[sums.has_mated, edge], int(sums.has_mated.sum()))
    moved = 0.0
    for subject in np.flatnonzero(sums.there | sums.has_mated):
        fewer = there - int(sums.there[subject])
        left = whole - sums.shared_above[subject]
        other = int(np.argmax(left <= target * fewer * (fewer - 1) / 2 + 1e-9))
        kept = sums.has_mated.copy()
        kept[subject] = False
        if kept.any():
            again = _told(sums.missed[kept, other], int(kept.sum()))
            moved = max(moved, *(abs((a or 0.0) - (b or 0.0)) for a, b in zip(told, again, strict=True)))
    value, low, high = told
    return Point(
        target_fmr=target,
        fnmr=value,
        low=low or 0.0,
        high=1.0 if high is None else high,
        one_subject=min(1.0, math.ceil(moved * 1e4) / 1e4),
        resolved=resolved,
    )


def _told(shares: Floats, subjects: int) -> tuple[float | None, float | None, float | None]:
    """FNMR with its interval, as it may be told, of each subject's own share [subjects]."""
    over = max(rounded(subjects), ROUNDED_TO)
    weight, spread = float(shares.sum()), float(shares.std()) * math.sqrt(subjects)
    low = ROUNDED_TO * math.floor(max(weight - NORMAL_95 * spread, 0.0) / ROUNDED_TO)
    high = ROUNDED_TO * math.ceil((weight + NORMAL_95 * spread) / ROUNDED_TO)
    if weight < LEAST_CELL:
        return None, 0.0, _share(max(high, LEAST_CELL), over)
    return _share(rounded(weight), over), _share(low, over), _share(high, over)


def _share(count: int, over: int) -> float:
    return round(min(count / over, 1.0), 6)
