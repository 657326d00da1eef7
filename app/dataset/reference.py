"""Thresholds that are right for real faces: what `facsimile matchers reference` measures, and reports are read against.

Of the photographs only these figures are kept: no face, no template, no name.
"""

from pathlib import Path
from typing import Literal

from pydantic import Field, ValidationError

from app.dataset.measures import Data, Rate
from app.errors import Corrupt

REFERENCE_FMR = 1e-3
"""The operating point that sets are compared at."""


class RealThreshold(Data):
    """One operating point on real faces."""

    target_fmr: float
    threshold: float
    fmr: Rate
    """What the threshold has on the photographs: at most the target."""


class RealMatcher(Data):
    """What one matcher says of the photographs."""

    version: str
    digest: str
    """SHA-256 of its weights: thresholds of others do not fit."""
    pictures: int
    """With a template."""
    thresholds: tuple[RealThreshold, ...] = Field(min_length=1)

    def at(self, target_fmr: float) -> RealThreshold | None:
        """The point of an FMR; None if it was not resolved."""
        return next((point for point in self.thresholds if point.target_fmr == target_fmr), None)


class Reference(Data):
    """Operating points of matchers on one collection of real faces."""

    schema_version: Literal[1] = 1
    name: str = ""
    """What the operator calls the collection; printed in reports."""
    subjects: int = Field(ge=2)
    pictures: int = Field(ge=2)
    matchers: dict[str, RealMatcher]
    """By name."""


def read_reference(path: Path) -> Reference:
    """Read a reference file; raises Corrupt that says what to do."""
    try:
        return Reference.model_validate_json(path.read_bytes())
    except (OSError, ValidationError) as exc:
        raise Corrupt(
            f"{path} is no reference of real faces ({exc}); make one by "
            f"'facsimile matchers reference FOLDER --out {path}'"
        ) from exc
