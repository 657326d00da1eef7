"""What is looked at when a network is imported: its w, and the faces in its pictures."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from workers.generator.draw import draw_identity
from workers.generator.editing.directions import Direction
from workers.generator.imported.network import ImportedNetwork

SEED = 2**62 + 17
"""Of the identities that are looked at; far from the seeds that people choose."""

SAMPLED = 10_000
"""Identities whose w are sampled."""

AXES, AXIS_UNIT, AXIS_LIMIT = 16, 0.25, 2.0
"""Principal axes of w that z_O moves along while nothing better is known; unit and bound in standard deviations."""

RESIDUAL = "residual"
BATCH = 500

FindFace = Callable[[NDArray[np.uint8]], NDArray[np.floating[Any]] | None]
"""A picture [H, W, 3] → the face's points [5, 2], right and left eye first, or None."""


@dataclass(frozen=True, kw_only=True)
class Spread:
    """Where a network's w lie, over SAMPLED identities; Z's own N(0, 1) where there is no mapping."""

    mean: NDArray[np.float64]
    """[d]"""
    covariance: NDArray[np.float64]
    """[d, d]"""

    def along(self, normal: NDArray[np.float64]) -> tuple[float, float]:
        """Mean and standard deviation of the signed distances along a normal [d]."""
        return float(self.mean @ normal), float(np.sqrt(normal @ self.covariance @ normal))


def spread_of_z(dimensions: int) -> Spread:
    """That of N(0, 1)."""
    return Spread(mean=np.zeros(dimensions), covariance=np.eye(dimensions))


@torch.inference_mode()
def spread_of_w(
    network: ImportedNetwork,
    label: int | None,
    *,
    count: int,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> Spread:
    """Mean and covariance of the w of `count` identities before truncation, in double precision."""
    total, products = np.zeros(network.width), np.zeros((network.width, network.width))
    for start in range(0, count, BATCH):
        numbers = range(start, min(start + BATCH, count))
        z = np.stack([draw_identity(SEED, number, 0, network.latent) for number in numbers])
        one_hot = None
        if label is not None:
            one_hot = torch.zeros(len(z), network.labels)
            one_hot[:, label] = 1
        w = network.map(torch.from_numpy(z), one_hot).double().numpy()
        total += w.sum(0)
        products += w.T @ w
        on_progress(numbers.stop, count)
    mean = total / count
    return Spread(mean=mean, covariance=products / count - np.outer(mean, mean))


def principal_axes(spread: Spread, space: str, psi: float) -> list[Direction]:
    """Directions along which w differ most, a stopgap: nothing is known of what they change."""
    values, vectors = np.linalg.eigh(spread.covariance)
    found = []
    for number in range(min(AXES, int((values > 1e-9).sum()))):
        axis = vectors[:, -1 - number]
        axis = axis * np.sign(axis[np.argmax(np.abs(axis))])
        deviation = float(np.sqrt(values[-1 - number])) * (psi or 1.0)
        found.append(
            Direction(
                name=f"axis-{number + 1}",
                factor=RESIDUAL,
                space=space,
                normal=axis / np.linalg.norm(axis),
                unit=AXIS_UNIT * deviation,
                limit=AXIS_LIMIT * deviation,
            )
        )
    return found


def by_boundary(name: str, normal: NDArray[np.float64], space: str, spread: Spread, psi: float) -> Direction:
    """A direction that sets the distance to a boundary: the mean at z_O = 0, one standard deviation for each unit."""
    mean, deviation = spread.along(normal)
    if space == "W":
        deviation *= psi or 1.0
    return Direction(
        name=name,
        factor=name,
        space=space,
        normal=normal,
        unit=deviation,
        limit=3 * deviation,
        centre=mean,
        measured={"basis": "a boundary given by file; what it changes was not measured here"},
    )


@dataclass(frozen=True, kw_only=True)
class FacesSeen:
    """What the detector finds in pictures of identities."""

    pictures: int
    found: int
    eyes: tuple[float, float] | None
    """Middle between the eyes, over the picture's width, on average; None without a face."""
    between_eyes: float | None
    """Distance between the eyes over the picture's width, on average."""

    def as_card(self) -> dict[str, Any]:
        """As a card says it."""
        where = None if self.eyes is None else [round(value, 3) for value in self.eyes]
        between = None if self.between_eyes is None else round(self.between_eyes, 3)
        return {"pictures": self.pictures, "faces_found": self.found, "eyes": where, "between_eyes": between}


def see_faces(
    paint: Callable[[Sequence[int]], NDArray[np.uint8]],
    find: FindFace,
    pictures: int,
    *,
    batch: int = 8,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> FacesSeen:
    """Look for faces in pictures; `paint` gives those of a range of identities, uint8 [N, H, W, 3]."""
    points = []
    for start in range(0, pictures, batch):
        numbers = range(start, min(start + batch, pictures))
        for image in paint(numbers):
            found = find(image)
            if found is not None:
                points.append(found[:2] / image.shape[1])
        on_progress(numbers.stop, pictures)
    if not points:
        return FacesSeen(pictures=pictures, found=0, eyes=None, between_eyes=None)
    eyes = np.asarray(points, np.float64)
    middle = eyes.mean((0, 1))
    between = float(np.linalg.norm(eyes[:, 1] - eyes[:, 0], axis=1).mean())
    return FacesSeen(
        pictures=pictures, found=len(points), eyes=(float(middle[0]), float(middle[1])), between_eyes=between
    )
