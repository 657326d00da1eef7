"""Rates by group of subjects (sex, age, skin tone) at one common threshold, by one judge."""

from collections.abc import Sequence

import numpy as np

from app.dataset.report import Absent, Differential, Group, Ratio
from workers.biometrics import groups
from workers.biometrics.crossed import CrossedScores, compare_crossed
from workers.biometrics.errors import ScoresRefused, Unresolvable
from workers.biometrics.scores import ScoreSet
from workers.report import figures
from workers.report.difficulty import KEPT, REPLICATES, Working
from workers.report.evidence import Evidence, JudgedBy


def differentials(
    evidence: Evidence, judge: JudgedBy, scores: CrossedScores, working: Working, absent: Absent
) -> tuple[Differential, ...]:
    """Every attribute that puts the judged subjects into two groups or more."""
    if not evidence.labels:
        absent["groups"] = "the model's card names no attribute that subjects could be grouped by"
        return ()
    listed, subjects = _one_by_one(evidence, judge, scores)
    found = []
    for attribute, labels in evidence.labels.items():
        try:
            one = groups.differential(
                listed,
                labels[:subjects],
                working.threshold,
                attribute=attribute,
                bootstrap=evidence.bootstrap(REPLICATES),
            )
        except (Unresolvable, ScoresRefused) as exc:
            absent[f"groups.{attribute}"] = str(exc)
            continue
        found.append(
            Differential(
                attribute=attribute,
                threshold=working.threshold,
                target_fmr=working.target_fmr,
                subjects=subjects,
                groups=_ordered(one.groups, evidence.orders.get(attribute, ())),
                fmr=_ratio(one.fmr_max_min),
                fnmr=_ratio(one.fnmr_max_min),
                unlabelled=one.unlabelled,
            )
        )
    return tuple(found)


def _one_by_one(evidence: Evidence, judge: JudgedBy, scores: CrossedScores) -> tuple[ScoreSet, int]:
    """All scores, or those of the first subjects that fit into memory; and of how many subjects they are."""
    subjects = evidence.judged_subjects
    if not scores.tail.complete:
        samples = int((2 * KEPT) ** 0.5)
        subjects = max(samples // evidence.samples_per_subject, 2)
        rows = evidence.mated & (evidence.subjects < subjects)
        scores = compare_crossed(evidence.table(judge, rows), subjects=subjects, metric=judge.metric, keep_tail=KEPT)
    listed = ScoreSet(
        mated=scores.mated,
        mated_subjects=scores.mated_subjects,
        non_mated=scores.tail.scores.astype(np.float64),
        non_mated_references=scores.tail.references,
        non_mated_probes=scores.tail.probes,
        subjects=subjects,
    )
    return listed, subjects


def _ordered(found: tuple[groups.GroupRates, ...], order: Sequence[str]) -> tuple[Group, ...]:
    by_name = {group.group: group for group in found}
    return tuple(_group(by_name[name]) for name in groups.in_order(by_name, order))


def _group(group: groups.GroupRates) -> Group:
    return Group(
        group=group.group,
        subjects=group.subjects,
        fmr=figures.rate(group.fmr) if group.fmr else None,
        fnmr=figures.rate(group.fnmr) if group.fnmr else None,
        flags=group.flags,
    )


def _ratio(ratio: groups.Ratio) -> Ratio:
    return Ratio(
        value=None if ratio.value is None else figures.finite(ratio.value),
        worst=ratio.worst,
        interval=figures.interval(ratio.interval) if ratio.interval else None,
        chance=None if ratio.chance is None else figures.finite(ratio.chance),
        note=ratio.note,
    )
