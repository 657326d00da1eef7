"""Rates of a verification test: FMR, FNMR, operating points, DET, failures to enrol and to extract.

A comparison matches iff `score >= threshold`. So FMR(t) is the share of non-mated scores >= t, and FNMR(t) the
share of mated scores < t; a score that equals the threshold counts as a match on either side. Both are over
completed comparisons; what failed is counted beside. Definitions: ISO/IEC 19795-1.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import ROUND_FLOOR, Context, Decimal
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from app.dataset.measures import CONFIDENCE, FMR_SIDE, FNMR_SIDE, DetPoint, Rate
from app.dataset.resolution import comparisons_needed
from workers.biometrics.errors import Unresolvable
from workers.biometrics.intervals import exact_interval
from workers.biometrics.scores import Failures


class Source(Protocol):
    """Scores to take rates of: a ScoreSet holds them one by one, CrossedScores in bins with an exact tail."""

    @property
    def binned(self) -> bool:
        """Whether counts of non-mated scores are exact in places only."""

    @property
    def failures(self) -> Failures:
        """What is missing among them."""

    @property
    def mated_sorted(self) -> NDArray[Any]:
        """[M] ascending."""

    @property
    def non_mated_total(self) -> int:
        """N."""

    @property
    def non_mated_kept(self) -> NDArray[Any]:
        """[K] ascending: the highest non-mated scores, all of them if they were few enough to be kept one by one."""

    @property
    def thresholds(self) -> tuple[NDArray[Any], ...]:
        """Ascending lists that together hold every threshold at which a rate is known to step."""

    def non_mated_reaching(self, threshold: float) -> tuple[int, int]:
        """How many non-mated scores are >= threshold: at least and at most."""

    def threshold_allowing(self, matches: int) -> float:
        """The smallest threshold known to let at most so many non-mated scores through; −inf if all may."""


@dataclass(frozen=True, kw_only=True)
class OperatingPoint:
    """FNMR at a target FMR."""

    target_fmr: float
    threshold: float
    """The lowest whose FMR is at most the target; see `threshold_at_fmr`."""
    fmr: Rate
    """As measured at that threshold: at most the target, often below it."""
    fnmr: Rate
    resolved: bool
    """Whether the rule of 30 lets N non-mated comparisons speak of this target."""


def allowed(rate: float, trials: int) -> int:
    """The most errors whose share is at most `rate`, as floating point divides; raises ValueError below 0 or NaN."""
    if not rate >= 0:
        raise ValueError(f"a rate must be at least 0, not {rate}")
    if rate >= 1 or not trials:
        return trials
    count = int(rate * trials)
    # 0.29 * 100 = 28.999999999999996, yet 29 / 100 <= 0.29.
    if (count + 1) / trials <= rate:
        return count + 1
    return count - 1 if count / trials > rate else count


def threshold_at_fmr(source: Source, fmr: float) -> float:
    """The lowest threshold whose FMR is *at most* the target, as few digits long as may be.

    It lies above a non-mated score, which with all that tie with it is below, and not above the next score that
    occurs, mated or not: anywhere in between every comparison falls as it does here, so what is printed has the FMR
    and the FNMR that are printed beside it. A target under 1/N puts it just above the highest non-mated score; a
    target of 1 or more gives −inf. Raises Unresolvable if there are no non-mated scores.
    """
    total = source.non_mated_total
    if not total:
        raise Unresolvable("there are no non-mated comparisons, so no threshold has an FMR; add comparisons")
    return shortest_threshold(source, source.threshold_allowing(allowed(fmr, total)))


def shortest_threshold(source: Source, threshold: float) -> float:
    """The threshold with the fewest digits at which every score lies on the side on which this one puts it.

    Where scores are known in bins alone, or none is as high, it stays as it is.
    """
    kept = source.non_mated_kept
    known = len(kept) == source.non_mated_total or (len(kept) > 0 and threshold > float(kept[0]))
    if not (known and np.isfinite(threshold)):
        return threshold
    below, at = -np.inf, np.inf
    for scores in (source.mated_sorted, kept):
        place = int(np.searchsorted(scores, np.float64(threshold), "left"))
        if place:
            below = max(below, float(scores[place - 1]))
        if place < len(scores):
            at = min(at, float(scores[place]))
    if np.isinf(at):
        return threshold
    exact = Decimal(repr(at))
    for digits in range(1, 17):
        short = float(Context(prec=digits, rounding=ROUND_FLOOR).create_decimal(exact))
        if below < short <= at:
            return short
    return at


def fmr(source: Source, threshold: float, confidence: float = CONFIDENCE) -> Rate:
    """FMR at a threshold; binned scores give the upper bound, and say how far it may be too high."""
    total = source.non_mated_total
    if not total:
        raise Unresolvable("there are no non-mated comparisons, so there is no FMR; add comparisons")
    _check_threshold(threshold)
    least, most = source.non_mated_reaching(threshold)
    return Rate(
        name="FMR",
        value=most / total,
        errors=most,
        trials=total,
        failed=source.failures.non_mated,
        side=FMR_SIDE,
        exact=exact_interval(most, total, confidence),
        rounding=(most - least) / total,
    )


def fnmr(source: Source, threshold: float, confidence: float = CONFIDENCE) -> Rate:
    """FNMR at a threshold, exact."""
    total = len(source.mated_sorted)
    if not total:
        raise Unresolvable("there are no mated comparisons, so there is no FNMR; add comparisons")
    _check_threshold(threshold)
    below = int(np.searchsorted(source.mated_sorted, np.float64(threshold), "left"))
    return Rate(
        name="FNMR",
        value=below / total,
        errors=below,
        trials=total,
        failed=source.failures.mated,
        side=FNMR_SIDE,
        exact=exact_interval(below, total, confidence),
    )


def fnmr_at_fmr(source: Source, target: float, confidence: float = CONFIDENCE) -> OperatingPoint:
    """FNMR at the smallest threshold whose FMR is at most the target."""
    threshold = threshold_at_fmr(source, target)
    return OperatingPoint(
        target_fmr=target,
        threshold=threshold,
        fmr=fmr(source, threshold, confidence),
        fnmr=fnmr(source, threshold, confidence),
        resolved=target > 0 and source.non_mated_total >= comparisons_needed(min(target, 1.0)),
    )


def det(source: Source, targets: Sequence[float] | None = None, confidence: float = CONFIDENCE) -> list[OperatingPoint]:
    """Points of the DET at target FMRs, descending; left out, ten a decade from 1 down to the first <= 1/N."""
    if targets is None:
        decades = np.log10(max(source.non_mated_total, 1))
        targets = [float(10 ** (-step / 10)) for step in range(int(np.ceil(decades * 10)) + 1)]
    return [fnmr_at_fmr(source, target, confidence) for target in sorted(targets, reverse=True)]


def det_point(point: OperatingPoint) -> DetPoint:
    """An operating point as one of a curve, with FNMR's better interval."""
    interval = point.fnmr.interval
    return DetPoint(
        target_fmr=point.target_fmr,
        resolved=point.resolved,
        fmr=point.fmr.value,
        fnmr=point.fnmr.value,
        low=interval.low,
        high=interval.high,
        by_subject=point.fnmr.by_subject is not None,
    )


def failure_to_enrol(failures: Failures, confidence: float = CONFIDENCE) -> Rate | None:
    """FTE: share of references that could not be enrolled; None if attempts were not counted."""
    side = "references from which no template could be made"
    return _failure("FTE", side, failures.enrolments_failed, failures.enrolments, confidence)


def failure_to_extract(failures: Failures, confidence: float = CONFIDENCE) -> Rate | None:
    """FTX: share of probes from which no template could be extracted; None if attempts were not counted."""
    side = "probes from which no template could be extracted"
    return _failure("FTX", side, failures.extractions_failed, failures.extractions, confidence)


def _failure(name: str, side: str, failed: int, tried: int, confidence: float) -> Rate | None:
    if not tried:
        return None
    return Rate(
        name=name,
        value=failed / tried,
        errors=failed,
        trials=tried,
        failed=0,
        side=side,
        exact=exact_interval(failed, tried, confidence, over="attempts"),
    )


def _check_threshold(threshold: float) -> None:
    if np.isnan(threshold):
        raise ValueError("a threshold must be a number, not NaN")
