"""What σ does: EER and FNMR at every σ, in what order they rise, and how far a fixed threshold's FMR moves."""

from collections.abc import Sequence

import numpy as np
from scipy.stats import spearmanr

from workers.appraisal.judged import Judged, metric_of
from workers.appraisal.rows import CurvePoint, Row
from workers.biometrics.bootstrap import Bootstrap, at_fmr
from workers.biometrics.crossed import CrossedScores, compare_crossed
from workers.biometrics.eer import eer_by_subject
from workers.biometrics.rates import fmr, threshold_at_fmr
from workers.biometrics.templates import TemplateTable
from workers.biometrics.uniqueness import uniqueness
from workers.matchers.base import Matcher

BOOTSTRAP = Bootstrap(replicates=400)
FMR_OF_SWEEP = 1e-2
FMR_OF_UNIQUENESS = 1e-3


def sweep(judge: Matcher, judged: Judged, subjects: int) -> tuple[list[Row], list[CurvePoint]]:
    """One seed's lines and curve by one judge."""
    crossed = {
        sigma: compare_crossed(seen.tables[judge.name], subjects=subjects, metric=metric_of(judge))
        for sigma, seen in judged.at.items()
    }
    points = [
        _point(judge.name, sigma, scores, crossed[1.0], judged.at[sigma].tables[judge.name])
        for sigma, scores in crossed.items()
    ]
    rows = [*_rows(judge.name, points), _u_class(judge, judged.portraits.tables[judge.name], crossed[1.0])]
    return rows, points


def _point(judge: str, sigma: float, scores: CrossedScores, at_one: CrossedScores, table: TemplateTable) -> CurvePoint:
    point = at_fmr(scores, FMR_OF_SWEEP, BOOTSTRAP)
    interval = point.fnmr.interval
    equal = eer_by_subject(scores, BOOTSTRAP)
    return CurvePoint(
        judge=judge,
        sigma=sigma,
        eer=equal.value,
        eer_low=equal.by_subject.low if equal.by_subject else equal.value,
        eer_high=equal.by_subject.high if equal.by_subject else equal.value,
        fnmr=point.fnmr.value,
        fnmr_low=interval.low,
        fnmr_high=interval.high,
        fmr_at_fixed=fmr(scores, threshold_at_fmr(at_one, FMR_OF_SWEEP)).value,
        not_extracted=float(1 - table.extracted.mean()),
    )


def _rows(judge: str, points: Sequence[CurvePoint]) -> list[Row]:
    by_sigma = {point.sigma: point for point in points}
    half, one, more = (by_sigma[sigma] for sigma in (0.5, 1.0, 1.5))
    fnmrs = [point.fnmr for point in points]
    # Where nothing moves there is no rank to correlate.
    rank = float(spearmanr([point.sigma for point in points], fnmrs).statistic) if len(set(fnmrs)) > 1 else 0.0
    fixed = np.array([point.fmr_at_fixed for point in points])
    change = float(np.abs(fixed / one.fmr_at_fixed - 1).max()) if one.fmr_at_fixed else None
    return [
        _eer_row(half, ("≤", 0.005)),
        _eer_row(one, ("≤", 0.03)),
        _eer_row(more, None),
        Row(
            measure="smaller step of EER from σ = 0.5 over 1 to 1.5",
            judge=judge,
            value=min(one.eer - half.eer, more.eer - one.eer),
            wanted=(">", 0),
        ),
        Row(measure="Spearman of σ and FNMR at FMR 1e-2, 8 settings", judge=judge, value=rank, wanted=("≥", 0.97)),
        Row(
            measure="largest change of FMR at a fixed threshold",
            judge=judge,
            value=change,
            wanted=("≤", 0.3),
            note="the more samples vary, the lower non-mated scores are"
            if change is not None
            else "too few comparisons: no FMR above 0 is at most 1e-2",
        ),
    ]


def _eer_row(point: CurvePoint, wanted: tuple[str, float] | None) -> Row:
    return Row(
        measure=f"EER, σ = {point.sigma:g}",
        judge=point.judge,
        value=point.eer,
        low=point.eer_low,
        high=point.eer_high,
        wanted=wanted,
    )


def _u_class(judge: Matcher, portraits: TemplateTable, at_one: CrossedScores) -> Row:
    found = uniqueness(portraits, threshold_at_fmr(at_one, FMR_OF_UNIQUENESS), metric=metric_of(judge))
    return Row(
        measure=f"U_class of {found.identities:,} unfiltered identities, threshold of FMR 1e-3 at σ = 1",
        judge=judge.name,
        value=found.u_class,
        low=found.interval.low,
        high=found.interval.high,
        wanted=("≥", 0.9),
        note=by_chance(found.identities),
    )


def by_chance(identities: int) -> str:
    """What U_class is to be compared with: so many meet so many others that even strangers would not all be unlike."""
    return f"independent identities would leave {(1 - FMR_OF_UNIQUENESS) ** (identities - 1):.2f}"
