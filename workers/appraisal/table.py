"""The table: how well a generator's knobs work, by every judge, with intervals and what is asked of a default model."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import spearmanr

from workers.appraisal.samples import samples_at
from workers.biometrics.bootstrap import Bootstrap, at_fmr
from workers.biometrics.crossed import CrossedScores, compare_crossed
from workers.biometrics.eer import eer_by_subject
from workers.biometrics.intervals import exact_interval
from workers.biometrics.rates import fmr, threshold_at_fmr
from workers.biometrics.templates import Metric, TemplateTable
from workers.biometrics.uniqueness import uniqueness
from workers.generator.base import Generator
from workers.generator.latents import asked_pose, layout_of
from workers.matchers.base import Failure, Matcher, Role
from workers.matchers.comparison import COSINE
from workers.matchers.detector import Detector
from workers.matchers.extraction import extract_one
from workers.matchers.pose import estimate_pose

SIGMAS = (0.25, 0.5, 0.75, 1.0, 1.25, 1.5, 1.75, 2.0)
BOOTSTRAP = Bootstrap(replicates=400)
FMR_OF_SWEEP = 1e-2
FMR_OF_UNIQUENESS = 1e-3
FEWEST_YAWS = 4
"""Below that a correlation has no interval."""


@dataclass(frozen=True, kw_only=True)
class Row:
    """One line of the table."""

    measure: str
    judge: str
    value: float | None
    """None where the measure does not apply; `note` says why."""
    low: float | None = None
    """95% interval, where one can be given."""
    high: float | None = None
    asked: str = ""
    """What a default model must reach."""
    met: bool | None = None
    note: str = ""
    """What to know when reading the value."""


@dataclass(frozen=True, kw_only=True)
class CurvePoint:
    """What one judge says at one σ."""

    judge: str
    sigma: float
    eer: float
    eer_low: float
    eer_high: float
    fnmr: float
    """At FMR_OF_SWEEP."""
    fnmr_low: float
    fnmr_high: float
    fmr_at_fixed: float
    """At the threshold that has FMR_OF_SWEEP at σ = 1."""
    not_extracted: float
    """Share of samples without a template; beside the rates, never in them."""


@dataclass(frozen=True, kw_only=True)
class Appraisal:
    """All that was measured of one generator."""

    model: str
    version: str
    size: tuple[int, int]
    subjects: int
    samples_per_subject: int
    judges: dict[str, str]
    """Name to version."""
    rows: tuple[Row, ...]
    curve: tuple[CurvePoint, ...]

    def as_card(self) -> dict[str, Any]:
        """As a card keeps it: numbers to four digits."""
        found: dict[str, Any] = _rounded(asdict(self))
        return found


def appraise(
    generator: Generator,
    judges: Sequence[Matcher],
    *,
    detector: Detector,
    subjects: int = 100,
    samples: int = 3,
    identities: int = 1_000,
    sigmas: Sequence[float] = SIGMAS,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> Appraisal:
    """Measure a generator; on one core about a quarter of a second a sample and judge."""
    steps = len(sigmas) * subjects * samples + identities
    done = 0

    def progress(of_this: int) -> None:
        on_progress(done + of_this, steps)

    tables: dict[tuple[str, float], TemplateTable] = {}
    for sigma in sigmas:
        tables |= {
            (name, sigma): table
            for name, table in _templates(generator, judges, sigma, subjects, samples, progress).items()
        }
        done += subjects * samples
    portraits = _templates(generator, judges, 0.0, identities, 1, progress)
    done += identities
    rows = [*_seen_by_detector(generator, detector, subjects, samples)]
    curve: list[CurvePoint] = []
    for judge in judges:
        crossed = {
            sigma: compare_crossed(tables[judge.name, sigma], subjects=subjects, metric=_metric(judge))
            for sigma in sigmas
        }
        points = [
            _point(judge.name, sigma, crossed[sigma], crossed[1.0], tables[judge.name, sigma]) for sigma in sigmas
        ]
        curve += points
        rows += _rows_of_sweep(judge.name, points)
        rows.append(_u_class(judge, portraits[judge.name], crossed[1.0]))
    return Appraisal(
        model=generator.card.name,
        version=generator.card.version,
        size=generator.card.sizes[0],
        subjects=subjects,
        samples_per_subject=samples,
        judges={judge.name: judge.version for judge in judges},
        rows=tuple(rows),
        curve=tuple(curve),
    )


def _metric(judge: Matcher) -> Metric:
    return "cosine" if judge.score.name == COSINE.name else "euclidean"


def _templates(
    generator: Generator,
    judges: Sequence[Matcher],
    sigma: float,
    subjects: int,
    samples: int,
    progress: Callable[[int], None],
) -> dict[str, TemplateTable]:
    """Every judge's templates of the samples at one σ; each image is made once."""
    rows: dict[str, list[NDArray[np.float32]]] = {judge.name: [] for judge in judges}
    owners: list[int] = []
    for batch in samples_at(generator, sigma, subjects=subjects, samples=samples, on_progress=progress):
        owners += batch.subjects
        for pixels in batch.pixels:
            for judge in judges:
                found = extract_one(judge, pixels, Role.PROBE)
                missing = np.full(judge.dimensions, np.nan, np.float32)
                rows[judge.name].append(missing if isinstance(found, Failure) else found)
    return {
        name: TemplateTable(templates=np.stack(templates), subjects=np.array(owners))
        for name, templates in rows.items()
    }


