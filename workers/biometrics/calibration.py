"""Calibration: the variability σ at which a set has the FNMR asked for at the FMR asked for.

`evaluate(σ)` generates and compares; it must use common random numbers, that is the same subjects with the same
draws at every σ, so that FNMR moves with σ and not with luck. FNMR is taken to rise with σ; what noise is left is
smoothed by isotonic regression. The search brackets the target, then halves or interpolates until a σ meets it.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import isotonic_regression

from app.dataset.resolution import ERRORS, Resolution, can_resolve
from app.errors import Cancelled
from workers.biometrics.bootstrap import DEFAULT, Bootstrap, replicate_fnmr_at_fmrs, subject_interval
from workers.biometrics.errors import ScoresRefused, Unresolvable
from workers.biometrics.intervals import Interval, percentile_interval
from workers.biometrics.rates import OperatingPoint, fnmr_at_fmr
from workers.biometrics.scores import ScoreSet

Floats = NDArray[np.float64]
Outcome = Literal["met", "not met", "unreachable"]


@dataclass(frozen=True, kw_only=True)
class Target:
    """What a set is to measure."""

    fmr: float
    fnmr: float
    tolerance: float = 0.005
    """Of FNMR, absolute: a σ meets the target if FNMR lies within fnmr ± tolerance."""

    def __post_init__(self) -> None:
        if not (0 < self.fmr < 1 and 0 < self.fnmr < 1 and self.tolerance > 0):
            raise ValueError("fmr and fnmr must lie between 0 and 1, and tolerance above 0")


@dataclass(frozen=True, kw_only=True)
class CurvePoint:
    """One evaluation."""

    sigma: float
    measured: OperatingPoint
    """FNMR at the FMR, its interval by subject where subjects are known."""
    smoothed: float
    """FNMR after isotonic regression over all points."""


@dataclass(frozen=True, kw_only=True)
class Calibration:
    """What the search found."""

    outcome: Outcome
    target: Target
    sigma: float | None
    """The one evaluated whose FNMR is nearest the target; None if unreachable."""
    fnmr: float | None
    """Measured there."""
    fnmr_interval: Interval | None
    """By subject; None if subjects are not known."""
    proven: bool
    """Whether all of that interval lies within the tolerance; if not, more subjects would narrow it."""
    sigma_interval: Interval | None
    """σ at which replicates of the curve reach the target, clipped to what was searched."""
    reachable: tuple[float, float]
    """FNMR at the lowest and the highest σ, smoothed."""
    curve: tuple[CurvePoint, ...]
    """By σ."""
    evaluations: int
    comparisons: int
    """Completed, in all evaluations together: the cost."""
    not_completed: int
    """Comparisons that failed, in all evaluations together; a share that grows with σ makes FNMR look too good."""
    note: str


def check_target(target: Target, *, subjects: int, samples: int, distractors: int = 0) -> Resolution:
    """Refuse a set too small for its target by the rule of 30, before anything is generated.

    Counts are those of a crossed set: sample 0 of each subject is a reference, the others are probes, distractors
    are references only. Raises Unresolvable, naming the subjects needed; otherwise returns what was reckoned.
    """
    probes = samples - 1
    if probes < 1 or subjects < 2:
        raise Unresolvable(f"{subjects} subjects of {samples} sample(s) make no mated or no non-mated comparison")
    mated, non_mated = subjects * probes, subjects * probes * (subjects + distractors - 1)
    found = can_resolve(fmr=target.fmr, non_mated=non_mated, fnmr=target.fnmr, mated=mated)
    if found.resolved:
        return found
    for_mated = -(-found.mated_needed // probes)
    # S·(K − 1)·(S + D − 1) >= needed, solved for S.
    other = distractors - 1
    for_non_mated = int(np.ceil((-other + np.sqrt(other**2 + 4 * found.non_mated_needed / probes)) / 2))
    needed = max(for_mated, for_non_mated, 2)
    raise Unresolvable(
        f"FNMR {target.fnmr:g} at FMR {target.fmr:g} needs at least {ERRORS} errors of each kind to be expected: "
        f"{found.mated_needed:,} mated and {found.non_mated_needed:,} non-mated comparisons. {subjects:,} subjects of "
        f"{samples:,} samples and {distractors:,} distractors give {mated:,} and {non_mated:,}. Take {needed:,} "
        "subjects, more samples of each, or a higher target"
    )


def calibrate(
    evaluate: Callable[[float], ScoreSet],
    target: Target,
    *,
    low: float = 0.0,
    high: float = 4.0,
    start: float | None = None,
    budget: int = 12,
    narrowest: float = 1e-3,
    bootstrap: Bootstrap = DEFAULT,
    should_cancel: Callable[[], bool] = lambda: False,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> Calibration:
    """Find σ in [low, high] whose FNMR at the target FMR is the target.

    Both ends are evaluated first: they tell what is reachable. Then σ is tried where the smoothed curve crosses the
    target, or in the middle where interpolation has stopped halving the bracket (first `start`, if given). The search
    ends when a σ *meets* the target, or when the bracket is narrower than `narrowest` or the budget of evaluations is
    spent: then the nearest σ is reported with what was missed. Raises Unresolvable for scores that cannot resolve
    the target, ScoresRefused if evaluations have different subjects, Cancelled when told to stop.
    """
    if not (0 <= low < high and budget >= 3):
        raise ValueError("0 <= low < high and a budget of at least 3 evaluations are needed")
    found: dict[float, ScoreSet] = {}
    points: dict[float, OperatingPoint] = {}

    def measure(sigma: float) -> float:
        if should_cancel():
            raise Cancelled("the calibration was called off")
        scores = evaluate(sigma)
        _check(scores, target, next(iter(found.values()), None), sigma)
        found[sigma] = scores
        points[sigma] = fnmr_at_fmr(scores, target.fmr, bootstrap.confidence)
        on_progress(len(found), budget)
        return points[sigma].fnmr.value

    def missed_by(sigma: float) -> float:
        return abs(points[sigma].fnmr.value - target.fnmr)

    lowest, highest = measure(low), measure(high)
    below, above = low, high
    outcome: Outcome
    if not lowest - target.tolerance <= target.fnmr <= highest + target.tolerance:
        outcome = "unreachable"
    else:
        halved = True
        while min(map(missed_by, points)) > target.tolerance and len(found) < budget and above - below > narrowest:
            width = above - below
            sigma = _next(points, target.fnmr, below, above, halved)
            if start is not None and len(found) == 2 and low < start < high:
                sigma = start
            if measure(sigma) < target.fnmr:
                below = sigma
            else:
                above = sigma
            halved = above - below <= width / 2
        outcome = "met" if min(map(missed_by, points)) <= target.tolerance else "not met"
    return _report(outcome, found, points, target, bootstrap, (below, above))


def _next(points: dict[float, OperatingPoint], fnmr: float, below: float, above: float, interpolate: bool) -> float:
    """The σ to try next, strictly inside the bracket."""
    middle = (below + above) / 2
    if not interpolate:
        return middle
    at_below, at_above = points[below].fnmr.value, points[above].fnmr.value
    if at_above <= at_below:
        return middle
    # Not nearer the ends than a tenth: a curve that is flat at one end would hold the search there.
    share = np.clip((fnmr - at_below) / (at_above - at_below), 0.1, 0.9)
    return below + float(share) * (above - below)


def _check(scores: ScoreSet, target: Target, first: ScoreSet | None, sigma: float) -> None:
    resolution = can_resolve(
        fmr=target.fmr, non_mated=scores.non_mated_total, fnmr=target.fnmr, mated=len(scores.mated)
    )
    if not resolution.resolved:
        raise Unresolvable(f"at σ = {sigma:g}: {'; '.join(resolution.problems)}")
    if first is not None and first.subjects != scores.subjects:
        raise ScoresRefused(
            f"at σ = {sigma:g} there are {scores.subjects} subjects, and {first.subjects} before; every evaluation "
            "must name the same ones, those without scores included"
        )


def _report(
    outcome: Outcome,
    found: dict[float, ScoreSet],
    points: dict[float, OperatingPoint],
    target: Target,
    bootstrap: Bootstrap,
    bracket: tuple[float, float],
) -> Calibration:
    sigmas = sorted(found)
    measured = np.array([points[sigma].fnmr.value for sigma in sigmas])
    smoothed = isotonic_regression(measured, weights=[points[sigma].fnmr.trials for sigma in sigmas]).x
    nearest = sigmas[int(np.abs(measured - target.fnmr).argmin())]
    intervals, sigma_interval = _intervals(found, points, target, bootstrap)
    reachable = (float(smoothed[0]), float(smoothed[-1]))
    reached = f"FNMR {points[nearest].fnmr.value:.4g} at σ = {nearest:.4g}"
    note = {
        "met": reached,
        "unreachable": f"σ from {sigmas[0]:g} to {sigmas[-1]:g} reaches FNMR {reachable[0]:.4g} to {reachable[1]:.4g} "
        f"and {target.fnmr:g} lies outside; ask for one within, or let other factors vary",
        "not met": f"nearest is {reached} after {len(found)} evaluations; the target lies between σ = {bracket[0]:.4g} "
        f"and {bracket[1]:.4g}; allow more evaluations, a wider tolerance or more subjects",
    }[outcome]
    there = outcome != "unreachable"
    interval = intervals.get(nearest) if there else None
    return Calibration(
        outcome=outcome,
        target=target,
        sigma=nearest if there else None,
        fnmr=points[nearest].fnmr.value if there else None,
        fnmr_interval=interval,
        proven=interval is not None
        and target.fnmr - target.tolerance <= interval.low
        and interval.high <= target.fnmr + target.tolerance,
        sigma_interval=sigma_interval if there else None,
        reachable=reachable,
        curve=tuple(
            CurvePoint(
                sigma=sigma,
                measured=replace(
                    points[sigma], fnmr=replace(points[sigma].fnmr, by_subject=intervals.get(sigma))
                ),
                smoothed=float(smooth),
            )
            for sigma, smooth in zip(sigmas, smoothed, strict=True)
        ),
        evaluations=len(found),
        comparisons=sum(scores.non_mated_total + len(scores.mated) for scores in found.values()),
        not_completed=sum(scores.failures.mated + scores.failures.non_mated for scores in found.values()),
        note=note,
    )


def _intervals(
    found: dict[float, ScoreSet], points: dict[float, OperatingPoint], target: Target, bootstrap: Bootstrap
) -> tuple[dict[float, Interval], Interval | None]:
    """Interval of FNMR at every σ, and of the σ where the curve crosses the target; none if subjects are not known."""
    if any(scores.mated_subjects is None for scores in found.values()):
        return {}, None
    sigmas = sorted(found)
    # One seed and one set of subjects: replicate b draws the same subjects at every σ, so it is a curve.
    drawn = np.stack(
        [replicate_fnmr_at_fmrs(found[sigma], [target.fmr], bootstrap)[1][:, 0] for sigma in sigmas], axis=1
    )
    intervals = {
        sigma: subject_interval(points[sigma].fnmr, drawn[:, column], found[sigma], bootstrap.confidence)
        for column, sigma in enumerate(sigmas)
    }
    crossings = np.array([_crossing(np.array(sigmas), curve, target.fnmr) for curve in drawn])
    return intervals, percentile_interval(crossings, "curve refitted in a bootstrap by subject", bootstrap.confidence)


def _crossing(sigmas: Floats, curve: Floats, fnmr: float) -> float:
    """σ where the smoothed curve, joined by straight lines, reaches an FNMR; the end searched if it never does."""
    if np.isnan(curve).any():
        return np.nan
    smooth = isotonic_regression(curve).x
    after = int(np.searchsorted(smooth, fnmr, "left"))
    if after in (0, len(sigmas)):
        return float(sigmas[min(after, len(sigmas) - 1)])
    share = (fnmr - smooth[after - 1]) / (smooth[after] - smooth[after - 1])
    return float(sigmas[after - 1] + share * (sigmas[after] - sigmas[after - 1]))
