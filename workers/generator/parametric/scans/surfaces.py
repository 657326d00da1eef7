"""Triangle meshes that closest points are sought on, and the similarity that lays one point set on another."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

Points = NDArray[np.float64]

NEIGHBOURS = 24
"""Triangles about a point in which its closest one is sought."""


def similarity(ours: Points, theirs: Points) -> tuple[float, Points, Points]:
    """Scale, rotation [3, 3] and shift [3] that bring their points [L, 3] onto ours in the least squares' sense.

    Source: S. Umeyama, Least-squares estimation of transformation parameters between two point patterns. PAMI 1991.
    """
    a, b = theirs - theirs.mean(0), ours - ours.mean(0)
    u, s, vt = np.linalg.svd(b.T @ a)
    signs = np.array([1, 1, np.sign(np.linalg.det(u @ vt))])
    turn = u @ np.diag(signs) @ vt
    scale = float((s * signs).sum() / (a**2).sum())
    return scale, turn, ours.mean(0) - scale * turn @ theirs.mean(0)


class Surface:
    """A mesh of triangles."""

    def __init__(self, points: Points, triangles: NDArray[np.int64]) -> None:
        self.points, self.triangles = points, triangles
        self._corners = points[triangles]
        normal = np.cross(self._corners[:, 1] - self._corners[:, 0], self._corners[:, 2] - self._corners[:, 0])
        self.normals = normal / np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-12)
        self._tree = cKDTree(self._corners.mean(1))

    def closest(self, query: Points, normals: Points | None = None) -> tuple[Points, NDArray[np.int64], Points]:
        """Closest points [N, 3], their triangles [N] and weights in them [N, 3]; with normals, on like-facing ones."""
        _, near = self._tree.query(query, k=NEIGHBOURS)
        corners = self._corners[near]
        weights = barycentric(query[:, None], corners)
        points = (corners * weights[..., None]).sum(2)
        far = np.linalg.norm(points - query[:, None], axis=2)
        if normals is not None:
            far = far + 10.0 * ((self.normals[near] * normals[:, None]).sum(2) < 0.3)
        best = far.argmin(1)
        rows = np.arange(len(query))
        return points[rows, best], near[rows, best], weights[rows, best]


def barycentric(query: Points, corners: Points) -> Points:
    """Weights of the closest point within each triangle, [..., 3]; C. Ericson, Real-Time Collision Detection, 5.1.5."""
    a, b, c = corners[..., 0, :], corners[..., 1, :], corners[..., 2, :]
    ab, ac = b - a, c - a

    def dot(x: Points, y: Points) -> Points:
        return np.asarray((x * y).sum(-1))

    d1, d2 = dot(ab, query - a), dot(ac, query - a)
    d3, d4 = dot(ab, query - b), dot(ac, query - b)
    d5, d6 = dot(ab, query - c), dot(ac, query - c)
    va, vb, vc = d3 * d6 - d5 * d4, d5 * d2 - d1 * d6, d1 * d4 - d3 * d2
    total = np.maximum(va + vb + vc, 1e-18)
    v, w = vb / total, vc / total
    result = np.stack([1 - v - w, v, w], -1)

    def put(mask: NDArray[np.bool_], *parts: Any) -> None:
        result[mask] = np.stack(np.broadcast_arrays(*parts), -1)[mask]

    t = np.clip(d1 / np.where(d1 - d3 == 0, 1, d1 - d3), 0, 1)
    put((vc <= 0) & (d1 >= 0) & (d3 <= 0), 1 - t, t, 0 * t)
    t = np.clip(d2 / np.where(d2 - d6 == 0, 1, d2 - d6), 0, 1)
    put((vb <= 0) & (d2 >= 0) & (d6 <= 0), 1 - t, 0 * t, t)
    span = (d4 - d3) + (d5 - d6)
    t = np.clip((d4 - d3) / np.where(span == 0, 1, span), 0, 1)
    put((va <= 0) & (d4 - d3 >= 0) & (d5 - d6 >= 0), 0 * t, 1 - t, t)
    zero, one = np.zeros_like(d1), np.ones_like(d1)
    put((d1 <= 0) & (d2 <= 0), one, zero, zero)
    put((d3 >= 0) & (d4 <= d3), zero, one, zero)
    put((d6 >= 0) & (d5 <= d6), zero, zero, one)
    return result
