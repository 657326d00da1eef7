"""What workers.generator.parametric.shaders colours pixel by pixel, at vertices: the same freckles, irises and creases.

Legend: N points; `place` float [N, 3] is where they lie on the template, decimetres.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating[Any]]


def noise(p: Floats) -> Floats:
    """The shaders' smooth noise at p [N, 3]: [N] in [0, 1]."""
    i = np.floor(p)
    f = p - i
    f = f * f * (3 - 2 * f)
    total = np.zeros(len(p))
    for corner in np.ndindex(2, 2, 2):
        weight = np.where(corner, f, 1 - f).prod(1)
        total += weight * _hash(i + np.array(corner))
    return total


def skin_colour(colour: Floats, place: Floats, *, seed: float, marks: float, age: float) -> Floats:
    """Skin [N, 3] with its blotches, freckles, moles and rings under the eyes."""
    p = place + seed
    blotch = noise(p * 4) + 0.5 * noise(p * 9) - 0.75
    colour = colour * (1 + blotch[:, None] * np.array([0.04, 0.10, 0.09]))
    some = float(np.clip(marks, 0, 1.5))
    freckles = _spots(p * 19, 0.5 * some * noise(p * 3), 0.34)
    moles = _spots(p * 3.1 + 40, 0.10 + 0.16 * some, 0.085)
    colour = colour * (1 - 0.13 * some * freckles[:, None] * np.array([0.6, 1.0, 1.1]))
    colour = colour * (1 - 0.62 * moles[:, None] * np.array([0.85, 1.0, 1.0]))
    x, y, _ = place.T
    ring = np.hypot((x - np.sign(x) * 0.33) * 0.7, (y - 7.13) * 1.5)
    under = (0.35 + age) * _smoothstep(0.16, 0.02, ring)
    return np.asarray(colour * (1 - under[:, None] * np.array([0.13, 0.17, 0.13])))


def creased(normals: Floats, place: Floats, *, seed: float, age: float) -> Floats:
    """Normals [N, 3] bent by the furrows that age makes on the brow and beside the eyes."""
    p = place + seed
    x, y, z = place.T
    brow = _smoothstep(7.62, 7.74, y) * (1 - _smoothstep(8.0, 8.1, y)) * _smoothstep(0.9, 1.3, z)
    bent = y + 0.05 * noise(p * 2.3) + 0.03 * np.cos(x * 3)
    crease = np.sin(bent * 46) * brow * _smoothstep(0.25, 0.7, noise(p * np.array([2.0, 7.0, 2.0])))
    out, up = np.abs(x) - 0.50, y - 7.27
    far = np.hypot(out, up)
    crow = np.sin(np.arctan2(up, out) * 14 + 3 * noise(p * 6)) * (out > 0)
    crow *= _smoothstep(0.03, 0.08, far) * _smoothstep(0.24, 0.10, far)
    moved = normals + age * np.stack([0.10 * crow, 0.20 * crease + 0.16 * crow, 0 * crow], 1)
    return np.asarray(moved / np.linalg.norm(moved, axis=1, keepdims=True))


def above_collar(place: Floats) -> Floats:
    """Decimetres above the edge of the shirt, [N]."""
    x, y, z = place.T
    return np.asarray(y - (5.93 - 0.10 * np.cos(x * 2.2) - 0.18 * _smoothstep(0.2, 1.0, z)))


def eye_colour(place: Floats, *, iris: Floats, gaze: Floats) -> Floats:
    """Colour [N, 3] of an eyeball at directions `place` from its centre: pupil, iris, white."""
    place = place / np.linalg.norm(place, axis=1, keepdims=True)
    angle = np.arccos(np.clip(place @ gaze, -1, 1))
    white = np.array([0.56, 0.53, 0.51]) - _smoothstep(0.6, 1.25, angle)[:, None] * np.array([0.10, 0.19, 0.19])
    fibre = noise(np.stack([np.arctan2(place[:, 1], place[:, 0]) * 9, angle * 14, np.ones(len(place))], 1))
    ring = iris * ((0.7 + 0.9 * fibre) * (1 - 0.65 * _smoothstep(0.40, 0.52, angle)))[:, None]
    edge = _smoothstep(0.47, 0.56, angle)[:, None]
    pupil = _smoothstep(0.16, 0.22, angle)[:, None] * 0.97 + 0.03
    return np.asarray((ring * (1 - edge) + white * edge) * pupil)


def streaks(place: Floats) -> Floats:
    """Light and dark of hair that lies close, [N] in [0, 1]."""
    x, y, z = place.T
    around = np.arctan2(x, z - 0.3)
    broad = noise(np.stack([around * 42, y * 2.5, np.full(len(place), 3.0)], 1))
    fine = noise(np.stack([around * 110, y * 5, np.full(len(place), 9.0)], 1))
    return np.asarray(broad * 0.6 + fine * 0.4)


def _hash(p: Floats) -> Floats:
    x, y, z = p.astype(np.int32).astype(np.uint32).T
    mixed = (x * np.uint32(1597334673)) ^ (y * np.uint32(3812015801)) ^ (z * np.uint32(2798796415))
    mixed = mixed * np.uint32(1597334673)
    return np.asarray(((mixed ^ (mixed >> np.uint32(15))) >> np.uint32(8)) / 16777216.0)


def _spots(p: Floats, share: Any, size: float) -> Floats:
    cell = np.floor(p)
    middle = cell + 0.3 + 0.4 * np.stack([_hash(cell), _hash(cell + 1), _hash(cell + 2)], 1)
    spot = _smoothstep(size, 0.4 * size, np.linalg.norm(p - middle, axis=1))
    return np.asarray(np.where(_hash(cell + 7) > share, 0.0, spot))


def _smoothstep(low: float, high: float, x: Floats) -> Floats:
    t = np.clip((x - low) / (high - low), 0, 1)
    return np.asarray(t * t * (3 - 2 * t))
