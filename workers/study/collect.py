"""Making a study's samples and their templates, part by part; what is there is not made again.

A part is one method at one σ: `parts/METHOD-σ.safetensors` with `subject` and `sample` [N] and, by matcher, `NAME`
float32 [N, D], NaN where there is no template.
"""

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open

from app.errors import Corrupt
from workers.appraisal.judged import template_of
from workers.generator.base import Generator
from workers.generator.draw import draw_identity, draw_observation
from workers.images import Pixels, to_pixels
from workers.matchers.base import Matcher, NetworkMatcher, Template
from workers.matchers.detector import Detector, Face
from workers.study.spec import Method, StudySpec
from workers.training.files import save_whole

BATCH = 32

COARSE = 4
"""By so much the chip of the coarse version is reduced, either way."""


class Coarse(NetworkMatcher):
    """A matcher that sees a chip of a sixteenth of the pixels: a worse version, whose rank is known beforehand."""

    def __init__(self, of: NetworkMatcher) -> None:
        self._of = of
        self.name = f"{of.name}-coarse"
        self.version = of.version
        self.dimensions = of.dimensions
        self.score = of.score
        self.provenance = f"{of.name}, shown chips reduced to 1/{COARSE} of their width: worse by construction"

    @property
    def digest(self) -> str:
        """See Matcher."""
        return self._of.digest

    def align(self, pixels: Pixels, face: Face) -> Pixels:
        """See Matcher."""
        chip = self._of.align(pixels, face)
        height, width = chip.shape[:2]
        small = cv2.resize(chip, (width // COARSE, height // COARSE), interpolation=cv2.INTER_AREA)
        return np.asarray(cv2.resize(small, (width, height), interpolation=cv2.INTER_LINEAR), np.uint8)

    def template(self, chip: Pixels) -> Template:
        """See Matcher."""
        return self._of.template(chip)


class Part:
    """Templates of one method at one σ. N rows; distractors' codes follow on the subjects'."""

    def __init__(self, columns: dict[str, NDArray[np.generic]]) -> None:
        self.subjects = np.asarray(columns["subject"], np.int64)
        self.samples = np.asarray(columns["sample"], np.int64)
        self.templates = {
            name: np.asarray(values, np.float32)
            for name, values in columns.items()
            if name not in ("subject", "sample")
        }


def part_path(folder: Path, method: Method, sigma: float) -> Path:
    """File of a part."""
    return folder / "parts" / f"{method.name}-{sigma:g}.safetensors"


def places(spec: StudySpec, sigma: float) -> list[tuple[int, int]]:
    """(subject, sample) of a part's rows: distractors only where σ = 1."""
    mated = [(subject, sample) for subject in range(spec.subjects) for sample in range(spec.samples)]
    more = spec.distractors if sigma == 1 else 0
    return mated + [(spec.subjects + number, 0) for number in range(more)]


def draw(generator: Generator, spec: StudySpec, sigma: float, rows: Sequence[tuple[int, int]]) -> Pixels:
    """Samples of a study, uint8 [N, H, W, 3]: the same latents at every σ."""
    latent = generator.card.latent
    scale = np.full(latent.observation_size, sigma, np.float32)
    who = np.stack([draw_identity(spec.seed, subject, 0, latent.identity) for subject, _ in rows])
    how = np.stack([draw_observation(spec.seed, subject, sample, 0, scale) for subject, sample in rows])
    return to_pixels(generator.generate(who, how, *generator.card.sizes[0]))


def collect(
    generator: Generator,
    spec: StudySpec,
    sigma: float,
    matchers: Sequence[Matcher],
    detector: Detector,
    on_progress: Callable[[int], None] = lambda done: None,
) -> Part:
    """Make one part; `on_progress` gets samples done."""
    rows = places(spec, sigma)
    found: dict[str, list[NDArray[np.float32]]] = {matcher.name: [] for matcher in matchers}
    for start in range(0, len(rows), BATCH):
        some = rows[start : start + BATCH]
        for pixels in draw(generator, spec, sigma, some):
            face = detector.detect(pixels)
            for matcher in matchers:
                found[matcher.name].append(template_of(matcher, pixels, face))
        on_progress(start + len(some))
    subjects, samples = np.array(rows).T
    return Part({"subject": subjects, "sample": samples, **{name: np.stack(values) for name, values in found.items()}})


def write_part(path: Path, part: Part, method: Method) -> None:
    """Write a part; raises DiskFull."""
    path.parent.mkdir(exist_ok=True)
    columns = {"subject": part.subjects.astype(np.int32), "sample": part.samples.astype(np.int32), **part.templates}
    save_whole(path, {name: np.ascontiguousarray(values) for name, values in columns.items()}, _about(method))


def read_part(path: Path, method: Method, names: Sequence[str]) -> Part:
    """Read a part; raises Corrupt for one of another model, or that lacks a matcher."""
    try:
        with safe_open(path, framework="numpy") as file:
            about = file.metadata() or {}
            columns = {name: file.get_tensor(name) for name in ("subject", "sample", *names)}
    except (OSError, SafetensorError) as exc:
        raise Corrupt(f"{path} is not a part of this study ({exc}); remove it, and it is made again") from exc
    if about != _about(method) or len({len(column) for column in columns.values()}) != 1:
        raise Corrupt(f"{path} is of another model; remove it, and it is made again")
    return Part(columns)


def _about(method: Method) -> dict[str, str]:
    return {"method": json.dumps({"name": method.name, "digest": method.digest}, sort_keys=True)}
