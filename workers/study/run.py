"""A study from its folder to its page: settings, parts, figures, page. Broken off, it goes on where it was.

study.json   the settings
parts/       templates, one file a method and σ
data.json    every figure
study.html   the same to read, in one file
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from pathlib import Path

import numpy as np
from pydantic import ValidationError

from app.client.distribution import NAME
from app.dataset.report import MatcherFacts
from app.errors import Corrupt, RequestRefused
from workers.appraisal.judged import metric_of
from workers.appraisal.real import RealFaces
from workers.biometrics.templates import Metric
from workers.generator.base import Generator
from workers.generator.trained_on import TrainedOn
from workers.images import Pixels, contact_sheet, encode_small
from workers.matchers.base import Matcher
from workers.matchers.detector import Detector
from workers.report.faults import faults_of
from workers.study.collect import Part, collect, draw, part_path, places, read_part, write_part
from workers.study.measure import measure_method
from workers.study.page import Picture, Pictures, render_study
from workers.study.spec import Method, MethodFound, StudyFound, StudySpec
from workers.training.files import write_whole

SETTINGS, DATA, PAGE = "study.json", "data.json", "study.html"

SHOWN_SUBJECTS, SHOWN_SAMPLES = 3, 4

MOST_BYTES = 60_000
"""Of a picture in the page."""


@dataclass(frozen=True, kw_only=True)
class Studied:
    """A method with what makes its samples, or photographs that are there."""

    method: Method
    load: Callable[[], Generator] | None = None
    """None for photographs."""
    photographs: RealFaces | None = None
    trained_on: Mapping[str, TrainedOn]
    training: str | None = None
    """Method by which it was trained, where its card says so."""


OnProgress = Callable[[str, int, int], None]


def run_study(
    folder: Path,
    studied: Sequence[Studied],
    matchers: Sequence[Matcher],
    facts: Sequence[MatcherFacts],
    detector: Detector,
    *,
    subjects: int,
    samples: int,
    distractors: int,
    sigmas: Sequence[float],
    on_progress: OnProgress = lambda what, done, total: None,
) -> StudyFound:
    """Make what is missing, measure, and write data and page; returns the figures.

    Raises RequestRefused where the folder holds a study with other settings, Corrupt for a part that is none.
    """
    spec = StudySpec(
        methods=tuple(one.method for one in studied),
        matchers=tuple(facts),
        subjects=subjects,
        samples=samples,
        distractors=distractors,
        sigmas=tuple(sorted({*sigmas, 1.0})),
    )
    _settle(folder, spec)
    metrics = {matcher.name: metric_of(matcher) for matcher in matchers}
    found, pictures = [], []
    for one in studied:
        if one.photographs is not None:
            found.append(_photographs(spec, one, metrics))
            continue
        parts, generator = _parts(folder, spec, one, matchers, detector, on_progress)
        told = partial(_step, on_progress, f"{one.method.name}: measuring", len(facts) * len(parts))
        measured = measure_method(
            one.method,
            parts,
            facts,
            metrics,
            subjects=spec.subjects,
            samples=spec.samples,
            faults=faults_of(one.method.kind, one.training),
            trained_on=one.trained_on,
            seed=spec.seed,
            on_progress=told([0]),
        )
        found.append(measured)
        pictures.append(_pictures(generator, spec, measured))
    study = StudyFound(spec=spec, software=f"{NAME} {version(NAME)}", methods=tuple(found))
    text = json.dumps(study.model_dump(mode="json"), indent=1, ensure_ascii=False, allow_nan=False)
    write_whole(folder / DATA, f"{text}\n".encode())
    write_whole(folder / PAGE, render_study(study, {shown.method: shown for shown in pictures}))
    return study


def _step(on_progress: OnProgress, what: str, total: int, counter: list[int]) -> Callable[[], None]:
    def told() -> None:
        counter[0] += 1
        on_progress(what, counter[0], total)

    return told


def _settle(folder: Path, spec: StudySpec) -> None:
    path = folder / SETTINGS
    folder.mkdir(parents=True, exist_ok=True)
    if not path.exists():
        write_whole(path, f"{spec.model_dump_json(indent=1)}\n".encode())
        return
    try:
        there = StudySpec.model_validate_json(path.read_bytes())
    except (OSError, ValidationError) as exc:
        raise Corrupt(f"{path} is not the settings of a study: {exc}") from exc
    if there != spec:
        differing = ", ".join(name for (name, ours), (_, theirs) in zip(spec, there, strict=True) if ours != theirs)
        raise RequestRefused(
            [("folder", f"{folder} holds a study with other settings ({differing}); name an empty folder")]
        )


def _parts(
    folder: Path,
    spec: StudySpec,
    one: Studied,
    matchers: Sequence[Matcher],
    detector: Detector,
    on_progress: OnProgress,
) -> tuple[dict[float, Part], Generator]:
    """All parts of a method, those that were missing made now; and what makes its samples."""
    if one.load is None:
        raise ValueError(f"{one.method.name} has nothing that makes samples")
    generator = one.load()
    each = {sigma: len(places(spec, sigma)) for sigma in spec.sigmas}
    total, done = sum(each.values()), 0
    parts = {}
    what = f"{one.method.name}: samples"
    for sigma in spec.sigmas:
        path = part_path(folder, one.method, sigma)
        if not path.exists():

            def told(made: int, before: int = done) -> None:
                on_progress(what, before + made, total)

            write_part(path, collect(generator, spec, sigma, matchers, detector, told), one.method)
        parts[sigma] = read_part(path, one.method, [matcher.name for matcher in matchers])
        done += each[sigma]
        on_progress(what, done, total)
    return parts, generator


def _photographs(spec: StudySpec, one: Studied, metrics: Mapping[str, Metric]) -> MethodFound:
    """The same figures of real photographs, which have no σ: all of them stand at 1."""
    faces = one.photographs
    if faces is None:
        raise ValueError(f"{one.method.name} has no photographs")
    subjects = next(iter(faces.tables.values())).subjects
    samples = np.zeros(len(subjects), np.int64)
    for code in np.unique(subjects):
        rows = np.flatnonzero(subjects == code)
        samples[rows] = np.arange(len(rows))
    columns = {name: table.templates for name, table in faces.tables.items()}
    return measure_method(
        one.method,
        {1.0: Part({"subject": subjects, "sample": samples, **columns})},
        spec.matchers,
        metrics,
        subjects=faces.subjects,
        samples=max(2, round(faces.pictures / faces.subjects)),
        faults=(),
        trained_on={},
        seed=spec.seed,
    )


def _pictures(generator: Generator, spec: StudySpec, found: MethodFound) -> Pictures:
    """A sheet of samples at σ = 1, and the look-alikes side by side; photographs are never shown."""
    card = generator.card
    rows: list[list[Pixels | None]] = []
    for subject in range(min(SHOWN_SUBJECTS, spec.subjects)):
        some = [(subject, sample) for sample in range(min(SHOWN_SAMPLES, spec.samples))]
        rows.append(list(draw(generator, spec, 1.0, some)))
    pairs: list[tuple[Picture, float]] = []
    for one, other, score in found.look_alikes:
        beside: list[list[Pixels | None]] = [list(draw(generator, spec, 0.0, [(one, 0), (other, 0)]))]
        sheet = contact_sheet(beside, min(card.sizes[0][0], 112))
        pairs.append((Picture(encode_small(sheet, MOST_BYTES, card.source_type), sheet.shape[1]), score))
    whole = contact_sheet(rows, min(card.sizes[0][0], 112))
    return Pictures(
        method=card.name,
        sheet=Picture(encode_small(whole, MOST_BYTES, card.source_type), whole.shape[1]),
        pairs=tuple(pairs),
    )
