"""FNIR in galleries larger than were searched, by extreme values of every probe's non-mated scores.

ISO/IEC 5152:2024 estimates FMR beyond the data by extreme value statistics, and leaves FPIR of 1:N search out of its
scope. This is its way of thinking taken to searches, not that standard. What makes the difference: probes are not
alike. Some resemble many references, so the comparisons of a search are not independent draws from one distribution.

Method: of each probe the k highest scores with the n others searched exceed its own level u (its k+1st score). Excesses
over all probes follow a generalised Pareto distribution of one shape ξ and scale s (Pickands 1975; estimated by
probability-weighted moments, Hosking and Wallis 1987). So in a gallery of N others a search returns somebody at the
threshold t with probability 1 − exp(−N · k/n · (1 + ξ (t − u)/s)^(−1/ξ)), FPIR is the mean of that over probes, and t
is solved for. All thresholds are then moved by one amount, so that in the gallery that was searched the formula's is
the measured one; what is extrapolated goes on from what was measured. FNIR is the share of mates below t.
Interval: every replicate draws probes' subjects and, by Poisson counts, references, and fits anew, with several k; and
each once more with the threshold moved by what the same method missed when galleries that were searched were held out,
in proportion to ln N. (Scores that end somewhere make ξ < 0, which nears 0 as N grows, so far out the fit errs
downward.) The ends are the outermost of all, so the interval widens with N. It cannot hold what no score seen tells of:
twins, one person under two names, references of another kind.
Legend: P probes, K candidates, S subjects, B replicates.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from app.dataset.resolution import ERRORS
from app.errors import Cancelled
from workers.biometrics.bootstrap import Bootstrap
from workers.biometrics.errors import Unresolvable
from workers.biometrics.extrapolation import FARTHEST
from workers.biometrics.galleries import Found
from workers.biometrics.identification import IdentificationPoint, has_mate, threshold_allowing
from workers.biometrics.intervals import resampled_interval
from workers.biometrics.rates import allowed

Floats = NDArray[np.float64]
Weights = NDArray[np.float64]

TAILS = (16, 32, 64)
"""How many of a probe's highest scores are its tail; the middle one gives the point."""

SHARE = 0.1
"""Of a probe's others, at most so many are a tail."""

BOOTSTRAP = Bootstrap(replicates=200)

