"""Real faces that a user has, to compare with: their templates, thresholds that are right for them, the domain gap.

A folder holds a folder for each subject. Nothing of it is kept but figures.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from app.dataset.reference import REFERENCE_FMR, Reference
from app.dataset.report import RealThreshold
from app.dataset.resolution import subjects_needed
from app.errors import RequestRefused
from workers.appraisal.judged import Judged, metric_of, template_of
from workers.appraisal.rows import Row
from workers.appraisal.sweep import by_chance
from workers.biometrics.crossed import CrossedScores, compare_crossed
from workers.biometrics.rates import fmr, threshold_at_fmr
from workers.biometrics.templates import TemplateTable, unit
from workers.biometrics.uniqueness import uniqueness
from workers.matchers.base import Matcher
from workers.matchers.detector import Detector
from workers.photographs import Unusable, read_photograph, subject_folders

TARGETS = (1e-2, 1e-3, 1e-4)
"""FMRs whose thresholds a reference holds, as far as its photographs resolve them."""

NAMED = 20
"""So many unusable pictures are named in a message."""

HALVINGS = 20
"""Ways in which one collection is split in two by subject, to see how far halves of it differ."""

Floats = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class RealFaces:
    """Templates of one collection, while a command runs."""

    name: str
    subjects: int
    pictures: int
    tables: dict[str, TemplateTable]
    """By judge; NaN where a picture gave no template."""

    def scores(self, judge: Matcher) -> CrossedScores:
        """All pictures with all others; raises RequestRefused where they do not resolve REFERENCE_FMR."""
        found = compare_crossed(self.tables[judge.name], subjects=self.subjects, metric=metric_of(judge))
        if found.non_mated_total * REFERENCE_FMR < 1:
            text = (
                f"{self.name} gives {found.non_mated_total:,} comparisons of different people by {judge.name}; a "
                f"threshold at FMR {REFERENCE_FMR:g} needs {1 / REFERENCE_FMR:,.0f}: that takes "
                f"{subjects_needed(REFERENCE_FMR, errors=1)} subjects with a picture each, and "
                f"{subjects_needed(REFERENCE_FMR)} for it to be exact to a third"
            )
            raise RequestRefused([("folder", text)])
        return found


def read_real_faces(
    folder: Path,
    judges: Sequence[Matcher],
    *,
    detector: Detector,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> RealFaces:
    """Show every picture of FOLDER/SUBJECT/PICTURE to every judge; `on_progress` gets pictures done and in all.

    Raises RequestRefused for a folder without two subjects, Unusable for pictures that cannot be read. A picture in
    which no face is found has no template, and is counted with that.
    """
    listed = [(name, pictures) for name, pictures in subject_folders(folder) if pictures]
    if len(listed) < 2:
        raise RequestRefused(
            [
                (
                    "folder",
                    f"{folder} holds pictures of {len(listed)} subject; different people are compared: give a folder "
                    f"each to {subjects_needed(REFERENCE_FMR, errors=1)} subjects or more, better "
                    f"{subjects_needed(REFERENCE_FMR)}",
                )
            ]
        )
    rows: dict[str, list[NDArray[np.float32]]] = {judge.name: [] for judge in judges}
    owners: list[int] = []
    problems: list[str] = []
    total = sum(len(pictures) for _, pictures in listed)
    for number, (_, pictures) in enumerate(listed):
        for picture in pictures:
            try:
                pixels = read_photograph(picture)
            except Unusable as exc:
                problems.append(f"{picture.relative_to(folder)} {exc}")
                continue
            face = detector.detect(pixels)
            for judge in judges:
                rows[judge.name].append(template_of(judge, pixels, face))
            owners.append(number)
            on_progress(len(owners), total)
    if problems:
        shown = "; ".join(problems[:NAMED]) + (" …" if len(problems) > NAMED else "")
        raise Unusable(f"{len(problems)} pictures in {folder} cannot be used: {shown}. Mend them or move them away")
    return RealFaces(
        name=folder.name,
        subjects=len(listed),
        pictures=len(owners),
        tables={
            name: TemplateTable(templates=np.stack(templates), subjects=np.array(owners))
            for name, templates in rows.items()
        },
    )


def reference_of(faces: RealFaces, judges: Sequence[Matcher], name: str) -> Reference:
    """Thresholds of every judge on real faces; raises RequestRefused where REFERENCE_FMR is not resolved."""
    points = []
    for judge in judges:
        scores = faces.scores(judge)
        points += [
            RealThreshold(
                matcher=judge.name,
                matcher_digest=judge.digest,
                target_fmr=target,
                threshold=threshold_at_fmr(scores, target),
                source=name,
                subjects=faces.subjects,
                comparisons=scores.non_mated_total,
            )
            for target in TARGETS
            if scores.non_mated_total * target >= 1
        ]
    return Reference(thresholds=tuple(points))


def tail_rows(judge: Matcher, judged: Judged, faces: RealFaces, threshold: float, subjects: int) -> list[Row]:
    """One seed's crowding: pairs of different identities, and identities, that match at a real threshold."""
    scores = compare_crossed(judged.ordinary.tables[judge.name], subjects=subjects, metric=metric_of(judge))
    tail = fmr(scores, threshold)
    found = uniqueness(judged.portraits.tables[judge.name], threshold, metric=metric_of(judge))
    at = f"threshold of FMR 1e-3 on {faces.name}"
    return [
        Row(
            measure=f"non-mated pairs that match, σ = 1, {at}",
            judge=judge.name,
            value=tail.value,
            low=tail.exact.low,
            high=tail.exact.high,
            wanted=("≤", 0.03),
        ),
        Row(
            measure=f"U_class of {found.identities:,} unfiltered identities, {at}",
            judge=judge.name,
            value=found.u_class,
            low=found.interval.low,
            high=found.interval.high,
            note=by_chance(found.identities),
        ),
    ]