def _seen_by_detector(generator: Generator, detector: Detector, subjects: int, samples: int) -> tuple[Row, Row]:
    """Faces found at σ = 1, and the correlation of the yaw read off their five points with the yaw asked for."""
    tried = 0
    asked: list[float] = []
    seen: list[float] = []
    for batch in samples_at(generator, 1.0, subjects=subjects, samples=samples):
        tried += len(batch.pixels)
        pose = asked_pose(generator.card, batch.observation)
        yaws = pose.yaw if pose else np.full(len(batch.pixels), np.nan)
        for pixels, wanted in zip(batch.pixels, yaws, strict=True):
            face = detector.detect(pixels)
            if face is not None:
                asked.append(float(wanted))
                seen.append(estimate_pose(face.points).yaw)
    share, interval = len(seen) / tried, exact_interval(len(seen), tried, over="samples")
    found = Row(
        measure="face found, σ = 1",
        judge=detector.name,
        value=share,
        low=interval.low,
        high=interval.high,
        asked="≥ 0.97",
        met=share >= 0.97,
    )
    return found, _yaw_row(detector.name, asked, seen, has_yaw=layout_of(generator.card) is not None)


def _yaw_row(judge: str, asked: Sequence[float], seen: Sequence[float], *, has_yaw: bool) -> Row:
    measure, wanted = "yaw seen against yaw asked for, correlation", "≥ 0.9"
    if not has_yaw:
        return Row(measure=measure, judge=judge, value=None, asked=wanted, note="the model has no factor pose")
    if len(asked) < FEWEST_YAWS:
        note = f"too few faces were found ({len(asked)})"
        return Row(measure=measure, judge=judge, value=None, asked=wanted, note=note)
    value = float(np.corrcoef(asked, seen)[0, 1])
    # Fisher's transform: nearly normal with standard error 1 / sqrt(n - 3).
    reach = 1.96 / np.sqrt(len(asked) - 3)
    low, high = np.tanh(np.arctanh(value) + np.array([-reach, reach]))
    return Row(
        measure=measure, judge=judge, value=value, low=float(low), high=float(high), asked=wanted, met=value >= 0.9
    )


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


def _rows_of_sweep(judge: str, points: Sequence[CurvePoint]) -> list[Row]:
    by_sigma = {point.sigma: point for point in points}
    half, one, more = (by_sigma[sigma] for sigma in (0.5, 1.0, 1.5))
    rising = half.eer < one.eer < more.eer
    fnmrs = [point.fnmr for point in points]
    # Where nothing moves there is no rank to correlate.
    rank = float(spearmanr([point.sigma for point in points], fnmrs).statistic) if len(set(fnmrs)) > 1 else 0.0
    fixed = np.array([point.fmr_at_fixed for point in points])
    change = float(np.abs(fixed / one.fmr_at_fixed - 1).max()) if one.fmr_at_fixed else None
    spearman = "Spearman of σ and FNMR at FMR 1e-2, 8 settings"
    fixed_fmr = "largest change of FMR at a fixed threshold"
    return [
        _eer_row(half, "≤ 0.03", half.eer <= 0.03),
        _eer_row(one, "rising", rising),
        _eer_row(more, "rising", rising),
        Row(measure=spearman, judge=judge, value=rank, asked="≥ 0.97", met=rank >= 0.97),
        Row(
            measure=fixed_fmr,
            judge=judge,
            value=change,
            asked="≤ 0.3",
            met=None if change is None else change <= 0.3,
            note="the more samples vary, the lower non-mated scores are"
            if change is not None
            else "too few comparisons: no FMR above 0 is at most 1e-2",
        ),
    ]


def _eer_row(point: CurvePoint, asked: str, met: bool) -> Row:
    return Row(
        measure=f"EER, σ = {point.sigma:g}",
        judge=point.judge,
        value=point.eer,
        low=point.eer_low,
        high=point.eer_high,
        asked=asked,
        met=met,
    )


def _u_class(judge: Matcher, portraits: TemplateTable, at_one: CrossedScores) -> Row:
    found = uniqueness(portraits, threshold_at_fmr(at_one, FMR_OF_UNIQUENESS), metric=_metric(judge))
    return Row(
        measure=f"U_class of {found.identities:,} unfiltered identities, threshold of FMR 1e-3 at σ = 1",
        judge=judge.name,
        value=found.u_class,
        low=found.interval.low,
        high=found.interval.high,
        asked="≥ 0.9",
        met=found.u_class >= 0.9,
        # So many identities meet so many others that even faces drawn from everybody would rarely all be unlike.
        note=f"independent identities would leave {(1 - FMR_OF_UNIQUENESS) ** (found.identities - 1):.2f}",
    )


def _rounded(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _rounded(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_rounded(item) for item in value]
    if isinstance(value, float):
        return float(f"{value:.4g}")
    return value
