"""Evaluating scores by a rule: metrics, the difference to a baseline, and the verdict."""

from dataclasses import replace

from app.dataset.evaluation import (
    DifferenceFound,
    EvaluatedSet,
    Evaluation,
    Increase,
    LimitFound,
    Rule,
    ScoresFound,
    Verdict,
)
from app.dataset.resolution import comparisons_needed
from app.errors import RequestRefused
from workers.biometrics.errors import Unresolvable
from workers.biometrics.rates import threshold_at_fmr
from workers.report.wording import percent
from workers.verdict.album import NO_PICTURES, Album
from workers.verdict.bounds import Bounds, bootstrap_for, fnmr_bounds, increase_bounds
from workers.verdict.compared import ComparedScores
from workers.verdict.direction import as_handed_in, check_order, faint
from workers.verdict.false_matches import find_false_matches
from workers.verdict.listed import Listed
from workers.verdict.metrics import measure
from workers.verdict.outcomes import Outcome, outcome_at, outcome_at_fmr
from workers.verdict.rule import decide, points, undecided
from workers.verdict.worse import At, by_group, find_worse


def evaluate(
    of: EvaluatedSet,
    rule: Rule,
    listed: Listed,
    scores: ComparedScores,
    baseline: ComparedScores | None,
    album: Album = NO_PICTURES,
) -> Evaluation:
    """Evaluate scores; both score sets must be of the comparisons listed. `album` knows their pictures and groups.

    Raises RequestRefused where the rule needs a baseline and there is none, ScoresRefused where scores are upside down.
    """
    if rule.max_fnmr_increase is not None and baseline is None:
        raise RequestRefused(
            [("max_fnmr_increase", "an increase is over a baseline; hand in the baseline's scores too")]
        )
    check_order(scores, baseline, distances=rule.distances)
    threshold = _as_score(rule, rule.threshold)
    old_threshold = threshold if rule.baseline_threshold is None else _as_score(rule, rule.baseline_threshold)
    found = measure(scores, at_fmr=rule.at_fmr, threshold=threshold)
    before = None if baseline is None else measure(baseline, at_fmr=rule.at_fmr, threshold=old_threshold)
    new = _outcome(scores, rule, threshold)
    old = None if baseline is None else _outcome(baseline, rule, old_threshold)
    same = baseline is not None and scores.digest == baseline.digest and threshold == old_threshold
    now = _at(scores, rule, threshold)
    then = None if baseline is None else _at(baseline, rule, old_threshold)
    limits = []
    if rule.max_fnmr is not None:
        limits.append(_absolute(rule, new, found, _unresolved(rule, scores)))
    increase = rule.increase
    if increase is not None and baseline is not None and before is not None:
        unresolved = _unresolved(rule, scores) or _unresolved(rule, baseline)
        limits.append(_rise(rule, increase, new, old, found, before, unresolved, same))
    return Evaluation(
        set=of,
        rule=rule,
        scores=as_handed_in(found, rule),
        baseline=None if before is None else as_handed_in(before, rule),
        difference=_difference(rule, new, old, same) if baseline is not None else None,
        worse=find_worse(listed, now, then, album, distances=rule.distances),
        false_matches=find_false_matches(listed, now, then, album, distances=rule.distances),
        groups=by_group(listed, now, then, album),
        limits=tuple(limits),
        verdict=_together(limits),
        reason="; ".join(limit.reason for limit in limits) or "no limit was given, so nothing was to be decided",
        notes=(*_notes(rule, found, before), *faint(scores, baseline)),
    )


def _as_score(rule: Rule, threshold: float | None) -> float | None:
    return -threshold if rule.distances and threshold is not None else threshold


def _at(scores: ComparedScores, rule: Rule, threshold: float | None) -> At:
    return At(scores=scores, threshold=threshold_at_fmr(scores, rule.at_fmr) if threshold is None else threshold)


def _outcome(scores: ComparedScores, rule: Rule, threshold: float | None) -> Outcome | None:
    return outcome_at_fmr(scores, rule.at_fmr) if threshold is None else outcome_at(scores, threshold)


def _unresolved(rule: Rule, scores: ComparedScores) -> str | None:
    """Why these non-mated comparisons cannot speak of the FMR; None if they can, or a threshold was given."""
    needed = comparisons_needed(rule.at_fmr)
    if rule.threshold is not None or scores.non_mated_total >= needed:
        return None
    least = min(30 / scores.non_mated_total, 1.0)
    return (
        f"FMR {rule.at_fmr:g} needs {needed:,} completed non-mated comparisons (rule of 30) and there are "
        f"{scores.non_mated_total:,}; take an FMR of {least:.2g} or more, a set with more subjects or with "
        "comparisons 'crossed' or 'complete', or give a threshold"
    )


