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
from workers.verdict.bounds import Bounds, bootstrap_for, fnmr_bounds, increase_bounds
from workers.verdict.compared import ComparedScores
from workers.verdict.metrics import measure
from workers.verdict.outcomes import Outcome, outcome_at, outcome_at_fmr
from workers.verdict.rule import decide, undecided


def evaluate(
    of: EvaluatedSet, rule: Rule, scores: ComparedScores, baseline: ComparedScores | None, notes: tuple[str, ...] = ()
) -> Evaluation:
    """Evaluate scores; both score sets must be of the same list of comparisons.

    Raises RequestRefused where the rule needs a baseline and there is none.
    """
    if rule.max_fnmr_increase is not None and baseline is None:
        raise RequestRefused(
            [("max_fnmr_increase", "an increase is over a baseline; hand in the baseline's scores too")]
        )
    old_threshold = rule.threshold if rule.baseline_threshold is None else rule.baseline_threshold
    found = measure(scores, at_fmr=rule.at_fmr, threshold=rule.threshold)
    before = None if baseline is None else measure(baseline, at_fmr=rule.at_fmr, threshold=old_threshold)
    new = _outcome(scores, rule, rule.threshold)
    old = None if baseline is None else _outcome(baseline, rule, old_threshold)
    same = baseline is not None and scores.digest == baseline.digest and rule.threshold == old_threshold
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
        scores=found,
        baseline=before,
        difference=_difference(rule, new, old, same) if baseline is not None else None,
        limits=tuple(limits),
        verdict=_together(limits),
        reason="; ".join(limit.reason for limit in limits) or "no limit was given, so nothing was to be decided",
        notes=(*notes, *_notes(rule, found, before)),
    )


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
    return decide(_shifted(bounds, limit), limit="max_fnmr", allowed=allowed)


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
    was = before.points[0].generalised_fnmr.value
    allowed = str(increase)
    excess = found.points[0].generalised_fnmr.value - was - increase.of(was)
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
    return decide(_shifted(bounds, increase.absolute), limit="max_fnmr_increase", allowed=allowed)


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
        low=bounds.value if same else bounds.low,
        high=bounds.value if same else bounds.high,
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
            f"at the threshold given, FMR is {found.points[0].fmr.value:.3g} and the baseline's is "
            f"{before.points[0].fmr.value:.3g}; the verdict is on FNMR alone"
        )
    elif rule.threshold is None and not found.points[0].resolved:
        notes.append(f"the set does not resolve FMR {rule.at_fmr:g} (rule of 30)")
    return notes
