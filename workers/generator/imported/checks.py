"""Sizes that a card or a file may ask for: nothing is allocated before they are known to be sane."""

from collections.abc import Sequence
from typing import Any

MOST_WIDTH = 4_096
MOST_CHANNELS = 2_048
MOST_RESOLUTION = 1_024


def check_resolution(name: str, value: Any, least: int = 4) -> int:
    """A power of two within what is made here; raises ValueError."""
    if type(value) is not int:
        raise ValueError(f"{name} is not a whole number")
    if value > MOST_RESOLUTION:
        raise ValueError(f"{name} {value} is over {MOST_RESOLUTION}")
    if value < least or value & (value - 1):
        raise ValueError(f"{name} {value} is not a power of two from {least} to {MOST_RESOLUTION}")
    return value


def check_whole(name: str, value: Any, least: int, most: int) -> int:
    """A whole number within bounds; raises ValueError."""
    if type(value) is not int:
        raise ValueError(f"{name} is not a whole number")
    if not least <= value <= most:
        raise ValueError(f"{name} {value} is not within {least} … {most}")
    return value


def check_channels(name: str, values: Any, count: int) -> tuple[int, ...]:
    """`count` numbers of channels; raises ValueError."""
    if not isinstance(values, Sequence) or isinstance(values, str) or len(values) != count:
        raise ValueError(f"{name} are not {count} whole numbers")
    return tuple(check_whole(name, value, 1, MOST_CHANNELS) for value in values)


def stages(resolution: int) -> tuple[int, ...]:
    """4, 8 … resolution."""
    return tuple(4 << step for step in range((resolution // 4).bit_length()))
