"""Checks on samples: what a draw must pass, or the next one is taken."""

from app.dataset.plan import Plan
from workers.images import Pixels
from workers.matchers.detector import Detector, Face


def check(plan: Plan, pixels: Pixels, detector: Detector) -> tuple[Face | None, str | None]:
    """The face found in a sample [H, W, 3], where it was looked for, and why it fails the checks (None: it passes)."""
    if not plan.face_found:
        return None, None
    face = detector.detect(pixels)
    return face, "no face found" if face is None else None
