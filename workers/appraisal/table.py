"""The table of a model: how well its knobs work and what its samples show, by every judge, over several seeds."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

from app.dataset.reference import REFERENCE_FMR
from workers.appraisal import real
from workers.appraisal.by_group import group_rows
from workers.appraisal.judged import Judged, judge_samples
from workers.appraisal.real import RealFaces
from workers.appraisal.rows import CurvePoint, Row, pooled_points, pooled_rows
from workers.appraisal.samples import SEED
from workers.appraisal.seen import detector_rows, glasses_row, label_rows
from workers.appraisal.sweep import sweep
from workers.biometrics.rates import threshold_at_fmr
from workers.generator.base import Generator
from workers.matchers.base import Matcher
from workers.matchers.detector import Detector

SIGMAS = (0.25, 0.5, 0.75, 1.0, 1.25, 1.5, 1.75, 2.0)
SEEDS = 5


@dataclass(frozen=True, kw_only=True)
class Appraisal:
    """All that was measured of one generator."""

    model: str
    version: str
    size: tuple[int, int]
    subjects: int
    """Of each seed."""
    samples_per_subject: int
    identities: int
    """Neutral portraits of each seed."""
    seeds: int
    judges: dict[str, str]
    """Name to version."""
    against: dict[str, tuple[int, int]]
    """Collections of real faces: name to subjects and pictures."""
    rows: tuple[Row, ...]
    curve: tuple[CurvePoint, ...]

    @property
    def spread(self) -> str:
        """What intervals are."""
        return "95% by subject" if self.seeds == 1 else f"range of {self.seeds} seeds"

    def as_card(self) -> dict[str, Any]:
        """As a card keeps it: numbers to four digits."""
        told = {**asdict(self), "rows": [row.as_card() for row in self.rows]}
        found: dict[str, Any] = _rounded(told)
        return found


def appraise(
    generator: Generator,
    judges: Sequence[Matcher],
    *,
    detector: Detector,
    subjects: int = 100,
    samples: int = 3,
    identities: int = 1_000,
    seeds: int = SEEDS,
    sigmas: Sequence[float] = SIGMAS,
    against: Sequence[RealFaces] = (),
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> Appraisal:
    """Measure a generator; on one core about an eighth of a second a sample. `on_progress` gets samples done, in all.

    Raises RequestRefused where the real faces are too few, before anything is made.
    """
    thresholds = {
        (faces.name, judge.name): threshold_at_fmr(faces.scores(judge), REFERENCE_FMR)
        for faces in against
        for judge in judges
    }
    each = len(sigmas) * subjects * samples + identities

    def told(before: int, done: int) -> None:
        on_progress(before + done, seeds * each)

    judged = [
        judge_samples(
            generator,
            judges,
            detector=detector,
            seed=SEED + number,
            sigmas=sigmas,
            subjects=subjects,
            samples=samples,
            identities=identities,
            on_progress=partial(told, number * each),
        )
        for number in range(seeds)
    ]
    rows = pooled_rows([detector_rows(generator.card, one.ordinary, detector.name) for one in judged])
    rows += glasses_row(generator.card)
    curve: list[CurvePoint] = []
    for judge in judges:
        swept = [sweep(judge, one, subjects) for one in judged]
        rows += pooled_rows([of_seed for of_seed, _ in swept])
        curve += pooled_points([points for _, points in swept])
        rows += label_rows(generator.card, judge, judged, subjects)
        rows += group_rows(generator.card, judge, judged, subjects)
        rows += _real_rows(judge, judged, against, thresholds, subjects)
    return Appraisal(
        model=generator.card.name,
        version=generator.card.version,
        size=generator.card.sizes[0],
        subjects=subjects,
        samples_per_subject=samples,
        identities=identities,
        seeds=seeds,
        judges={judge.name: judge.version for judge in judges},
        against={faces.name: (faces.subjects, faces.pictures) for faces in against},
        rows=tuple(rows),
        curve=tuple(curve),
    )


def _real_rows(
    judge: Matcher,
    judged: Sequence[Judged],
    against: Sequence[RealFaces],
    thresholds: dict[tuple[str, str], float],
    subjects: int,
) -> list[Row]:
    if not against:
        return []
    size, note = real.yardstick(judge, against)
    rows: list[Row] = []
    for faces in against:
        threshold = thresholds[faces.name, judge.name]
        rows += pooled_rows([real.tail_rows(judge, one, faces, threshold, subjects) for one in judged])
        rows += pooled_rows([[real.gap_row(judge, one, faces, size, note)] for one in judged])
    return rows


def _rounded(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _rounded(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_rounded(item) for item in value]
    if isinstance(value, float):
        return float(f"{value:.4g}")
    return value
