"""What workers.generator.parametric.shaders colours pixel by pixel, at vertices: the same irises and streaks.

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


def above_collar(place: Floats) -> Floats:
    """Decimetres above the edge of the shirt, [N]."""
    x, y, z = place.T
    return np.asarray(y - (5.93 - 0.10 * np.cos(x * 2.2) - 0.18 * _smoothstep(0.2, 1.0, z)))


def eye_colour(
    place: Floats,
    *,
    inner: Floats,
    outer: Floats,
    white: Floats,
    gaze: Floats,
    size: float,
    pupil: float,
    limbal: float,
) -> Floats:
    """Colour [N, 3] of an eyeball at directions `place` from its centre: pupil, iris, its dark rim, white.

    `size` is the iris's radius in radians, `pupil` the pupil's as a share of it.
    """
    place = place / np.linalg.norm(place, axis=1, keepdims=True)
    share = np.arccos(np.clip(place @ gaze, -1, 1)) / size
    x = np.abs(place[:, :1])
    flushed = white - _smoothstep(0.55, 1.05, x) * np.array([0.02, 0.14, 0.13])
    turn = np.arctan2(place[:, 1] - gaze[1], place[:, 0] - gaze[0])
    fibre = noise(np.stack([np.cos(turn) * 7, np.sin(turn) * 7, share * 1.6], 1))
    out = _smoothstep(0.40, 0.72, share + 0.16 * (fibre - 0.5))[:, None]
    ring = (inner * (1 - out) + outer * out) * ((0.6 + 0.8 * fibre) * (1 - limbal * _smoothstep(0.72, 0.98, share)))[
        :, None
    ]
    edge = _smoothstep(0.94, 1.09, share)[:, None]
    black = _smoothstep(pupil - 0.06, pupil + 0.05, share)[:, None] * 0.985 + 0.015
    return np.asarray((ring * (1 - edge) + flushed * edge) * black)


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


def _smoothstep(low: float, high: float, x: Floats) -> Floats:
    t = np.clip((x - low) / (high - low), 0, 1)
    return np.asarray(t * t * (3 - 2 * t))
