"""Thresholds that are right for real faces: `facsimile matchers reference` measures them, reports go by them.

Of the photographs only these figures are kept: no face, no template, no name of a person.
"""

from pathlib import Path
from typing import Literal

from pydantic import Field, ValidationError

from app.dataset.measures import Data
from app.dataset.report import RealThreshold
from app.errors import Misconfigured

REFERENCE_FMR = 1e-3
"""The operating point that sets are compared at."""


class Reference(Data):
    """Thresholds of matchers on one collection of real faces."""

    schema_version: Literal[1] = 1
    thresholds: tuple[RealThreshold, ...] = Field(min_length=1)

    def of(self, matcher: str, digest: str) -> tuple[RealThreshold, ...]:
        """Those of one network, and of no other by the same name."""
        return tuple(point for point in self.thresholds if (point.matcher, point.matcher_digest) == (matcher, digest))


def read_reference(path: Path) -> Reference:
    """Read a reference file; raises Misconfigured that says what to do."""
    try:
        return Reference.model_validate_json(path.read_bytes())
    except (OSError, ValidationError) as exc:
        raise Misconfigured(
            f"{path} is no reference of real faces ({exc}); make one by "
            f"'facsimile matchers reference FOLDER --out {path}'"
        ) from exc
