"""Are the set's subjects unlike each other, and the samples of each alike? By one judge, at its working threshold."""

import math

from app.dataset.names import subject_name
from app.dataset.report import Absent, Capacity, Consistency, LookAlike, Uniqueness
from workers.biometrics import uniqueness as identity
from workers.biometrics.capacity import estimate_capacity
from workers.biometrics.crossed import CrossedScores
from workers.biometrics.errors import ScoresRefused, Unresolvable
from workers.biometrics.tails import look_alikes
from workers.report import figures
from workers.report.difficulty import REPLICATES, Working
from workers.report.evidence import Evidence, JudgedBy

LISTED = 10
"""Pairs of look-alikes that are named."""

NEAREST_BINS = 30


def unique(
    evidence: Evidence, judge: JudgedBy, scores: CrossedScores, working: Working, absent: Absent
) -> Uniqueness | None:
    """U_class over one sample an identity, so that chance can be reckoned: an FMR is one of single samples too."""
    try:
        found = identity.uniqueness(evidence.table(judge, evidence.gallery), working.threshold, metric=judge.metric)
    except (Unresolvable, ScoresRefused) as exc:
        absent["uniqueness"] = str(exc)
        return None
    span = float(found.nearest_scores.max() - found.nearest_scores.min())
    nearest = figures.distribution(found.nearest_scores, width=figures.nice_width(span, NEAREST_BINS))
    if nearest is None:
        raise ValueError("identities without nearest scores")
    rate = scores.non_mated_reaching(working.threshold)[1] / scores.non_mated_total
    return Uniqueness(
        u_class=figures.rounded(found.u_class),
        unique=found.unique,
        identities=found.identities,
        without_template=found.without_template,
        threshold=working.threshold,
        target_fmr=working.target_fmr,
        by_chance=figures.rounded(math.exp((found.identities - 1) * math.log1p(-min(rate, 1 - 1e-12)))),
        interval=figures.interval(found.interval),
        nearest=nearest,
        look_alikes=tuple(
            LookAlike(
                score=figures.rounded(pair.score),
                subjects=(subject_name(pair.reference), subject_name(pair.probe)),
            )
            for pair in look_alikes(scores.tail, LISTED)
        ),
    )


def consistent(evidence: Evidence, judge: JudgedBy, working: Working, absent: Absent) -> Consistency | None:
    """C_intra over the judged subjects."""
    try:
        found = identity.consistency(
            evidence.table(judge, evidence.mated),
            working.threshold,
            metric=judge.metric,
            bootstrap=evidence.bootstrap(REPLICATES),
        )
    except (Unresolvable, ScoresRefused, ValueError) as exc:
        absent["consistency"] = str(exc)
        return None
    return Consistency(
        c_intra=figures.rounded(found.c_intra),
        subjects=found.subjects,
        left_out=found.left_out,
        threshold=working.threshold,
        by_subject=figures.interval(found.by_subject),
    )


def capacity(evidence: Evidence, judge: JudgedBy, working: Working, absent: Absent) -> Capacity | None:
    """How many identities the model could hold apart; for matchers that compare by cosine."""
    if judge.metric != "cosine":
        absent["capacity"] = "it is reckoned for matchers that compare by cosine"
        return None
    try:
        found = estimate_capacity(
            evidence.table(judge, evidence.gallery), working.threshold, bootstrap=evidence.bootstrap(REPLICATES)
        )
    except (Unresolvable, ScoresRefused, ValueError) as exc:
        absent["capacity"] = str(exc)
        return None
    return Capacity(
        threshold=working.threshold,
        identities=found.identities,
        match_rate=figures.rounded(found.match_rate),
        match_rate_interval=figures.interval(found.match_rate_interval),
        resolved=found.resolved,
        without_filtering=figures.finite(found.without_filtering),
        with_filtering=figures.finite(found.with_filtering),
        packing_bound=figures.finite(found.packing_bound),
    )
