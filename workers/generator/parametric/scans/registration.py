"""Moving our base mesh onto the shapes of ICT-FaceKit's scan statistics, and carrying its modes over.

Landmarks and a similarity first, then non-rigid ICP: a thin plate over the cage that follows the closest points of the
target, more and more loosely (after B. Amberg, S. Romdhani, T. Vetter: Optimal step nonrigid ICP algorithms for surface
registration. CVPR 2007, with displacements in place of affine maps). Legend: V vertices of our mesh, decimetres; U
those of the skin of head and neck; M those of ICT-FaceKit's neutral mesh, centimetres.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.sparse.linalg import splu
from scipy.spatial import cKDTree

from workers.generator.parametric.geometry import HeadModel
from workers.generator.parametric.regions import Regions
from workers.generator.parametric.scans.folder import FaceKit
from workers.generator.parametric.scans.surfaces import Points, Surface, similarity
from workers.generator.parametric.shape import vertex_normals

SKIN = 11_248
"""Vertices of ICT-FaceKit's face, head and neck come first."""

LOWEST, STILL = 6.1, 5.7
"""Heights on our mesh: from the first one upwards it follows the scans, below the second it stays as it is."""

MOUTH_DEPTH = 0.45
"""What is left of the depth of the mouth's floor below the lips."""

EYEBALLS = ((21_451, 23_021), (23_021, 24_591))

# The 68 points that ICT-FaceKit's README lists, in the order of Multi-PIE.
_ICT_68 = (
    1225, 1888, 1052, 367, 1719, 1722, 2199, 1447, 966, 3661, 4390, 3927, 3924, 2608, 3272, 4088, 3443, 268, 493, 1914,
    2044, 1401, 3615, 4240, 4114, 2734, 2509, 978, 4527, 4942, 4857, 1140, 2075, 1147, 4269, 3360, 1507, 1542, 1537,
    1528, 1518, 1511, 3742, 3751, 3756, 3721, 3725, 3732, 5708, 5695, 2081, 0, 4275, 6200, 6213, 6346, 6461, 5518, 5957,
    5841, 5702, 5711, 5533, 6216, 6207, 6470, 5517, 5966,
)  # fmt: skip

_SCHEDULE = (
    *((2.0, 3.0),) * 4, *((0.6, 2.0),) * 5, *((0.2, 1.0),) * 5, *((0.06, 0.5),) * 5, *((0.02, 0.1),) * 6,
    *((0.006, 0.0),) * 4,
)  # fmt: skip
"""Stiffness of the plate and pull of the landmarks, step after step."""


@dataclass(frozen=True, kw_only=True)
class Registered:
    """Our mesh in the shape of the scans' mean, and how their modes move it."""

    mean: NDArray[np.float32]
    """[V, 3]"""
    modes: NDArray[np.float32]
    """[100, V, 3], for one standard deviation each."""
    fitted: NDArray[np.int64]
    """Vertices that lie on the scans' surface themselves, [U]; the others follow their neighbours."""
    seen: NDArray[np.int64]
    """Those of them that can be seen, [S]."""
    distance_mm: NDArray[np.float64]
    """From those that can be seen to the surface, millimetres, [S]."""


def register(head: HeadModel, regions: Regions, rest: Points, kit: FaceKit) -> Registered:
    """Register our mesh at `rest` [V, 3] onto a kit's neutral mesh, and carry its modes over; 20 s on one core."""
    rest, neutral = rest.astype(np.float64), kit.neutral
    pairs = landmark_pairs(regions, rest, neutral)
    scale, turn, shift = similarity(rest[pairs[:, 0]], neutral[pairs[:, 1]])
    placed = scale * neutral @ turn.T + shift
    modes = (scale * kit.modes @ turn.T.astype(np.float32)).astype(np.float32)
    target = Surface(placed, _skin_of(kit.quads))
    cage = regions.skin.cage
    cage = cage[(rest[cage][:, :, 1] > LOWEST).all(1)]
    used = np.unique(cage)
    row = np.full(len(rest), -1)
    row[used] = np.arange(len(used))
    pairs = pairs[row[pairs[:, 0]] >= 0]
    hidden = unseen(regions, rest)[used]
    moved = _follow(rest[used], row[cage], target, row[pairs[:, 0]], placed[pairs[:, 1]], hidden)
    closest, triangle, weights = target.closest(moved)
    carried = (modes[:, target.triangles[triangle]] * weights[None, :, :, None].astype(np.float32)).sum(2)
    mean, basis = _spread(rest, used, moved, carried)
    _flatten_mouth(head, regions, mean)
    _eyeballs(head, rest, placed, modes, mean, basis)
    distance = 100 * np.linalg.norm(closest - moved, axis=1)[~hidden]
    return Registered(
        mean=mean.astype(np.float32),
        modes=basis.astype(np.float32),
        fitted=used,
        seen=used[~hidden],
        distance_mm=distance,
    )


