"""Alignment: the similarity transform that brings five points of a face to where networks expect them."""

import cv2
import numpy as np
from numpy.typing import NDArray

TEMPLATE_112 = np.array([[38.29, 51.70], [73.53, 51.50], [56.03, 71.74], [41.55, 92.37], [70.73, 92.20]], np.float64)
"""Where the five points lie in an aligned face of 112 × 112 pixels (the ArcFace template, Deng 2019)."""


def similarity(source: NDArray[np.floating], target: NDArray[np.floating]) -> NDArray[np.float64]:
    """Least-squares rotation, scale and shift [2, 3] that takes points [N, 2] to others (Umeyama 1991)."""
    source_mean, target_mean = source.mean(0), target.mean(0)
    a, b = source - source_mean, target - target_mean
    # In the plane the best rotation and scale are one complex number.
    from_, to = a[:, 0] + 1j * a[:, 1], b[:, 0] + 1j * b[:, 1]
    turn = (from_.conj() @ to) / (from_.conj() @ from_).real
    matrix = np.array([[turn.real, -turn.imag], [turn.imag, turn.real]])
    return np.concatenate([matrix, (target_mean - matrix @ source_mean)[:, None]], 1)


def align(
    pixels: NDArray[np.uint8],
    points: NDArray[np.floating],
    size: int,
    target: NDArray[np.float64] | None = None,
) -> NDArray[np.uint8]:
    """Cut an aligned face of size × size pixels out of an RGB image [H, W, 3] by its five points [5, 2].

    `target` [5, 2] is where the points shall lie, in the chip's pixels: the ArcFace template unless it is given.
    """
    matrix = similarity(points.astype(np.float64), TEMPLATE_112 * (size / 112) if target is None else target)
    return np.asarray(
        cv2.warpAffine(pixels, matrix, (size, size), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    )
