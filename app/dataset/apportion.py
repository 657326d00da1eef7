"""Distributions honoured exactly in count: whole numbers for shares, and which subject gets which value."""

import math
from collections.abc import Mapping

from app.dataset.permutation import permuted


def apportion(shares: Mapping[str, float], total: int) -> dict[str, int]:
    """Split `total` into whole numbers that follow the shares: largest remainder, ties to the first named.

    Shares are taken in proportion to their sum: one that misses 1 by a millionth would lose or invent subjects.
    """
    whole = math.fsum(shares.values())
    exact = {name: share * total / whole for name, share in shares.items()}
    # A share such as 0.29 * 100 = 28.999999999999996 must count as whole.
    counts = {name: int(value + 1e-9) for name, value in exact.items()}
    left = total - sum(counts.values())
    by_remainder = sorted(shares, key=lambda name: counts[name] - exact[name])
    for name in by_remainder[:left]:
        counts[name] += 1
    return counts


def cell_of(subject: int, counts: tuple[int, ...], key: int) -> int:
    """Index of the value that a subject gets, when `counts` subjects get each; a formula, not a list.

    Subjects are shuffled by a permutation keyed with `key`, so that several attributes are independent.
    """
    rank = permuted(subject, sum(counts), key)
    for cell, count in enumerate(counts):
        if rank < count:
            return cell
        rank -= count
    raise AssertionError("a permutation stays within its range")
