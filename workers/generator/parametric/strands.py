"""Hair as geometry: brows, lashes and beards as strands, longer hair as a curtain that hangs beside the neck.

A strand bundle is float32 [strands, points, 3], in the coordinates of the vertices it was grown on.
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import Delaunay

from workers.generator.parametric import faces
from workers.generator.parametric.geometry import Vertices
from workers.generator.parametric.regions import Regions
from workers.generator.parametric.scatter import Scatter, scatter
from workers.generator.parametric.shape import Latent, vertex_normals

Strands = NDArray[np.float32]

FULL_BROW = 720
"""Hairs of the densest brow."""

FULL_BEARD = 15_000
"""Hairs of the densest beard."""


class _Front:
    """The skin about brows and eyes as seen from the front: any place x, y of the template to a place on the skin."""

    def __init__(self, regions: Regions) -> None:
        skin = regions.skin
        x, y, z = skin.vertices.T
        out = vertex_normals(skin.vertices, skin.faces)[:, 2]
        self._rows = np.flatnonzero(
            skin.on_head & (np.abs(x) < 0.85) & (y > 7.36) & (y < 7.9) & (z > 0.75) & (out > 0.1)
        )
        self._chart = Delaunay(skin.vertices[self._rows, :2].astype(np.float64))
        self._matrix = skin.surface.matrix[self._rows]

    def at(self, places: NDArray[Any], values: NDArray[Any]) -> NDArray[np.float64]:
        """What values of the cage's vertices [V, 3] are at places [N, 2]: [N, 3]."""
        simplex = np.maximum(self._chart.find_simplex(places), 0)
        transform = self._chart.transform[simplex]
        first = np.einsum("nij,nj->ni", transform[:, :2], places - transform[:, 2])
        weights = np.concatenate([first, 1 - first.sum(1, keepdims=True)], 1).clip(0, 1)
        corners = self._chart.simplices[simplex]
        return np.asarray(((self._matrix @ values)[corners] * weights[..., None]).sum(1))


@lru_cache(maxsize=1)
def _front(regions: Regions) -> _Front:
    return _Front(regions)


@dataclass(frozen=True, kw_only=True)
class Brow:
    """How the brows of one face lie on the template, decimetres."""

    start: float
    """Of the hair next to the nose, from the middle."""
    length: float
    height: float
    slope: float
    arch: float
    peak: float
    tail: float
    thickness: float
    taper: float
    density: float
    """0 to 1."""
    wildness: float
    lie: float
    """Degrees that the hairs are steeper than usual."""

    def middle(self, t: Any) -> Any:
        """Height of the brow's middle line at a share t of its length."""
        bow = np.where(
            t < self.peak,
            np.sin(np.clip(t / self.peak, 0, 1) * np.pi / 2),
            np.cos(np.clip((t - self.peak) / (1 - self.peak), 0, 1.2) * np.pi / 2.4),
        )
        return self.height + self.arch * bow + self.slope * (t - 0.35) - self.tail * np.clip(t - self.peak, 0, 1) ** 1.3

    def breadth(self, t: Any) -> Any:
        """How high the brow is at t."""
        return self.thickness * np.interp(
            t, [0, 0.12, 0.5, 0.75, 1.0], [0.72, 1.0, 0.92 - 0.15 * self.taper, 0.72 - 0.3 * self.taper, 0.2]
        )


def read_brow(identity: Latent) -> Brow:
    """Brows of one identity: women's thinner and higher, both as varied as people's."""
    male = bool(faces.is_male(identity))

    def latent(name: str) -> float:
        return float(faces.who(identity, f"brow_{name}"))

    return Brow(
        start=0.125 + float(faces.bounded(latent("inner"), 0.036, 0.065)),
        length=0.40 * float(np.exp(faces.bounded(latent("length"), 0.15, 0.30))),
        height=(7.450 if male else 7.470) + float(faces.bounded(latent("height"), 0.036, 0.075)),
        slope=-0.012 + float(faces.bounded(latent("slope"), 0.034, 0.06)),
        arch=max(0.0, (0.034 if male else 0.050) + float(faces.bounded(latent("arch"), 0.034, 0.068))),
        peak=0.64 + 0.06 * float(np.tanh(latent("taper"))),
        tail=0.10 + float(faces.bounded(latent("tail"), 0.13, 0.24)),
        thickness=(0.064 if male else 0.050) * float(np.exp(faces.bounded(latent("thickness"), 0.42, 0.75))),
        taper=float(np.tanh(latent("taper"))),
        density=float(faces.between(latent("density") + (0.3 if male else -0.1), 0.08, 1.0)),
        wildness=float(np.exp(faces.bounded(latent("wildness"), 0.5, 1.0))),
        lie=float(faces.bounded(latent("lie"), 9, 22)),
    )


