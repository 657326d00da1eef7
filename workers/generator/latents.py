"""The latent layout of our own models, and what each dimension means.

Legend: z_I is float [N, 64], z_O is float [N, 28]; every dimension is N(0, 1) before σ scales z_O. All maps to
physical values are monotone and bounded (through the normal CDF or tanh), so z_O = 0 is the calm frontal portrait
and a large σ saturates instead of exploding.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

Floats = NDArray[np.floating[Any]]

IDENTITY = 64
OBSERVATION = 28

FACTORS: dict[str, tuple[int, int]] = {
    "pose": (0, 2),
    "expression": (2, 8),
    "illumination": (8, 16),
    "accessories": (16, 17),
    "age_offset": (17, 18),
    "background": (18, 24),
    "residual": (24, 28),
}
"""Factor to [start, stop) within z_O."""

# Identity dimensions with a meaning of their own; the rest, from SHAPE on, spread over all shape sliders.
SEX, AGE, SKIN_TONE, GLASSES, ANCESTRY, MUSCLE, WEIGHT = range(7)
HAIR_COLOUR, HAIR_STYLE, HAIR_RED, HAIRLINE, BROW_WIDTH, BROW_ARCH = range(7, 13)
BEARD, IRIS, LIP_COLOUR, REDNESS, MARKS = range(13, 18)
SHAPE = 18

AGE_YEARS = (19.0, 70.0)
GLASSES_THRESHOLD = 0.8416
"""A fifth of all identities wear glasses."""

TAKEN_OFF = 1.0
"""A wearer takes the glasses off where the accessories latent is above this (one sample in six at σ = 1)."""

HAIR_STYLES = ("bald", "crop", "short", "parted", "swept", "bob", "long")

ATTRIBUTES: dict[str, dict[str, Any]] = {
    "sex": {"kind": "choice", "latent": SEX, "values": {"female": [None, 0.0], "male": [0.0, None]}},
    "age": {"kind": "range", "latent": AGE, "min": AGE_YEARS[0], "max": AGE_YEARS[1], "unit": "years"},
    "skin_tone": {
        "kind": "choice",
        "latent": SKIN_TONE,
        "values": {"light": [None, -0.4307], "medium": [-0.4307, 0.4307], "dark": [0.4307, None]},
    },
    "glasses": {"kind": "share", "latent": GLASSES, "threshold": GLASSES_THRESHOLD},
}
"""How a model card says which latent each attribute is read off."""

MIRROR_OBSERVATION = np.ones(OBSERVATION, np.float32)
"""Signs by which z_O is multiplied when an image is flipped left to right; identities are symmetric."""
MIRROR_OBSERVATION[[0, 8, 18, 24]] = -1  # yaw, light's azimuth, backdrop's slope, gaze to the side


def between(z: Floats, low: float, high: float) -> Floats:
    """Map N(0, 1) uniformly onto [low, high]."""
    return np.asarray(low + (high - low) * ndtr(z))


def bounded(z: Floats, per_sigma: float, limit: float) -> Floats:
    """Map a latent to `per_sigma` units a σ near 0, never beyond ±limit."""
    return np.asarray(limit * np.tanh(per_sigma / limit * np.asarray(z)))


def yaw_degrees(observation: Floats) -> Floats:
    """Turn of the head to its left, degrees, within ±50."""
    return bounded(observation[..., 0], 15.0, 50.0)


def pitch_degrees(observation: Floats) -> Floats:
    """Nod of the head, degrees, positive downwards, within ±22."""
    return bounded(observation[..., 1], 6.5, 22.0)


def age_years(identity: Floats, observation: Floats) -> Floats:
    """Apparent age of a sample, years: the identity's own plus an offset of about 5 a σ, within ±12."""
    own = between(identity[..., AGE], *AGE_YEARS)
    return np.clip(own + bounded(observation[..., 17], 5.0, 12.0), 16.0, 80.0)


