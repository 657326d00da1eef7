"""From light to display values, as cameras develop their pictures.

Heads and backdrops are *encoded*, so that eight bits do: light from 0 to 2 as its half to the power 1/2.2.
"""

import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.float32]

BRIGHTEST = 2.0
"""Light that an encoded 1 stands for."""

GAMMA = 2.2


def encode(light: NDArray[np.floating]) -> Image:
    """Linear light [..., 3] to encoded values in [0, 1]."""
    return np.asarray(np.clip(light / BRIGHTEST, 0, 1) ** (1 / GAMMA), np.float32)


def decode(encoded: NDArray[np.floating]) -> Image:
    """Encoded values [..., 3] to linear light."""
    return np.asarray(BRIGHTEST * np.clip(encoded, 0, 1) ** GAMMA, np.float32)


def tone(light: NDArray[np.floating]) -> Image:
    """Linear light [..., 3] to display values in [0, 1], by a filmic curve (K. Narkowicz, 2016)."""
    x = np.maximum(light, 0) * 0.80
    curve = np.clip((x * (2.51 * x + 0.03)) / (x * (2.43 * x + 0.59) + 0.14), 0, 1)
    return np.asarray(curve ** (1 / GAMMA), np.float32)
