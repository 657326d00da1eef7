"""A head as plain arrays for Blender: ribbons become hairs, and what OpenGL colours by formula coloured vertices.

Keys of a scene (an .npz without pickles; decimetres, linear light):

    width, height, samples, seed                     of the picture and its noise
    camera [3], lens                                 it looks along -z; `lens`: focal length over the sensor's width
    key [3], key_direction [3], key_angle            the sun: light, where it stands, how wide it is (radians)
    zenith [3], nadir [3]                            the sky's light at its top and bottom
    pieces                                           how many there are; piece k's arrays are "k.NAME":
      material                                       skin, coated, cap (surfaces), hair (curves)
      position [N, 3], normal [N, 3], colour [N, 3], triangles [T, 3]; place [N, 3], level [N]   of surfaces
      position [N, 3], radius [N], sizes [S], colour [S, 3]   of curves: `sizes` is the number of points of each
      rough, coat, coat_ior, bump, shirt [3]                of its material
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from workers.generator.parametric import shaders
from workers.generator.parametric.canvas import Piece
from workers.generator.parametric.chart import looked_up
from workers.generator.parametric.lighting import Light
from workers.generator.parametric.placement import Placed
from workers.training.corpus import surface

Arrays = dict[str, Any]
Table = NDArray[np.float32]

HAIR = 0.0045
"""Thickness of a hair, decimetres: several times a real one's, or no head would have enough of them."""


def pack_scene(
    pieces: list[Piece], *, placed: Placed, light: Light, width: int, height: int, samples: int, seed: int
) -> Arrays:
    """All that Blender is told of one head."""
    # Cosine-weighted, a gradient of the sky counts for two thirds.
    middle, slope = (light.sky + light.ground) / 2, 0.75 * (light.sky - light.ground)
    scene: Arrays = {
        "width": width,
        "height": height,
        "samples": samples,
        "seed": seed,
        "camera": placed.camera,
        "lens": placed.projection[0, 0] / 2,
        "key": light.key,
        "key_direction": light.direction,
        "key_angle": 0.08 + 0.7 * light.wrap,
        "zenith": np.maximum(middle + slope, 0),
        "nadir": np.maximum(middle - slope, 0),
    }
    packed = [_PACK[piece.material](piece) for piece in pieces if piece.seen]
    scene["pieces"] = len(packed)
    for number, arrays in enumerate(packed):
        for name, value in arrays.items():
            array = np.asarray(value)
            scene[f"{number}.{name}"] = array.astype(np.float32) if array.dtype.kind == "f" else array
    return scene


def _skin(piece: Piece) -> Arrays:
    table, triangles = _finer(piece.table, piece.triangles)
    place, told = table[:, 9:12], piece.uniforms
    factors, bent = looked_up(told["chart"], place)
    normals = table[:, 3:6] + 1.3 * bent @ told["turned"][:3, :3].T  # soft light flattens furrows
    return {
        "material": "skin",
        "position": table[:, 0:3],
        "normal": normals / np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-9),
        "triangles": triangles,
        "colour": np.clip(table[:, 6:9] * factors, 0, 1),
        "place": place,
        "level": surface.above_collar(place),
        "shirt": told["shirt"],
        "rough": 0.42,
        "bump": 0.3 * told["fine"],
    }


def _eye(piece: Piece) -> Arrays:
    table, triangles = _finer(*_finer(piece.table, piece.triangles))
    told = piece.uniforms
    colour = surface.eye_colour(
        table[:, 9:12], inner=told["iris_inner"], outer=told["iris_outer"], white=told["white"], gaze=told["gaze"],
        size=told["iris_size"], pupil=told["pupil_size"], limbal=told["limbal"],
    )  # fmt: skip
    return {
        "material": "coated",
        "position": table[:, 0:3],
        "normal": table[:, 3:6],
        "triangles": triangles,
        # Brighter than OpenGL's, which has no lids' shade to make up for; and wetter, for the light to glint in it.
        "colour": 1.2 * colour,
        "coat": 1.0,
        "coat_ior": 1.9,
        "rough": 0.03,
    }


def _plain(piece: Piece) -> Arrays:
    return {
        "material": "coated",
        "position": piece.table[:, 0:3],
        "normal": piece.table[:, 3:6],
        "triangles": piece.triangles,
        "colour": piece.table[:, 6:9],
        "coat": min(1.0, 2 * piece.uniforms["gloss"]),
        "coat_ior": 1.5,
        "rough": 0.15,
    }