def masculinity(identity: Floats) -> Floats:
    """0 (female) to 1 (male); the sign of the latent decides, and the middle is avoided."""
    z = np.asarray(identity[..., SEX])
    return np.where(z < 0, 0.28 * ndtr(2 * z) * 2, 1 - 0.28 * ndtr(-2 * z) * 2)


def ancestry(identity: Floats) -> Floats:
    """Shares (african, asian, caucasian) of the head's base shape, [..., 3]; they follow the skin tone loosely."""
    tone, other = np.asarray(identity[..., SKIN_TONE]), np.asarray(identity[..., ANCESTRY])
    logits = np.stack([2.2 * tone - 0.3, 1.7 * other - 0.3 * tone, -1.1 * tone - 1.1 * other], -1)
    weights = np.exp(logits - logits.max(-1, keepdims=True))
    return np.asarray(weights / weights.sum(-1, keepdims=True))


def wears_glasses(identity: Floats, observation: Floats) -> NDArray[np.bool_]:
    """Whether glasses are on the face in a sample."""
    wearer = np.asarray(identity[..., GLASSES]) >= GLASSES_THRESHOLD
    return np.asarray(wearer & (np.asarray(observation[..., 16]) <= TAKEN_OFF))


def hair_style(identity: Floats) -> NDArray[np.intp]:
    """Index into HAIR_STYLES; men's run from bald to swept, women's from parted to long."""
    z = np.asarray(identity[..., HAIR_STYLE])
    male = np.asarray(identity[..., SEX]) >= 0
    men = np.searchsorted([-1.35, -0.6, 0.15, 0.9], z)
    women = 3 + np.searchsorted([-1.0, -0.4, 0.2], z)
    return np.where(male, men, women)


def beard(identity: Floats) -> Floats:
    """Density of the beard, 0 to 1; none on women and on about half of the men."""
    male = np.asarray(identity[..., SEX]) >= 0
    return np.clip(1.8 * (ndtr(identity[..., BEARD]) - 0.5), 0, 1) * male


def grey(identity: Floats, observation: Floats) -> Floats:
    """Share of grey in the hair, 0 to 1; it follows the identity's own age far more than a sample's offset."""
    own = between(identity[..., AGE], *AGE_YEARS)
    years = own + 0.3 * (age_years(identity, observation) - own)
    return np.clip((years - 50) / 20 + 0.2 * identity[..., HAIR_RED], 0, 1)


def iris_class(identity: Floats) -> NDArray[np.intp]:
    """0 brown, 1 hazel, 2 green, 3 blue; the darker the skin, the more often brown."""
    shifted = np.asarray(identity[..., IRIS]) - 1.2 * np.maximum(identity[..., SKIN_TONE] + 0.5, 0)
    return np.searchsorted([0.1, 0.5, 0.9], shifted)


def derived_flags(identity: Floats, observation: Floats) -> NDArray[np.float32]:
    """What thresholds decide, as features for a network, float32 [N, 17].

    Hair style one-hot (7), iris one-hot (4), then sex (±1), beard, glasses on, grey, age (±1), skin tone (±1).
    """
    columns = [
        np.eye(len(HAIR_STYLES))[hair_style(identity)],
        np.eye(4)[iris_class(identity)],
        np.stack(
            [
                np.where(identity[..., SEX] >= 0, 1.0, -1.0),
                2 * beard(identity),
                2.0 * wears_glasses(identity, observation),
                2 * grey(identity, observation),
                (age_years(identity, observation) - 45) / 25,
                2 * ndtr(identity[..., SKIN_TONE]) - 1,
            ],
            -1,
        ),
    ]
    return np.concatenate(columns, -1).astype(np.float32)


FLAGS = len(HAIR_STYLES) + 4 + 6
"""Columns of `derived_flags`."""

GLASSES_FLAG = 13
"""The column that says whether glasses are on; 2 where they are."""
