"""1:N search in the judged part of the set: FNIR at a FPIR over gallery sizes, and a line beyond them."""

from collections.abc import Callable

import numpy as np

from app.dataset.report import Absent, IdentificationPoint
from app.dataset.resolution import ERRORS
from workers.biometrics import identification
from workers.biometrics.errors import ScoresRefused, Unresolvable
from workers.biometrics.extrapolation import FARTHEST, extrapolate
from workers.report import figures
from workers.report.difficulty import REPLICATES
from workers.report.evidence import Evidence, JudgedBy

FPIRS = (0.1, 0.01)

LARGEST = 20_000
"""References in a gallery, at the most."""


def identify(
    evidence: Evidence, judge: JudgedBy, absent: Absent, should_cancel: Callable[[], bool]
) -> tuple[IdentificationPoint, ...]:
    """Search every probe among references and distractors; then the line in ln N, up to 100 times the largest."""
    gallery = evidence.table(judge, evidence.gallery)
    probes = evidence.table(judge, evidence.mated & ~evidence.gallery)
    sizes = _sizes(int(gallery.extracted.sum()))
    try:
        if not sizes:
            raise Unresolvable("a gallery of fewer than 3 references allows no search")
        found = identification.search(
            gallery, probes, sizes, metric=judge.metric, seed=evidence.seed % 2**31, should_cancel=should_cancel
        )
        points: list[identification.IdentificationPoint] = []
        for fpir in FPIRS:
            points += identification.fnir_at_fpir(found, fpir, bootstrap=evidence.bootstrap(REPLICATES))
    except (Unresolvable, ScoresRefused, ValueError) as exc:
        absent["identification"] = str(exc)
        return ()
    beyond = [size for size in (1_000, 10_000, 100_000, 1_000_000) if sizes[-1] < size <= FARTHEST * sizes[-1]]
    searched = found.best_non_mated.shape[2]
    for fpir in FPIRS:
        if fpir * searched < ERRORS or not beyond:
            continue
        try:
            points += extrapolate(found, beyond, fpir, bootstrap=evidence.bootstrap(REPLICATES))
        except (Unresolvable, ValueError) as exc:
            absent["extrapolation"] = str(exc)
    return tuple(_point(point) for point in points)


def _sizes(references: int) -> list[int]:
    """Gallery sizes of 10, 20, 50, 100 …, and the largest that leaves a non-mated search its mate out."""
    most = min(references - 1, LARGEST)
    if most < 2:
        return []
    steps = [int(step * 10**power) for power in range(1, 6) for step in (1, 2, 5)]
    return [*(size for size in steps if size < 0.9 * most), most]


def _point(point: identification.IdentificationPoint) -> IdentificationPoint:
    return IdentificationPoint(
        size=point.size,
        target_fpir=point.target_fpir,
        threshold=figures.threshold(point.threshold) if np.isfinite(point.threshold) else None,
        fnir=figures.rounded(point.fnir),
        mated=point.mated,
        non_mated=point.non_mated,
        by_subject=figures.interval(point.by_subject),
        resolved=point.resolved,
        extrapolated=point.extrapolated,
    )
