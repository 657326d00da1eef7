"""Calibration: the scale σ at which a set has the FNMR asked for at the FMR asked for.

The search is a pure function of what was measured so far (`next_scale`), so that it can stop and go on anywhere. The
measurements must use common random numbers, that is the same subjects with the same draws at every σ, so that FNMR
moves with σ and not with luck. FNMR is taken to rise with σ; what noise is left is smoothed by isotonic regression.
The search steps outwards from a start until the target is bracketed, then goes where the smoothed curve crosses it:
between two points the probit of FNMR is taken to be straight over the logarithm of σ, which it very nearly is.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import isotonic_regression
from scipy.special import ndtri

from app.dataset.calibration import MOST_SCALES, Calibration, CurvePoint, Measured
from app.dataset.measures import Interval
from app.dataset.plan import PlannedTarget
from app.dataset.request import MAX_SCALE
from app.dataset.resolution import can_resolve
from app.errors import Cancelled
from workers.biometrics.bootstrap import (
    DEFAULT,
    Bootstrap,
    SubjectSource,
    replicate_fnmr,
    replicate_fnmr_at_fmrs,
    subject_interval,
)
from workers.biometrics.errors import ScoresRefused, Unresolvable
from workers.biometrics.intervals import percentile_interval
from workers.biometrics.rates import OperatingPoint, fnmr_at_fmr

Floats = NDArray[np.float64]
Outcome = Literal["met", "not met", "unreachable"]

DECIMALS = 4
"""Scales are tried, stored and told to so many decimals."""

SLOPE = 2.0
"""Probits of FNMR by which a curve rises over a factor e of σ, until two points tell its own slope."""

FAR_ENOUGH = 0.25
"""Two points whose scales differ by a smaller factor than e to this tell more of noise than of the slope."""

SMALLEST_SCALE = 0.05
"""Below this scale the search goes to the lowest at once."""

CAREFUL_FROM = 6
"""From so many points on, interpolation keeps nearer to the middle: a curve that jumps would hold it at one end."""


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What the search may do."""

    low: float = 0.0
    high: float = MAX_SCALE
    start: float = 1.0
    budget: int = MOST_SCALES
    """Evaluations, at most."""

    def __post_init__(self) -> None:
        if not (0 <= self.low < self.high and self.budget >= 3):
            raise ValueError("0 <= low < high and a budget of at least 3 evaluations are needed")


def next_scale(points: Mapping[float, OperatingPoint], target: PlannedTarget, limits: Limits) -> float | Outcome:
    """The scale to measure next, or how the search has ended.

    It ends as *met* when an FNMR lies within half the tolerance, or within all of it where it is one error off or
    nothing better can be tried; as *unreachable* when FNMR at an end of the limits lies on the wrong side of the
    target, and both ends are known; and as *not met* when the budget is spent or no scale is left between its
    neighbours.
    """
    if not points:
        return _rounded(limits.start, limits)
    wanted = target.fnmr
    slack = target.slack
    nearest = min((point.fnmr for point in points.values()), key=lambda fnmr: abs(fnmr.value - wanted))
    missed = abs(nearest.value - wanted)
    one_error = (1 + 1e-9) / nearest.trials  # so that a difference of two quotients is not a little more than one
    if missed <= min(max(slack / 2, one_error), slack):
        return "met"
    settled: Outcome = "met" if missed <= slack else "not met"
    ends = {end: points[end].fnmr.value for end in (limits.low, limits.high) if end in points}
    too_hard = ends.get(limits.low, 0.0) > wanted + slack
    too_easy = ends.get(limits.high, 1.0) < wanted - slack
    if settled != "met" and (too_hard or too_easy):
        unknown = [end for end in (limits.low, limits.high) if end not in points]
        return unknown[0] if unknown and len(points) < limits.budget else "unreachable"
    if len(points) >= limits.budget:
        return settled
    scales, smooth, trials = _smoothed(points)
    after = int(np.searchsorted(smooth, wanted, "left"))
    probits = ndtri((smooth * trials + 0.5) / (trials + 1))  # half an error more and less: 0 and 1 have no probit
    if after == 0:
        guess = _down(scales, probits, float(ndtri(wanted)))
        guess = limits.low if guess < SMALLEST_SCALE else guess
    elif after == len(scales):
        guess = _up(scales, probits, float(ndtri(wanted)))
    else:
        guess = _between(scales[after - 1 : after + 1], probits[after - 1 : after + 1], wanted, len(points))
    scale = _rounded(guess, limits)
    return settled if scale in points else scale


def _smoothed(points: Mapping[float, OperatingPoint]) -> tuple[Floats, Floats, Floats]:
    """Scales ascending [P], FNMR after isotonic regression [P], mated comparisons [P]."""
    scales = sorted(points)
    measured = np.array([points[scale].fnmr.value for scale in scales])
    trials = np.array([points[scale].fnmr.trials for scale in scales], np.float64)
    return np.array(scales), isotonic_regression(measured, weights=trials).x, trials


