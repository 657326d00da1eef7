"""Deciding one limit: PASS, FAIL or UNDECIDED, and why.

FAIL only where the lower bound is above what is allowed, PASS only where the upper bound is not: so each is wrong
with a probability of at most alpha. In between the scores cannot tell, and that is said: UNDECIDED.
"""

import math

from app.dataset.evaluation import LimitFound, LimitName, Verdict
from workers.verdict.bounds import Bounds

SETTLES = 1_000_000
"""More subjects than this are not worth naming."""


def decide(
    excess: Bounds, *, limit: LimitName, allowed: str, told: str, whole: float = 0.0, rate: str = "FNMR"
) -> LimitFound:
    """Decide by how far something is above what is allowed: `excess` is 0 at the limit.

    `told` says what was measured and what is allowed. `whole` is the FNMR (or whatever `rate` is called) that a
    relative limit is a share of, 0 where the limit is absolute. Differences of rates are told in percentage points.
    """
    sure = f"{100 * (1 - excess.alpha):.4g}%"
    needed = None
    if excess.low > 0:
        verdict = Verdict.FAIL
        reason = (
            f"{told}. That is {points(excess.value)} too many, and with {sure} confidence at least {points(excess.low)}"
        )
    elif excess.high <= 0:
        verdict = Verdict.PASS
        reason = f"{told}. With {sure} confidence it is within the limit"
    else:
        verdict = Verdict.UNDECIDED
        needed = subjects_to_settle(excess)
        reason = (
            f"{told}. These scores cannot tell whether that is within the limit: with {sure} confidence either way it "
            f"is between {points(-excess.low)} below and {points(excess.high)} above. "
            f"{_advice(excess, needed, whole, rate)}"
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


def points(share: float) -> str:
    """A difference of two rates, in percentage points: 1.25 points."""
    value = f"{100 * share:.3g}"
    return f"{value} {'point' if value == '1' else 'points'}"


def undecided(limit: LimitName, allowed: str, reason: str, excess: float) -> LimitFound:
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


def _advice(excess: Bounds, needed: int | None, whole: float, rate: str) -> str:
    if needed:
        more = (
            f"About {needed:,} subjects would settle it (there are {excess.subjects:,}), if the rates are as measured"
        )
    else:
        more = "No number of subjects worth naming would settle it, for as measured it lies at the limit itself"
    high = max(excess.high, 0.0)
    wider = f"{points(high)} more" if not whole else f"about {100 * high / whole:.3g}% of the baseline's {rate} more"
    return f"{more}; with these, a limit that allows {wider} would pass"
