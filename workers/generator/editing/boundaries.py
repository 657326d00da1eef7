"""Boundaries of InterFaceGAN (Shen et al., 2020): unit normals of planes that part an attribute in Z or W.

Legend: d dimensions of the space, K boundaries; float64. A `.npy` file holds one as (1, d).
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from workers.generator.reading.apart import read_apart
from workers.generator.reading.contents import ARRAY
from workers.generator.reading.refusals import FileRefused

Vector = NDArray[np.float64]

NORM_TOLERANCE = 1e-3
"""How far from 1 a boundary's length may be."""

DEPENDENT = 1e-6
"""Smallest eigenvalue of a Gram matrix whose boundaries still have directions of their own."""


def check_boundary(values: NDArray[np.floating], dimensions: int | None = None, space: str = "") -> Vector:
    """The unit normal [d] of a boundary (1, d); raises FileRefused for what is none, or of another space.

    `dimensions` is how many the space has that it is meant for, and `space` its name.
    """
    if values.ndim != 2 or values.shape[0] != 1 or not values.shape[1]:
        raise FileRefused(f"boundary has shape {values.shape}, expected (1, d)")
    if wrong := int(np.count_nonzero(~np.isfinite(values))):
        raise FileRefused(f"boundary's values are not finite ({wrong})")
    normal = values[0].astype(np.float64)
    norm = float(np.linalg.norm(normal))
    if norm == 0:
        raise FileRefused("boundary has no direction (norm 0)")
    if abs(norm - 1) > NORM_TOLERANCE:
        raise FileRefused(f"boundary has norm {norm:.4g}, expected 1; divide it by its norm if it is a direction")
    if dimensions is not None and len(normal) != dimensions:
        raise FileRefused(f"boundary has {len(normal)} dimensions; this model's {space or 'space'} has {dimensions}")
    return normal / norm


def read_boundary(path: Path, dimensions: int | None = None, space: str = "") -> Vector:
    """Read a boundary's file, as check_boundary has it; nothing is allocated before header and size agree."""
    contents = read_apart(path).contents
    if contents.form != ARRAY:
        raise FileRefused("not a .npy file: a boundary is one array")
    return check_boundary(contents.tensors[""], dimensions, space)


def orthogonal_to(normal: Vector, others: Sequence[Vector]) -> Vector:
    """The boundary that changes `normal`'s attribute and holds those of `others` still, [d], of norm 1.

    The projection on the others' span is taken away: n - Oᵀ(OOᵀ)⁻¹On. Raises ValueError where the others depend on
    each other, or nothing of `normal` is left.
    """
    if not others:
        return normal / np.linalg.norm(normal)
    whole = np.stack(others)
    left = normal - whole.T @ np.linalg.solve(gram(whole), whole @ normal)
    norm = np.linalg.norm(left)
    if norm < DEPENDENT:
        raise ValueError("the boundary lies in the span of those that it should hold still")
    return left / norm


def gram(normals: Vector) -> Vector:
    """Products of all normals [K, d] with each other, [K, K]; raises ValueError where they depend on each other."""
    products = normals @ normals.T
    if np.linalg.eigvalsh(products)[0] < DEPENDENT:
        raise ValueError("boundaries depend on each other: one of them is a mixture of the rest")
    return products


def at_distance(points: Vector, normals: Vector, distances: Vector) -> Vector:
    """Points [..., d] moved by the shortest way to signed distances [..., K] from K planes [K, d] at once.

    For one plane this is InterFaceGAN's z + (t - z·n)n.
    """
    missing = distances - points @ normals.T
    return points + np.linalg.solve(gram(normals), missing[..., None])[..., 0] @ normals