def gap_row(judge: Matcher, judged: Judged, faces: RealFaces, yardstick: float, note: str) -> Row:
    """How far one seed's samples at σ = 1 lie from real faces in a judge's space, over how far real sets differ."""
    value = discrepancy(judged.ordinary.tables[judge.name], faces.tables[judge.name]) / yardstick
    return Row(measure=f"domain gap to {faces.name}, σ = 1", judge=judge.name, value=value, note=note)


def yardstick(judge: Matcher, collections: Sequence[RealFaces]) -> tuple[float, str]:
    """How far real sets differ from each other in a judge's space, and what that was measured on.

    Of several collections the mean over all two of them. Of a single one, the mean size over halves of it: these
    differ by chance alone, the less the more subjects there are, so a gap over it is no figure to compare elsewhere.
    """
    tables = [faces.tables[judge.name] for faces in collections]
    if len(tables) > 1:
        found = [discrepancy(a, b) for number, a in enumerate(tables) for b in tables[number + 1 :]]
        return float(np.mean(np.abs(found))), f"over {len(found)} pairs of real collections, {np.mean(found):.3g}"
    table, rng = tables[0], np.random.default_rng(0)
    owners = np.unique(table.subjects[table.extracted])
    found = []
    for _ in range(HALVINGS):
        first = np.isin(table.subjects, rng.permutation(owners)[: len(owners) // 2])
        found.append(discrepancy(table.take(first), table.take(~first)))
    size = float(np.mean(np.abs(found)))
    return (
        size,
        f"over halves of one collection, {size:.3g}; give a second --against for a yardstick between collections",
    )


def discrepancy(one: TemplateTable, other: TemplateTable) -> float:
    """Squared maximum mean discrepancy of templates of length 1 under the kernel (1 + a·b)³, unbiased.

    Within a table only pairs of different subjects count: images of one person are no independent draws (after Gretton
    2012; the cubic kernel is that of Bińkowski 2018).
    """
    a, b = (np.asarray(unit(table.templates[table.extracted]), np.float64) for table in (one, other))
    within = [
        _kernel(x, x)[table.subjects[table.extracted][:, None] != table.subjects[table.extracted]].mean()
        for x, table in ((a, one), (b, other))
    ]
    return float(sum(within) - 2 * _kernel(a, b).mean())


def _kernel(a: Floats, b: Floats) -> Floats:
    return np.asarray((1 + a @ b.T) ** 3)
