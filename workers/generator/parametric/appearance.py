"""Colours of skin, lips, hair and eyes, read off the latents. Linear light, [3] or [V, 3], 0 to 1."""

import numpy as np
from numpy.typing import NDArray

from workers.generator.parametric import faces
from workers.generator.parametric.regions import Mask, Regions
from workers.generator.parametric.shape import Latent

Colours = NDArray[np.float32]

# What skin reflects, as display values, from the lightest to the darkest; lightness follows the ten of the Monk scale.
_SKIN_SRGB = np.array(
    [
        [238, 206, 190],
        [232, 194, 173],
        [224, 180, 155],
        [212, 162, 132],
        [194, 140, 108],
        [170, 116, 86],
        [144, 94, 68],
        [118, 75, 54],
        [94, 60, 45],
        [74, 49, 39],
    ]
)

# Irises from black-brown over hazel and green to blue and grey.
_IRISES = np.array(
    [
        [0.022, 0.011, 0.006],
        [0.055, 0.026, 0.011],
        [0.105, 0.056, 0.020],
        [0.120, 0.098, 0.040],
        [0.105, 0.125, 0.070],
        [0.095, 0.150, 0.165],
        [0.090, 0.160, 0.250],
        [0.160, 0.210, 0.270],
    ]
)


def to_linear(srgb: NDArray[np.floating]) -> NDArray[np.float64]:
    """Display values 0 to 1 to linear light (IEC 61966-2-1)."""
    return np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)


def skin_tone(identity: Latent) -> float:
    """0 (lightest) to 1 (darkest)."""
    return float(faces.skin_depth(identity))


def skin_colour(identity: Latent) -> NDArray[np.float64]:
    """Base colour of the skin, [3]: its tone, more golden or more rosy."""
    tone = skin_tone(identity)
    stops = np.linspace(0, 1, len(_SKIN_SRGB))
    base = to_linear(np.array([np.interp(tone, stops, _SKIN_SRGB[:, k]) for k in range(3)]) / 255)
    # The tone curve gives the colour back, most where exposure is long.
    grey = 0.16 + 0.20 * tone
    base = (1 - grey) * base + grey * base @ np.array([0.2126, 0.7152, 0.0722])
    under = float(np.tanh(0.7 * faces.who(identity, "undertone")))
    return np.asarray(base * (1 + under * np.array([0.00, 0.055, -0.10])))


def melanin_of_hair(identity: Latent) -> float:
    """0 (blond) to 1 (black); darker on darker skin."""
    tone = skin_tone(identity)
    return float(np.clip(0.40 + 0.85 * tone + 0.32 * (1 - 0.6 * tone) * faces.who(identity, "hair_depth"), 0, 1))


def hair_colour(identity: Latent, observation: Latent) -> NDArray[np.float64]:
    """Colour of the hair, [3]: from blond to black by melanin, red and grey on top."""
    melanin = melanin_of_hair(identity)
    red = max(0.0, 0.6 * float(faces.who(identity, "hair_red")) - 0.1) * (skin_tone(identity) < 0.5)
    colour = np.array([0.42, 0.30, 0.175]) ** (1 + melanin * 3.4) * 0.85 + np.array([0.0065, 0.0055, 0.005])
    colour = colour * np.array([1 + red * 0.9, 1, 1 - red * 0.35])
    grey = float(faces.grey(identity, observation))
    return np.asarray(colour * (1 - grey) + np.array([0.34, 0.335, 0.33]) * grey)


def brow_colour(identity: Latent, observation: Latent) -> NDArray[np.float64]:
    """Colour of the brows' hairs, [3]: lighter or darker than the hair's, and later grey."""
    hair = hair_colour(identity, observation)
    silver = float(faces.grey(identity, observation))
    depth = float(np.exp(faces.bounded(faces.who(identity, "brow_depth"), 0.6, 1.1)))
    colour = hair * (depth * (0.75 - 0.25 * silver)) + 0.10 * skin_colour(identity)
    return np.asarray(np.minimum(colour, 0.5))


