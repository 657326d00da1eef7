"""The rule that decides: what is allowed, and PASS, FAIL or UNDECIDED with its reason.

FAIL only where the lower bound is above what is allowed, PASS only where the upper bound is not: so each is wrong
with a probability of at most alpha. In between the scores cannot tell, and that is said: UNDECIDED.
"""

import math
import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Self

from app.errors import RequestRefused
from workers.verdict.bounds import Bounds

SETTLES = 1_000_000
"""More subjects than this are not worth naming."""


class Verdict(StrEnum):
    """What came out."""

    PASS = "PASS"  # noqa: S105
    FAIL = "FAIL"
    UNDECIDED = "UNDECIDED"


@dataclass(frozen=True, kw_only=True)
class Increase:
    """How far FNMR may rise over the baseline's."""

    absolute: float = 0.0
    relative: float = 0.0

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `0.01` (absolute) or `10%` (of the baseline's FNMR); raises RequestRefused."""
        match = re.fullmatch(r"\s*([0-9]*\.?[0-9]+(?:[eE]-?[0-9]+)?)\s*(%?)\s*", text)
        value = float(match[1]) / (100 if match[2] else 1) if match else math.nan
        if match is None or not (0 <= value < 1 or (match[2] and value <= 10)):
            raise RequestRefused(
                [("max_fnmr_increase", f"{text[:40]!r} is neither a rate such as 0.01 nor a share such as 10%")]
            )
        return cls(relative=value) if match[2] else cls(absolute=value)

    def __str__(self) -> str:
        return f"{self.relative:.4g} of the baseline's" if self.relative else f"{self.absolute:.4g}"

    def of(self, baseline: float) -> float:
        """The increase allowed over a baseline's FNMR."""
        return self.absolute + self.relative * baseline


@dataclass(frozen=True, kw_only=True)
class Decision:
    """A verdict and why."""

    verdict: Verdict
    reason: str


def decide(excess: Bounds, *, what: str, limit: str) -> Decision:
    """Decide by how far something is above what is allowed (`excess` is 0 at the limit)."""
    between = f"{excess.low:+.4f} … {excess.high:+.4f}"
    sure = f"{1 - excess.alpha:.4g}"
    if excess.low > 0:
        text = f"{what}: above the limit ({limit}) by {excess.value:+.4f}; at least {excess.low:+.4f} with confidence {sure}"
        return Decision(verdict=Verdict.FAIL, reason=text)
    if excess.high <= 0:
        text = f"{what}: within the limit ({limit}) with confidence {sure}; by {-excess.value:.4f}, at least {-excess.high:.4f}"
        return Decision(verdict=Verdict.PASS, reason=text)
    text = f"{what}: these scores cannot tell; measured against the limit ({limit}) it lies in {between}"
    return Decision(verdict=Verdict.UNDECIDED, reason=f"{text}. {_advice(excess)}")


def subjects_to_settle(excess: Bounds) -> int | None:
    """How many subjects would tell, if the rates are as measured; None if no number worth naming would."""
    bound = excess.low if excess.value > 0 else excess.high
    if excess.value == 0 or bound == excess.value:
        return None
    # Bounds close in with the square root of the number of subjects.
    needed = excess.subjects * ((bound - excess.value) / excess.value) ** 2
    return math.ceil(needed * 1.05) if needed < SETTLES else None


def _advice(excess: Bounds) -> str:
    needed = subjects_to_settle(excess)
    wider = max(excess.high, 0.0)
    more = f"about {needed:,} subjects would settle it (there are {excess.subjects:,})" if needed else (
        "no number of subjects worth naming would settle it, for it lies at the limit itself"
    )
    return f"If the rates are as measured, {more}; a limit higher by {wider:.4f} would let it pass"