def brow_shade(brow: Brow, x: NDArray[Any], y: NDArray[Any], depth: float) -> NDArray[np.float32]:
    """How much darker the skin is under the brows' hair at places x, y of the template."""
    t = (np.abs(x) - brow.start) / brow.length
    inside = 1 / (1 + np.exp(-np.clip(t + 0.02, -1, 2) / 0.03)) / (1 + np.exp((np.clip(t, -1, 2) - 1.0) / 0.04))
    off = (y - brow.middle(np.clip(t, 0, 1))) / np.maximum(0.55 * brow.breadth(np.clip(t, 0, 1)), 0.006)
    return np.asarray(0.5 * depth * brow.density**1.1 * inside * np.exp(-(off**2)), np.float32)


@lru_cache(maxsize=1)
def _brow_luck() -> NDArray[np.float64]:
    """What tells hairs apart, the same for everybody, [2 sides, FULL_BROW, 7]."""
    rng = np.random.default_rng(11)
    luck = rng.random((2, FULL_BROW, 7))
    luck[..., 4:] = rng.normal(size=(2, FULL_BROW, 3))
    return luck


def brows(regions: Regions, identity: Latent, rest: Vertices, normals: Vertices) -> Strands:
    """Eyebrow hairs laid along the brow ridge, the left brow's first, as many as the right one's."""
    brow = read_brow(identity)
    front = _front(regions)
    count = int(FULL_BROW * np.clip(brow.density * (0.5 + 0.5 * brow.thickness / 0.065), 0.05, 1))
    lean = faces.block(identity, "asymmetry")[:3]
    bundles = []
    for side, luck in zip((1, -1), _brow_luck()[:, :count], strict=True):
        # Fewest hairs at both ends and along both edges, where the brow fades into skin.
        t = np.interp(luck[:, 0], [0, 0.06, 0.30, 0.85, 1], [0, 0.12, 0.32, 0.78, 1])
        off = 2 * luck[:, 1] - 1
        across = 0.5 + 0.5 * np.sign(off) * np.abs(off) ** 1.3 * (1 + 0.2 * brow.wildness * np.abs(luck[:, 4]))
        x = side * (brow.start + t * brow.length)
        y = brow.middle(t) + brow.breadth(t) * (across - 0.5) + side * (0.006 * lean[0] + 0.008 * lean[1] * (t - 0.5))
        at = np.stack([x, y], 1)
        root, out = front.at(at, rest), front.at(at, normals)
        slant = np.interp(t, [0, 0.12, 0.35, 0.65, 1], [74, 52, 26, 6, -20]) + brow.lie * (1 - t)
        slant = slant + 46 * (0.5 - across) * np.interp(t, [0, 0.2, 1], [0.3, 1, 0.8]) + 9 * brow.wildness * luck[:, 5]
        angle = np.radians(slant)
        direction = np.stack([side * np.cos(angle), np.sin(angle), 0 * angle], 1)
        direction -= (direction * out).sum(1, keepdims=True) * out * 0.9
        direction /= np.linalg.norm(direction, axis=1, keepdims=True)
        reach = (0.035 + 0.045 * luck[:, 2]) * np.interp(t, [0, 0.15, 0.8, 1], [0.75, 1, 0.85, 0.55])
        reach = (reach * (0.8 + 0.2 * brow.wildness))[:, None]
        bend = np.stack([0 * t, -0.25 * np.sin(angle) - 0.06 * brow.wildness * luck[:, 6], 0 * t], 1)
        bundles.append(
            np.stack(
                [
                    root + out * 0.004,
                    root + direction * reach * 0.5 + out * 0.012,
                    root + (direction + bend) * reach + out * 0.012,
                ],
                1,
            )
        )
    return np.concatenate(bundles).astype(np.float32)