def _cap(piece: Piece) -> Arrays:
    table, triangles = _finer(*_finer(piece.table, piece.triangles))
    streak = surface.streaks(table[:, 9:12])
    return {
        "material": "cap",
        # Lower than where OpenGL shows it, so that it peeps out between hairs and makes no edge of its own.
        "position": table[:, 0:3] - 0.035 * table[:, 3:6],
        "normal": table[:, 3:6],
        "triangles": triangles,
        "colour": 0.6 * piece.uniforms["hair_colour"] * (0.30 + 0.7 * streak)[:, None],
        "level": table[:, 12] - 0.15 - 0.5 * streak,
    }


def _hair(piece: Piece) -> Arrays:
    """A ribbon stands for a lock: hairs side by side over its width, and a little above each other."""
    length = int(np.flatnonzero(piece.table[:, 12] == 1)[0]) // 2 + 1
    sides = piece.table.reshape(-1, length, 2, piece.table.shape[1])
    left, right = sides[:, :, 0, 0:3], sides[:, :, 1, 0:3]
    middle, across, out = (left + right) / 2, right - left, sides[:, :, 0, 9:12]
    width = np.linalg.norm(across, axis=2).max(initial=HAIR)
    count = max(1, round(1.5 * width / HAIR))
    rng = np.random.default_rng(len(middle))
    place = (np.arange(count) + rng.uniform(0.1, 0.9, (len(middle), count))) / count - 0.5  # [S, C]
    above, curl, ends = rng.uniform(-0.2, 0.6, place.shape), rng.uniform(0, 6.3, place.shape), rng.random(place.shape)
    along = np.linspace(0, 1, length)
    # Wider apart than the ribbon at its root, as wide at its tip, where it narrows.
    beside = (1.5 * place[..., None] + 0.12 * np.sin(5 * along + curl[..., None]))[..., None] * across[:, None]
    out = out / np.maximum(np.linalg.norm(out, axis=2, keepdims=True), 1e-9)
    points = middle[:, None] + beside + (above[..., None] * width * np.minimum(1, 3 * along))[..., None] * out[:, None]
    # Not all hairs of a lock are of one length.
    step = np.diff(points, axis=2)[:, :, -1] if length > 1 else 0
    points[:, :, -1] -= (0.6 * ends[..., None]) * step
    shade = rng.uniform(0.55, 1.45, (*place.shape, 1))
    radius = 0.5 * min(HAIR, 0.6 * width) * np.interp(along, [0, 0.5, 1], [1.0, 0.9, 0.3])
    hairs, colour = place.size, sides[:, 0, 0, 6:9]
    # The scattering model's colour is that of a dense tuft after many bounces, which fair hair here never gets.
    colour = colour * (0.7 + 4.0 * colour.mean(1, keepdims=True))
    return {
        "material": "hair",
        "position": points.reshape(-1, 3),
        "radius": np.tile(radius, hairs),
        "sizes": np.full(hairs, length, np.int32),
        "colour": (colour[:, None] * shade).clip(0, 0.95).reshape(-1, 3),
        "rough": 0.32 if piece.uniforms["gloss"] >= 1 else 0.5,
    }


_PACK = {shaders.SKIN: _skin, shaders.CAP: _cap, shaders.EYE: _eye, shaders.PLAIN: _plain, shaders.STRAND: _hair}


def _finer(table: Table, triangles: NDArray[np.int32]) -> tuple[Table, NDArray[np.int32]]:
    """Four triangles for each; the new vertices lie on the curve that normals tell of (Boubekeur and Alexa 2008)."""
    edges = np.sort(triangles[:, [0, 1, 1, 2, 2, 0]].reshape(-1, 2), 1)
    unique, place = np.unique(edges, axis=0, return_inverse=True)
    first, second = table[unique[:, 0]], table[unique[:, 1]]
    middle = (first + second) / 2
    for end in (first, second):
        normal = end[:, 3:6]
        off = ((middle[:, 0:3] - end[:, 0:3]) * normal).sum(1, keepdims=True)
        middle[:, 0:3] -= 0.375 * off * normal
    middle[:, 3:6] /= np.maximum(np.linalg.norm(middle[:, 3:6], axis=1, keepdims=True), 1e-9)
    a, b, c = triangles.T
    ab, bc, ca = (place.reshape(-1, 3) + len(table)).T
    split = np.stack([a, ab, ca, ab, b, bc, ca, bc, c, ab, bc, ca], 1).reshape(-1, 3)
    return np.concatenate([table, middle]), split.astype(np.int32)
