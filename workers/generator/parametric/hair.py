"""Hair on the skull as strands: each style is combed once on the template, and every head wears it.

A strand's points are kept as places on the surface (three vertices and their weights) and heights above it, so it
follows shape and pose of any head. Legend: S strands, P points, u a unit direction from the skull's centre.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import Delaunay, cKDTree

from workers.generator.parametric.geometry import Vertices
from workers.generator.parametric.regions import CRANIUM, Skin
from workers.generator.parametric.scatter import scatter

Directions = NDArray[np.float64]

LOWEST_HAIRLINE = 28.0
"""Degrees; no identity's is lower."""

EAR_GAP = 0.05
"""Radians about an ear where no hair lies."""


@dataclass(frozen=True, kw_only=True)
class Cut:
    """How a style's hair lies on the skull."""

    strands: int
    points: int
    length: float
    """Decimetres along the skull."""
    lift: float
    """Height above the skull, decimetres."""
    width: float
    """Of a strand, decimetres; a strand is a lock, not a hair."""
    comb: Callable[[Directions], Directions]
    """Where the hair is combed to, from u [S, 3] to a direction [S, 3] of any length."""
    unruly: float = 0.15
    clump: float = 0.45
    """How far a strand bends to the lock that it belongs to, 0 to 1."""
    hanging: float = 0.0
    """Decimetres that it hangs down below the ears."""


def _from_crown(u: Directions) -> Directions:
    crown = np.array([0.12, 0.80, -0.58])
    crown /= np.linalg.norm(crown)
    return np.asarray((u @ crown)[:, None] * u - crown)


def _crop(u: Directions) -> Directions:
    return _from_crown(u) + 0.35 * np.array([0.0, 0.0, 1.0])


def _short(u: Directions) -> Directions:
    front = np.clip(u[:, 2:], 0, 1)
    return _from_crown(u) + front * np.array([0.75, 0.0, 0.0]) + np.array([0.0, -0.25, 0.0])


def _parted(u: Directions, part: float = 0.30) -> Directions:
    side = np.tanh((u[:, :1] - part) / 0.06)
    low = np.clip(1.15 - u[:, 1:2], 0, 1)
    return side * np.array([1.0, 0, 0]) + low * np.array([0.0, -0.9, 0.0]) + np.array([0.0, 0.0, -0.45])


def _swept(u: Directions) -> Directions:
    return np.array([0.0, 0.1, -1.0]) + np.clip(np.abs(u[:, :1]) - 0.3, 0, 1) * np.array([0.0, -0.9, 0.0])


def _falling(u: Directions) -> Directions:
    side = np.tanh((u[:, :1] - 0.08) / 0.07)
    back = np.clip(u[:, 2:] - 0.4, 0, 1) * np.array([0.0, 0.2, -0.6])
    return (
        back
        + side * np.array([0.9, 0, 0])
        + (0.25 + np.abs(u[:, :1])) * np.array([0.0, -1.0, 0.0])
        + np.array([0.0, 0.0, -0.55])
    )


CUTS = {
    "crop": Cut(strands=4200, points=3, length=0.12, lift=0.05, width=0.013, comb=_crop, unruly=0.35, clump=0.2),
    "short": Cut(strands=3600, points=4, length=0.34, lift=0.13, width=0.020, comb=_short, unruly=0.25),
    "parted": Cut(strands=3400, points=6, length=0.65, lift=0.15, width=0.022, comb=_parted, unruly=0.12),
    "swept": Cut(strands=3400, points=6, length=0.80, lift=0.17, width=0.022, comb=_swept, unruly=0.12),
    "bob": Cut(strands=3400, points=7, length=1.30, lift=0.17, width=0.024, comb=_falling, hanging=1.15, unruly=0.08),
    "long": Cut(strands=3400, points=7, length=1.32, lift=0.16, width=0.024, comb=_falling, hanging=2.6, unruly=0.08),
}
"""Style to cut; whoever is not here is bald."""


@dataclass(frozen=True, kw_only=True)
class Groom:
    """A style's strands on the template."""

    corners: NDArray[np.int64]
    """[S, P, 3] vertices of the skin."""
    weights: NDArray[np.float32]
    """[S, P, 3]"""
    height: NDArray[np.float32]
    """[S, P] of the style's lift."""
    azimuth: NDArray[np.float64]
    elevation: NDArray[np.float64]
    """Of the roots, degrees, [S]."""
    luck: NDArray[np.float64]
    """[S] in [0, 1]: a strand grows where the scalp's mask is above it."""
    shade: NDArray[np.float32]
    """[S]: lighter or darker than the whole."""

    def on(self, skin: Vertices, normals: Vertices, lift: float, kept: NDArray[Any]) -> tuple[Vertices, Vertices]:
        """Points [K, P, 3] of the kept strands on a skin [W, 3] with normals [W, 3], and those normals there."""
        weights = self.weights[kept][..., None]
        corners = self.corners[kept]
        out = (normals[corners] * weights).sum(2)
        points = (skin[corners] * weights).sum(2) + out * (lift * self.height[kept])[..., None]
        return points.astype(np.float32), out.astype(np.float32)