def lashes(regions: Regions, identity: Latent, vertices: Vertices, *, upper: bool) -> Strands:
    """Lashes of the upper or lower lids, from their edges outwards."""
    rng = np.random.default_rng(12 if upper else 15)
    male = bool(faces.is_male(identity))
    made_up = float(np.clip(faces.who(identity, "eye_makeup") - 0.3, 0, 1.6)) * (not male)
    own = float(faces.between(faces.who(identity, "lash_length"), 0.55, 1.35)) * (1 + 0.35 * made_up)
    count = (
        int(np.clip(60 + 22 * np.tanh(faces.who(identity, "lash_density")) + 25 * made_up, 25, 110)) if upper else 34
    )
    bundles = []
    for edge in lid_edges(regions, vertices, upper=upper):
        side = np.sign(edge[:, 0].mean())
        along = np.sort(rng.random(110)[:count] * 0.94 + 0.04)
        noise, luck = rng.normal(0, 0.10, (110, 3))[:count], rng.uniform(0.65, 1.1, (110, 1))[:count]
        spot = along * (len(edge) - 1)
        low = np.minimum(spot.astype(int), len(edge) - 2)
        root = edge[low] + (edge[low + 1] - edge[low]) * (spot - low)[:, None] + np.array([0, 0, 0.010])
        up = 0.10 if upper else -0.75
        fan = np.stack([side * (along - 0.38) * 1.0, np.full(count, up), np.full(count, 0.8)], 1)
        fan = (fan + noise) / np.linalg.norm(fan, axis=1, keepdims=True)
        reach = (0.030 if male else 0.038) * own * (0.55 + 0.6 * along)[:, None] * luck
        curl = np.array([0, 0.55, -0.15]) if upper else np.array([0, -0.1, -0.1])
        reach = reach if upper else 0.5 * reach
        bundles.append(np.stack([root, root + fan * reach * 0.55, root + (fan + curl) * reach], 1))
    return np.concatenate(bundles).astype(np.float32)


def lid_lines(regions: Regions, vertices: Vertices, *, upper: bool) -> Strands:
    """The lids' edges as one strand each: the roots of lashes above, the moist rim below."""
    return (lid_edges(regions, vertices, upper=upper) + np.array([0, 0.0, 0.014])).astype(np.float32)


def lid_edges(regions: Regions, vertices: Vertices, *, upper: bool) -> Vertices:
    """Edges of the left and right lid, from the nose outwards, [2, points, 3]."""
    rows = regions.upper_lids if upper else regions.lower_lids
    edges = regions.skin.surface.only(rows.ravel(), vertices)
    return edges.reshape(*rows.shape, 3)


@lru_cache(maxsize=1)
def _beard_places(regions: Regions) -> tuple[Scatter, NDArray[Any], NDArray[Any], NDArray[Any]]:
    rng = np.random.default_rng(13)
    mask = regions.beard()
    faces_ = regions.head.body_faces
    faces_ = faces_[mask[faces_].min(1) > 0.02]
    places = scatter(regions.head.vertices, faces_, FULL_BEARD, rng, mask[faces_].mean(1))
    return (
        places,
        places.at(regions.head.vertices),
        rng.normal(0, 1, (FULL_BEARD, 3)),
        rng.uniform(0, 1, (FULL_BEARD, 3)),
    )


