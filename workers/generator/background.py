"""The backdrop behind a head: a quiet wall with a soft fall-off and a few blurred shapes, made by formula.

A learned model composites its face over the very same function, so the backdrop is never learned.
"""

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

LATENTS = 6
"""That it takes, in this order: slope of the light from left to right, level, warm to cool, vignette, strength of the
shapes, their place."""


def background(z: NDArray[np.floating], height: int, width: int) -> NDArray[np.float32]:
    """Draw the backdrop for the background latents [6]; float32 [H, W, 3] in [0, 1], display (gamma) values.

    At z = 0 it is plain light grey.
    """
    slope, level, hue, vignette, strength, place = (float(x) for x in z)
    x = ((np.arange(width, dtype=np.float32) + 0.5) / width - 0.5)[None, :]
    y = ((np.arange(height, dtype=np.float32) + 0.5) / height - 0.5)[:, None]
    grey = 0.72 + 0.5 * (float(ndtr(0.9 * level)) - 0.5)
    light = grey * (1 + 0.35 * np.tanh(0.6 * slope) * x - 0.25 * np.tanh(0.6 * abs(vignette)) * (x * x + y * y) * 2)
    for number in range(3):
        angle = 2.1 * number + 1.3 * place
        cx, cy = 0.42 * np.cos(angle), 0.42 * np.sin(1.7 * angle + 0.5)
        wide, high = 0.16 + 0.05 * number, 0.45 - 0.1 * number
        # A soft-edged pane: a door, a window, a cupboard far out of focus.
        pane = _edge(x - cx, wide) * _edge(y - cy, high)
        light = light * (1 + 0.22 * np.tanh(0.8 * strength) * (-1) ** number * pane)
    tint = np.array([1 + 0.09 * np.tanh(hue), 1.0, 1 - 0.09 * np.tanh(hue)], np.float32)
    return np.clip(light[:, :, None] * tint, 0, 1).astype(np.float32)


def _edge(distance: NDArray[np.float32], half: float) -> NDArray[np.float32]:
    return np.asarray(1 / (1 + np.exp((np.abs(distance) - half) / 0.035)), np.float32)