STEPS = 24
"""Halvings by which a threshold is found: as exactly as float32 holds scores."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Tails:
    """The tails of all probes, of one length k."""

    levels: Floats
    """[P] u"""
    rates: Floats
    """[P] references above u, per reference of the pool: k/n."""
    shape: float
    """ξ; below 0 where scores end at a highest one."""
    scale: float
    """s, in units of scores."""

    def fpir(self, threshold: float, size: int, weights: Weights) -> float:
        """Share of searches of `size` others that return somebody; probes count as `weights` [P] say."""
        stretched = 1 + self.shape * (threshold - self.levels) / self.scale
        with np.errstate(divide="ignore", over="ignore"):
            if abs(self.shape) < 1e-9:
                expected = np.exp(-(threshold - self.levels) / self.scale)
            else:
                # Above a highest score nothing is expected; below the lowest that the formula knows, everything.
                over = np.where(stretched > 0, stretched, 0.0 if self.shape < 0 else np.inf)
                expected = np.where(stretched > 0, over ** (-1 / self.shape), 0.0 if self.shape < 0 else np.inf)
            returned = -np.expm1(-size * self.rates * expected)
        return float(weights @ returned / weights.sum())

    def threshold(self, size: int, fpir: float, weights: Weights) -> float:
        """Where FPIR in galleries of `size` others is the one asked for."""
        low = float(self.levels.min())
        reach = self.scale * 60 if self.shape >= 0 else -self.scale / self.shape
        high = float(self.levels.max()) + reach
        for _ in range(STEPS):
            middle = (low + high) / 2
            low, high = (middle, high) if self.fpir(middle, size, weights) > fpir else (low, middle)
        return high


@dataclass(frozen=True, kw_only=True, eq=False)
class Excesses:
    """What probes' k highest scores exceed their levels by; to be fitted with many weights."""

    k: int
    levels: Floats
    """[P]"""
    rising: Floats
    """[P · k] excesses, ascending."""
    order: NDArray[np.int64]
    """[P · k] by which they are."""
    rows: NDArray[np.int64]
    """[P, k] references of the pool."""
    largest: int
    """n"""

    @classmethod
    def of(cls, found: Found, k: int) -> Self:
        """Take them from a searched pool."""
        best = found.best.astype(np.float64)
        excess = (best[:, :k] - best[:, [k]]).ravel()
        order = np.argsort(excess, kind="stable")
        return cls(
            k=k,
            levels=best[:, k],
            rising=excess[order],
            order=order,
            rows=found.best_rows[:, :k],
            largest=found.largest,
        )

    def fit(self, probes: Weights, references: Weights) -> Tails:
        """Fit; probes count as `probes` [P] say, references of the pool as `references` [N].

        Raises Unresolvable where the excesses have no spread.
        """
        each = references[self.rows]
        weights = (each * probes[:, None]).ravel()[self.order]
        total = weights.sum()
        mean = float(weights @ self.rising / total)
        above = 1 - (np.cumsum(weights) - weights / 2) / total
        second = float(weights @ (self.rising * above) / total)
        if not mean > 2 * second > 0:
            raise Unresolvable("the highest scores are all the same, so they have no tail to be extrapolated")
        return Tails(
            levels=self.levels,
            rates=each.sum(1) / self.largest,
            shape=2 - mean / (mean - 2 * second),
            scale=2 * mean * second / (mean - 2 * second),
        )


