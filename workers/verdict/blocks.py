"""Comparisons as blocks of numbers: what every reader of a file yields, whatever the file's form.

A *place* is a sample as one number, subject · 10,000 + sample: S0000012_0003 is 120003. Legend: n rows of a block.
"""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from app.dataset.names import parse_sample_name, sample_name

Places = NDArray[np.int64]
Bytes = NDArray[np.uint8]

SAMPLES = 10_000
"""Places of one subject."""

NAME_BYTES = 13
"""Length of S0000012_0003."""

SUBJECT_BYTES = 8
"""Length of S0000012."""

NOWHERE = -1
"""The place of what is called like no sample."""

_DIGITS = np.array([1, 2, 3, 4, 5, 6, 7, 9, 10, 11, 12])
"""Where a sample's name has its digits."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Block:
    """Some rows of a file, one after another."""

    references: Places
    """[n]; NOWHERE for a name that no sample can have."""
    probes: Places
    """[n]"""
    values: NDArray[np.float64]
    """[n] scores, NaN where a comparison failed; or whatever else the last column holds."""
    first: int
    """Line (or row) of the first, counted from 1."""
    strange: dict[int, tuple[str, str]] = field(default_factory=dict)
    """Index to (reference, probe) as they were written, for some of those that are NOWHERE."""

    def names(self, index: int) -> tuple[str, str]:
        """How a row's reference and probe are written."""
        return self.strange.get(index) or (name_of(self.references[index]), name_of(self.probes[index]))


def place_of(name: str) -> int:
    """The place of a sample's name; NOWHERE if it is none."""
    found = parse_sample_name(name) if name.isascii() else None
    return found.subject * SAMPLES + found.sample if found else NOWHERE


def name_of(place: int) -> str:
    """The name at a place."""
    return sample_name(*divmod(int(place), SAMPLES)) if place >= 0 else "?"


def places_of(names: Bytes) -> Places | None:
    """Places [n] of names given as bytes [n, 13]; None if any of them is not spelt like a sample."""
    digits = names[:, _DIGITS] - np.uint8(ord("0"))  # wraps around below '0', and is above 9 then too
    if (digits > 9).any() or (names[:, 0] != ord("S")).any() or (names[:, 8] != ord("_")).any():
        return None
    found = np.zeros(len(names), np.int64)
    for column in digits.T:
        found *= 10
        found += column
    return found
