"""The verdict on 1:N searches: FNIR at a FPIR against what is allowed, and against a baseline's, paired by subject.

Limits are decided as those on comparison scores are (`workers.verdict.rule`). Each matcher's threshold is its own; a
search has one subject, so what a subject's non-mated searches pull the threshold by is counted once.
Legend: M mated searches, Q non-mated ones, S subjects (or groups of them).
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from app.dataset.candidates import SearchRule
from app.dataset.evaluation import DifferenceFound, LimitFound, Verdict
from app.dataset.resolution import ERRORS
from app.errors import RequestRefused
from workers.biometrics.errors import Unresolvable
from workers.biometrics.rates import allowed
from workers.report.wording import percent
from workers.verdict.bounds import Bounds, bootstrap_for, fnmr_bounds, increase_bounds
from workers.verdict.outcomes import WINDOW, Outcome
from workers.verdict.rule import decide, undecided

Floats = NDArray[np.float64]
Codes = NDArray[np.int64]

NO_PAIRS = np.zeros(0, np.int64)


@dataclass(frozen=True, kw_only=True, eq=False)
class SearchScores:
    """What limits are decided by: of every search the score of the mate, or of the best of all others."""

    mates: Floats
    """[M] a score below every other where the mate was not returned, or stands behind one that counts before it."""
    owners: Codes
    """[M] subjects."""
    others: Floats
    """[Q]"""
    others_owners: Codes
    """[Q]"""
    subjects: int
    """S"""


@dataclass(frozen=True, kw_only=True)
class Decided:
    """What came out."""

    difference: DifferenceFound | None
    limits: tuple[LimitFound, ...]
    verdict: Verdict | None
    reason: str


def outcome_of(scores: SearchScores, fpir: float) -> Outcome:
    """Missed mated searches by subject, at the lowest threshold whose FPIR is at most the target."""
    total, rising = len(scores.others), np.sort(scores.others)
    threshold = _allowing(rising, allowed(fpir, total))
    below, tried = (
        np.bincount(scores.owners[which], minlength=scores.subjects).astype(np.float64)
        for which in (scores.mates < threshold, np.ones(len(scores.mates), bool))
    )
    reaching = scores.others >= threshold
    returned, searched = (
        np.bincount(scores.others_owners[which], minlength=scores.subjects).astype(np.float64)
        for which in (reaching, np.ones(total, bool))
    )
    slope = _slope(np.sort(scores.mates), rising, float(reaching.mean()))
    return Outcome(
        threshold=threshold,
        below=below,
        completed=tried,
        failed=np.zeros(scores.subjects),
        pull=slope * (returned - reaching.mean() * searched) / total,
        pairs=NO_PAIRS,
        pair_pull=np.zeros(0),
    )


def mean_outcome(outcomes: list[Outcome]) -> Outcome:
    """One outcome of several draws of a gallery: misses and pulls are their means."""
    return replace(
        outcomes[0],
        threshold=float(np.mean([one.threshold for one in outcomes])),
        below=np.mean([one.below for one in outcomes], 0),
        pull=np.mean([one.pull for one in outcomes], 0),
    )


def decide_limits(rule: SearchRule, new: Outcome, old: Outcome | None, searched: int, *, same: bool) -> Decided:
    """Decide a rule's limits. `searched` is the number of non-mated searches, `same` whether all scores are equal.

    Raises RequestRefused where the rule needs a baseline and there is none.
    """
    if rule.max_fnir_increase is not None and old is None:
        raise RequestRefused([("max_fnir_increase", "an increase is over a baseline; hand in the baseline's too")])
    fpir, now = rule.at_fpir[0], float(new.missed.sum() / new.tried.sum())
    unresolved = None
    if fpir * searched < ERRORS:
        unresolved = (
            f"FPIR {fpir:g} needs {int(np.ceil(ERRORS / fpir)):,} non-mated searches (rule of 30) and there are "
            f"{searched:,}; take a higher FPIR, or more probes"
        )
    limits = []
    at = f"at FPIR {percent(fpir)}"
    if rule.max_fnir is not None:
        told = f"FNIR {at} is {percent(now)}, and {percent(rule.max_fnir)} is allowed"
        limits.append(_absolute(rule, rule.max_fnir, new, now, told, unresolved))
    difference = None
    if old is not None:
        was = float(old.missed.sum() / old.tried.sum())
        difference = _difference(rule, new, old, now - was, same)
        if rule.increase is not None:
            told = f"FNIR {at} went from {percent(was)} to {percent(now)}, and an increase of "
            limits.append(_rise(rule, new, old, now, was, told, unresolved, same))
    return Decided(
        difference=difference,
        limits=tuple(limits),
        verdict=_together(limits),
        reason="; ".join(limit.reason for limit in limits) or "no limit was given, so nothing was to be decided",
    )


def _absolute(
    rule: SearchRule, limit: float, new: Outcome, now: float, told: str, unresolved: str | None
) -> LimitFound:
    text = f"{limit:.4g}"
    if unresolved:
        return undecided("max_fnir", text, unresolved, now - limit)
    try:
        bounds = fnmr_bounds(new, bootstrap_for(rule.alpha / rule.limits))
    except Unresolvable as exc:
        return undecided("max_fnir", text, str(exc), now - limit)
    return decide(_shifted(bounds, limit), limit="max_fnir", allowed=text, told=told, rate="FNIR")


def _rise(
    rule: SearchRule, new: Outcome, old: Outcome, now: float, was: float, told: str, unresolved: str | None, same: bool
) -> LimitFound:
    increase = rule.increase
    assert increase is not None  # noqa: S101  (asked for only where there is one)
    text = increase.told("FNIR")
    excess = now - was - increase.of(was)
    if same:
        return LimitFound(
            limit="max_fnir_increase",
            allowed=text,
            verdict=Verdict.PASS,
            reason="every score is the baseline's",
            excess=excess,
            low=excess,
            high=excess,
            subjects_to_settle=None,
        )
    if unresolved:
        return undecided("max_fnir_increase", text, unresolved, excess)
    try:
        bounds = increase_bounds(new, old, bootstrap_for(rule.alpha / rule.limits), relative=increase.relative)
    except Unresolvable as exc:
        return undecided("max_fnir_increase", text, str(exc), excess)
    return decide(
        _shifted(bounds, increase.absolute),
        limit="max_fnir_increase",
        allowed=text,
        told=f"{told}{text} is allowed",
        whole=was if increase.relative else 0.0,
        rate="FNIR",
    )


def _difference(rule: SearchRule, new: Outcome, old: Outcome, increase: float, same: bool) -> DifferenceFound | None:
    worse, better = int((new.missed > old.missed).sum()), int((new.missed < old.missed).sum())
    try:
        bounds = increase_bounds(new, old, bootstrap_for(rule.alpha))
    except Unresolvable:
        return None
    return DifferenceFound(
        increase=increase,
        low=0.0 if same else bounds.low,
        high=0.0 if same else bounds.high,
        alpha=rule.alpha,
        method=bounds.method,
        subjects_worse=worse,
        subjects_better=better,
        same_scores=same,
    )


def _shifted(bounds: Bounds, by: float) -> Bounds:
    return replace(bounds, value=bounds.value - by, low=bounds.low - by, high=bounds.high - by)


def _together(limits: list[LimitFound]) -> Verdict | None:
    verdicts = {limit.verdict for limit in limits}
    return next((one for one in (Verdict.FAIL, Verdict.UNDECIDED, Verdict.PASS) if one in verdicts), None)


def _allowing(rising: Floats, permitted: int) -> float:
    """The lowest threshold that at most so many scores reach."""
    return -np.inf if permitted >= len(rising) else float(np.nextafter(rising[-1 - permitted], np.inf))


def _slope(mates: Floats, others: Floats, here: float) -> float:
    """|dFNIR/dFPIR| about a FPIR; both sorted upward. As `workers.verdict.outcomes.slope_at` takes it."""
    total = len(others)
    window = max(WINDOW * here, min(3 * np.sqrt(here / total), here), 1 / total)
    ends = []
    for fpir in (here - window, here + window):
        edge = _allowing(others, allowed(min(max(fpir, 0.0), 1.0), total))
        ends.append(
            (1 - np.searchsorted(others, edge, "left") / total, np.searchsorted(mates, edge, "left") / len(mates))
        )
    (strict, most), (lax, least) = ends
    return float((most - least) / (lax - strict)) if lax > strict else 0.0