def _rounded(scale: float, limits: Limits) -> float:
    return round(min(max(float(scale), limits.low), limits.high), DECIMALS)


def _slope(scales: Floats, probits: Floats, end: int) -> float:
    """Probits over a factor e at one end of the curve (0 or −1), SLOPE where it does not tell.

    From there to the nearest point that is far enough for noise not to decide, or the farthest there is.
    """
    positive = np.flatnonzero(scales > 0)
    if len(positive) < 2 or scales[end] <= 0:
        return SLOPE
    away = np.abs(np.log(scales[positive] / scales[end]))
    far = away >= FAR_ENOUGH
    other = positive[np.argmin(np.where(far, away, np.inf)) if far.any() else np.argmax(away)]
    rise = float(probits[end] - probits[other]) / float(np.log(scales[end] / scales[other]))
    return rise if rise > 0.2 else SLOPE


def _up(scales: Floats, probits: Floats, wanted: float) -> float:
    last = float(scales[-1])
    if last <= 0:
        return 0.5
    step = np.exp(min((wanted - probits[-1]) / _slope(scales, probits, -1), 1.0))
    return last * float(np.clip(step, 1.05, 2.0))


def _down(scales: Floats, probits: Floats, wanted: float) -> float:
    step = np.exp(max((wanted - probits[0]) / _slope(scales, probits, 0), -1.0))
    return float(scales[0]) * float(np.clip(step, 0.4, 0.95))


def _between(scales: Floats, probits: Floats, fnmr: float, known: int) -> float:
    """Where the curve between two neighbours crosses the target."""
    below, above = float(probits[0]), float(probits[1])
    share = (float(ndtri(fnmr)) - below) / (above - below) if above > below else 0.5
    nearest = 0.05 if known < CAREFUL_FROM else 0.35
    share = min(max(share, nearest), 1 - nearest)
    if scales[0] <= 0:
        return float(scales[0] + share * (scales[1] - scales[0]))
    return float(scales[0] * (scales[1] / scales[0]) ** share)


def check_scores(scores: SubjectSource, target: PlannedTarget, scale: float) -> None:
    """Raise Unresolvable where scores at a scale cannot resolve the target by the rule of 30."""
    resolution = can_resolve(
        fmr=target.fmr, non_mated=scores.non_mated_total, fnmr=target.fnmr, mated=len(scores.mated)
    )
    if not resolution.resolved:
        raise Unresolvable(f"at scale {scale:g}: {'; '.join(resolution.problems)}")


