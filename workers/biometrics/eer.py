"""Equal error rate: its definition, and its interval by resampling subjects."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.dataset.measures import EqualErrorRate
from workers.biometrics.bootstrap import DEFAULT, Bootstrap, SubjectSource
from workers.biometrics.errors import Unresolvable
from workers.biometrics.intervals import resampled_interval
from workers.biometrics.rates import Source

Floats = NDArray[np.float64]


def eer(source: Source) -> EqualErrorRate:
    """Equal error rate, defined as EqualErrorRate says."""
    mated, non_mated = len(source.mated_sorted), source.non_mated_total
    if not (mated and non_mated):
        raise Unresolvable(f"an EER needs both sides; there are {mated:,} mated and {non_mated:,} non-mated scores")

    def rates(threshold: float) -> tuple[float, float]:
        reaching = source.non_mated_reaching(threshold)[1]
        below = int(np.searchsorted(source.mated_sorted, np.float64(threshold), "left"))
        return reaching / non_mated, below / mated

    def crossed(threshold: float) -> bool:
        false_match, false_non_match = rates(threshold)
        return false_non_match >= false_match

    # FMR falls and FNMR rises with the threshold: the corner sought is found by bisection in each list.
    firsts = [(steps, _first(steps, crossed)) for steps in source.thresholds]
    after = min((float(steps[at]) for steps, at in firsts if at < len(steps)), default=np.inf)
    before = [float(steps[at - 1]) for steps in source.thresholds if (at := int(np.searchsorted(steps, after)))]
    if after == np.inf:  # even at the highest score more match than miss: only above it they cross
        after = float(np.nextafter(max(before), np.inf))
    low = rates(after)
    high = rates(max(before)) if before else (1.0, 0.0)
    # On the line from `high` (FMR above FNMR) to `low`, where FMR − FNMR is 0.
    gap_high, gap_low = high[0] - high[1], low[0] - low[1]
    share = gap_high / (gap_high - gap_low)
    return EqualErrorRate(
        value=high[0] + share * (low[0] - high[0]),
        threshold=after,
        mated=mated,
        non_mated=non_mated,
        rounding=max(high[0] - low[0], low[1] - high[1]) if source.binned else 0.0,
    )


def eer_by_subject(source: SubjectSource, bootstrap: Bootstrap = DEFAULT) -> EqualErrorRate:
    """EER with an interval by subject; the crossing is found anew in every replicate.

    Only as much of the non-mated tail is weighed as reaches past every replicate's crossing. Raises Unresolvable if the
    tail kept is too short for that, or subjects are not known.
    """
    found = eer(source)
    if source.mated_subjects is None:
        raise Unresolvable("the subjects of the scores are not known, so nothing can be resampled by subject")
    order = np.argsort(source.mated, kind="stable")
    mated, owners = np.asarray(source.mated[order], np.float64), source.mated_subjects[order]
    tail = source.tail
    replicates = np.full(bootstrap.replicates, np.nan)
    reach = min(len(tail.scores), int(1.5 * found.value * tail.total) + 200)
    for part, weights in bootstrap.multiplicities(source.subjects, 3 * (reach + len(mated))):
        missed = _running(weights[:, owners])
        values = np.full(len(weights), np.nan)
        waiting = np.flatnonzero(tail.pairs.weigh(weights) > 0)
        waiting = waiting[missed[waiting, -1] > 0]
        while waiting.size:
            some = weights[waiting]
            matched = _running(some[:, tail.references[:reach]] * some[:, tail.probes[:reach]])
            crossing = _crossings(
                np.asarray(tail.scores[:reach], np.float64),
                matched / tail.pairs.weigh(some)[:, None],
                mated,
                missed[waiting] / missed[waiting, -1:],
                whole=reach == tail.total,
            )
            values[waiting] = crossing
            waiting = waiting[np.isnan(crossing)]
            if waiting.size and reach == len(tail.scores):
                raise Unresolvable(f"a tail of {reach:,} non-mated scores is too short to bootstrap the EER; keep more")
            reach = min(2 * reach, len(tail.scores))
        replicates[part] = values
    compared = len(np.unique(source.mated_subjects))
    interval = resampled_interval(replicates, found.value, compared, "bootstrap by subject", bootstrap.confidence)
    return found.model_copy(update={"by_subject": interval})


def _running(weights: Floats) -> Floats:
    """Cumulated weights [b, n + 1], from 0."""
    return np.concatenate([np.zeros((len(weights), 1)), np.cumsum(weights, 1)], 1)


def _crossings(tail: Floats, matched: Floats, mated: Floats, missed: Floats, *, whole: bool) -> Floats:
    """EER [b] of replicates; NaN where they cross below the part of the tail given.

    `tail` [K] descending, `matched` [b, K + 1] the FMR once so many of its scores match; `mated` [M] ascending,
    `missed` [b, M + 1] the FNMR once so many are missed.
    """
    lowest = -np.inf if whole or not len(tail) else tail[-1]
    top = max(mated[-1], tail[0] if len(tail) else -np.inf)
    steps = np.unique(np.concatenate([tail[tail > lowest], mated[mated > lowest], [np.nextafter(top, np.inf)]]))
    fmr = matched[:, len(tail) - np.searchsorted(tail[::-1], steps, "left")]
    fnmr = missed[:, np.searchsorted(mated, steps, "left")]
    over = fnmr >= fmr
    after = over.argmax(1)
    rows = np.arange(len(over))
    before = np.maximum(after - 1, 0)
    high = fmr[rows, before] - fnmr[rows, before]
    low = fmr[rows, after] - fnmr[rows, after]
    # Without a step before it, the crossing may lie below what was given.
    known = after > 0
    share = np.divide(high, high - low, out=np.zeros(len(over)), where=known)
    values = fmr[rows, before] + share * (fmr[rows, after] - fmr[rows, before])
    return np.where(known, values, np.nan)


def _first(steps: NDArray[Any], holds: Callable[[float], bool]) -> int:
    """Index of the first entry for which `holds`, which never turns false again; the length if there is none."""
    low, high = 0, len(steps)
    while low < high:
        middle = (low + high) // 2
        if holds(float(steps[middle])):
            high = middle
        else:
            low = middle + 1
    return low
