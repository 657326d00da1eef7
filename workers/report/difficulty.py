"""How hard the set is to one judge: distributions, operating points, DET, EER, the tail of non-mated scores."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from app.dataset import measures
from app.dataset.report import Absent, RealPoint, TailPoint
from app.dataset.resolution import comparisons_needed, subjects_needed
from workers.biometrics.bootstrap import at_fmrs, at_threshold
from workers.biometrics.crossed import CrossedScores, compare_crossed
from workers.biometrics.eer import eer, eer_by_subject
from workers.biometrics.errors import Unresolvable
from workers.biometrics.rates import OperatingPoint, det_point, fmr, fnmr, fnmr_at_fmr, threshold_at_fmr
from workers.biometrics.tails import tail_points
from workers.report import figures
from workers.report.evidence import Evidence, JudgedBy

TARGETS = (1e-2, 1e-3, 1e-4)
"""FMRs whose FNMR is reported, where the set resolves them."""

WORKING = (1e-3, 1e-2)
"""FMRs that uniqueness, consistency, capacity and groups are measured at: the first that is resolved."""

KEPT = 2_000_000
"""Non-mated scores kept one by one, the highest: 300 subjects of 5 samples have 1.1 million in all."""

REPLICATES = 1_000
BAND_REPLICATES = 200
"""Of the DET's band and the EER, which weigh far more scores."""

FEW_REPLICATES = 100
"""Of an EER so high that each replicate takes long."""

BAND_SCORES = 150_000
"""Scores weighed for one point of the band, at the most."""


@dataclass(frozen=True, kw_only=True)
class Working:
    """The threshold that measures at one threshold take."""

    target_fmr: float
    threshold: float


def compare(evidence: Evidence, judge: JudgedBy, should_cancel: Callable[[], bool]) -> CrossedScores:
    """Every two judged samples of the subjects, each pair once; distractors are not among them."""
    return compare_crossed(
        evidence.table(judge, evidence.mated),
        subjects=evidence.judged_subjects,
        metric=judge.metric,
        keep_tail=KEPT,
        should_cancel=should_cancel,
    )


def distributions(scores: CrossedScores) -> tuple[measures.Distribution | None, measures.Distribution | None]:
    """Of mated and of non-mated scores, in bins of the same width."""
    ends = [*scores.mated[:1], *scores.tail.scores[:1]]
    if not ends:
        return None, None
    filled = np.flatnonzero(scores.histogram.counts)
    low = [float(scores.mated.min())] if len(scores.mated) else []
    high = [float(scores.mated.max())] if len(scores.mated) else []
    if len(filled):
        low.append(float(scores.histogram.edges[filled[0]]))
        high.append(float(scores.histogram.edges[filled[-1] + 1]))
    # A whole number of fine bins, so that every coarse one is counted exactly.
    fine = scores.histogram.width
    width = max(1, round(figures.nice_width(max(high) - min(low)) / fine)) * fine
    mated = figures.distribution(scores.mated, width=width)
    if scores.tail.complete:
        return mated, figures.distribution(scores.tail.scores, width=width)
    return mated, figures.distribution_of_bins(scores.histogram, width=width)


def operating_points(
    scores: CrossedScores, evidence: Evidence, absent: Absent
) -> tuple[tuple[measures.OperatingPoint, ...], Working | None]:
    """FNMR at every target FMR that is resolved, and the threshold of the working point."""
    total = scores.non_mated_total
    enough = [target for target in TARGETS if total >= comparisons_needed(target)]
    found: dict[float, OperatingPoint] = {}
    if len(scores.mated) and total:
        found = {point.target_fmr: point for point in _with_intervals(scores, enough, evidence, REPLICATES)}
    else:
        absent["points"] = _no_side(scores)
    points = tuple(_point(target, scores, evidence, found.get(target)) for target in TARGETS)
    target = next((target for target in WORKING if target in enough), None)
    if target is None:
        return points, None
    return points, Working(target_fmr=target, threshold=threshold_at_fmr(scores, target))


