"""Where things are on the base mesh: scalp, lips, ears, beard, brows, landmarks. Masks over the vertices [V]."""

from functools import cached_property, lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from workers.generator.parametric.geometry import HeadModel, Vertices, load_head
from workers.generator.parametric.subdivision import subdivide

Mask = NDArray[np.float32]

CRANIUM = np.array([0.0, 7.45, 0.45], np.float32)
"""Centre about which directions on the skull are measured."""

UPPER_LID = (14762, 14761, 14760, 14743, 14742, 14744, 14745, 14749)
LOWER_LID = (14759, 14757, 14756, 14755, 14754, 14752)
"""Vertices on the edges of the left lids, from the nose outwards."""

RIGHT_LID = 125
"""A vertex of the right lids has this number more than its left counterpart."""


class Skin:
    """The skin of head, neck and shoulders, subdivided: the template's vertices [W, 3], and where on it they lie."""

    def __init__(self, regions: "Regions") -> None:
        v, faces = regions.head.vertices, regions.head.body_faces
        seen = (v[faces][:, :, 1] > 4.6).all(1) & (np.abs(v[faces][:, :, 0]) < 2.4).all(1)
        self.cage = faces[seen]
        self.surface = subdivide(self.cage, len(v))
        self.faces = self.surface.faces
        self.vertices = self.surface.refine(v)
        self.on_head = self.surface.refine(regions.on_head.astype(np.float32)) > 0.5
        self.pinna = self.surface.refine(regions.pinna.astype(np.float32)) > 0.3
        self.radius, self.azimuth, self.elevation = _around_skull(self.vertices)

    def scalp(self, front: float, temples: float = 0.0, thin: float = 0.0) -> Mask:
        """Where hair grows, [W], 0 to 1, for a hairline `front` degrees above the skull's centre."""
        grown = scalp_mask(self.azimuth, self.elevation, front, temples, thin) * self.on_head * ~self.pinna
        grown[self.radius < 0.5] = 0
        return np.asarray(grown, np.float32)


def scalp_line(around: NDArray[Any], front: float, temples: float) -> NDArray[np.float64]:
    """Elevation of the hairline at degrees to either side of the nose, degrees."""
    return np.interp(
        around,
        [0, 16, 30, 40, 46, 51, 56, 61, 70, 85, 103, 115, 140, 180],
        [
            front - 0.2 * temples,
            front,
            front - 2 + temples,
            front - 7 + temples,
            18 + 0.7 * temples,
            4,
            -9,
            -4,
            1,
            2,
            -4,
            -22,
            -35,
            -39,
        ],
    )


def scalp_mask(
    azimuth: NDArray[Any], elevation: NDArray[Any], front: float, temples: float = 0.0, thin: float = 0.0
) -> Mask:
    """Where hair grows by direction from the skull's centre, degrees; 0 to 1.

    `temples` is how much higher the line is above them, `thin` how bare the crown is, 0 to 1.
    """
    line = scalp_line(np.abs(azimuth), front, temples)
    # As soft across sideburns, where the line is steep, as on the forehead.
    nearby = scalp_line(np.abs(azimuth) + 1.0, front, temples) - line
    grown = np.clip((elevation - line) / (11 * np.sqrt(1 + 0.5 * nearby**2)) + 0.45, 0, 1)
    # Sideburns thin out downwards.
    beside = np.exp(-(((np.abs(azimuth) - 57) / 11) ** 2))
    grown *= 1 - beside * np.clip((12 - elevation) / 26, 0, 0.85)
    a, e = np.radians(azimuth), np.radians(elevation)
    crown = np.cos(e) * np.cos(a) * -0.58 + np.sin(e) * 0.80 + np.cos(e) * np.sin(a) * 0.12
    bare = thin * np.exp(-((1 - crown) / 0.16)) + 0.6 * thin * np.clip((elevation - 40) / 30, 0, 1) * (
        np.abs(azimuth) < 90
    )
    return np.asarray(grown * np.clip(1 - bare, 0, 1), np.float32)


def _around_skull(points: Vertices) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
    offset = points - CRANIUM
    radius = np.linalg.norm(offset, axis=1)
    azimuth = np.degrees(np.arctan2(offset[:, 0], offset[:, 2]))
    elevation = np.degrees(np.arcsin(np.clip(offset[:, 1] / np.maximum(radius, 1e-6), -1, 1)))
    return radius, azimuth, elevation


