"""Are glasses worn? A linear classifier of the edges about the eyes, fitted to labelled renders.

`glasses.safetensors` holds its weights and what was measured of them; `facsimile train glasses` makes it. Legend:
F features of a picture, float32.
"""

from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray
from safetensors import safe_open

from workers.images import Pixels
from workers.matchers.alignment import align

FILE = Path(__file__).with_name("glasses.safetensors")

CHIP = 112
BAND = (slice(36, 76), slice(12, 100))
"""Rows and columns of an aligned face in which glasses lie."""

GRID = (44, 20)
"""Columns and rows to which the edges are averaged: a frame may lie a little higher or lower."""

FLAT = 4.0
"""Added to the luma's deviation, so that a flat picture has no edges."""

Points = NDArray[np.float32]
Features = NDArray[np.float32]


class Weights(NamedTuple):
    """The classifier: a score is (features - middle) · weights."""

    weights: NDArray[np.float64]
    """[F]"""
    middle: NDArray[np.float64]
    """[F]"""


def features(chip: Pixels) -> Features:
    """Strength of upright and level edges about the eyes of an aligned face [112, 112, 3], over its contrast."""
    band = cv2.cvtColor(chip, cv2.COLOR_RGB2GRAY)[BAND].astype(np.float32)
    scale = float(band.std()) + FLAT
    edges = (np.abs(cv2.Sobel(band, cv2.CV_32F, *way, ksize=3)) / scale for way in ((1, 0), (0, 1)))
    return np.concatenate([cv2.resize(edge, GRID, interpolation=cv2.INTER_AREA).ravel() for edge in edges])


def score_of(chip: Pixels, by: Weights) -> float:
    """Above 0 where glasses are worn."""
    return float((features(chip) - by.middle) @ by.weights)


def glasses_score(pixels: Pixels, points: Points) -> float:
    """Above 0 where the face with these five points wears glasses; about 1 where it plainly does, -1 where not."""
    return score_of(align(pixels, points, CHIP), load_weights())


@lru_cache(maxsize=1)
def load_weights() -> Weights:
    """Those that are shipped."""
    with safe_open(FILE, framework="numpy") as file:
        return Weights(*(np.asarray(file.get_tensor(name), np.float64) for name in Weights._fields))
