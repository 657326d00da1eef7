"""What the renderer reads off the second layout of latents: names instead of numbers, and what they come to.

Legend: z_I is float [..., IDENTITY], z_O is float [..., OBSERVATION]; see workers.generator.latents.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from workers.generator import latents as lt
from workers.generator.latents import HAIR_STYLES as HAIR_STYLES
from workers.generator.latents import SECOND

Floats = NDArray[np.floating[Any]]

IDENTITY, OBSERVATION = SECOND.identity, SECOND.observation


def who(identity: Floats, name: str) -> Floats:
    """A named dimension of z_I."""
    return SECOND.of_who(identity, name)


def how(observation: Floats, name: str) -> Floats:
    """A named dimension of z_O."""
    return SECOND.of_how(observation, name)


def block(identity: Floats, name: str) -> Floats:
    """All dimensions of a block of z_I, [..., size]."""
    first = SECOND.shape.start if name == "shape" else SECOND.who[f"{name}_0"]
    return np.asarray(identity[..., first : first + lt.SECOND_BLOCKS[name]])


def factor(observation: Floats, name: str) -> Floats:
    """A factor's dimensions of z_O, [..., size]."""
    return SECOND.factor(observation, name)


def between(z: Floats | float, low: float, high: float) -> Floats:
    """Map N(0, 1) uniformly onto [low, high]."""
    return lt.between(np.asarray(z), low, high)


def bounded(z: Floats | float, per_sigma: float, limit: float) -> Floats:
    """Map a latent to `per_sigma` units a σ near 0, never beyond ±limit."""
    return lt.bounded(np.asarray(z), per_sigma, limit)


def yaw_degrees(observation: Floats) -> Floats:
    """Turn of the head to its left, degrees, within ±50."""
    return lt.pose_of(observation, SECOND).yaw


def pitch_degrees(observation: Floats) -> Floats:
    """Nod of the head, degrees, positive downwards, within ±22."""
    return lt.pose_of(observation, SECOND).pitch


def roll_degrees(observation: Floats) -> Floats:
    """Tilt of the head to its side, degrees, within ±12."""
    return bounded(how(observation, "roll"), 3.0, 12.0)


def own_years(identity: Floats) -> Floats:
    """Age of an identity, years."""
    return between(who(identity, "age"), *lt.AGE_YEARS)


def age_years(identity: Floats, observation: Floats) -> Floats:
    """Apparent age of a sample, years."""
    return lt.age_years(identity, observation, SECOND)


def is_male(identity: Floats) -> NDArray[np.bool_]:
    """The sign of the latent decides."""
    return np.asarray(who(identity, "sex") >= 0)


def masculinity(identity: Floats) -> Floats:
    """0 (female) to 1 (male); the middle is avoided."""
    return lt.masculinity(identity, SECOND)


def ancestry(identity: Floats) -> Floats:
    """Shares (african, asian, caucasian) of the head's base shape, [..., 3]; they follow the skin tone loosely."""
    return lt.ancestry(identity, SECOND)


def skin_depth(identity: Floats) -> Floats:
    """Skin tone, 0 (lightest) to 1 (darkest)."""
    return lt.skin_depth(who(identity, "skin_tone"))


def wears_glasses(identity: Floats, observation: Floats) -> NDArray[np.bool_]:
    """Whether glasses are on the face in a sample."""
    return lt.wears_glasses(identity, observation, SECOND)


def wears_headwear(identity: Floats, observation: Floats) -> NDArray[np.bool_]:
    """Whether a scarf or cap covers the hair in a sample."""
    return lt.wears_headwear(identity, observation, SECOND)


def wears_mask(observation: Floats) -> NDArray[np.bool_]:
    """Whether a face mask covers nose and mouth in a sample."""
    return lt.wears_mask(observation, SECOND)


def hair_style(identity: Floats) -> NDArray[np.intp]:
    """Index into HAIR_STYLES."""
    return lt.hair_style(identity, SECOND)


def beard(identity: Floats) -> Floats:
    """Density of the beard, 0 to 1; none on women and on about half of the men."""
    return lt.beard(identity, SECOND)


def grey(identity: Floats, observation: Floats) -> Floats:
    """Share of grey in the hair, 0 to 1; it follows the identity's own age far more than a sample's offset."""
    return lt.grey(identity, observation, SECOND)


def oldness(identity: Floats, observation: Floats) -> float:
    """How far the marks of age have come, 0 at 25 years to 1 at 70, for one face."""
    return float(np.clip((age_years(identity, observation) - 25) / 45, 0, 1.1))