def _absolute(rule: Rule, new: Outcome | None, found: ScoresFound, unresolved: str | None) -> LimitFound:
    limit = rule.max_fnmr or 0.0
    allowed = f"{limit:.4g}"
    excess = found.points[0].generalised_fnmr.value - limit
    if unresolved or new is None:
        return undecided("max_fnmr", allowed, unresolved or _TOO_DEEP, excess)
    try:
        bounds = fnmr_bounds(new, bootstrap_for(rule.alpha / rule.limits))
    except Unresolvable as exc:
        return undecided("max_fnmr", allowed, str(exc), excess)
    told = f"FNMR is {percent(found.points[0].generalised_fnmr.value)}, and {percent(limit)} is allowed"
    return decide(_shifted(bounds, limit), limit="max_fnmr", allowed=allowed, told=told)


def _rise(
    rule: Rule,
    increase: Increase,
    new: Outcome | None,
    old: Outcome | None,
    found: ScoresFound,
    before: ScoresFound,
    unresolved: str | None,
    same: bool,
) -> LimitFound:
    was, now = before.points[0].generalised_fnmr.value, found.points[0].generalised_fnmr.value
    allowed = str(increase)
    excess = now - was - increase.of(was)
    if same:
        return LimitFound(
            limit="max_fnmr_increase",
            allowed=allowed,
            verdict=Verdict.PASS,
            excess=excess,
            low=excess,
            high=excess,
            reason="every score is the baseline's, so FNMR has not risen",
            subjects_to_settle=None,
        )
    if unresolved or new is None or old is None:
        return undecided("max_fnmr_increase", allowed, unresolved or _TOO_DEEP, excess)
    try:
        bounds = increase_bounds(new, old, bootstrap_for(rule.alpha / rule.limits), relative=increase.relative)
    except Unresolvable as exc:
        return undecided("max_fnmr_increase", allowed, str(exc), excess)
    by = points(abs(now - was)).replace("point", "percentage point")
    moved = "has not changed" if now == was else f"{'rose' if now > was else 'fell'} by {by}"
    more = f", {100 * increase.relative:.4g}% of the baseline's FNMR," if increase.relative else ""
    allows = f"a rise by {points(increase.of(was))}{more} is allowed"
    told = f"FNMR {moved}, from {percent(was)} to {percent(now)}; {allows}"
    return decide(
        _shifted(bounds, increase.absolute),
        limit="max_fnmr_increase",
        allowed=allowed,
        told=told,
        whole=was if increase.relative else 0.0,
    )


_TOO_DEEP = "the FMR is so high that its threshold lies below the scores that are kept one by one; take a lower one"


def _shifted(bounds: Bounds, by: float) -> Bounds:
    return replace(bounds, value=bounds.value - by, low=bounds.low - by, high=bounds.high - by)


def _difference(rule: Rule, new: Outcome | None, old: Outcome | None, same: bool) -> DifferenceFound | None:
    if new is None or old is None:
        return None
    try:
        bounds = increase_bounds(new, old, bootstrap_for(rule.alpha))
    except Unresolvable:
        return None
    return DifferenceFound(
        increase=bounds.value,
        low=bounds.value if same else max(bounds.low, -1.0),
        high=bounds.value if same else min(bounds.high, 1.0),
        alpha=rule.alpha,
        method="every score is the baseline's" if same else bounds.method,
        subjects_worse=int((new.missed > old.missed).sum()),
        subjects_better=int((new.missed < old.missed).sum()),
        same_scores=same,
    )


def _together(limits: list[LimitFound]) -> Verdict | None:
    verdicts = {limit.verdict for limit in limits}
    for verdict in (Verdict.FAIL, Verdict.UNDECIDED, Verdict.PASS):
        if verdict in verdicts:
            return verdict
    return None


def _notes(rule: Rule, found: ScoresFound, before: ScoresFound | None) -> list[str]:
    notes = []
    for who, scores in (("the new scores", found), ("the baseline", before)):
        if scores is None:
            continue
        if scores.mated_failed:
            notes.append(
                f"{scores.mated_failed:,} mated comparisons of {who} failed; they count as non-matches in the "
                "generalised FNMR, which decides"
            )
        if scores.non_mated_failed:
            notes.append(
                f"{scores.non_mated_failed:,} non-mated comparisons of {who} failed; FMR is over the completed ones"
            )
    if rule.threshold is not None and before is not None:
        notes.append(
            f"at the threshold given, FMR is {percent(found.points[0].fmr.value)} and the baseline's is "
            f"{percent(before.points[0].fmr.value)}; the verdict is on FNMR alone"
        )
    elif rule.threshold is None and not found.points[0].resolved:
        notes.append(f"the set does not resolve FMR {rule.at_fmr:g} (rule of 30)")
    return notes
