"""Rates by the groups that a model's attributes make of its subjects, at a common threshold, over all seeds."""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from app.dataset.model import Attribute, ChoiceAttribute, ModelCard, RangeAttribute, attribute_value
from workers.appraisal.judged import Judged, metric_of
from workers.appraisal.rows import Row
from workers.biometrics.crossed import compare_crossed
from workers.biometrics.intervals import exact_interval
from workers.biometrics.rates import threshold_at_fmr
from workers.matchers.base import Matcher

FMR_OF_GROUPS = 1e-3

PARTS = 3
"""Groups of equal width that a number, as age in years, is cut into."""

Counts = dict[str, list[int]]
"""Group to mated comparisons missed, and made."""


def group_rows(card: ModelCard, judge: Matcher, judged: Sequence[Judged], subjects: int) -> list[Row]:
    """FNMR of each group at the threshold that has FMR 1e-3 over all of a seed's subjects, and dark over light skin."""
    rows: list[Row] = []
    for name, attribute in card.attributes.items():
        groups = _groups(attribute)
        if groups:
            counts = _counted(judge, judged, subjects, attribute, groups)
            rows += [_row(judge, f"{name} {group}", *counts[group]) for group in groups]
            if name == "skin_tone" and {"dark", "light"} <= set(groups):
                rows.append(_ratio(judge, counts["dark"], counts["light"]))
    return rows


def _groups(attribute: Attribute) -> tuple[str, ...]:
    if isinstance(attribute, ChoiceAttribute):
        return tuple(attribute.values)
    if isinstance(attribute, RangeAttribute):
        edges = np.linspace(attribute.min, attribute.max, PARTS + 1)
        return tuple(f"{low:.0f} to {high:.0f}" for low, high in pairwise(edges))
    return ()


def _group_of(attribute: Attribute, groups: tuple[str, ...], latent: float) -> str:
    value = attribute_value(attribute, latent)
    if isinstance(attribute, RangeAttribute):
        share = (float(value) - attribute.min) / (attribute.max - attribute.min)
        return groups[min(PARTS - 1, int(share * PARTS))]
    return str(value)


def _counted(
    judge: Matcher, judged: Sequence[Judged], subjects: int, attribute: Attribute, groups: tuple[str, ...]
) -> Counts:
    counts: Counts = {group: [0, 0] for group in groups}
    for one in judged:
        table = one.ordinary.tables[judge.name]
        scores = compare_crossed(table, subjects=subjects, metric=metric_of(judge))
        threshold = threshold_at_fmr(scores, FMR_OF_GROUPS)
        of = {
            int(subject): _group_of(attribute, groups, float(z[attribute.latent]))
            for subject, z in zip(table.subjects, one.ordinary.identity, strict=True)
        }
        for subject, score in zip(scores.mated_subjects, scores.mated, strict=True):
            counts[of[int(subject)]][0] += int(score < threshold)
            counts[of[int(subject)]][1] += 1
    return counts


def _row(judge: Matcher, group: str, missed: int, made: int) -> Row:
    measure = f"FNMR at FMR 1e-3, σ = 1: {group}"
    if not made:
        return Row(measure=measure, judge=judge.name, value=None, note="no mated comparison")
    interval = exact_interval(missed, made)
    note = f"{missed} of {made:,} mated comparisons"
    return Row(measure=measure, judge=judge.name, value=missed / made, low=interval.low, high=interval.high, note=note)


def _ratio(judge: Matcher, dark: Sequence[int], light: Sequence[int]) -> Row:
    measure = "FNMR at FMR 1e-3, dark over light skin"
    if not (dark[1] and light[0]):
        note = "no light face was missed" if dark[1] and light[1] else "a group has no mated comparison"
        return Row(measure=measure, judge=judge.name, value=None, note=note)
    value = (dark[0] / dark[1]) / (light[0] / light[1])
    return Row(
        measure=measure, judge=judge.name, value=value, wanted=("≤", 1.5), note=f"{dark[0]} and {light[0]} missed"
    )