def det(scores: CrossedScores, evidence: Evidence, absent: Absent) -> tuple[measures.DetPoint, ...]:
    """Five points a decade from FMR 0.4 down to the first at or below 1/N; a band by subject where it can be had."""
    total = scores.non_mated_total
    if not (len(scores.mated) and total):
        absent["det"] = _no_side(scores)
        return ()
    lowest = int(np.ceil(5 * np.log10(total)))
    targets = [float(10 ** (-step / 5)) for step in range(2, max(lowest, 2) + 1)]
    banded = [target for target in targets if 1.5 * target * total <= BAND_SCORES]
    points = {target: fnmr_at_fmr(scores, target) for target in targets if target not in banded}
    points |= {point.target_fmr: point for point in _with_intervals(scores, banded, evidence, BAND_REPLICATES)}
    return tuple(figures.det_point(det_point(points[target])) for target in targets)


def equal_error_rate(scores: CrossedScores, evidence: Evidence, absent: Absent) -> measures.EqualErrorRate | None:
    """EER, by subject where subjects can be resampled."""
    if not (len(scores.mated) and scores.non_mated_total):
        absent["eer"] = _no_side(scores)
        return None
    found = eer(scores)
    weighed = 1.5 * found.value * scores.non_mated_total
    replicates = BAND_REPLICATES if weighed <= BAND_SCORES / 4 else FEW_REPLICATES
    try:
        found = eer_by_subject(scores, evidence.bootstrap(replicates))
    except (Unresolvable, ValueError):  # too few subjects, or a tail too short: a value without an interval
        absent["eer.by_subject"] = "too few subjects to be resampled, or too many scores to be kept"
    return figures.equal_error_rate(found)


def real_points(scores: CrossedScores, judge: JudgedBy, evidence: Evidence, absent: Absent) -> tuple[RealPoint, ...]:
    """Both rates at every threshold that was found on real people; with intervals by subject where they can be had."""
    if judge.real and not (len(scores.mated) and scores.non_mated_total):
        absent["real"] = _no_side(scores)
        return ()
    found = []
    for given in sorted(judge.real, key=lambda given: -given.target_fmr):
        try:
            rates = at_threshold(scores, given.threshold, evidence.bootstrap(REPLICATES))
        except (Unresolvable, ValueError):  # too few subjects, or a threshold below what was kept
            rates = fmr(scores, given.threshold), fnmr(scores, given.threshold)
        found.append(RealPoint(at=given, fmr=figures.rate(rates[0]), fnmr=figures.rate(rates[1])))
    return tuple(found)


def tail(scores: CrossedScores, absent: Absent) -> tuple[TailPoint, ...]:
    """The highest non-mated scores at ranks spaced evenly in log."""
    if not len(scores.tail.scores):
        absent["tail"] = "there are no non-mated comparisons"
        return ()
    return tuple(
        TailPoint(
            rank=point.rank,
            score=figures.rounded(point.score),
            fmr=figures.rounded(point.fmr),
            low=figures.rounded(point.interval.low),
            high=figures.rounded(point.interval.high),
        )
        for point in tail_points(scores.tail)
    )


def _with_intervals(
    scores: CrossedScores, targets: list[float], evidence: Evidence, replicates: int
) -> list[OperatingPoint]:
    """Points with intervals by subject; without, where subjects are too few for that."""
    try:
        return at_fmrs(scores, targets, evidence.bootstrap(replicates))
    except (Unresolvable, ValueError):
        return [fnmr_at_fmr(scores, target) for target in targets]


def _point(
    target: float, scores: CrossedScores, evidence: Evidence, found: OperatingPoint | None
) -> measures.OperatingPoint:
    total, needed = scores.non_mated_total, comparisons_needed(target)
    needs = ""
    if total < needed:
        subjects = subjects_needed(target, evidence.samples_per_subject)
        needs = (
            f"{needed:,} non-mated comparisons, and there are {total:,}: "
            f"{subjects:,} judged subjects of {evidence.samples_per_subject} samples would do"
        )
    return measures.OperatingPoint(
        target_fmr=target,
        resolved=total >= needed,
        needs=needs,
        threshold=figures.threshold(found.threshold) if found else None,
        fmr=figures.rate(found.fmr) if found else None,
        fnmr=figures.rate(found.fnmr) if found else None,
    )


def _no_side(scores: CrossedScores) -> str:
    sides = [side for side, count in (("mated", len(scores.mated)), ("non-mated", scores.non_mated_total)) if not count]
    return f"there are no {' and no '.join(sides)} comparisons"
