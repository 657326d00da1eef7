"""Quality of one sample: what can be measured with the detector, five points and pixels, each under its own name.

None of it is a conformant score of ISO/IEC 29794-5: see workers.matchers.iso29794 for what is near it, and
workers.matchers.ofiq for the real one.
"""

from dataclasses import dataclass

import cv2
import numpy as np

from workers.images import Pixels
from workers.matchers.alignment import align
from workers.matchers.detector import Face
from workers.matchers.iso29794 import Component, align_616, components, inter_eye_distance, sideways_crops
from workers.matchers.pose import Pose, estimate_pose
from workers.matchers.sface import SFace

CHIP = 112
INNER = slice(24, 104)
"""Rows and columns of a chip of 112 pixels that show the face and little else."""


@dataclass(frozen=True, kw_only=True)
class Quality:
    """Measures of one sample in which a face was found."""

    detection_score: float
    """The detector's, 0 to 1."""
    pose: Pose
    """From five points; its errors stand in workers.matchers.pose."""
    inter_eye_px: float
    """Distance of the eyes in the image's own pixels, as it is seen."""
    sharpness: float
    """Standard deviation of the Laplacian of the luma (0 to 255) over the aligned face at 112 × 112 pixels."""
    contrast: float
    """Standard deviation of that luma."""
    brightness: float
    """Mean of that luma."""
    components: dict[str, Component]
    """By their names in OFIQ: its formulas, not its regions."""
    sface_norm: float | None
    """SFace's utility proxy: the length of its template before division. None if it was not asked for."""


def measure_quality(pixels: Pixels, face: Face, *, sface: SFace | None = None) -> Quality:
    """Measure a sample [H, W, 3] by the face that was found in it; `sface` costs one template more."""
    chip = align(pixels, face.points, CHIP)
    luma = cv2.cvtColor(chip, cv2.COLOR_RGB2GRAY)[INNER, INNER]
    pose = estimate_pose(face.points)
    return Quality(
        detection_score=face.score,
        pose=pose,
        inter_eye_px=float(np.hypot(*(face.points[1] - face.points[0]))),
        sharpness=float(cv2.Laplacian(luma, cv2.CV_64F, ksize=1).std()),
        contrast=float(luma.std()),
        brightness=float(luma.mean()),
        components=components(align_616(pixels, face.points))
        # Beyond 60° the distance of the eyes says nothing of what it would be.
        | {"InterEyeDistance": inter_eye_distance(face.points, max(-60.0, min(60.0, pose.yaw)))}
        | sideways_crops(face.points, pixels.shape[1]),
        sface_norm=None if sface is None else sface.norm(sface.align(pixels, face)),
    )
