"""Hair as geometry: brows, lashes and beards as strands, longer hair as a curtain that hangs beside the neck.

A strand bundle is float32 [strands, points, 3], in the coordinates of the vertices it was grown on.
"""

from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from workers.generator import latents as lt
from workers.generator.parametric.geometry import Vertices
from workers.generator.parametric.regions import Regions
from workers.generator.parametric.scatter import scatter
from workers.generator.parametric.shape import Latent

Strands = NDArray[np.float32]

FULL_BEARD = 5_200
"""Hairs of the densest beard."""


@lru_cache(maxsize=1)
def _face_tree(regions: Regions) -> tuple[NDArray[np.intp], cKDTree]:
    v = regions.head.vertices
    front = np.flatnonzero(regions.on_head & (v[:, 2] > 0.9))
    return front, cKDTree(v[front, :2])


def brows(regions: Regions, identity: Latent, rest: Vertices, normals: Vertices) -> Strands:
    """Eyebrow hairs laid along the brow ridge."""
    male = identity[lt.SEX] >= 0
    width = float(lt.between(identity[lt.BROW_WIDTH], 0.55, 1.25)) * (1.0 if male else 0.72)
    arch = float(lt.bounded(identity[lt.BROW_ARCH], 1.0, 2.0))
    rng = np.random.default_rng(11)  # the same hairs for everybody; the latents place them
    front, tree = _face_tree(regions)
    template = regions.head.vertices
    count = int(300 * width)
    bundles = []
    for side in (1, -1):
        along = rng.random(480)[:count] ** 0.9
        scatter = rng.normal(0, 1, 480)[:count] * 0.013 * (1.25 - along) * (0.6 + 0.6 * width)
        x = side * (0.13 + along * 0.42)
        y = (
            7.465
            + (0.075 + 0.02 * arch) * np.sin(np.clip(along / 0.72, 0, 1.35) * np.pi / 2)
            - np.clip(along - 0.65, 0, 1) * 0.2 * (1 + 0.3 * arch)
            + scatter
        )
        distance, near = tree.query(np.stack([x, y], 1), k=4)
        weight = 1 / (distance + 1e-4)
        weight /= weight.sum(1, keepdims=True)
        near = front[near]
        root = (rest[near] * weight[..., None]).sum(1)
        root[:, :2] += np.stack([x, y], 1) - (template[near] * weight[..., None]).sum(1)[:, :2]
        out = (normals[near] * weight[..., None]).sum(1)
        angle = np.radians(np.interp(along, [0, 0.2, 0.6, 1], [75, 35, 8, -28]) + rng.normal(0, 9, 480)[:count])
        direction = np.stack([side * np.cos(angle), np.sin(angle), 0 * angle], 1)
        direction -= (direction * out).sum(1, keepdims=True) * out * 0.9
        direction /= np.linalg.norm(direction, axis=1, keepdims=True)
        length = (rng.uniform(0.05, 0.09, 480)[:count] * np.interp(along, [0, 0.15, 0.8, 1], [0.7, 1, 0.8, 0.5]))[
            :, None
        ]
        bundles.append(
            np.stack(
                [
                    root + out * 0.004,
                    root + direction * length * 0.5 + out * 0.016,
                    root + direction * length + out * 0.014,
                ],
                1,
            )
        )
    return np.concatenate(bundles).astype(np.float32)


def lashes(regions: Regions, vertices: Vertices, male: bool) -> Strands:
    """Lashes of the upper lids, from their edges outwards and up."""
    rng = np.random.default_rng(12)
    bundles = []
    for edge in _lid_edges(regions, vertices):
        side = np.sign(edge[:, 0].mean())
        count = 70
        along = np.sort(rng.random(count))
        place = along * (len(edge) - 1)
        low = np.minimum(place.astype(int), len(edge) - 2)
        root = edge[low] + (edge[low + 1] - edge[low]) * (place - low)[:, None] + np.array([0, 0, 0.018])
        fan = np.stack([side * (along - 0.35) * 0.9, np.full(count, 0.05), np.full(count, 0.8)], 1)
        fan = (fan + rng.normal(0, 0.08, fan.shape)) / np.linalg.norm(fan, axis=1, keepdims=True)
        reach = (0.022 if male else 0.038) * (0.5 + 0.7 * along)[:, None] * rng.uniform(0.7, 1.1, (count, 1))
        curl = np.array([0, 0.5, -0.1])
        bundles.append(np.stack([root, root + fan * reach * 0.55, root + (fan + curl) * reach], 1))
    return np.concatenate(bundles).astype(np.float32)


def lid_lines(regions: Regions, vertices: Vertices) -> Strands:
    """The upper lids' edges, which lashes darken, as one strand each."""
    return (_lid_edges(regions, vertices) + np.array([0, 0.0, 0.02])).astype(np.float32)


def _lid_edges(regions: Regions, vertices: Vertices) -> Vertices:
    edges = regions.skin.surface.only(regions.upper_lids.ravel(), vertices)
    return edges.reshape(*regions.upper_lids.shape, 3)


def beard(regions: Regions, identity: Latent, rest: Vertices, normals: Vertices) -> Strands | None:
    """Beard hairs, or None where there is no more than stubble."""
    density = float(lt.beard(identity))
    if density < 0.3:
        return None
    rng = np.random.default_rng(13)
    mask = regions.beard()
    faces = regions.head.body_faces
    faces = faces[mask[faces].min(1) > 0.05]
    places = scatter(regions.head.vertices, faces, FULL_BEARD, rng, mask[faces].mean(1))
    spread = rng.normal(0, 0.22, (FULL_BEARD, 3))
    scale = rng.uniform(0.6, 1.2, (FULL_BEARD, 1))
    count = int(FULL_BEARD * density)
    places = places.first(count)
    root, out = places.at(rest), places.at(normals)
    direction = out * 0.5 + np.array([0, -0.9, 0.1]) + spread[:count]
    direction /= np.linalg.norm(direction, axis=1, keepdims=True)
    length = 0.06 * (0.4 + density) * scale[:count]
    return np.stack([root, root + direction * length * 0.5 + out * 0.01, root + direction * length], 1).astype(
        np.float32
    )


def curtain(
    regions: Regions, length: float, rest: Vertices
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
    count = 1100
    around = np.radians(rng.uniform(62, 298, (count, 1)))
    down = np.linspace(0.02, 1, 9)[None] * rng.uniform(0.8, 1.06, (count, 1))
    swing = 0.05 * np.sin(4 * down + rng.uniform(0, 6.3, (count, 1))) * down
    locks = hang(around + swing, down, rng.uniform(0.01, 0.12, (count, 1)))
    return hang(a, t, 0.0).reshape(-1, 3), quads, locks, rng.uniform(0.7, 1.25, count)
