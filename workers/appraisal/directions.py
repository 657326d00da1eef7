"""Finding a model's directions: boundaries fitted to what is seen, those that keep the person, and how far each goes.

Legend: w [N, L · d] is what a network's synthesis takes, one w for each of L layers; for a network without a mapping it
is z and L is 1. Pictures are looked at by `look`: five points and a template of a face, or None.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from app.errors import RequestRefused
from workers.appraisal.scorers import Scorer
from workers.generator.base import FloatImages, Latents
from workers.generator.draw import draw_identity
from workers.generator.editing.boundaries import Vector, orthogonal_to
from workers.generator.editing.directions import Direction
from workers.generator.editing.fitting import fit_boundary, least_templates
from workers.images import Pixels, to_pixels
from workers.matchers.base import Matcher

SEED = 2**62 + 29
"""Of the identities that are looked at."""

LEAST_ACCURACY = 0.75
"""Held-out accuracy below which a boundary is not worth a factor."""

AXES, KEPT = 24, 8
"""Principal axes among which identity-preserving directions are sought, and how many are kept."""

STEP = 0.5
"""Of a finite difference, in standard deviations."""

REACHES = (0.5, 1.0, 1.5, 2.0, 3.0)
"""Distances, in standard deviations, at which a direction is tried on either side."""

SAME_PERSON = 0.363
"""SFace's published threshold: a picture that scores less with its neutral portrait shows somebody else."""

STRANGERS = 0.999
"""Quantile of scores between the model's own strangers: where it is higher, its people crowd, and it counts."""

LEAST_SAME, LEAST_FACES = 0.9, 0.9
"""Shares of pictures, of those with a face at the centre, that must still show the same person, and a face."""

SMALL = 32
"""Pixels a side at which moves of pictures are compared."""

BATCH = 16


class Paints(Protocol):
    """What of a generator is used."""

    def mapped(self, identity: Latents, observation: Latents) -> Latents:
        """z_I → w, without steps."""

    def painted(self, w: Latents, observation: Latents, width: int) -> FloatImages:
        """w → pictures."""


@dataclass(frozen=True, kw_only=True)
class Seen:
    """A face in a picture."""

    points: NDArray[np.float32]
    template: NDArray[np.float32]
    """Of length 1."""


Look = Callable[[Pixels], Seen | None]
OnProgress = Callable[[str, int, int], None]


def look_with(matcher: Matcher) -> Look:
    """Look at pictures by a matcher's own detector, alignment and network."""

    def look(pixels: Pixels) -> Seen | None:
        face = matcher.detect(pixels)
        if face is None:
            return None
        return Seen(points=face.points, template=matcher.template(matcher.align(pixels, face)))

    return look


@dataclass(frozen=True, kw_only=True)
class Space:
    """Where directions are sought."""

    name: str
    """Z or W."""
    layers: int
    width: int
    latent: int
    """Dimensions of z_I."""
    noise: int
    """Dimensions of z_O that are noise."""
    size: int
    """Pixels a side of the pictures."""


@dataclass(frozen=True, kw_only=True)
class Found:
    """Directions, and what was tried in vain."""

    directions: tuple[Direction, ...]
    left_out: Mapping[str, str]
    """Name to why it is no direction."""
    pictures: int
    faces: int