def iris_colours(identity: Latent) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Colour of an iris about the pupil and at its edge, [3] each; the darker the skin, the more often brown."""
    shifted = float(faces.who(identity, "iris")) - 1.3 * max(skin_tone(identity) * 2.4 - 0.75, 0.0)
    place = float(np.interp(shifted, [-1.5, 0.0, 0.35, 0.7, 1.0, 1.3, 1.8, 2.4], np.arange(8)))
    outer = np.array([np.interp(place, np.arange(8), _IRISES[:, k]) for k in range(3)])
    outer = outer * np.exp(faces.bounded(faces.who(identity, "iris_depth"), 0.28, 0.6))
    warm = float(1 / (1 + np.exp(-2 * faces.who(identity, "iris_pattern"))))
    inner = outer * np.array([1.25, 1.15, 1.0]) + warm * np.array([0.045, 0.026, 0.006]) * (place > 1)
    return inner, outer


def shirt_colour(observation: Latent) -> NDArray[np.float64]:
    """Colour of the shirt, [3]; another day, another shirt."""
    level, hue = (float(faces.between(faces.how(observation, f"shirt_{name}"), 0, 1)) for name in ("level", "hue"))
    return np.asarray(0.02 + 0.5 * level**1.5 * (0.5 + 0.5 * np.cos(6.3 * (hue + np.array([0, 0.33, 0.67])) * 0.8)))


def headwear_colour(identity: Latent) -> NDArray[np.float64]:
    """Colour of the cap, [3]."""
    hue = float(faces.between(faces.who(identity, "headwear_colour"), 0.0, 1.0))
    return np.asarray(0.02 + 0.30 * hue**1.5 * (0.55 + 0.45 * np.cos(6.3 * (2.3 * hue + np.array([0, 0.33, 0.67])))))


def hairline(identity: Latent, observation: Latent) -> float:
    """Elevation of the front hairline, degrees; it recedes on older men."""
    front = float(faces.between(faces.who(identity, "hairline"), 32, 43))
    older = np.clip((faces.age_years(identity, observation) - 30) / 32, 0, 1)
    losing = faces.between(faces.who(identity, "recession"), 0.0, 1.0)
    return front + float(13 * older * losing * faces.is_male(identity))


def temples(identity: Latent, observation: Latent) -> float:
    """How far the hairline recedes above the temples, degrees."""
    older = np.clip((faces.age_years(identity, observation) - 25) / 35, 0, 1)
    own = float(faces.between(faces.who(identity, "temples"), -2, 7))
    return own + float(9 * older * faces.between(faces.who(identity, "recession"), 0, 1) * faces.is_male(identity))


def skin_colours(regions: Regions, identity: Latent, observation: Latent, grown: Mask, shadow: float) -> Colours:
    """Colour of the skin as it is drawn, [W, 3]: lips, ears, and scalp where hair has `grown` [W], `shadow` of it."""
    tone = skin_tone(identity)
    base = skin_colour(identity)
    male = bool(faces.is_male(identity))

    def latent(name: str) -> float:
        return float(faces.who(identity, name))

    colour = np.tile(base, (len(regions.flush), 1))
    warm = float(faces.between(latent("redness"), 0.08, 0.32)) * (1 - 0.7 * tone)
    colour *= 1 - warm * regions.ears[:, None] * np.array([0.05, 0.55, 0.45])
    full = np.clip(regions.lips * 1.9 - 0.25 * (1 - 0.5 * np.tanh(latent("lip_edge"))), 0, 1) * regions.on_head
    depth = float(faces.between(latent("lip_depth"), 0.02, 0.42)) * (0.8 if male else 1.15)
    red = float(faces.between(latent("lip_redness"), 0.12, 0.62)) * (0.75 if male else 1.2) * (1 - 0.35 * tone)
    lip_colour = base * (1 - depth) * (1 - red * np.array([0.08, 0.62, 0.48]))
    colour = colour * (1 - full[:, None]) + lip_colour * full[:, None]
    drawn = regions.skin.surface.refine(colour)
    scalp = (grown * shadow)[:, None]
    drawn = drawn * (1 - scalp) + (hair_colour(identity, observation) * 0.7 + 0.06 * base) * scalp
    return np.clip(drawn, 0, 1).astype(np.float32)
