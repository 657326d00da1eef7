"""From a gallery to its profile: every picture looked at once, then told as the rules of a profile allow.

What is measured of single pictures (`Measured`) stays in this process.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from app.dataset.naming import Called, Naming, naming_of
from app.dataset.profile import (
    LEAST_CELL,
    QUANTITIES,
    Categories,
    Histogram,
    MatcherStatistics,
    Privacy,
    Profile,
    Quantity,
    grid,
)
from app.errors import RequestRefused
from workers.biometrics.templates import Metric, TemplateTable
from workers.matchers.base import Failure, Matcher, NetworkMatcher, Role
from workers.matchers.comparison import COSINE
from workers.matchers.detector import Detector
from workers.matchers.extraction import extract_one
from workers.photographs import Unusable, read_photograph
from workers.profile.gallery import WORDS, Gallery, Picture
from workers.profile.look import look
from workers.profile.private import LaplaceNoise
from workers.profile.scores import ScoreWeights, tell_points, tell_scores, weigh_scores
from workers.profile.tell import (
    Floats,
    Noise,
    NoNoise,
    coarseness,
    subject_weights,
    tell_categories,
    tell_histogram,
    tell_quantity,
)

PICTURES_PER_SUBJECT = 20
"""Looked at where nobody says otherwise: more of one subject tell more of that subject."""

FOUND, NO_FACE, NOT_READ = "face found", "no face", "not read"

NOT_SAID = "not said"

SUBJECTS = "subjects"
"""What a part of the budget goes to, under differential privacy: how many there are, for what counts are rounded to."""

FORMATS = ("jpeg", "png", "webp", "bmp", "tiff", "ppm", "gif", "avif", "other")

SAMPLES = Quantity("pictures of a subject", "pictures", 1, 65, 64)

AGES = Quantity("age", "years", 0, 128, 64)


@dataclass(kw_only=True)
class Seen:
    """One picture."""

    subject: int
    first: bool
    """Whether it is its subject's first."""
    outcome: str
    """FOUND, NO_FACE or NOT_READ."""
    form: str
    words: dict[str, str]
    age: float | None
    values: dict[str, float] = field(default_factory=dict)
    """By quantity; empty without a face."""


@dataclass(kw_only=True)
class Measured:
    """A gallery as it was seen. It holds templates: it never leaves the process."""

    subjects: int
    pictures: list[int]
    """Of each subject, those too that were not looked at."""
    seen: list[Seen]
    tables: dict[str, TemplateTable]
    """By matcher; a row for each of `seen`, NaN where there is no template."""
    at_most: int
    """Pictures of a subject that were looked at."""
    reasons: Counter[str] = field(default_factory=Counter)
    """Why pictures could not be read, for the user's own terminal."""
    named: Counter[Naming] = field(default_factory=Counter)
    """Subjects by the pattern that their files' names follow; those that follow none are left out."""


@dataclass(frozen=True, kw_only=True)
class Weights:
    """All that a profile is told from: every subject weighs 1."""

    subjects: int
    samples: Floats
    pictures: dict[str, float]
    formats: dict[str, float]
    quantities: dict[str, Floats]
    words: dict[str, dict[str, float]]
    age: Floats | None
    named: Counter[Naming] = field(default_factory=Counter)
    matchers: dict[str, tuple[Matcher, ScoreWeights, dict[str, float], dict[str, float]]]
    """By name: the matcher, its scores, and what came of first and of further pictures."""


