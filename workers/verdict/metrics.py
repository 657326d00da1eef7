"""What is measured of one matcher's scores: rates at several FMRs with both kinds of interval, EER, the DET."""

from dataclasses import replace

import numpy as np

from app.dataset.evaluation import PointFound, ScoresFound
from app.dataset.measures import CONFIDENCE, FNMR_SIDE, DetPoint, EqualErrorRate, Interval, Rate
from app.dataset.resolution import comparisons_needed
from workers.biometrics.bootstrap import Bootstrap
from workers.biometrics.eer import eer
from workers.biometrics.errors import Unresolvable
from workers.biometrics.intervals import exact_interval
from workers.biometrics.rates import OperatingPoint, det, det_point, fmr, fnmr, threshold_at_fmr
from workers.verdict.bounds import fnmr_bounds, resampled, two_sided
from workers.verdict.compared import ComparedScores
from workers.verdict.outcomes import Outcome, outcome_at, outcome_at_fmr, slope_at

BOOTSTRAP = Bootstrap(replicates=2_000)
BAND = Bootstrap(replicates=200)
"""Of a DET's band, which has many points and is looked at."""
BAND_SCORES = 150_000
"""Where more non-mated scores reach a threshold than these, it moves so little that its own uncertainty is left out."""

FMRS = (1e-1, 1e-2, 1e-3, 1e-4, 1e-5, 1e-6)
"""FNMR is given at those of these that a set resolves, and at the one that is asked for."""


def measure(scores: ComparedScores, *, at_fmr: float, threshold: float | None = None) -> ScoresFound:
    """Measure; the point at `threshold`, or else at `at_fmr`, comes first."""
    targets = [target for target in FMRS if target != at_fmr and resolves(scores, target)]
    first = point_at(scores, at_fmr) if threshold is None else point_at_threshold(scores, threshold)
    if threshold is not None and resolves(scores, at_fmr):
        targets.append(at_fmr)
    return ScoresFound(
        mated=len(scores.mated_sorted),
        non_mated=scores.non_mated_total,
        mated_failed=scores.failures.mated,
        non_mated_failed=scores.failures.non_mated,
        subjects=scores.subjects,
        points=(first, *(point_at(scores, target) for target in sorted(targets, reverse=True))),
        eer=_equal_error(scores),
        det=_det(scores),
        exact=not scores.binned,
    )


def resolves(scores: ComparedScores, target: float) -> bool:
    """Whether the rule of 30 lets these non-mated comparisons speak of an FMR."""
    return scores.non_mated_total >= comparisons_needed(target)


def point_at(scores: ComparedScores, target: float) -> PointFound:
    """FNMR at the smallest threshold whose FMR is at most the target."""
    outcome = outcome_at_fmr(scores, target)
    found = _point(scores, threshold_at_fmr(scores, target), outcome)
    return found.model_copy(update={"target_fmr": target, "resolved": resolves(scores, target)})


def point_at_threshold(scores: ComparedScores, threshold: float) -> PointFound:
    """FNMR at a threshold that is given."""
    return _point(scores, threshold, outcome_at(scores, threshold))


def _point(scores: ComparedScores, threshold: float, outcome: Outcome | None) -> PointFound:
    completed = fnmr(scores, threshold)
    failed = scores.failures.mated
    missed, tried = completed.errors + failed, completed.trials + failed
    generalised = Rate(
        name="generalised FNMR",
        value=missed / tried,
        errors=missed,
        trials=tried,
        side=f"{FNMR_SIDE}, and failed mated comparisons",
        exact=exact_interval(missed, tried),
        by_subject=_by_subject(outcome, generalised=True),
    )
    return PointFound(
        target_fmr=None,
        threshold=threshold if np.isfinite(threshold) else None,
        fmr=fmr(scores, threshold),
        fnmr=completed.with_interval(_by_subject(outcome, generalised=False)),
        generalised_fnmr=generalised,
        resolved=True,
    )


def _banded(scores: ComparedScores, point: OperatingPoint) -> OperatingPoint:
    """A point of the DET with FNMR's interval by subject, where that is known."""
    outcome = None
    if point.target_fmr * scores.non_mated_total <= BAND_SCORES:
        outcome = outcome_at_fmr(scores, point.target_fmr)
    elif np.isfinite(point.threshold):
        outcome = outcome_at(scores, point.threshold)
    between = _by_subject(outcome, generalised=False, bootstrap=BAND)
    return replace(point, fnmr=point.fnmr.with_interval(between)) if between else point


def _by_subject(outcome: Outcome | None, *, generalised: bool, bootstrap: Bootstrap = BOOTSTRAP) -> Interval | None:
    """The interval by subject; None where it is not known who reaches the threshold, or there is but one subject."""
    if outcome is None:
        return None
    try:
        return two_sided(fnmr_bounds(outcome, bootstrap, generalised=generalised))
    except Unresolvable:
        return None


def _equal_error(scores: ComparedScores) -> EqualErrorRate:
    found = eer(scores)
    by_subject = None
    if scores.in_tail(found.threshold) and np.isfinite(found.threshold):
        # Where both rates cross, either's part in their common value is as steep as the other is flat.
        slope = slope_at(scores, found.threshold)
        outcome = outcome_at(scores, found.threshold, slope)
        weight = 1 / (1 + slope)
        try:
            bounds = resampled(outcome.below, outcome.completed, outcome.pull, outcome.pair_pull, BOOTSTRAP)
        except Unresolvable:
            bounds = None
        if bounds is not None:
            by_subject = Interval(
                low=max(found.value + weight * (bounds.low - bounds.value), 0.0),
                high=min(found.value + weight * (bounds.high - bounds.value), 1.0),
                confidence=CONFIDENCE,
                method=bounds.method,
            )
    return found.model_copy(update={"by_subject": by_subject})


def _det(scores: ComparedScores) -> tuple[DetPoint, ...]:
    points = [det_point(_banded(scores, point)) for point in det(scores)]
    return tuple(
        point
        for number, point in enumerate(points)
        if number == 0 or (point.fmr, point.fnmr) != (points[number - 1].fmr, points[number - 1].fnmr)
    )
