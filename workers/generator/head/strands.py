"""Hair as geometry: brows, lashes and beards as strands, longer hair as a curtain that hangs beside the neck.

A strand bundle is float32 [strands, points, 3], in the coordinates of the vertices it was grown on.
"""

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from workers.generator import latents as lt
from workers.generator.head.geometry import HeadModel, Vertices
from workers.generator.head.regions import Regions
from workers.generator.head.shape import Latent

Strands = NDArray[np.float32]

CAP_THICKNESS = {
    "bald": 0.0,
    "crop": 0.035,
    "short": 0.09,
    "parted": 0.13,
    "swept": 0.12,
    "bob": 0.15,
    "long": 0.14,
}  # decimetres
CURTAIN_LENGTH = {"bob": 1.15, "long": 2.6}


@lru_cache(maxsize=1)
def _face_tree(regions: Regions) -> tuple[NDArray[np.intp], cKDTree]:
    v = regions.head.vertices
    front = np.flatnonzero(regions.on_head & (v[:, 2] > 0.9))
    return front, cKDTree(v[front, :2])


def brows(regions: Regions, identity: Latent, rest: Vertices, normals: Vertices) -> Strands:
    """Eyebrow hairs laid along the brow ridge."""
    male = identity[lt.SEX] >= 0
    width = float(lt.between(identity[lt.BROW_WIDTH], 0.55, 1.25)) * (1.15 if male else 0.8)
    arch = float(lt.bounded(identity[lt.BROW_ARCH], 1.0, 2.0))
    rng = np.random.default_rng(11)  # the same hairs for everybody; the latents place them
    front, tree = _face_tree(regions)
    template = regions.head.vertices
    count = int(240 * width)
    bundles = []
    for side in (1, -1):
        along = rng.random(400)[:count] ** 0.9
        scatter = rng.normal(0, 1, 400)[:count] * 0.016 * (1.25 - along) * (0.6 + 0.6 * width)
        x = side * (0.11 + along * 0.46)
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
        angle = np.radians(np.interp(along, [0, 0.2, 0.6, 1], [75, 35, 8, -28]) + rng.normal(0, 9, 400)[:count])
        direction = np.stack([side * np.cos(angle), np.sin(angle), 0 * angle], 1)
        direction -= (direction * out).sum(1, keepdims=True) * out * 0.9
        direction /= np.linalg.norm(direction, axis=1, keepdims=True)
        length = (rng.uniform(0.07, 0.12, 400)[:count] * np.interp(along, [0, 0.15, 0.8, 1], [0.7, 1, 0.8, 0.5]))[
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


def lashes(head: HeadModel, vertices: Vertices, male: bool) -> Strands:
    """Eyelashes, from the strips that the base mesh carries for them."""
    rng = np.random.default_rng(12)
    bundles = []
    for side in "lr":
        eye = vertices[head.group_vertices(f"helper-{side}-eye")].mean(0)
        for strip, count in (("1", 80), ("2", 36)):
            quads = vertices[head.group_faces(f"helper-{side}-eyelashes-{strip}")]
            picked = quads[rng.integers(len(quads), size=count)]
            order = np.argsort(np.linalg.norm(picked - eye, axis=2), 1)
            row = np.arange(count)
            inner_a, inner_b = picked[row, order[:, 0]], picked[row, order[:, 1]]
            outer_a, outer_b = picked[row, order[:, 2]], picked[row, order[:, 3]]
            crossed = np.linalg.norm(inner_a - outer_a, axis=1) > np.linalg.norm(inner_a - outer_b, axis=1)
            outer_a[crossed], outer_b[crossed] = outer_b[crossed].copy(), outer_a[crossed].copy()
            share = rng.random((count, 1))
            root = inner_a + (inner_b - inner_a) * share
            tip = outer_a + (outer_b - outer_a) * share
            reach = 0.35 if male else 0.6
            bundles.append(np.stack([root, root + (tip - root) * reach * 0.6, root + (tip - root) * reach], 1))
    return np.concatenate(bundles).astype(np.float32)


def beard(regions: Regions, identity: Latent, rest: Vertices, normals: Vertices) -> Strands | None:
    """Beard hairs, or None where there is no more than stubble."""
    density = float(lt.beard(identity))
    if density < 0.3:
        return None
    rng = np.random.default_rng(13)
    mask = regions.beard()
    faces = regions.head.body_faces
    faces = faces[mask[faces].min(1) > 0.05]
    corners = regions.head.vertices[faces]
    area = np.linalg.norm(np.cross(corners[:, 2] - corners[:, 0], corners[:, 3] - corners[:, 1]), axis=1)
    share = area * mask[faces].mean(1)
    picked = faces[rng.choice(len(faces), 3600, p=share / share.sum())]
    u, w = rng.random((2, 3600, 1))
    spread = rng.normal(0, 0.22, (3600, 3))
    scale = rng.uniform(0.6, 1.2, (3600, 1))
    count = int(3600 * density)
    picked, u, w = picked[:count], u[:count], w[:count]

    def inside(values: Vertices) -> NDArray[np.float32]:
        a, b, c, d = (values[picked[:, k]] for k in range(4))
        return np.asarray((a * (1 - u) + b * u) * (1 - w) + (d * (1 - u) + c * u) * w)

    root, out = inside(rest), inside(normals)
    direction = out * 0.5 + np.array([0, -0.9, 0.1]) + spread[:count]
    direction /= np.linalg.norm(direction, axis=1, keepdims=True)
    length = 0.07 * (0.4 + density) * scale[:count]
    return np.stack([root, root + direction * length * 0.5 + out * 0.01, root + direction * length], 1).astype(
        np.float32
    )


def curtain(regions: Regions, style: str, rest: Vertices) -> tuple[Vertices, NDArray[np.int64]] | None:
    """A sheet of hair from ear to ear round the back, hanging straight; vertices [K, 3], quads [F, 4].

    It begins behind the ears, so it can never fall over the face. None for short styles.
    """
    length = CURTAIN_LENGTH.get(style)
    if length is None:
        return None
    skull = rest[regions.on_head & (regions.head.vertices[:, 1] > 7.2) & ~regions.ears]
    half = float(np.abs(skull[:, 0]).max()) + 0.1
    back, middle = float(skull[:, 2].min()) - 0.1, 0.35
    top = float(rest[regions.ears, 1].max()) + 0.45
    around = np.radians(np.linspace(78, 282, 42))
    down = np.linspace(0, 1, 13) ** 1.4
    a, t = np.meshgrid(around, down)
    wave = 1 + 0.03 * np.sin(9 * a) * t
    # Its upper edge is drawn in under the cap, or it would stand off the skull like horns.
    flare = (1 + 0.10 * np.sin(np.pi * t * 0.8)) * wave * (1 - 0.42 * np.exp(-14 * t))
    x = half * np.sin(a) * flare
    depth = np.where(np.cos(a) < 0, middle - back, 0.28)
    z = middle + depth * np.cos(a) * flare
    y = top - length * t
    vertices = np.stack([x, y, z], -1).reshape(-1, 3).astype(np.float32)
    index = np.arange(len(vertices)).reshape(a.shape)
    quads = np.stack([index[:-1, :-1], index[:-1, 1:], index[1:, 1:], index[1:, :-1]], -1).reshape(-1, 4)
    return vertices, quads
