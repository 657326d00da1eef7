"""Directions fitted to what was seen: linear boundaries by a score, and those along which a template moves least.

Legend: N points [N, d] of a latent space, float64; a score a point. Numbers in, numbers out: what makes pictures and
scores is handed in.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from workers.generator.editing.boundaries import Vector

EXTREMES = 0.2
"""Share of the points at either end of a score that a boundary parts; InterFaceGAN takes 2% of 500,000."""

HELD_OUT = 0.3
"""Share of those by which it is judged."""

STRENGTHS = (1e-3, 1e-2, 1e-1, 1.0, 10.0)
"""Of the ridge, over the mean variance of a dimension; the best on a part of the training points is taken."""

FEWEST = 40
"""Points at the ends below which nothing is fitted."""


@dataclass(frozen=True, kw_only=True)
class Boundary:
    """A plane that parts high from low scores."""

    normal: Vector
    """[d], of norm 1, towards higher scores."""
    middle: float
    """Signed distance of the plane: where a score is neither high nor low."""
    deviation: float
    """Standard deviation of the points' signed distances."""
    accuracy: float
    """Share of held-out points at the ends that lie on their side."""
    held_out: int
    correlation: float
    """Of signed distance and score, over all points that were not trained on."""


def fit_boundary(points: Vector, scores: Vector, seed: int = 0) -> Boundary | None:
    """Part the ends of a score by a plane; None where there are too few points, or no two ends.

    Ridge regression on -1 and 1 of the ends: with normal classes it is the linear discriminant.
    """
    low, high = np.quantile(scores, [EXTREMES, 1 - EXTREMES]) if len(scores) else (0.0, 0.0)
    ends = np.flatnonzero((scores <= low) | (scores >= high))
    if len(ends) < FEWEST or low >= high:
        return None
    ends = np.random.default_rng(seed).permutation(ends)
    cut = int(len(ends) * HELD_OUT)
    judged, trained = ends[:cut], ends[cut:]
    side = np.where(scores >= high, 1.0, -1.0)
    part = int(len(trained) * 0.75)
    best = max(
        STRENGTHS,
        key=lambda strength: _accuracy(points, side, trained[part:], *_ridge(points, side, trained[:part], strength)),
    )
    normal, middle = _ridge(points, side, trained, best)
    others = np.setdiff1d(np.arange(len(scores)), trained)
    distances = points @ normal
    return Boundary(
        normal=normal,
        middle=middle,
        deviation=float(distances.std()),
        accuracy=_accuracy(points, side, judged, normal, middle),
        held_out=len(judged),
        correlation=float(np.corrcoef(distances[others], scores[others])[0, 1]),
    )


def _ridge(points: Vector, side: Vector, rows: NDArray[np.intp], strength: float) -> tuple[Vector, float]:
    """Normal [d] of norm 1 and the plane's distance."""
    own, wanted = points[rows], side[rows]
    mean, level = own.mean(0), wanted.mean()
    centred = own - mean
    products = centred.T @ centred
    products[np.diag_indices_from(products)] += strength * np.trace(products) / len(products) + 1e-12
    weights = np.linalg.solve(products, centred.T @ (wanted - level))
    length = float(np.linalg.norm(weights)) or 1.0
    return weights / length, float((mean @ weights - level) / length)


def _accuracy(points: Vector, side: Vector, rows: NDArray[np.intp], normal: Vector, middle: float) -> float:
    return float(np.mean(np.sign(points[rows] @ normal - middle) == side[rows])) if len(rows) else 0.0


def least_templates(axes: Vector, images: Vector, templates: Vector, count: int) -> tuple[Vector, Vector]:
    """Directions within the span of axes [K, d] along which pictures move most for each move of the template.

    `images` [B, K, …] and `templates` [B, K, …] are finite differences at B places, one for a step along each axis.
    Returns `count` normals of norm 1 [count, d], the best first, and their ratios: mean square of the picture's move
    over that of the template's, 1 for a direction like all others.
    """

    def products(moves: Vector) -> Vector:
        flat = moves.reshape(len(moves), len(axes), -1)
        made: Vector = np.einsum("bki,bli->kl", flat, flat)
        return made / (np.trace(made) / len(axes))

    move, identity = products(images), products(templates)
    # A little of the mean template move is added: a direction that moves neither is none.
    identity[np.diag_indices_from(identity)] += 1e-2
    half = np.linalg.cholesky(identity)
    inverse = np.linalg.inv(half)
    values, vectors = np.linalg.eigh(inverse @ move @ inverse.T)
    mixed = (inverse.T @ vectors[:, ::-1][:, :count]).T @ axes
    return mixed / np.linalg.norm(mixed, axis=1, keepdims=True), values[::-1][:count]