def measure(
    gallery: Gallery,
    matchers: Sequence[Matcher],
    *,
    detector: Detector,
    at_most: int = PICTURES_PER_SUBJECT,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> Measured:
    """Look at every picture, `at_most` a subject, evenly; `on_progress` gets pictures done and in all.

    Raises RequestRefused where no face is found in any.
    """
    chosen = [(number, _evenly(pictures, at_most)) for number, pictures in enumerate(gallery.subjects.values())]
    total = sum(len(pictures) for _, pictures in chosen)
    seen: list[Seen] = []
    rows: dict[str, list[NDArray[np.float32]]] = {matcher.name: [] for matcher in matchers}
    reasons: Counter[str] = Counter()
    for number, pictures in chosen:
        for place, picture in enumerate(pictures):
            one, templates = _see(picture, number, place == 0, matchers, detector, reasons)
            seen.append(one)
            for name, template in templates.items():
                rows[name].append(template)
            on_progress(len(seen), total)
    if not any(one.outcome == FOUND for one in seen):
        why = f" ({reasons.most_common(1)[0][0]})" if reasons else ""
        text = f"no face is found in any of {total:,} pictures{why}; give photographs in which a face is the main thing"
        raise RequestRefused([("gallery", text)])
    owners = np.array([one.subject for one in seen], np.int64)
    return Measured(
        subjects=len(chosen),
        pictures=[len(pictures) for pictures in gallery.subjects.values()],
        seen=seen,
        tables={
            name: TemplateTable(templates=np.stack(templates), subjects=owners) for name, templates in rows.items()
        },
        at_most=at_most,
        reasons=reasons,
        named=Counter(naming for found in gallery.subjects.items() if (naming := _naming(*found)) is not None),
    )


def _naming(subject: str, pictures: Sequence[Picture]) -> Naming | None:
    called = [(picture.path.parent.name, picture.path.stem, picture.path.suffix) for picture in pictures]
    return naming_of(subject, [Called(*one) for one in called])


def _evenly(pictures: Sequence[Picture], most: int) -> list[Picture]:
    if len(pictures) <= most:
        return list(pictures)
    return [pictures[place * len(pictures) // most] for place in range(most)]


def _see(
    picture: Picture,
    subject: int,
    first: bool,
    matchers: Sequence[Matcher],
    detector: Detector,
    reasons: Counter[str],
) -> tuple[Seen, dict[str, NDArray[np.float32]]]:
    one = Seen(
        subject=subject,
        first=first,
        outcome=NOT_READ,
        form=_format(picture.path),
        words=dict(picture.words),
        age=picture.age,
    )
    templates = {matcher.name: np.full(matcher.dimensions, np.nan, np.float32) for matcher in matchers}
    try:
        pixels = read_photograph(picture.path)
    except Unusable as exc:
        reasons[str(exc)] += 1
        return one, templates
    face = detector.detect(pixels)
    one.outcome = NO_FACE if face is None else FOUND
    if face is not None:
        one.values = look(pixels, face)
    for matcher in matchers:
        if isinstance(matcher, NetworkMatcher) and face is None:
            continue  # its detector is the common one
        known = face if isinstance(matcher, NetworkMatcher) else None
        found = extract_one(matcher, pixels, Role.REFERENCE if first else Role.PROBE, face=known)
        if not isinstance(found, Failure):
            templates[matcher.name] = found
    return one, templates


def _format(path: Path) -> str:
    try:
        with Image.open(path) as image:
            form = (image.format or "other").lower()
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError, UnidentifiedImageError):
        return "other"
    return {"mpo": "jpeg"}.get(form, form if form in FORMATS else "other")


def weigh(
    measured: Measured,
    matchers: Sequence[Matcher],
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> Weights:
    """Weigh what was seen, every subject alike; `on_progress` gets subjects compared by a matcher, and in all."""
    of: list[list[Seen]] = [[] for _ in range(measured.subjects)]
    for one in measured.seen:
        of[one.subject].append(one)
    quantities = {
        name: np.sum([subject_weights([one.values.get(name) for one in ones], quantity) for ones in of], 0)
        for name, quantity in QUANTITIES.items()
    }
    ages = [subject_weights([one.age for one in ones], AGES) for ones in of]
    known = any(one.age is not None for one in measured.seen)
    scored = {}
    for number, matcher in enumerate(matchers):
        table = measured.tables[matcher.name]
        part = partial(_told_on, on_progress, number * measured.subjects, len(matchers) * measured.subjects)
        scores = weigh_scores(table, metric_of(matcher), measured.subjects, part)
        scored[matcher.name] = (matcher, scores, *_templates(of, measured, table))
    return Weights(
        subjects=measured.subjects,
        samples=np.sum([subject_weights([count], SAMPLES) for count in measured.pictures], 0),
        pictures=_spread(of, lambda one: one.outcome, (FOUND, NO_FACE, NOT_READ)),
        formats=_spread(of, lambda one: one.form, FORMATS),
        quantities=quantities,
        words={
            name: _spread(of, partial(_said, name), (*dict.fromkeys(values.values()), NOT_SAID))
            for name, values in WORDS.items()
            if any(name in one.words for one in measured.seen)
        },
        age=np.sum(ages, 0) if known else None,
        named=measured.named,
        matchers=scored,
    )


def _told_on(on_progress: Callable[[int, int], None], before: int, total: int, done: int, _: int) -> None:
    on_progress(before + done, total)


def _said(name: str, one: Seen) -> str:
    return one.words.get(name, NOT_SAID)


def _spread(of: list[list[Seen]], word: Callable[[Seen], str], words: Sequence[str]) -> dict[str, float]:
    found = dict.fromkeys(words, 0.0)
    for ones in of:
        for one in ones:
            found[word(one)] += 1 / len(ones)
    return found


def _templates(
    of: list[list[Seen]], measured: Measured, table: TemplateTable
) -> tuple[dict[str, float], dict[str, float]]:
    """Subjects' weight by whether a template came of the first picture, and of the others."""
    enrol, extract = {"done": 0.0, "failed": 0.0}, {"done": 0.0, "failed": 0.0}
    for one, there in zip(measured.seen, table.extracted, strict=True):
        word = "done" if there else "failed"
        if one.first:
            enrol[word] += 1
        else:
            extract[word] += 1 / (len(of[one.subject]) - 1)
    return enrol, extract


def metric_of(matcher: Matcher) -> Metric:
    """How a matcher's templates are compared."""
    return "cosine" if matcher.score.name == COSINE.name else "euclidean"


def tell(weights: Weights, *, software: str, detector: str, at_most: int, epsilon: float | None = None) -> Profile:
    """Tell a profile; with `epsilon`, all of it under differential privacy.

    Raises Misconfigured without OpenDP, and RequestRefused where rounding or noise leave no subject to tell of.
    """
    names = [
        *([SUBJECTS] if epsilon is not None else []),
        "samples_per_subject",
        "pictures",
        "formats",
        *(f"quantities.{name}" for name in weights.quantities),
        *(f"attributes.{name}" for name in weights.words),
        *(["age"] if weights.age is not None else []),
        *(f"{name}.{part}" for name in weights.matchers for part in ("mated", "non_mated", "enrol", "extract")),
    ]
    noise: Noise = NoNoise()
    if epsilon is None:
        to = coarseness(weights.subjects, _spread_out(weights))
    else:
        # Of a large budget the noise alone would hide less than rounding does without one. What is rounded to must
        # hang on noisy numbers only.
        noise = LaplaceNoise(epsilon, names)
        subjects = noise.add(SUBJECTS, np.array([float(weights.subjects)]), 1.0)
        to = coarseness(max(round(float(subjects[0])), 0), len(names), noise.variance)
    matchers = {}
    for name, (matcher, scores, enrol, extract) in weights.matchers.items():
        mated, non_mated = tell_scores(name, scores, noise, to)
        matchers[name] = MatcherStatistics(
            version=matcher.version,
            digest=matcher.digest,
            mated=mated,
            non_mated=non_mated,
            enrol=tell_categories(f"{name}.enrol", enrol, noise, to),
            extract=tell_categories(f"{name}.extract", extract, noise, to),
            points=tell_points(scores) if epsilon is None else (),
        )
    told = Profile(
        software=software,
        detector=detector,
        privacy=Privacy(rounded_to=to, pictures_per_subject=at_most),
        samples_per_subject=_samples(weights.samples, noise, to),
        pictures=tell_categories("pictures", weights.pictures, noise, to),
        formats=tell_categories("formats", weights.formats, noise, to),
        quantities={
            name: tell_quantity(f"quantities.{name}", found, QUANTITIES[name], noise, to)
            for name, found in weights.quantities.items()
        },
        attributes={name: _words(name, found, noise, to) for name, found in weights.words.items()},
        age=None if weights.age is None else tell_quantity("age", weights.age, AGES, noise, to),
        matchers=matchers,
        naming=tell_naming(weights.named, weights.subjects, to) if epsilon is None else None,
    )
    if not told.subjects:
        why = f"counts are rounded to {to}" if epsilon is None else f"noise of --epsilon {epsilon:g} hides them all"
        text = f"has too few subjects to tell anything of: {why}, so that nobody is found in it; give a gallery of more"
        raise RequestRefused([("gallery", text)])
    if isinstance(noise, LaplaceNoise):
        told = told.model_copy(update={"privacy": told.privacy.model_copy(update={"differential": noise.budget})})
    return told.signed()


def tell_naming(named: Counter[Naming], subjects: int, to: int) -> Naming | None:
    """The pattern that more than half of the subjects follow, if as many do as a cell must have."""
    for naming, count in named.most_common(1):
        if count > subjects / 2 and count >= max(LEAST_CELL, to):
            return naming
    return None


def _spread_out(weights: Weights) -> int:
    """How many statistics say more of a subject than that it is like nearly all others."""
    cells = [weights.samples, *weights.quantities.values()]
    cells += [np.array(list(found.values())) for found in (weights.pictures, weights.formats, *weights.words.values())]
    cells += [weights.age] if weights.age is not None else []
    for _, scores, enrol, extract in weights.matchers.values():
        cells += [np.array(list(found.values())) for found in (enrol, extract)]
        cells += [scores.mated.sum(0), scores.shared.sum(0) / weights.subjects]
    return sum(float(found.sum() - found.max(initial=0.0)) >= LEAST_CELL for found in cells)


def _samples(weights: Floats, noise: Noise, to: int) -> Histogram:
    told = tell_histogram(
        "samples_per_subject", weights, grid(SAMPLES), unit=SAMPLES.unit, told=SAMPLES.told, noise=noise, to=to
    )
    if not isinstance(noise, NoNoise):
        return told
    numbers = np.arange(1, SAMPLES.cells + 1)
    means = []
    for low, high in pairwise(told.edges):
        cell = slice(int(low) - 1, int(high) - 1)
        means.append(round(float(np.average(numbers[cell], weights=np.maximum(weights[:-1][cell], 1e-12))), 1))
    return told.model_copy(update={"means": tuple(means)})


def _words(name: str, weights: dict[str, float], noise: Noise, to: int) -> Categories:
    return tell_categories(f"attributes.{name}", weights, noise, to)
