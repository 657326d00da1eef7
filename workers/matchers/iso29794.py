"""Components of ISO/IEC 29794-5 that need no further network, by the formulas of its reference implementation.

OFIQ 1.1 measures these on a face that ADNet's 98 landmarks outline. Here the detector's five points align the face to
the same 616 × 616 pixels and an ellipse stands for the outline: the formulas are OFIQ's, the region is not, and so
no figure of this module is a conformant one. For those see workers.matchers.ofiq.

Legend: an aligned face is uint8 [616, 616, 3] RGB; luminance is uint8 [H, W], linear light (Rec. 709) times 255.
"""

import math
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from workers.matchers.alignment import similarity

Pixels = NDArray[np.uint8]
Mask = NDArray[np.bool_]

SIZE = 616
ALIGNED_POINTS = np.array([[251, 272], [364, 272], [308, 336], [262, 402], [355, 402]], np.float64)
"""Where OFIQ puts the five points."""

FACE_CENTRE, FACE_AXES = (308, 362), (115, 130)
"""The ellipse between brows, cheeks and chin of an average aligned face."""


class Component(NamedTuple):
    """One component of one sample."""

    native: float
    """In its own unit: a share, a variance, bits, pixels."""
    quality: int
    """0 to 100, higher is better."""


class AlignedFace(NamedTuple):
    """What the components are measured on."""

    pixels: Pixels
    points: NDArray[np.float64]
    """[5, 2], rounded to whole pixels, as OFIQ does it."""
    face: Mask
    """[616, 616]: where the face is, for certain."""


def align_616(pixels: Pixels, points: NDArray[np.floating]) -> AlignedFace:
    """Align an image [H, W, 3] RGB by its five points [5, 2]; black beyond the image."""
    matrix = similarity(points.astype(np.float64), ALIGNED_POINTS)
    face = np.zeros((SIZE, SIZE), np.uint8)
    cv2.ellipse(face, FACE_CENTRE, FACE_AXES, 0, 0, 360, 1, -1)
    return AlignedFace(
        np.asarray(cv2.warpAffine(pixels, matrix, (SIZE, SIZE)), np.uint8),
        np.floor(points.astype(np.float64) @ matrix[:, :2].T + matrix[:, 2] + 0.5),
        face.astype(np.bool_),
    )


def components(aligned: AlignedFace) -> dict[str, Component]:
    """All components of an aligned face, by their names in OFIQ; one that has nothing to measure is left out."""
    light = luminance(aligned.pixels)
    share = np.bincount(light[aligned.face], minlength=256) / np.count_nonzero(aligned.face)  # [256], sums to 1
    found = {
        "LuminanceMean": luminance_mean(share),
        "LuminanceVariance": luminance_variance(share),
        "UnderExposurePrevention": under_exposure(share),
        "OverExposurePrevention": over_exposure(share),
        "DynamicRange": dynamic_range(share),
        "IlluminationUniformity": illumination_uniformity(light, aligned),
        "NaturalColour": natural_colour(aligned),
    }
    return {name: component for name, component in found.items() if component is not None}


def luminance(pixels: Pixels) -> Pixels:
    """Luminance of sRGB pixels [..., 3]."""
    value = np.arange(256) / 255
    linear = np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4)
    red, green, blue = (linear[pixels[..., channel]] for channel in range(3))
    return np.asarray(np.floor((0.2126 * red + 0.7152 * green + 0.0722 * blue) * 255 + 0.5), np.uint8)


def luminance_mean(share: NDArray[np.float64]) -> Component:
    """Mean luminance of the face, 0 to 1."""
    mean = float(share @ np.arange(256)) / 255
    return Component(mean, _round(100 * _sigmoid(mean, 0.2, 0.05) * (1 - _sigmoid(mean, 0.8, 0.05))))


def luminance_variance(share: NDArray[np.float64]) -> Component:
    """Variance of the luminance of the face, which runs from 0 to 1."""
    value = np.arange(256) / 255
    variance = float(share @ (value - share @ value) ** 2)
    return Component(variance, _round(100 * math.sin(60 * variance / (60 * variance + 1) * math.pi)))


