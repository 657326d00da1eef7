"""Checks on samples: what a draw must pass, or the next one is taken."""

from app.dataset.plan import Plan
from workers.images import Pixels
from workers.matchers.detector import load_detector


def why_rejected(plan: Plan, pixels: Pixels) -> str | None:
    """Reason why a sample [H, W, 3] fails the plan's checks, or None if it passes."""
    if plan.face_found and load_detector().detect(pixels) is None:
        return "no face found"
    return None