def find_directions(
    generator: Paints,
    space: Space,
    scorers: Mapping[str, Scorer],
    look: Look,
    *,
    samples: int,
    bases: int,
    held: Sequence[Vector] = (),
    on_progress: OnProgress = lambda what, done, total: None,
) -> Found:
    """Look at `samples` identities, fit what can be fitted, and measure every direction on `bases` of them.

    Raises RequestRefused where the model's pictures show too few faces. `held` are normals along which nothing moves.
    """
    studio = _Studio(generator, space, look)
    w = studio.identities(samples)
    points = w[:, : space.width].astype(np.float64)
    table = np.full((samples, len(scorers)), np.nan)
    whole: list[int] = []
    templates: list[NDArray[np.float32]] = []
    for start in range(0, samples, BATCH):
        for row, (image, seen) in enumerate(studio.seen(w[start : start + BATCH]), start):
            if seen is not None:
                whole.append(row)
                templates.append(seen.template)
                table[row] = [_number(one.score(image, seen.points)) for one in scorers.values()]
        on_progress("samples", min(start + BATCH, samples), samples)
    if len(whole) < samples / 2:
        raise RequestRefused(
            [
                (
                    "name",
                    f"no face found in {samples - len(whole)} of {samples} pictures; directions need a model of faces",
                )
            ]
        )
    studio.same_person = same_person(np.stack(templates))
    covariance = np.cov(points.T)
    found: list[Direction] = []
    left_out: dict[str, str] = {}
    chosen = whole[:bases]
    for column, (name, scorer) in enumerate(scorers.items()):
        there = np.isfinite(table[:, column])
        fitted = fit_boundary(points[there], table[there, column])
        if fitted is None or fitted.accuracy < LEAST_ACCURACY:
            told = "too few ends" if fitted is None else f"held-out accuracy {fitted.accuracy:.2f}"
            left_out[name] = f"{told}; at least {LEAST_ACCURACY} is wanted"
            continue
        normal = orthogonal_to(fitted.normal, held) if held else fitted.normal
        deviation = float(np.sqrt(normal @ covariance @ normal))
        about = {
            "samples": int(there.sum()),
            "held_out_accuracy": round(fitted.accuracy, 4),
            "held_out": fitted.held_out,
            "correlation": round(fitted.correlation, 4),
            "unit": scorer.unit,
        }
        centre = fitted.middle if normal is fitted.normal else float(points.mean(0) @ normal)
        tried = studio.reach(w[chosen], normal, deviation, centre, scorer, on_progress=on_progress, what=name)
        _add(found, left_out, name, scorer.factor, space, normal, centre, about, tried)
    _add_preserving(studio, found, left_out, points, w[chosen], held, on_progress)
    order = list(dict.fromkeys(one.factor for one in found))
    found.sort(key=lambda one: order.index(one.factor))
    return Found(directions=tuple(found), left_out=left_out, pictures=samples, faces=len(whole))


def _add_preserving(
    studio: "_Studio",
    found: list[Direction],
    left_out: dict[str, str],
    points: Vector,
    w: Latents,
    held: Sequence[Vector],
    on_progress: OnProgress,
) -> None:
    """Directions beside those found, in which the filter's template moves least while the picture moves."""
    space = studio.space
    covariance = np.cov(points.T)
    vectors = np.linalg.eigh(covariance)[1]
    axes = vectors[:, ::-1].T[:AXES]
    taken = [one.normal for one in found] + list(held)
    if taken:
        basis, _ = np.linalg.qr(np.stack(taken).T)
        axes = axes - axes @ basis @ basis.T
    lengths = np.linalg.norm(axes, axis=1)
    axes = axes[lengths > 0.3] / lengths[lengths > 0.3, None]
    deviations = np.sqrt(np.einsum("kd,de,ke->k", axes, covariance, axes))
    usable = deviations > 1e-6
    axes, deviations = axes[usable], deviations[usable]
    images, templates = [], []
    for number, one in enumerate(w):
        steps = np.concatenate([np.zeros((1, len(axes[0]))), axes * (STEP * deviations[:, None])])
        seen = list(studio.seen(studio.moved(np.repeat(one[None], len(steps), 0), steps)))
        if all(face is not None for _, face in seen):
            small = np.stack([_small(image) for image, _ in seen])
            faces = np.stack([face.template for _, face in seen if face is not None]).astype(np.float64)
            images.append(small[1:] - small[0])
            templates.append(faces[1:] - faces[0])
        on_progress("identity-preserving directions", number + 1, len(w))
    if len(images) < 4:
        left_out["identity-preserving"] = f"only {len(images)} of {len(w)} identities kept a face at every step"
        return
    # Differences were taken at steps of a deviation: the span is that of the axes so scaled.
    scaled = axes * deviations[:, None]
    normals, ratios = least_templates(scaled, np.stack(images), np.stack(templates), min(KEPT, len(axes)))
    for number, (normal, ratio) in enumerate(zip(normals, ratios, strict=True), 1):
        deviation = float(np.sqrt(normal @ covariance @ normal))
        about = {"samples": len(images), "picture_over_template": round(float(ratio), 4)}
        name = f"same-person-{number}"
        tried = studio.reach(w, normal, deviation, None, None, on_progress=on_progress, what=name)
        _add(found, left_out, name, "residual", space, normal, None, about, tried)