def calibrate(
    evaluate: Callable[[float], SubjectSource],
    target: PlannedTarget,
    *,
    samples: int,
    limits: Limits = Limits(),
    bootstrap: Bootstrap = DEFAULT,
    should_cancel: Callable[[], bool] = lambda: False,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> Calibration:
    """Search to the end: `evaluate(σ)` makes `samples` samples and compares them.

    Raises Unresolvable for scores that cannot resolve the target, ScoresRefused if evaluations have different
    subjects, Cancelled when told to stop.
    """
    found: dict[float, SubjectSource] = {}
    points: dict[float, OperatingPoint] = {}
    while not isinstance(step := next_scale(points, target, limits), str):
        if should_cancel():
            raise Cancelled("the calibration was called off")
        scores = evaluate(step)
        check_scores(scores, target, step)
        found[step], points[step] = scores, fnmr_at_fmr(scores, target.fmr, bootstrap.confidence)
        on_progress(len(found), limits.budget)
    return conclude(step, found, target, samples=samples * len(found), bootstrap=bootstrap)


def conclude(
    outcome: Outcome,
    found: Mapping[float, SubjectSource],
    target: PlannedTarget,
    *,
    samples: int,
    bootstrap: Bootstrap = DEFAULT,
) -> Calibration:
    """Tell what a search has found, with intervals; `samples` is what it has cost."""
    if len({scores.subjects for scores in found.values()}) > 1:
        raise ScoresRefused("evaluations have different subjects; every one must name the same, scores or none")
    points = {scale: fnmr_at_fmr(scores, target.fmr, bootstrap.confidence) for scale, scores in found.items()}
    scales, smooth, _ = _smoothed(points)
    intervals, scale_interval = _intervals(found, points, target, bootstrap)
    nearest = min(points, key=lambda scale: (abs(points[scale].fnmr.value - target.fnmr), scale))
    there = outcome != "unreachable"
    interval = intervals.get(nearest) if there else None
    searched, reachable = (float(scales[0]), float(scales[-1])), (float(smooth[0]), float(smooth[-1]))
    slack = target.slack
    return Calibration(
        outcome=outcome,
        target=target,
        scale=nearest if there else None,
        measured=told(points[nearest], interval) if there else None,
        proven=interval is not None and target.fnmr - slack <= interval.low and interval.high <= target.fnmr + slack,
        scale_interval=(scale_interval.low, scale_interval.high) if there and scale_interval else None,
        searched=searched,
        reachable=reachable,
        curve=tuple(
            CurvePoint(scale=float(scale), measured=told(points[scale], intervals.get(scale)), smoothed=float(smoothed))
            for scale, smoothed in zip(scales.tolist(), smooth, strict=True)
        ),
        evaluations=len(found),
        samples=samples,
        comparisons=sum(scores.non_mated_total + len(scores.mated) for scores in found.values()),
        not_completed=sum(scores.failures.mated + scores.failures.non_mated for scores in found.values()),
        note=_note(outcome, points, nearest, target, searched, reachable),
    )


def _note(
    outcome: Outcome,
    points: Mapping[float, OperatingPoint],
    nearest: float,
    target: PlannedTarget,
    searched: tuple[float, float],
    reachable: tuple[float, float],
) -> str:
    reached = f"FNMR {points[nearest].fnmr.value:.4g} at scale {nearest:g}"
    if outcome == "met":
        return reached
    if outcome == "unreachable":
        return (
            f"scales from {searched[0]:g} to {searched[1]:g} reach FNMR {reachable[0]:.4g} to {reachable[1]:.4g} at "
            f"FMR {target.fmr:g}, and {target.fnmr:g} lies outside; ask for one within, or let other factors vary"
        )
    below = [scale for scale, point in points.items() if point.fnmr.value < target.fnmr]
    above = [scale for scale, point in points.items() if point.fnmr.value >= target.fnmr]
    between = f"; the target lies between scales {max(below):g} and {min(above):g}" if below and above else ""
    return (
        f"nearest to FNMR {target.fnmr:g} is {reached} after {len(points)} evaluations{between}; take more subjects, "
        "or a wider tolerance"
    )


def told(point: OperatingPoint, interval: Interval | None) -> Measured:
    """An operating point as it is stored and shown; `interval` is FNMR's by subject."""
    fnmr = point.fnmr if interval is None else point.fnmr.with_interval(interval)
    return Measured(threshold=point.threshold, fmr=point.fmr, fnmr=fnmr)


def measure(scores: SubjectSource, fmr: float, bootstrap: Bootstrap = DEFAULT) -> Measured:
    """FNMR at an FMR with both intervals, the threshold found anew in every replicate.

    Where so many scores lie above the threshold that they were not all kept, it is held fixed instead: among that
    many, it hardly moves.
    """
    point = fnmr_at_fmr(scores, fmr, bootstrap.confidence)
    if scores.mated_subjects is None:
        return told(point, None)
    return told(point, _fnmr_interval(scores, point, _replicates(scores, fmr, bootstrap), bootstrap))


def _replicates(scores: SubjectSource, fmr: float, bootstrap: Bootstrap) -> Floats | None:
    """FNMR [B] at the FMR in every replicate; None where the tail that was kept is too short for it."""
    try:
        return replicate_fnmr_at_fmrs(scores, [fmr], bootstrap)[1][:, 0]
    except Unresolvable:
        return None


def _fnmr_interval(
    scores: SubjectSource, point: OperatingPoint, replicates: Floats | None, bootstrap: Bootstrap
) -> Interval:
    if replicates is None:
        replicates = replicate_fnmr(scores, point.threshold, bootstrap)
    return subject_interval(point.fnmr, point.threshold, replicates, scores, bootstrap.confidence)


def _intervals(
    found: Mapping[float, SubjectSource],
    points: Mapping[float, OperatingPoint],
    target: PlannedTarget,
    bootstrap: Bootstrap,
) -> tuple[dict[float, Interval], Interval | None]:
    """Interval of FNMR at every σ, and of the σ where the curve crosses the target; none if subjects are not known."""
    if any(scores.mated_subjects is None for scores in found.values()):
        return {}, None
    scales = sorted(found)
    # One seed and one set of subjects: replicate b draws the same subjects at every σ, so it is a curve.
    drawn = {scale: _replicates(found[scale], target.fmr, bootstrap) for scale in scales}
    intervals = {scale: _fnmr_interval(found[scale], points[scale], drawn[scale], bootstrap) for scale in scales}
    curves = [replicates for replicates in drawn.values() if replicates is not None]
    if len(curves) < max(2, len(scales)):
        return intervals, None
    crossings = np.array([_crossing(np.array(scales), curve, target.fnmr) for curve in np.stack(curves, axis=1)])
    return intervals, percentile_interval(crossings, "curve refitted in a bootstrap by subject", bootstrap.confidence)


def _crossing(scales: Floats, curve: Floats, fnmr: float) -> float:
    """σ where the smoothed curve, joined and prolonged by straight lines, reaches an FNMR; within what may be asked."""
    if np.isnan(curve).any():
        return np.nan
    smooth = isotonic_regression(curve).x
    after = min(max(int(np.searchsorted(smooth, fnmr, "left")), 1), len(scales) - 1)
    rise = smooth[after] - smooth[after - 1]
    if rise <= 0:  # beyond a flat end of the curve nothing is known
        return float(scales[0] if fnmr <= smooth[0] else scales[-1])
    found = scales[after - 1] + (fnmr - smooth[after - 1]) / rise * (scales[after] - scales[after - 1])
    return float(np.clip(found, 0, MAX_SCALE))
