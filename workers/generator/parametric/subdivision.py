"""Catmull-Clark subdivision as a matrix: the base mesh is a cage, and the skin is the surface it stands for.

E. Catmull, J. Clark: Recursively generated B-spline surfaces on arbitrary topological meshes. CAD 10(6), 1978.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

Values = NDArray[np.float32]


@dataclass(frozen=True, kw_only=True)
class Surface:
    """A mesh of quads once subdivided, for any position of its cage's vertices."""

    matrix: sparse.csr_matrix
    """[W, V]: what each vertex of the surface takes from the cage's."""
    faces: NDArray[np.int64]
    """Quads over the surface's vertices, [4 F, 4]."""
    used: NDArray[np.int64]
    """Vertices of the cage that have a place on the surface, sorted: they are its first."""

    def refine(self, values: NDArray[Any]) -> Values:
        """Carry values of the cage's vertices, [V] or [V, K], over to the surface's, [W] or [W, K]."""
        return np.asarray(self.matrix @ values, np.float32)

    def only(self, vertices: NDArray[Any], values: NDArray[Any]) -> Values:
        """Carry values over to the places of some of the cage's vertices, [K] or [K, ...]."""
        rows = np.searchsorted(self.used, vertices).clip(max=len(self.used) - 1)
        if not np.array_equal(self.used[rows], vertices):
            raise ValueError("a vertex is not on the surface")
        return np.asarray(self.matrix[rows] @ values, np.float32)


def subdivide(faces: NDArray[np.int64], count: int) -> Surface:
    """Subdivide quads [F, 4] over `count` vertices once; vertices that no quad uses are left out.

    An open border stays where its own edges lead (as a cubic B-spline curve).
    """
    used, cage = np.unique(faces, return_inverse=True)
    cage = cage.reshape(faces.shape)
    pairs = np.sort(np.stack([cage, np.roll(cage, -1, 1)], -1).reshape(-1, 2), 1)
    edges, edge_of = np.unique(pairs, axis=0, return_inverse=True)
    edge_of = edge_of.reshape(faces.shape)
    vertices, quads = len(used), len(faces)
    face_points = _rows(np.repeat(np.arange(quads), 4), cage.ravel(), 0.25, (quads, vertices))
    shared = np.bincount(edge_of.ravel(), minlength=len(edges))
    middles = _rows(np.repeat(np.arange(len(edges)), 2), edges.ravel(), 0.5, (len(edges), vertices))
    beside = _rows(edge_of.ravel(), np.repeat(np.arange(quads), 4), 1.0, (len(edges), quads))
    inner = (shared == 2).astype(float)
    edge_points = sparse.diags(1 - inner / 2) @ middles + sparse.diags(inner / 4) @ (beside @ face_points)

    valence = np.bincount(cage.ravel(), minlength=vertices)
    on_border = np.zeros(vertices, bool)
    on_border[edges[shared != 2].ravel()] = True
    around = _rows(cage.ravel(), np.repeat(np.arange(quads), 4), 1.0, (vertices, quads))
    ends = _rows(edges.ravel(), np.repeat(np.arange(len(edges)), 2), 1.0, (vertices, len(edges)))
    n = np.maximum(valence, 1)
    smooth = (
        sparse.diags(1 / n**2) @ around @ face_points
        + sparse.diags(2 / n**2) @ ends @ middles
        + sparse.diags((n - 3) / n)
    )
    border = _rows(edges[shared != 2].ravel(), np.flatnonzero(np.repeat(shared != 2, 2)) // 2, 1.0, ends.shape)
    corner = sparse.diags(np.full(vertices, 0.5)) + sparse.diags(np.full(vertices, 0.25)) @ border @ middles
    vertex_points = sparse.diags((~on_border).astype(float)) @ smooth + sparse.diags(on_border.astype(float)) @ corner

    picked = _rows(np.arange(vertices), used, 1.0, (vertices, count))
    matrix = sparse.vstack([vertex_points, edge_points, face_points]) @ picked
    edge_base, face_base = vertices, vertices + len(edges)
    centre = face_base + np.arange(quads)
    parts = [
        np.stack([cage[:, k], edge_base + edge_of[:, k], centre, edge_base + edge_of[:, k - 1]], 1) for k in range(4)
    ]
    return Surface(matrix=sparse.csr_matrix(matrix, dtype=np.float32), faces=np.concatenate(parts), used=used)


def _rows(rows: NDArray[Any], columns: NDArray[Any], value: float, shape: tuple[int, int]) -> sparse.csr_matrix:
    return sparse.csr_matrix((np.full(len(rows), value), (rows, columns)), shape=shape)