def beard(regions: Regions, identity: Latent, rest: Vertices, normals: Vertices) -> Strands | None:
    """Beard hairs, or None where there is no more than stubble."""
    density = float(faces.beard(identity))
    if density < 0.12:
        return None

    def latent(name: str) -> float:
        return float(faces.who(identity, name))

    places, at, spread, luck = _beard_places(regions)
    x, y, _ = at.T
    side = np.abs(x)
    edge = 0.10 * float(np.tanh(latent("beard_edge")))  # how high on the cheeks
    cheeks = 1 / (1 + np.exp(-(np.interp(side, [0.2, 0.4, 0.6, 0.8], [6.80, 6.66, 6.72, 7.05]) + edge - y) / 0.08))
    lip = (y > 6.66) & (side < 0.30)
    moustache = 1 / (1 + np.exp(-(1.8 * latent("moustache") + 0.5))) * np.clip((6.89 - y) / 0.12, 0, 1)
    moustache = moustache * (1 - 0.6 * np.exp(-((side / 0.045) ** 2)))
    chin = np.exp(-((side / 0.34) ** 2))
    patchy = float(faces.between(latent("beard_patches"), 0.0, 0.75))
    here = np.where(lip, moustache, cheeks * (chin + (1 - chin) * (1 - patchy)))
    kept = np.flatnonzero(luck[:, 0] < np.clip(1.25 * density, 0, 1) * here)
    root, out = places.at(rest)[kept], places.at(normals)[kept]
    direction = out * 0.45 + np.array([0, -0.85, 0.1]) + 0.22 * spread[kept]
    direction[:, 0] += np.where(lip, np.sign(x) * 0.8, 0)[kept]
    direction /= np.linalg.norm(direction, axis=1, keepdims=True)
    longest = 0.035 + 0.10 * density * float(faces.between(latent("beard_length"), 0.15, 1.2)) * np.where(lip, 0.6, 1)[
        kept
    ] * (0.6 + 0.6 * chin[kept])
    length = (longest * (0.6 + 0.6 * luck[kept, 1]))[:, None]
    return np.stack([root, root + direction * length * 0.5 + out * 0.008, root + direction * length], 1).astype(
        np.float32
    )


def curtain(
    regions: Regions, length: float, rest: Vertices, curl: float
) -> tuple[Vertices, NDArray[np.int64], Strands, NDArray[np.float64]]:
    """Hair from ear to ear round the back, hanging down `length` decimetres.

    Returns a sheet, vertices [K, 3] and quads [F, 4], and the locks over it [S, P, 3] with a shade each [S]. It
    begins at the ears, so it can never fall over the face.
    """
    skull = rest[regions.on_head & (regions.head.vertices[:, 1] > 7.2) & ~regions.ears]
    half = float(np.abs(skull[:, 0]).max()) + 0.06
    back, middle = float(skull[:, 2].min()) - 0.06, 0.35
    top = min(float(rest[regions.ears, 1].max()) + 0.45, float(skull[:, 1].max()) - 0.3)

    def hang(around: NDArray[np.float64], down: NDArray[np.float64], out: Any) -> Vertices:
        wave = 1 + 0.03 * np.sin(9 * around) * down
        # Its upper edge is drawn in under the cap, or it would stand off the skull like horns.
        flare = (1 + 0.10 * np.sin(np.pi * down * 0.8)) * wave * (1 - 0.42 * np.exp(-14 * down)) + out
        x = half * np.sin(around) * flare
        depth = np.where(np.cos(around) < 0, middle - back, 0.28)
        return np.stack([x, top - length * down, middle + depth * np.cos(around) * flare], -1).astype(np.float32)

    a, t = np.meshgrid(np.radians(np.linspace(84, 276, 42)), np.linspace(0, 1, 13) ** 1.4)
    index = np.arange(a.size).reshape(a.shape)
    quads = np.stack([index[:-1, :-1], index[:-1, 1:], index[1:, 1:], index[1:, :-1]], -1).reshape(-1, 4)
    rng = np.random.default_rng(14)
    count = 1700
    around = np.radians(rng.uniform(58, 302, (count, 1)))
    down = np.linspace(0.02, 1, 12)[None] * rng.uniform(0.72, 1.08, (count, 1))
    lock = np.round(around * 14) / 14  # hairs of a lock swing together
    phase = 40 * np.sin(97 * lock) + rng.normal(0, 0.35, (count, 1))
    swing = 0.05 * np.sin(4 * down + phase) * down + (curl / half) * np.sin(7 * down * length + phase) * np.minimum(
        1, 4 * down
    )
    out = rng.uniform(0.0, 0.13, (count, 1)) + curl / half * np.cos(7 * down * length + phase)
    locks = hang(around + swing, down, out)
    return (
        hang(a, t, 0.0).reshape(-1, 3),
        quads,
        locks,
        rng.uniform(0.6, 1.35, count) * (0.8 + 0.4 * np.sin(53 * lock[:, 0]) ** 2),
    )
