"""What the judges see of one seed's samples: templates at every σ and of portraits, faces found at σ = 1."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from workers.appraisal.samples import samples_at
from workers.biometrics.templates import Metric, TemplateTable
from workers.generator.base import Generator, Latents
from workers.images import Pixels
from workers.matchers.base import Failure, Matcher, NetworkMatcher, Role, Template
from workers.matchers.comparison import COSINE
from workers.matchers.detector import Detector, Face
from workers.matchers.extraction import extract_one


@dataclass(frozen=True, kw_only=True)
class Seen:
    """Samples at one σ. N of them, subject by subject."""

    tables: dict[str, TemplateTable]
    """By judge, [N] rows; NaN where there is no template."""
    identity: Latents
    """[N, d_I]"""
    observation: Latents
    """[N, d_O], σ included."""
    faces: tuple[Face | None, ...]
    """What the detector finds in each; empty where it was not asked."""


@dataclass(frozen=True, kw_only=True)
class Judged:
    """One seed's samples as every judge sees them."""

    seed: int
    at: dict[float, Seen]
    """By σ."""
    portraits: Seen
    """One neutral portrait an identity; the first identities are those of the samples."""

    @property
    def ordinary(self) -> Seen:
        """The samples at σ = 1."""
        return self.at[1.0]


def metric_of(judge: Matcher) -> Metric:
    """How templates of a judge are compared."""
    return "cosine" if judge.score.name == COSINE.name else "euclidean"


def judge_samples(
    generator: Generator,
    judges: Sequence[Matcher],
    *,
    detector: Detector,
    seed: int,
    sigmas: Sequence[float],
    subjects: int,
    samples: int,
    identities: int,
    on_progress: Callable[[int], None] = lambda done: None,
) -> Judged:
    """Make one seed's samples and show them to the judges; each image is made once. `on_progress` gets samples done."""
    each = subjects * samples
    at = {
        sigma: _seen(
            generator, judges, detector, seed, sigma, subjects, samples, partial(_told, on_progress, number * each)
        )
        for number, sigma in enumerate(sigmas)
    }
    before = len(sigmas) * each
    portraits = _seen(generator, judges, detector, seed, 0.0, identities, 1, partial(_told, on_progress, before))
    return Judged(seed=seed, at=at, portraits=portraits)


def _told(on_progress: Callable[[int], None], before: int, done: int) -> None:
    on_progress(before + done)


def _seen(
    generator: Generator,
    judges: Sequence[Matcher],
    detector: Detector,
    seed: int,
    sigma: float,
    subjects: int,
    samples: int,
    progress: Callable[[int], None],
) -> Seen:
    rows: dict[str, list[Template]] = {judge.name: [] for judge in judges}
    owners: list[int] = []
    who: list[Latents] = []
    how: list[Latents] = []
    faces: list[Face | None] = []
    for batch in samples_at(generator, sigma, seed=seed, subjects=subjects, samples=samples, on_progress=progress):
        owners += batch.subjects
        who.append(batch.identity)
        how.append(batch.observation)
        for pixels in batch.pixels:
            found = detector.detect(pixels)
            if sigma == 1:
                faces.append(found)
            for judge in judges:
                rows[judge.name].append(template_of(judge, pixels, found))
    return Seen(
        tables={
            name: TemplateTable(templates=np.stack(templates), subjects=np.array(owners))
            for name, templates in rows.items()
        },
        identity=np.concatenate(who),
        observation=np.concatenate(how),
        faces=tuple(faces),
    )


def template_of(judge: Matcher, pixels: Pixels, face: Face | None) -> NDArray[np.float32]:
    """Template of an image, NaN where there is none; `face` is what the common detector finds in it, or None."""
    missing = np.full(judge.dimensions, np.nan, np.float32)
    if isinstance(judge, NetworkMatcher) and face is None:
        return missing  # its detector is the common one
    known = face if isinstance(judge, NetworkMatcher) else None
    found = extract_one(judge, pixels, Role.PROBE, face=known)
    return missing if isinstance(found, Failure) else found
