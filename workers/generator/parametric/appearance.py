"""Colours of skin, lips, hair and eyes, read off the latents. Linear light, [3] or [V, 3], 0 to 1."""

import numpy as np
from numpy.typing import NDArray

from workers.generator import latents as lt
from workers.generator.parametric.regions import Mask, Regions
from workers.generator.parametric.shape import Latent

Colours = NDArray[np.float32]

_SKIN_SRGB = np.array(
    [
        [247, 212, 190],
        [238, 198, 168],
        [222, 172, 136],
        [190, 138, 102],
        [146, 98, 68],
        [104, 70, 50],
        [74, 50, 38],
    ]
)
IRIS_COLOURS = np.array(
    [[0.075, 0.032, 0.012], [0.13, 0.075, 0.025], [0.11, 0.12, 0.045], [0.085, 0.15, 0.22]], np.float32
)


def to_linear(srgb: NDArray[np.floating]) -> NDArray[np.float64]:
    """Display values 0 to 1 to linear light (IEC 61966-2-1)."""
    return np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)


def skin_tone(identity: Latent) -> float:
    """0 (lightest) to 1 (darkest)."""
    return float(lt.between(identity[lt.SKIN_TONE], 0.02, 0.98))


def skin_colour(tone: float) -> NDArray[np.float64]:
    """Base colour of the skin, [3]."""
    stops = np.linspace(0, 1, len(_SKIN_SRGB))
    return to_linear(np.array([np.interp(tone, stops, _SKIN_SRGB[:, k]) for k in range(3)]) / 255)


def hair_colour(identity: Latent, observation: Latent) -> NDArray[np.float64]:
    """Colour of the hair, [3]: from blond to black by melanin, red and grey on top."""
    tone = skin_tone(identity)
    melanin = float(np.clip(0.45 + 0.75 * tone + 0.28 * identity[lt.HAIR_COLOUR], 0, 1))
    red = max(0.0, 0.5 * float(identity[lt.HAIR_RED])) * (tone < 0.5)
    grey = float(lt.grey(identity, observation))
    colour = np.array([0.48, 0.36, 0.23]) ** (1 + melanin * 3.8) * 0.8 + np.array([0.008, 0.007, 0.007])
    colour = colour * np.array([1 + red * 0.8, 1, 1 - red * 0.4])
    return colour * (1 - grey) + np.array([0.36, 0.35, 0.34]) * grey


def hairline(identity: Latent, observation: Latent) -> float:
    """Elevation of the front hairline, degrees; it recedes on older men."""
    front = float(lt.between(identity[lt.HAIRLINE], 31, 42))
    older = np.clip((lt.age_years(identity, observation) - 35) / 30, 0, 1)
    return front + float(9 * older * (identity[lt.SEX] >= 0) * lt.between(identity[lt.HAIRLINE], 0.2, 1))


def skin_colours(regions: Regions, identity: Latent, observation: Latent, grown: Mask) -> Colours:
    """Colour of the skin as it is drawn, [W, 3]: flush, lids, lips, beard shadow, scalp where hair has `grown` [W]."""
    tone = skin_tone(identity)
    base = skin_colour(tone)
    male = identity[lt.SEX] >= 0
    redness = float(lt.between(identity[lt.REDNESS], 0.2, 1.0)) * (1 - 0.55 * tone)
    colour = np.tile(base, (len(regions.flush), 1))
    colour *= 1 - 0.28 * redness * regions.flush[:, None] * np.array([0.25, 1, 0.85])
    colour *= 1 - 0.22 * regions.eyes[:, None] * np.array([0.7, 1, 0.9])
    lip = np.clip(regions.lips * 1.6 - 0.2, 0, 1)[:, None] * regions.on_head[:, None]
    strength = float(lt.between(identity[lt.LIP_COLOUR], 0.25, 0.8)) * (0.85 if male else 1.25)
    lip_colour = base * (1 - strength * np.array([0.2, 0.56, 0.46]))
    colour = colour * (1 - lip) + lip_colour * lip
    beard = float(lt.beard(identity))
    if male:
        shadow = regions.beard()[:, None] * (0.12 + 0.5 * beard) * (1 - 0.6 * tone)
        colour *= 1 - shadow * np.array([1, 0.92, 0.8])
    drawn = regions.skin.surface.refine(colour)
    style = lt.HAIR_STYLES[int(lt.hair_style(identity))]
    scalp = grown[:, None] * (0.07 if style == "bald" else 0.75)
    drawn = drawn * (1 - scalp) + hair_colour(identity, observation) * 0.7 * scalp
    return np.clip(drawn, 0, 1).astype(np.float32)
