"""Deciding one limit: PASS, FAIL or UNDECIDED, and why.

FAIL only where the lower bound is above what is allowed, PASS only where the upper bound is not: so each is wrong
with a probability of at most alpha. In between the scores cannot tell, and that is said: UNDECIDED.
"""

import math
from typing import Literal

from app.dataset.evaluation import LimitFound, Verdict
from workers.verdict.bounds import Bounds

SETTLES = 1_000_000
"""More subjects than this are not worth naming."""


def decide(excess: Bounds, *, limit: Literal["max_fnmr", "max_fnmr_increase"], allowed: str) -> LimitFound:
    """Decide by how far something is above what is allowed: `excess` is 0 at the limit."""
    what = "FNMR" if limit == "max_fnmr" else "the increase of FNMR"
    sure = f"{100 * (1 - excess.alpha):.4g}%"
    needed = None
    if excess.low > 0:
        verdict = Verdict.FAIL
        reason = (
            f"{what} is above {allowed}: by {excess.value:.4f}, and with {sure} confidence by {excess.low:.4f} at least"
        )
    elif excess.high <= 0:
        verdict = Verdict.PASS
        reason = f"{what} is within {allowed} with {sure} confidence"
    else:
        verdict = Verdict.UNDECIDED
        needed = subjects_to_settle(excess)
        reason = (
            f"these scores cannot tell whether {what} is within {allowed}: it lies {excess.low:+.4f} to "
            f"{excess.high:+.4f} from that limit. {_advice(excess, needed)}"
        )
    return LimitFound(
        limit=limit,
        allowed=allowed,
        verdict=verdict,
        reason=reason,
        excess=excess.value,
        low=excess.low,
        high=excess.high,
        subjects_to_settle=needed,
    )


def undecided(limit: Literal["max_fnmr", "max_fnmr_increase"], allowed: str, reason: str, excess: float) -> LimitFound:
    """What is said where not even bounds can be given."""
    return LimitFound(
        limit=limit,
        allowed=allowed,
        verdict=Verdict.UNDECIDED,
        reason=reason,
        excess=excess,
        low=-1.0,
        high=1.0,
        subjects_to_settle=None,
    )


def subjects_to_settle(excess: Bounds) -> int | None:
    """How many subjects would tell, if the rates are as measured; None if no number worth naming would."""
    bound = excess.low if excess.value > 0 else excess.high
    if excess.value == 0 or bound == excess.value:
        return None
    # Bounds close in with the square root of the number of subjects.
    needed = 1.05 * excess.subjects * ((bound - excess.value) / excess.value) ** 2
    return math.ceil(needed) if needed < SETTLES else None


def _advice(excess: Bounds, needed: int | None) -> str:
    if needed:
        more = (
            f"About {needed:,} subjects would settle it (there are {excess.subjects:,}), if the rates are as measured"
        )
    else:
        more = "No number of subjects worth naming would settle it, for as measured it lies at the limit itself"
    return f"{more}; with these, a limit higher by {max(excess.high, 0.0):.4f} would pass"