def landmark_pairs(regions: Regions, rest: Points, neutral: Points) -> NDArray[np.int64]:
    """Pairs (vertex of ours, vertex of ICT-FaceKit's) that stand for the same place, [L, 2]."""
    m = _ICT_68
    lines = regions.mouth_lines
    lips = np.flatnonzero(regions.lips * regions.on_head > 0.2)
    up_left, up_right = regions.upper_lids
    low_left, low_right = regions.lower_lids
    return np.array(
        [
            *_along_lid(rest, neutral, up_left, m[42], m[45], (m[43], m[44])),
            *_along_lid(rest, neutral, up_right, m[39], m[36], (m[38], m[37])),
            *_along_lid(rest, neutral, low_left, m[42], m[45], (m[47], m[46])),
            *_along_lid(rest, neutral, low_right, m[39], m[36], (m[40], m[41])),
            (int(lips[np.argmax(rest[lips, 0])]), m[54]),
            (int(lips[np.argmin(rest[lips, 0])]), m[48]),
            (lines[13], m[51]),
            (lines[19], m[57]),
            (lines[2], m[62]),
            (lines[7], m[66]),
            # Nose tip, under the nose, bridge, foot of the forehead, edge of the chin.
            (5054, m[30]),
            (5072, m[33]),
            (132, m[27]),
            (169, 2012),
            (5296, m[8]),
            *_ears(regions, rest, neutral),
        ]
    )


def _along_lid(
    rest: Points, neutral: Points, lid: NDArray[np.intp], inner: int, outer: int, picks: tuple[int, ...]
) -> list[tuple[int, int]]:
    """Pairs on a lid's edge: at the same share of the way from the inner to the outer corner."""
    start, end = abs(neutral[inner, 0]), abs(neutral[outer, 0])
    pairs = []
    for pick in picks:
        share = (abs(neutral[pick, 0]) - start) / (end - start)
        pairs.append((int(lid[np.argmin(np.abs(np.abs(rest[lid, 0]) - (0.19 + 0.24 * share)))]), pick))
    return pairs


def _ears(regions: Regions, rest: Points, neutral: Points) -> list[tuple[int, int]]:
    """Highest, lowest and rearmost point of each ear."""
    found = []
    x, y, z = neutral[:SKIN].T
    for side in (1, -1):
        ours = np.flatnonzero(regions.pinna & (np.sign(rest[:, 0]) == side))
        theirs = np.flatnonzero((side * x > 7.35) & (y > -6.5) & (y < 4.0) & (z < 1.5))
        for axis, sign in ((1, 1), (1, -1), (2, -1)):
            at = (int(np.argmax(sign * rest[ours, axis])), int(np.argmax(sign * neutral[theirs, axis])))
            found.append((int(ours[at[0]]), int(theirs[at[1]])))
    return found


def unseen(regions: Regions, rest: Points) -> NDArray[np.bool_]:
    """Which vertices nobody sees: inside mouth, nostrils and eye sockets, [V]."""
    facing = vertex_normals(rest.astype(np.float32), regions.skin.cage)[:, 2]
    x, y, z = rest.T
    mouth = _inside_mouth(rest)
    sockets = (np.abs(np.abs(x) - 0.31) < 0.17) & (np.abs(y - 7.28) < 0.12) & (z < 1.27)
    nostrils = (np.abs(x) < 0.16) & (y > 6.84) & (y < 7.05) & (z > 1.3) & (z < 1.72) & (facing < -0.1)
    return np.asarray(mouth | sockets | nostrils)


def _inside_mouth(rest: Points) -> NDArray[np.bool_]:
    x, y, z = rest.T
    hollow = (np.abs(x) < 0.37) & (y > 6.40) & (y < 7.04) & (z > 0.5) & (z < 1.42)
    return np.asarray(hollow | ((np.abs(x) < 0.24) & (np.abs(y - 6.62) < 0.10) & (z > 0.5) & (z < 1.53)))