def drift(found: Found, size: int, measured: Mapping[float, float]) -> dict[float, float]:
    """By how much thresholds measured in larger galleries, of `size`, were above those foretold, per unit of ln N.

    `measured` is FPIR to threshold. Raises Unresolvable as `beyond` does.
    """
    lengths = tails_of(found)
    strangers = _strangers(found)
    tails = Excesses.of(found, lengths[len(lengths) // 2]).fit(strangers, np.ones(int(found.best_rows.max()) + 1))
    steps = np.log(size / found.largest)
    return {
        fpir: float(
            (threshold - tails.threshold(size, fpir, strangers) - _offset(tails, found, fpir, strangers)) / steps
        )
        for fpir, threshold in measured.items()
    }


def _offset(tails: Tails, found: Found, fpir: float, strangers: Weights) -> float:
    """By how much the threshold measured in the whole pool is above the formula's."""
    measured = threshold_allowing(found.best[strangers > 0, 0], allowed(fpir, found.searches.searched))
    return measured - tails.threshold(found.largest, fpir, strangers)


def _strangers(found: Found) -> Weights:
    told = found.searches.strangers
    return np.ones(len(found.searches.mates)) if told is None else told.astype(np.float64)


def tails_of(found: Found) -> list[int]:
    """Lengths of tails that the pool allows; raises Unresolvable if none."""
    lengths = [k for k in TAILS if k <= SHARE * found.largest and k < found.best.shape[1]]
    if not lengths:
        raise Unresolvable(
            f"tails of {TAILS[0]} scores a probe need a gallery of {int(TAILS[0] / SHARE):,}, and there are "
            f"{found.largest:,}"
        )
    return lengths


def beyond(
    found: Found,
    sizes: Sequence[int],
    fpirs: Sequence[float],
    *,
    drifts: Mapping[float, float] | None = None,
    bootstrap: Bootstrap = BOOTSTRAP,
    should_cancel: Callable[[], bool] = lambda: False,
) -> list[IdentificationPoint]:
    """FNIR (by threshold, any rank) in galleries of these sizes, at every FPIR, from the whole pool searched.

    `drifts` widen the interval: what `drift` found within this pool, by FPIR.
    Raises Unresolvable for a size beyond 100 times the pool, a FPIR that the probes do not resolve, too small a pool.
    """
    searches = found.searches
    lengths, mated = tails_of(found), has_mate(searches)
    if max(sizes) > FARTHEST * found.largest:
        raise Unresolvable(f"{max(sizes):,} is more than {FARTHEST} times the largest gallery, {found.largest:,}")
    if poor := [fpir for fpir in fpirs if fpir * searches.searched < ERRORS]:
        raise Unresolvable(
            f"FPIR {poor[0]:g} needs {int(np.ceil(ERRORS / poor[0])):,} searches and there are {searches.searched:,}"
        )
    strangers = _strangers(found)
    scores, owners = searches.mates[mated].astype(np.float64), searches.subjects[mated]
    pool = int(found.best_rows.max()) + 1
    cells = [(fpir, size) for fpir in fpirs for size in sizes]
    excesses = [Excesses.of(found, k) for k in lengths]
    moved = np.array([(drifts or {}).get(fpir, 0.0) * np.log(size / found.largest) for fpir, size in cells])
    moves = [0.0 * moved, moved] if drifts else [moved]
    offsets, points = [], []
    for each in excesses:
        tails = each.fit(strangers, np.ones(pool))
        offsets.append(np.array([_offset(tails, found, fpir, strangers) for fpir, _ in cells]))
        points.append(_thresholds(tails, cells, strangers) + offsets[-1])
    point = points[len(points) // 2]
    rates = np.full((len(excesses), len(moves), bootstrap.replicates, len(cells)), np.nan)
    poisson = np.random.Generator(np.random.Philox(key=[bootstrap.seed, 2]))
    for part, weights in bootstrap.multiplicities(int(searches.subjects.max()) + 1):
        for number, drawn in zip(range(part.start, part.stop), weights, strict=True):
            if should_cancel():
                raise Cancelled("the extrapolation was called off")
            references = poisson.poisson(1.0, pool).astype(np.float64)
            probes, mates = drawn[searches.subjects] * strangers, drawn[owners]
            if not (probes.sum() and mates.sum()):
                continue
            for tail, each in enumerate(excesses):
                thresholds = _thresholds(each.fit(probes, references), cells, probes) + offsets[tail]
                for move, by in enumerate(moves):
                    rates[tail, move, number] = mates @ (scores[:, None] < thresholds + by) / mates.sum()
    models = rates.reshape(-1, *rates.shape[2:])
    return [
        _point(cell, point[at], scores, owners, list(models[:, :, at]), searches.searched, bootstrap)
        for at, cell in enumerate(cells)
    ]


def _thresholds(tails: Tails, cells: list[tuple[float, int]], weights: Weights) -> Floats:
    return np.array([tails.threshold(size, fpir, weights) for fpir, size in cells])


def _point(
    cell: tuple[float, int],
    threshold: float,
    scores: Floats,
    owners: NDArray[np.int64],
    rates: list[Floats],
    searched: int,
    bootstrap: Bootstrap,
) -> IdentificationPoint:
    fpir, size = cell
    value = float(np.mean(scores < threshold))
    method = "extreme values, fitted anew in a bootstrap by probe subject and reference"
    units = len(np.unique(owners))
    each = [resampled_interval(one, value, units, method, bootstrap.confidence, over="probe subjects") for one in rates]
    widest = each[0].model_copy(
        update={
            "low": min(*(one.low for one in each), value),
            "high": max(*(one.high for one in each), value),
            "method": f"{each[0].method}, {len(each)} models of the tail; the outermost ends",
        }
    )
    return IdentificationPoint(
        size=size,
        target_fpir=fpir,
        fpir=fpir,
        threshold=float(threshold),
        fnir=value,
        mated=len(scores),
        non_mated=searched,
        by_subject=widest,
        resolved=False,
        extrapolated=True,
    )
