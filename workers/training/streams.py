"""The random streams of a run: what is drawn depends on (seed, stream, number) alone, so runs go on as they began."""

import numpy as np

BATCHES, MADE, JUDGE, GLASSES, REPELLED = 77, 78, 79, 80, 81
"""Names of the streams: which rows a batch has, latents that are drawn afresh, what the judge's steps need, and which
renders the classifier of glasses learns from."""


def stream(seed: int, name: int, number: int) -> np.random.Generator:
    """A generator for one step of a stream."""
    return np.random.Generator(np.random.Philox(key=[seed, name], counter=[0, 0, 0, number]))
