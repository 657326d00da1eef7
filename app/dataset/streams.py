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
    NOISE = 3


def uniforms(seed: int, purpose: Purpose, subject: int, sample: int, attempt: int, count: int) -> NDArray[np.float64]:
    """Draw `count` numbers strictly between 0 and 1, float64 [count], 53 bits each."""
    bits = np.random.Philox(key=[seed, int(purpose)], counter=[0, attempt, sample, subject]).random_raw(count)
    return ((bits >> np.uint64(11)).astype(np.float64) + 0.5) * 2.0**-53
