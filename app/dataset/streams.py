"""Counter-based random streams: one for every (seed, purpose, subject, sample, attempt).

A stream depends on nothing else, so neither shards, batches, workers nor devices can change what is drawn.
Philox-4x64 takes the seed and purpose as key and the rest as counter; the lowest counter word counts blocks
within the stream, so two streams never overlap. Only raw bits are taken from numpy, whose bit generators
promise stable streams; the step to uniforms is ours.
"""

from enum import IntEnum

import numpy as np
from numpy.typing import NDArray


class Purpose(IntEnum):
    """What a stream is drawn for; part of its key."""

    IDENTITY = 1
    OBSERVATION = 2


def uniforms(seed: int, purpose: Purpose, subject: int, sample: int, attempt: int, count: int) -> NDArray[np.float64]:
    """Draw `count` numbers strictly between 0 and 1, float64 [count], 53 bits each."""
    bits = np.random.Philox(key=[seed, int(purpose)], counter=[0, attempt, sample, subject]).random_raw(count)
    return ((bits >> np.uint64(11)).astype(np.float64) + 0.5) * 2.0**-53


def _mix(value: int) -> int:
    """Scramble 64 bits (the finalizer of SplitMix64)."""
    value = (value + 0x9E3779B97F4A7C15) & 0xFFFFFFFFFFFFFFFF
    value = ((value ^ (value >> 30)) * 0xBF58476D1CE4E5B9) & 0xFFFFFFFFFFFFFFFF
    value = ((value ^ (value >> 27)) * 0x94D049BB133111EB) & 0xFFFFFFFFFFFFFFFF
    return value ^ (value >> 31)


def permuted(index: int, size: int, key: int) -> int:
    """Where a keyed permutation of 0 … size-1 sends `index`; no list is made, however large `size` is.

    A four-round Feistel network over the next even number of bits, walked until it lands inside.
    """
    if not 0 <= index < size:
        raise ValueError(f"index {index} is not in 0 … {size - 1}")
    half = max(1, ((size - 1).bit_length() + 1) // 2)
    mask = (1 << half) - 1
    value = index
    while True:
        left, right = value >> half, value & mask
        for turn in range(4):
            left, right = right, left ^ (_mix(right ^ _mix(key * 4 + turn)) & mask)
        value = (left << half) | right
        if value < size:
            return value
