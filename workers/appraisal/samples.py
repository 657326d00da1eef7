"""Samples to judge a generator by, the same latents at every σ: only what σ does is then seen."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from workers.generator.base import Generator, Latents
from workers.generator.draw import draw_identity, draw_observation
from workers.images import Pixels, to_pixels

SEED = 2**62 + 1
"""The first seed that a model is judged on; others follow. Far from seeds that people choose, and every corpus's."""

BATCH = 32


@dataclass(frozen=True, kw_only=True)
class Batch:
    """Some of the samples."""

    pixels: Pixels
    """[N, H, W, 3]"""
    subjects: list[int]
    observation: Latents
    """[N, d_O], σ included."""
    identity: Latents
    """[N, d_I]"""


def samples_at(
    generator: Generator,
    sigma: float,
    *,
    subjects: int,
    samples: int,
    seed: int = SEED,
    on_progress: Callable[[int], None] = lambda done: None,
) -> Iterator[Batch]:
    """Yield `samples` samples of each of so many subjects, subject by subject; `on_progress` gets samples done."""
    card = generator.card
    scale = np.full(card.latent.observation_size, sigma, np.float32)
    places = [(subject, sample) for subject in range(subjects) for sample in range(samples)]
    for start in range(0, len(places), BATCH):
        part = places[start : start + BATCH]
        identity = np.stack([draw_identity(seed, subject, 0, card.latent.identity) for subject, _ in part])
        observation = np.stack([draw_observation(seed, subject, sample, 0, scale) for subject, sample in part])
        images = generator.generate(identity, observation, *card.sizes[0])
        yield Batch(
            pixels=to_pixels(images),
            subjects=[subject for subject, _ in part],
            observation=observation,
            identity=identity,
        )
        on_progress(start + len(part))