class Regions:
    """Masks on the base mesh; they hold for every morph of it."""

    def __init__(self, head: HeadModel) -> None:
        self.head = head
        self.on_head = (head.head_weight > 0.99) & head.is_body
        self.lips = self._moved_by("mouth-lowerlip-volume", "mouth-upperlip-volume")
        scaled = self._moved_by("ear-scale")
        self.ears = scaled > 0.12
        self.pinna = scaled > 0.4  # the ear that sticks out, without the skin around it
        self.eyes = np.clip(self.blob((0.31, 7.28, 1.45), 0.17) + self.blob((-0.31, 7.28, 1.45), 0.17), 0, 1)
        self.flush = np.clip(
            0.8 * (self.blob((0.5, 6.95, 1.35), 0.22) + self.blob((-0.5, 6.95, 1.35), 0.22))
            + 0.9 * self.blob((0, 6.98, 1.75), 0.16)
            + 0.5 * self.ears,
            0,
            1,
        )
        self.landmarks = self._landmarks()

    def blob(self, centre: Any, size: float) -> Mask:
        """A soft spot about a point of the base mesh."""
        distance = ((self.head.vertices - np.asarray(centre, np.float32)) ** 2).sum(1)
        return np.asarray(np.exp(-distance / (2 * size * size)), np.float32)

    def _moved_by(self, *sliders: str) -> Mask:
        reach = np.zeros(len(self.head.vertices), np.float32)
        for name in sliders:
            for ends in self.head.sliders[name].values():
                for path in ends.values():
                    index, delta = self.head.target(path)
                    reach[index] = np.maximum(reach[index], np.linalg.norm(delta, axis=1))
        return reach / max(float(reach.max()), 1e-6)

    @cached_property
    def upper_lids(self) -> NDArray[np.intp]:
        """Vertices of the skin along the upper lids' edges, left and right, from the nose outwards, [2, 8]."""
        v = self.head.vertices
        body = np.flatnonzero(self.on_head)
        lashes = np.array(UPPER_LID) + np.array([[0], [RIGHT_LID]])
        return np.asarray(body[cKDTree(v[body]).query(v[lashes])[1]])

    @cached_property
    def lower_lids(self) -> NDArray[np.intp]:
        """Vertices of the skin along the lower lids' edges, left and right, from the nose outwards, [2, 6]."""
        v = self.head.vertices
        body = np.flatnonzero(self.on_head)
        lashes = np.array(LOWER_LID) + np.array([[0], [RIGHT_LID]])
        return np.asarray(body[cKDTree(v[body]).query(v[lashes])[1]])

    @cached_property
    def skin(self) -> Skin:
        """The skin as it is drawn."""
        return Skin(self)

    def beard(self) -> Mask:
        """Where a beard grows, 0 to 1."""
        x, y, z = np.abs(self.head.vertices[:, 0]), self.head.vertices[:, 1], self.head.vertices[:, 2]
        top = np.interp(x, [0, 0.28, 0.4, 0.6, 0.75], [6.93, 6.9, 6.72, 6.72, 7.2])
        grown = np.clip((top - y) / 0.08, 0, 1) * np.clip((y - 5.95) / 0.25, 0, 1) * np.clip((z - 0.35) / 0.2, 0, 1)
        return np.asarray(grown * self.on_head * (self.lips < 0.12) * ~self.ears, np.float32)

    def cavity(self, vertices: Vertices, normals: Vertices) -> Mask:
        """Light that reaches each vertex past its neighbourhood, 0 to 1: a cheap ambient occlusion.

        A vertex that lies below the mean of its neighbours (lip line, nostrils, lid folds) is darker.
        """
        faces = self.skin.cage
        total = np.zeros_like(vertices)
        mean = vertices[faces].mean(1)
        count = np.bincount(faces.ravel(), minlength=len(vertices))
        for axis in range(3):
            total[:, axis] = np.bincount(faces.ravel(), np.repeat(mean[:, axis], 4), minlength=len(vertices))
        depth = ((total / np.maximum(count, 1)[:, None] - vertices) * normals).sum(1)
        return np.asarray(np.clip(1 - 28 * np.maximum(depth - 0.001, 0), 0.35, 1), np.float32)

    def _landmarks(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Vertices that are landmarks: spread over lips, eyes and face, [46]; lid edges, mouth, nose, cheeks, [82].

        Between them come the eyeballs; see workers.generator.landmarks.
        """
        v = self.head.vertices
        x, y, z = v.T
        face = self.on_head & (z > 0.55) & (y > 6.2) & (y < 8.25) & (np.abs(x) < 0.9)
        lids = self.eyes * self.on_head > 0.45
        lips = self.lips * self.on_head > 0.25
        first = [*self._spread(lips, 10), *self._spread(lids, 12), *self._spread(face, 24)]
        lower, upper = np.array(LOWER_LID), np.array(UPPER_LID)
        nose = self.on_head & (y > 6.7) & (y < 7.4) & (np.abs(x) < 0.28) & (z > 1.3)
        cheeks = face & (np.abs(x) > 0.3) & (y < 7.6)
        second = [
            *upper,
            *(upper + RIGHT_LID),
            *lower,
            *(lower + RIGHT_LID),
            *self.mouth_lines,
            *self._spread(nose, 16),
            *self._spread(cheeks, 16),
        ]
        return np.array(first), np.array(second)

    def _spread(self, mask: NDArray[np.bool_], count: int) -> list[int]:
        """Farthest-point sampling of vertices within a mask."""
        v = self.head.vertices
        candidates = np.flatnonzero(mask)
        start = candidates[np.argmax(v[candidates, 2])]
        picked = [int(start)]
        nearest = np.linalg.norm(v[candidates] - v[start], axis=1)
        while len(picked) < count:
            farthest = int(np.argmax(nearest))
            picked.append(int(candidates[farthest]))
            nearest = np.minimum(nearest, np.linalg.norm(v[candidates] - v[candidates[farthest]], axis=1))
        return picked

    @cached_property
    def mouth_lines(self) -> list[int]:
        """Vertices along the lips, from right to left: where they meet (upper 5, lower 5), outer edges (7, 5)."""
        x, y, _ = self.head.vertices.T
        candidates = np.flatnonzero(self.lips * self.on_head > 0.25)
        parting = 6.618

        def line(count: int, reach: float, *, above: bool, inner: bool) -> list[int]:
            side = candidates[(y[candidates] > parting) == above]
            found = []
            for place in np.linspace(-reach, reach, count):
                near = side[np.abs(x[side] - place) < 0.022]
                found.append(int(near[np.argmax(y[near] if inner != above else -y[near])]))
            return found

        return [
            *line(5, 0.15, above=True, inner=True),
            *line(5, 0.15, above=False, inner=True),
            *line(7, 0.17, above=True, inner=False),
            *line(5, 0.15, above=False, inner=False),
        ]


@lru_cache(maxsize=1)
def load_regions() -> Regions:
    """The regions of the head model, once a process."""
    return Regions(load_head())
