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
    """Of a strand, decimetres; a strand is a few hairs."""
    comb: Callable[[Directions], Directions]
    """Where the hair is combed to, from u [S, 3] to a direction [S, 3] of any length."""
    unruly: float = 0.15
    clump: float = 0.45
    """How far a strand bends to the lock that it belongs to, 0 to 1."""
    hanging: float = 0.0
    """Decimetres that it hangs down below the ears."""
    curl: float = 0.0
    """Radius of its curls, decimetres, whatever the identity's waves add."""
    turns: float = 1.6
    """Waves or curls along a strand."""
    stands: float = 0.0
    """0: it lies; 1: it stands off the skull."""
    cap: float = 0.45
    """Height of the dense hair beneath the strands, as a share of the lift."""
    bun: float = 0.0
    """Radius of a knot on top, decimetres."""


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


def _forward(u: Directions) -> Directions:
    return _from_crown(u) + 0.9 * np.array([0.15, 0.0, 1.0]) * np.clip(u[:, 1:2], 0.1, 1)


def _side_fringe(u: Directions) -> Directions:
    front = np.clip(u[:, 2:] + 0.1, 0, 1)
    return _from_crown(u) + front * np.array([-0.9, -0.2, 0.35])


def _quiff(u: Directions) -> Directions:
    top = np.clip(u[:, 1:2] - 0.25, 0, 1)
    return top * np.array([0.25, 0.3, -1.0]) + np.array([0.0, -0.45, -0.45])


def _gathered(u: Directions) -> Directions:
    knot = np.array([0.0, 0.25, -0.97])
    return np.asarray(knot - (u @ knot)[:, None] * u)


def _on_top(u: Directions) -> Directions:
    knot = np.array([0.0, 0.93, -0.36])
    return np.asarray(knot - (u @ knot)[:, None] * u)


CUTS = {
    "crop": Cut(strands=5200, points=3, length=0.11, lift=0.05, width=0.009, comb=_crop, unruly=0.40, clump=0.15),
    "short": Cut(strands=4800, points=4, length=0.32, lift=0.12, width=0.012, comb=_short, unruly=0.30),
    "fringe": Cut(strands=5000, points=5, length=0.52, lift=0.13, width=0.012, comb=_forward, unruly=0.22, clump=0.6),
    "parted": Cut(strands=5000, points=6, length=0.65, lift=0.15, width=0.013, comb=_parted, unruly=0.16),
    "swept": Cut(strands=5000, points=6, length=0.80, lift=0.16, width=0.013, comb=_swept, unruly=0.15),
    "quiff": Cut(strands=5000, points=6, length=0.70, lift=0.26, width=0.012, comb=_quiff, unruly=0.20, clump=0.6),
    "curly-short": Cut(
        strands=4200,
        points=8,
        length=0.42,
        lift=0.22,
        width=0.012,
        comb=_short,
        unruly=0.5,
        clump=0.5,
        curl=0.035,
        turns=2.2,
        stands=0.35,
        cap=0.6,
    ),
    "afro": Cut(
        strands=7000,
        points=5,
        length=0.10,
        lift=0.30,
        width=0.011,
        comb=_crop,
        unruly=0.8,
        clump=0.25,
        curl=0.035,
        turns=2.5,
        stands=1.0,
        cap=0.72,
    ),
    "tied": Cut(strands=4800, points=6, length=1.0, lift=0.07, width=0.012, comb=_gathered, unruly=0.08),
    "bun": Cut(
        strands=4800, points=6, length=0.9, lift=0.07, width=0.012, comb=_on_top, unruly=0.08, clump=0.3, bun=0.3
    ),
    "pixie": Cut(
        strands=5000, points=5, length=0.50, lift=0.14, width=0.012, comb=_side_fringe, unruly=0.22, clump=0.6
    ),
    "bob": Cut(strands=5000, points=7, length=1.30, lift=0.17, width=0.014, comb=_falling, hanging=1.0, unruly=0.11),
    "curly-long": Cut(
        strands=4200,
        points=9,
        length=1.10,
        lift=0.24,
        width=0.013,
        comb=_falling,
        hanging=1.5,
        unruly=0.3,
        curl=0.035,
        turns=3.0,
        stands=0.2,
        cap=0.6,
    ),
    "long": Cut(strands=5000, points=7, length=1.32, lift=0.15, width=0.014, comb=_falling, hanging=2.4, unruly=0.10),
    "wavy-long": Cut(
        strands=5000,
        points=9,
        length=1.32,
        lift=0.18,
        width=0.014,
        comb=_falling,
        hanging=2.2,
        unruly=0.14,
        curl=0.02,
        turns=2.0,
    ),
}
"""Style to cut; whoever is not here is bald or shaven."""


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
    phase: NDArray[np.float32]
    """[S]: where its waves begin; about the same within a lock."""
    loose: NDArray[np.float32]
    """[S]: 0, and up to 1 where a hair flies away from the others."""

    def on(
        self,
        skin: Vertices,
        normals: Vertices,
        lift: float,
        kept: NDArray[Any],
        *,
        rise: Any = 1.0,
        curl: float = 0.0,
        turns: float = 1.0,
        loose: float = 0.0,
    ) -> tuple[Vertices, Vertices]:
        """Points [K, P, 3] of the kept strands on a skin [W, 3] with normals [W, 3], and those normals there.

        `rise` [K] is each strand's share of the lift; `curl` the radius of its waves, `turns` their number; `loose` how
        far the loose ones fly off.
        """
        weights = self.weights[kept][..., None]
        corners = self.corners[kept]
        out = (normals[corners] * weights).sum(2)
        height = self.height[kept] * (lift * rise * (1 + 1.1 * loose * self.loose[kept]))[:, None]
        points = (skin[corners] * weights).sum(2) + out * height[..., None]
        if curl > 0:
            along = np.linspace(0, 1, points.shape[1], dtype=np.float32)
            beside = np.cross(np.gradient(points, axis=1), out)
            beside /= np.maximum(np.linalg.norm(beside, axis=2, keepdims=True), 1e-6)
            turn = 2 * np.pi * turns * along + self.phase[kept][:, None]
            reach = curl * np.minimum(1, 3 * along)
            points = points + (reach * np.sin(turn))[..., None] * beside + (0.6 * reach * np.cos(turn))[..., None] * out
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
    lying, standing = (1 - np.exp(-5 * along)) * (1.0 - 0.3 * along**2), 0.55 + 0.45 * along
    rise = (1 - cut.stands) * lying + cut.stands * standing
    depth = rng.uniform(0.45, 1.0, (cut.strands, 1)) * (0.85 + 0.3 * rng.random(len(leaders))[own][:, None])
    shade = rng.uniform(0.68, 1.36, cut.strands) * (0.75 + 0.5 * rng.random(len(leaders))[own])
    luck = rng.uniform(0.02, 0.98, cut.strands)
    phase = rng.uniform(0, 2 * np.pi, len(leaders))[own] + rng.normal(0, 0.5, cut.strands)
    loose = (rng.random(cut.strands) < 0.04) * rng.random(cut.strands)
    azimuth, elevation = np.degrees(np.arctan2(roots[:, 0], roots[:, 2])), np.degrees(np.arcsin(roots[:, 1]))
    return Groom(
        corners=corners[kept],
        weights=weights[kept],
        height=(depth * rise).astype(np.float32)[kept],
        azimuth=azimuth[kept],
        elevation=elevation[kept],
        luck=luck[kept],
        shade=shade.astype(np.float32)[kept],
        phase=phase.astype(np.float32)[kept],
        loose=loose.astype(np.float32)[kept],
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