def _flatten_mouth(head: HeadModel, regions: Regions, mean: Points) -> None:
    """Lift the floor of the mouth: scanned chins are shorter than our mesh's, and it would come out below them."""
    line = mean[regions.mouth_lines[:10], 1].mean()
    inside = _inside_mouth(head.vertices.astype(np.float64))
    for name in ("helper-tongue", "helper-lower-teeth"):
        inside[head.group_vertices(name)] = True
    below = inside & (mean[:, 1] < line)
    mean[below, 1] = line + MOUTH_DEPTH * (mean[below, 1] - line)


def _skin_of(quads: NDArray[np.int64]) -> NDArray[np.int64]:
    """Triangles of face, head and neck, [T, 3]."""
    triangles = np.concatenate([quads[:, [0, 1, 2]], quads[quads[:, 3] >= 0][:, [0, 2, 3]]])
    return triangles[(triangles < SKIN).all(1)]


def _follow(
    start: Points,
    cage: NDArray[np.int64],
    target: Surface,
    known: NDArray[np.int64],
    places: Points,
    hidden: NDArray[np.bool_],
) -> Points:
    """Where the vertices come to lie on the target, [U, 3]: first by the landmarks alone, then closer and closer."""
    edges = np.unique(np.sort(np.stack([cage, np.roll(cage, -1, 1)], -1).reshape(-1, 2), 1), axis=0)
    edges = edges[edges[:, 0] != edges[:, 1]]
    count = len(start)
    length = np.linalg.norm(start[edges[:, 0]] - start[edges[:, 1]], axis=1)
    weight = np.sqrt(np.median(length) / np.maximum(length, 1e-3))
    step = sparse.csr_matrix(
        (np.concatenate([weight, -weight]), (np.tile(np.arange(len(edges)), 2), edges.T.ravel())), (len(edges), count)
    )
    membrane = step.T @ step
    plate = membrane @ membrane + 0.02 * membrane
    at_marks = sparse.csr_matrix((np.ones(len(known)), (np.arange(len(known)), known)), (len(known), count))

    def solve(stiff: float, pull: Points, to: Points, marks: float) -> Points:
        matrix = stiff * plate + sparse.diags(pull + 1e-9) + marks * at_marks.T @ at_marks
        right = pull[:, None] * (to - start) + marks * at_marks.T @ (places - start[known])
        return np.asarray(start + splu(sparse.csc_matrix(matrix)).solve(right))

    moved = solve(1.0, np.zeros(count), start, 10.0)
    for stiff, marks in _SCHEDULE:
        normals = vertex_normals(moved.astype(np.float32), cage).astype(np.float64)
        to, triangle, _ = target.closest(moved, normals)
        far = np.linalg.norm(to - moved, axis=1)
        agrees = (target.normals[triangle] * normals).sum(1)
        pull = np.exp(-((far / 0.12) ** 2)) * (agrees > 0.5) * ~hidden
        moved = solve(stiff, pull.astype(np.float64), to, marks)
    return moved


def _spread(
    rest: Points, used: NDArray[np.int64], moved: Points, carried: NDArray[np.float32]
) -> tuple[Points, NDArray[np.float32]]:
    """Carry places and modes over to all vertices: what is not registered follows its neighbours."""
    away, near = cKDTree(rest[used]).query(rest, k=12)
    share = 1 / (away**2 + 1e-4)
    share /= share.sum(1)[:, None]
    share *= np.clip((rest[:, 1:2] - STILL) / (LOWEST - STILL), 0, 1)
    mean = rest + ((moved - rest[used])[near] * share[..., None]).sum(1)
    basis = np.stack([(mode[near] * share[..., None]).sum(1) for mode in carried]).astype(np.float32)
    mean[used], basis[:, used] = moved, carried
    return mean, basis


def _eyeballs(
    head: HeadModel, rest: Points, placed: Points, modes: NDArray[np.float32], mean: Points, basis: NDArray[np.float32]
) -> None:
    """Put the eyeballs where theirs are, as large, and let them move as wholes; changes `mean` and `basis`."""
    for side in "lr":
        ball = head.group_vertices(f"helper-{side}-eye")
        for first, stop in EYEBALLS:
            theirs = placed[first:stop]
            if np.sign(theirs[:, 0].mean()) != np.sign(rest[ball, 0].mean()):
                continue
            low, high = theirs.min(0), theirs.max(0)
            own_low, own_high = rest[ball].min(0), rest[ball].max(0)
            size = (high - low)[:2].mean() / (own_high - own_low)[:2].mean()
            mean[ball] = (rest[ball] - (own_low + own_high) / 2) * size + (low + high) / 2
            basis[:, ball] = modes[:, first:stop].mean(1)[:, None]
