"""Drawing latents: from the streams' uniforms to N(0, 1), inside an attribute's slice where one is asked for."""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri

from app.dataset.plan import PlannedMap
from app.dataset.streams import Purpose, uniforms

Latent = NDArray[np.float32]


def draw_identity(
    seed: int, subject: int, attempt: int, size: int, slices: Mapping[int, tuple[float, float]] | None = None
) -> Latent:
    """Draw z_I of a subject, float32 [size].

    `slices` maps a latent to the quantiles [low, high) that an attribute confines it to; within them it keeps
    the normal distribution's shape.
    """
    quantiles = uniforms(seed, Purpose.IDENTITY, subject, 0, attempt, size)
    for latent, (low, high) in (slices or {}).items():
        quantiles[latent] = low + (high - low) * quantiles[latent]
    return np.asarray(ndtri(quantiles), np.float32)


def draw_observation(
    seed: int,
    subject: int,
    sample: int,
    attempt: int,
    sigma: Latent,
    maps: Sequence[PlannedMap] = (),
    shows: Mapping[int, tuple[float, bool]] | None = None,
) -> Latent:
    """Draw z_O of a sample, float32 [size], scaled by `sigma` [size], one scale a dimension.

    Dimensions that a map names follow it instead, whatever their scale; those of `shows` (latent to a threshold) lie at
    it or beyond, or below it, as is said of them.
    """
    quantiles = uniforms(seed, Purpose.OBSERVATION, subject, sample, attempt, len(sigma))
    drawn = ndtri(quantiles) * sigma
    for found in maps:
        drawn[found.latent] = np.interp(quantiles[found.latent], found.shares, found.values)
    for latent, (threshold, reached) in (shows or {}).items():
        drawn[latent] = _beside(threshold, reached, float(quantiles[latent]), float(sigma[latent]))
    return np.asarray(drawn, np.float32)


def _beside(threshold: float, reached: bool, quantile: float, scale: float) -> float:
    """A normal latent's value on one side of a threshold: beyond it of N(0, 1), below it of its scale."""
    if reached:
        split = ndtr(threshold)
        return max(float(ndtri(split + (1 - split) * quantile)), float(np.nextafter(np.float32(threshold), np.inf)))
    if scale == 0:
        return min(0.0, float(np.nextafter(np.float32(threshold), -np.inf)))
    below = scale * float(ndtri(ndtr(threshold / scale) * quantile))
    return min(below, float(np.nextafter(np.float32(threshold), -np.inf)))


def sigma_vector(observation: Mapping[str, tuple[int, int]], sigma: Mapping[str, float]) -> Latent:
    """Spread the factors' σ over the dimensions of z_O, float32 [size]; `observation` is factor → [start, stop)."""
    spread = np.zeros(max(stop for _, stop in observation.values()), np.float32)
    for name, (start, stop) in observation.items():
        spread[start:stop] = sigma[name]
    return spread
