"""How many identities a model can hold apart by its uniqueness check, reckoned before any of them is drawn."""

import math

from app.dataset.model import ModelCard
from app.dataset.plan import MAX_ATTEMPTS

MOST_MISSING = 0.25
"""A set of which more than this share of the identities is reckoned to find no room is refused."""

WORTH_A_WARNING = 0.01


def missing_share(card: ModelCard, identities: int) -> float | None:
    """Share of so many identities that is reckoned to be a copy of others in all attempts; None where nothing is known.

    As though every pair of draws matched at the same rate p, that of the check's threshold: with n identities kept, a
    draw is a copy with probability 1 - exp(-p n), and an identity is missing after MAX_ATTEMPTS of them. Identities
    differ in how many resemble them, and those kept stand apart, so that in truth fewer are missing: a third to two
    thirds of what is reckoned, by draws among 1,024 identities of sdgan at rates where 2% to 23% were.
    """
    rate = card.unique_fmr
    if rate is None or not identities:
        return None
    x = rate * identities
    copied = -math.expm1(-x)
    # The mean over all n of (1 - exp(-p n))^a.
    return max(0.0, 1 - math.fsum(copied**k / k for k in range(1, MAX_ATTEMPTS + 1)) / x)


def room(card: ModelCard, share: float) -> int | None:
    """The largest number of identities of which no more than `share` is reckoned to be missing; None where unknown."""
    if card.unique_fmr is None:
        return None
    low, high = 1, 2**40
    while low < high:
        middle = (low + high + 1) // 2
        if (missing_share(card, middle) or 0.0) <= share:
            low = middle
        else:
            high = middle - 1
    return low
