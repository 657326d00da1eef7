"""What can be read off a picture of a face, each as one number: what boundaries are fitted to.

A package offers its own under the entry-point group `facsimile.scorers`: a name, and a function (pixels [H, W, 3]
uint8, five points [5, 2]) → number or None.
"""

from collections.abc import Callable, Mapping
from importlib.metadata import entry_points
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from app.errors import Misconfigured
from workers.images import Pixels
from workers.matchers.alignment import align
from workers.matchers.glasses import glasses_score
from workers.matchers.iso29794 import align_616, components
from workers.matchers.pose import estimate_pose

GROUP = "facsimile.scorers"

Points = NDArray[np.float32]
Score = Callable[[Pixels, Points], float | None]

CHIP = 112
FACE = slice(24, 104)


class Scorer(NamedTuple):
    """A score, and the factor that its direction belongs to."""

    factor: str
    unit: str
    score: Score


def _yaw(pixels: Pixels, points: Points) -> float:
    return estimate_pose(points).yaw


def _roll(pixels: Pixels, points: Points) -> float:
    return estimate_pose(points).roll


def _nod(pixels: Pixels, points: Points) -> float | None:
    """How far down from the eyes to the mouth the tip of the nose stands; None where the head is turned too far.

    Faces differ in it more than nodding changes it (workers.matchers.pose), so it tells no one picture's pitch; over
    many pictures a boundary by it is one of nodding, as far as it keeps the person.
    """
    if abs(estimate_pose(points).yaw) > 25:
        return None
    right_eye, left_eye, nose, right_mouth, left_mouth = points.astype(np.float64)
    eyes, mouth = (right_eye + left_eye) / 2, (right_mouth + left_mouth) / 2
    down = mouth - eyes
    length = float(down @ down)
    return float((nose - eyes) @ down) / length if length else None


def _quality(pixels: Pixels, points: Points) -> float:
    """Mean of the components of ISO/IEC 29794-5 that need no further network, 0 to 100."""
    found = components(align_616(pixels, points))
    return float(np.mean([component.quality for component in found.values()]))


def _luma(pixels: Pixels, points: Points) -> NDArray[np.float64]:
    grey = cv2.cvtColor(align(pixels, points, CHIP), cv2.COLOR_RGB2GRAY)
    return np.asarray(grey[FACE, FACE], np.float64)


def _brightness(pixels: Pixels, points: Points) -> float:
    return float(_luma(pixels, points).mean())


def _contrast(pixels: Pixels, points: Points) -> float:
    return float(_luma(pixels, points).std())


def _light_from_left(pixels: Pixels, points: Points) -> float:
    """Shading of the face's two sides, the picture's left less its right, over their mean."""
    luma = _luma(pixels, points)
    half = luma.shape[1] // 2
    return float((luma[:, :half].mean() - luma[:, half:].mean()) / max(1.0, float(luma.mean())))


def _smile(pixels: Pixels, points: Points) -> float | None:
    """Width of the mouth over the distance of the eyes; None where the head is turned too far to compare them."""
    if abs(estimate_pose(points).yaw) > 25:
        return None
    eyes = float(np.hypot(*(points[1] - points[0])))
    return float(np.hypot(*(points[4] - points[3]))) / eyes if eyes else None


def _sharpness(pixels: Pixels, points: Points) -> float:
    grey = cv2.cvtColor(align(pixels, points, CHIP), cv2.COLOR_RGB2GRAY)[FACE, FACE]
    return float(cv2.Laplacian(grey, cv2.CV_64F, ksize=1).std())


BUILT_IN: Mapping[str, Scorer] = {
    "yaw": Scorer("pose", "degrees", _yaw),
    "roll": Scorer("pose", "degrees", _roll),
    "nod": Scorer("pose", "of the distance from eyes to mouth", _nod),
    "light-from-left": Scorer("illumination", "of the mean luma", _light_from_left),
    "brightness": Scorer("illumination", "luma, 0 to 255", _brightness),
    "contrast": Scorer("illumination", "luma, 0 to 255", _contrast),
    "smile": Scorer("expression", "of the distance of the eyes", _smile),
    "glasses": Scorer("accessories", "over 0 worn", glasses_score),
    "sharpness": Scorer("capture", "Laplacian of the luma", _sharpness),
    "quality": Scorer("capture", "0 to 100", _quality),
}
"""By name: the factor that a direction fitted to it belongs to, its unit, and the function."""


def scorers() -> dict[str, Scorer]:
    """Those that are built in, and those of installed packages; raises Misconfigured for one that is none."""
    found = dict(BUILT_IN)
    for point in sorted(entry_points(group=GROUP), key=lambda point: point.name):
        try:
            score = point.load()
        except Exception as exc:
            raise Misconfigured(f"scorer {point.name!r} of {point.value} cannot be loaded: {exc}") from exc
        if point.name in found or not callable(score):
            raise Misconfigured(f"scorer {point.name!r} of {point.value} is no function, or has a name that is taken")
        found[point.name] = Scorer(point.name, "", score)
    return found