def under_exposure(share: NDArray[np.float64]) -> Component:
    """Share of the face darker than luminance 26."""
    dark = float(share[:26].sum())
    return Component(dark, _round(120 * (0.832 - _sigmoid(dark, 0.92, 0.05))))


def over_exposure(share: NDArray[np.float64]) -> Component:
    """Share of the face brighter than luminance 246."""
    bright = float(share[247:].sum())
    return Component(bright, _round(1 / (bright + 0.01)))


def dynamic_range(share: NDArray[np.float64]) -> Component:
    """Entropy of the luminance of the face, bits."""
    there = share[share > 0]
    entropy = float(-(there * np.log2(there)).sum())
    return Component(entropy, _round(12.5 * entropy))


def illumination_uniformity(light: Pixels, aligned: AlignedFace) -> Component | None:
    """How far the luminance histograms of both cheeks lie over each other, 0 to 1."""
    shares = [np.bincount(light[cheek].ravel(), minlength=256) / light[cheek].size for cheek in _cheeks(aligned)]
    overlap = float(np.minimum(*shares).sum())
    return Component(overlap, _round(100 * overlap**0.3))


def natural_colour(aligned: AlignedFace) -> Component | None:
    """How far the cheeks' colour lies from that of skin, in CIELAB (D50); 100 where it is not even warm."""
    right, left = (aligned.pixels[cheek] for cheek in _cheeks(aligned))
    mean = np.concatenate([right, left], 1).reshape(-1, 3).mean(0) / 255
    linear = np.where(mean <= 0.04045, mean / 12.92, ((mean + 0.055) / 1.055) ** 2.4)
    to_xyz = np.array([[0.43605, 0.38508, 0.14309], [0.22249, 0.71689, 0.06062], [0.01393, 0.09710, 0.71419]])
    xyz = to_xyz @ linear / [0.964221, 1.0, 0.825211]
    x, y, z = np.where(xyz <= 216 / 24389, (24389 / 27 * xyz + 16) / 116, np.cbrt(xyz))
    a, b = 500 * (x - y), 200 * (y - z)
    away = math.hypot(max(0.0, 5 - a, a - 25), max(0.0, 5 - b, b - 35)) if a >= 0 and b >= 0 else 100.0
    return Component(away, _round(200 * (1 - _sigmoid(away, 0, 10))))


def inter_eye_distance(points: NDArray[np.floating], yaw_degrees: float) -> Component:
    """Distance of the eyes in the image's own pixels [5, 2], as it would be if the head were not turned."""
    distance = float(np.hypot(*(points[1] - points[0]))) / math.cos(math.radians(yaw_degrees))
    return Component(distance, _round(100 * _sigmoid(distance, 70, 20)))


def sideways_crops(points: NDArray[np.floating], width: int) -> dict[str, Component]:
    """How much image there is beside the eyes, in distances of the eyes."""
    right, left = points[0].astype(np.float64), points[1].astype(np.float64)
    apart = float(np.hypot(*(left - right)))
    return {
        name: Component(margin, _round(100 * _sigmoid(margin, 0.9, 0.1)))
        for name, margin in (
            ("LeftwardCropOfTheFaceImage", float(left[0]) / apart),
            ("RightwardCropOfTheFaceImage", (width - float(right[0])) / apart),
        )
    }


def _cheeks(aligned: AlignedFace) -> tuple[tuple[slice, slice], tuple[slice, slice]]:
    """Squares on the cheeks, half-way between eyes and mouth: the one on the image's left, and the other."""
    on_left, on_right, _, *mouth = aligned.points
    side = int(np.hypot(*(on_right - on_left)) * 0.3)
    eyes = (on_left + on_right) / 2
    top = int(on_left[1]) + int(np.hypot(*((mouth[0] + mouth[1]) / 2 - eyes)) / 2)
    rows = slice(top, top + side)
    return (rows, slice(int(on_left[0]), int(on_left[0]) + side)), (
        rows,
        slice(int(on_right[0]) - side, int(on_right[0])),
    )


def _sigmoid(x: float, centre: float, width: float) -> float:
    return 1 / (1 + math.exp(min(700.0, max(-700.0, (centre - x) / width))))


def _round(quality: float) -> int:
    """Round half up, as OFIQ does, and keep to 0 to 100."""
    return max(0, min(100, math.floor(quality + 0.5)))
