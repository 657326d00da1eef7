"""What is measured of one picture: the quantities of `app.dataset.profile`, by the detector's five points and pixels.

Legend: the aligned face is uint8 [112, 112, 3], its luma runs from 0 to 255; right and left are the subject's.
"""

import math

import cv2
import numpy as np
from numpy.typing import NDArray

from workers.images import Pixels
from workers.matchers.alignment import align
from workers.matchers.detector import Face
from workers.matchers.quality import measure_quality

CHIP = 112

RIGHT_CHEEK = (slice(66, 84), slice(28, 46))
LEFT_CHEEK = (slice(66, 84), slice(66, 84))
"""Rows and columns of the aligned face; the subject's right is on the image's left."""

BRIDGE = (slice(42, 62), slice(50, 62))
"""Between the eyes, where a frame crosses the nose."""

SMALLEST_BLOCKS = 32
"""Pixels a side below which steps at 8 px say nothing."""

GRAIN = np.array([[1, -2, 1], [-2, 4, -2], [1, -2, 1]], np.float64)
"""Blind to planes and edges along the axes (Immerkær 1996)."""


def look(pixels: Pixels, face: Face) -> dict[str, float]:
    """Measure a picture [H, W, 3] by the face found in it; a quantity that it has not is left out."""
    quality = measure_quality(pixels, face)
    chip = align(pixels, face.points, CHIP)
    luma = cv2.cvtColor(chip, cv2.COLOR_RGB2GRAY).astype(np.float64)
    right, left = float(luma[RIGHT_CHEEK].mean()), float(luma[LEFT_CHEEK].mean())
    height, width = pixels.shape[:2]
    mouth = float(np.hypot(*(face.points[4] - face.points[3]).astype(np.float64)))
    found = {
        "width": float(width),
        "height": float(height),
        "eye_distance": quality.inter_eye_px,
        "face_share": quality.inter_eye_px / width,
        "yaw": quality.pose.yaw,
        "roll": quality.pose.roll,
        "smile": mouth / max(quality.inter_eye_px, 1e-6),
        "brightness": quality.brightness,
        "contrast": quality.contrast,
        "light_side": (left - right) / max(left + right, 1.0),
        "sharpness": quality.sharpness,
        "noise": grain(pixels, face),
        "glasses_edge": float(np.abs(cv2.Sobel(luma[BRIDGE], cv2.CV_64F, 0, 1)).mean()),
        "skin": typology_angle(chip),
        **{name: float(component.quality) for name, component in quality.components.items()},
    }
    if min(height, width) >= SMALLEST_BLOCKS:
        found["blocks"] = blocks(pixels)
    return {name: value for name, value in found.items() if math.isfinite(value)}


def grain(pixels: Pixels, face: Face) -> float:
    """Standard deviation of fine grain about the face, in the picture's own pixels (Immerkær 1996); NaN of too few."""
    x, y, w, h = (round(value) for value in face.box)
    part = pixels[max(y, 0) : y + h, max(x, 0) : x + w]
    if min(part.shape[:2]) < 8:
        return math.nan
    luma = cv2.cvtColor(np.ascontiguousarray(part), cv2.COLOR_RGB2GRAY).astype(np.float64)
    response = cv2.filter2D(luma, -1, GRAIN)[1:-1, 1:-1]
    return float(math.sqrt(math.pi / 2) / 6 * np.abs(response).mean())


def blocks(pixels: Pixels) -> float:
    """Mean step between neighbours at every eighth pixel over that elsewhere: 1 where no JPEG has left its blocks."""
    luma = cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY).astype(np.float64)
    at, beside = 0.0, 0.0
    for image in (luma, luma.T):
        steps = np.abs(np.diff(image, axis=1)).mean(0)
        edge = np.arange(len(steps)) % 8 == 7
        at, beside = at + float(steps[edge].mean()), beside + float(steps[~edge].mean())
    return (at + 0.1) / (beside + 0.1)


def typology_angle(chip: NDArray[np.uint8]) -> float:
    """Individual typology angle of the cheeks, degrees: atan2(L* − 50, b*), by their median colour (Chardon 1991)."""
    cheeks = np.concatenate([chip[RIGHT_CHEEK].reshape(-1, 3), chip[LEFT_CHEEK].reshape(-1, 3)])
    colour = np.median(cheeks, 0).astype(np.float32)[None, None] / 255
    lightness, _, yellow = cv2.cvtColor(colour, cv2.COLOR_RGB2LAB)[0, 0].astype(np.float64)
    return math.degrees(math.atan2(lightness - 50, max(yellow, 1e-6)))