def _add(
    found: list[Direction],
    left_out: dict[str, str],
    name: str,
    factor: str,
    space: Space,
    normal: Vector,
    centre: float | None,
    about: dict[str, Any],
    tried: list[dict[str, Any]],
) -> None:
    """A direction as far as it may go by what was measured of it, or why it goes nowhere."""
    far = [one for one in tried if one["same_person"] >= LEAST_SAME and one["face_found"] >= LEAST_FACES]
    limits = [one for number, one in enumerate(tried) if one in far and all(before in far for before in tried[:number])]
    if not limits:
        first = tried[0]
        left_out[name] = (
            f"half a deviation either way keeps the person in {first['same_person']:.0%} and the face in "
            f"{first['face_found']:.0%} of pictures"
        )
        return
    limit = float(limits[-1]["distance"])
    found.append(
        Direction(
            name=name,
            factor=factor,
            space=space.name,
            normal=normal,
            unit=limit / 2,
            limit=limit,
            centre=centre,
            measured={**about, "tried": tried},
        )
    )


def _number(value: float | None) -> float:
    return np.nan if value is None else float(value)


def _small(image: Pixels) -> Vector:
    step = max(1, image.shape[0] // SMALL)
    side = image.shape[0] // step
    squares = image[: side * step, : side * step].reshape(side, step, side, step, 3)
    return np.asarray(squares.mean((1, 3)) / 255, np.float64)


def same_person(templates: NDArray[np.float32]) -> float:
    """The score from which two pictures show one person: SFace's own, or higher where its strangers [N, D] crowd."""
    scores = (templates @ templates.T)[np.triu_indices(len(templates), 1)]
    return max(SAME_PERSON, float(np.quantile(scores, STRANGERS)))


class _Studio:
    """Pictures of w, looked at."""

    same_person = SAME_PERSON

    def __init__(self, generator: Paints, space: Space, look: Look) -> None:
        self.space = space
        self._generator = generator
        self._look = look

    def identities(self, count: int) -> Latents:
        """w of identities [count, L · d]."""
        z = np.stack([draw_identity(SEED, number, 0, self.space.latent) for number in range(count)])
        return self._generator.mapped(z, self._still(count))

    def _still(self, count: int) -> Latents:
        return np.zeros((count, self.space.noise), np.float32)

    def moved(self, w: Latents, steps: Vector) -> Latents:
        """w [N, L · d] moved by steps [N, d] in every layer."""
        space = self.space
        moved = w.reshape(len(w), space.layers, space.width) + steps[:, None].astype(np.float32)
        return np.asarray(moved.reshape(len(w), -1), np.float32)

    def seen(self, w: Latents) -> list[tuple[Pixels, Seen | None]]:
        """Each picture, and the face in it."""
        images = to_pixels(self._generator.painted(w, self._still(len(w)), self.space.size))
        return [(image, self._look(image)) for image in images]

    def reach(
        self,
        w: Latents,
        normal: Vector,
        deviation: float,
        centre: float | None,
        scorer: Scorer | None,
        *,
        on_progress: OnProgress,
        what: str,
    ) -> list[dict[str, Any]]:
        """How pictures fare at growing distances either way from the centre, or from where each identity is."""
        first = w[:, : self.space.width].astype(np.float64)
        to_centre = np.zeros(len(w)) if centre is None else centre - first @ normal
        middle = self.seen(self.moved(w, to_centre[:, None] * normal))
        there = [number for number, (_, face) in enumerate(middle) if face is not None]
        tried = []
        for number, reach in enumerate(REACHES):
            sides = []
            for sign in (-1, 1):
                steps = (to_centre + sign * reach * deviation)[:, None] * normal
                sides.append(self.seen(self.moved(w, steps)))
            tried.append(_fared(middle, sides, there, reach * deviation, scorer, self.same_person))
            on_progress(f"{what}: ranges", number + 1, len(REACHES))
        return tried


def _fared(
    middle: list[tuple[Pixels, Seen | None]],
    sides: list[list[tuple[Pixels, Seen | None]]],
    there: list[int],
    distance: float,
    scorer: Scorer | None,
    threshold: float,
) -> dict[str, Any]:
    same, faces, scores, readings = 0, 0, [], []
    for side in sides:
        read = []
        for number in there:
            centre, (image, face) = middle[number][1], side[number]
            if face is None or centre is None:
                continue
            faces += 1
            scores.append(float(centre.template @ face.template))
            same += scores[-1] >= threshold
            if scorer is not None and (value := scorer.score(image, face.points)) is not None:
                read.append(value)
        readings.append(round(float(np.mean(read)), 4) if read else None)
    total = 2 * len(there)
    return {
        "distance": round(distance, 6),
        "face_found": round(faces / total, 4) if total else 0.0,
        "same_person": round(same / total, 4) if total else 0.0,
        "same_person_from": round(threshold, 4),
        "score": round(float(np.mean(scores)), 4) if scores else None,
        **({} if scorer is None else {"reads": readings}),
        "pictures": total,
    }