class Scalp:
    """The skull of the template as a chart: any direction from its centre to a place on the skin."""

    def __init__(self, skin: Skin) -> None:
        self.skin = skin
        around = np.abs(skin.azimuth)
        # Down to the brows in front and to the nape behind.
        low = np.interp(around, [0, 55, 70, 100, 180], [6, 4, -22, -30, -52])
        self._vertices = np.flatnonzero(skin.on_head & ~skin.pinna & (skin.elevation > low) & (skin.radius > 0.5))

    @cached_property
    def _chart(self) -> Delaunay:
        return Delaunay(_flat(self._directions(self._vertices)))

    @cached_property
    def _ears(self) -> cKDTree:
        return cKDTree(self._directions(np.flatnonzero(self.skin.pinna)))

    def _directions(self, vertices: NDArray[Any]) -> Directions:
        return _unit(self.skin.vertices[vertices] - CRANIUM).astype(np.float64)

    def locate(self, u: Directions) -> tuple[NDArray[np.int64], NDArray[np.float32], NDArray[np.bool_]]:
        """Vertices [N, 3], their weights [N, 3], and whether a direction [N, 3] meets the chart at all."""
        flat = _flat(u)
        simplex = self._chart.find_simplex(flat)
        transform = self._chart.transform[simplex]
        first = np.einsum("nij,nj->ni", transform[:, :2], flat - transform[:, 2])
        weights = np.concatenate([first, 1 - first.sum(1, keepdims=True)], 1)
        corners = self._vertices[self._chart.simplices[simplex]]
        return corners, weights.astype(np.float32), simplex >= 0

    def off_ears(self, u: Directions) -> NDArray[np.bool_]:
        """Which directions [N, 3] do not meet an ear."""
        near, _ = self._ears.query(u)
        return np.asarray(near > EAR_GAP)

    def roots(self, count: int, rng: np.random.Generator) -> Directions:
        """Directions spread evenly over all skin that can bear hair."""
        faces = self.skin.faces
        grown = self.skin.scalp(LOWEST_HAIRLINE)
        faces = faces[grown[faces].min(1) > 0]
        points = scatter(self.skin.vertices, faces, count, rng).at(self.skin.vertices)
        return _unit(points - CRANIUM)


@lru_cache(maxsize=len(CUTS))
def groom(scalp: Scalp, style: str) -> Groom:
    """Comb a style, once a process (0.1 s)."""
    cut = CUTS[style]
    rng = np.random.default_rng(list(CUTS).index(style))  # the same hairs for everybody
    roots = scalp.roots(cut.strands, rng)
    step = cut.length / (cut.points - 1) * rng.uniform(0.75, 1.15, (cut.strands, 1))
    unruly = rng.normal(0, cut.unruly, roots.shape)
    path = [roots]
    for _ in range(cut.points - 1):
        u = path[-1]
        way = cut.comb(u) + unruly
        way -= (way * u).sum(1, keepdims=True) * u
        way /= np.maximum(np.linalg.norm(way, axis=1, keepdims=True), 0.3)
        path.append(_unit(u + way * step))
    u = np.stack(path, 1)
    along = np.linspace(0, 1, cut.points)
    # Strands gather into locks: each bends towards the nearest of a few leaders.
    leaders = np.arange(0, cut.strands, 14)
    _, own = cKDTree(roots[leaders]).query(roots)
    led = u[leaders[own]]
    bend = cut.clump * along[:, None] ** 1.3 * np.exp(-(np.linalg.norm(led - u, axis=2, keepdims=True) ** 2) / 0.02)
    u = _unit(u * (1 - bend) + led * bend)
    corners, weights, inside = scalp.locate(u.reshape(-1, 3))
    if not cut.hanging:  # long hair covers the ears, short hair ends at them
        inside &= scalp.off_ears(u.reshape(-1, 3))
    corners, weights = corners.reshape(*u.shape), weights.reshape(*u.shape)
    # A strand that leaves the chart ends where it left.
    for k in range(1, cut.points):
        outside = ~inside.reshape(u.shape[:2])[:, k]
        corners[outside, k], weights[outside, k] = corners[outside, k - 1], weights[outside, k - 1]
    kept = inside.reshape(u.shape[:2])[:, 0]
    rise = (1 - np.exp(-5 * along)) * (1.0 - 0.3 * along**2)
    depth = rng.uniform(0.45, 1.0, (cut.strands, 1)) * (0.85 + 0.3 * rng.random(len(leaders))[own][:, None])
    shade = rng.uniform(0.8, 1.2, cut.strands) * (0.85 + 0.3 * rng.random(len(leaders))[own])
    luck = rng.uniform(0.05, 0.95, cut.strands)
    azimuth, elevation = np.degrees(np.arctan2(roots[:, 0], roots[:, 2])), np.degrees(np.arcsin(roots[:, 1]))
    return Groom(
        corners=corners[kept],
        weights=weights[kept],
        height=(depth * rise).astype(np.float32)[kept],
        azimuth=azimuth[kept],
        elevation=elevation[kept],
        luck=luck[kept],
        shade=shade.astype(np.float32)[kept],
    )


@lru_cache(maxsize=1)
def load_scalp(skin: Skin) -> Scalp:
    """The chart of the template's skull, once a process."""
    return Scalp(skin)


def _flat(u: Directions) -> Directions:
    """Stereographic projection from the point below the skull's centre."""
    return np.asarray(u[:, [0, 2]] / (1 + u[:, 1:2]), np.float64)


def _unit(u: NDArray[Any]) -> NDArray[Any]:
    return np.asarray(u / np.linalg.norm(u, axis=-1, keepdims=True))
