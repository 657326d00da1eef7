"""Light on the face, read off the illumination latents."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from workers.generator import latents as lt
from workers.generator.parametric.shape import Latent

Colour = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Light:
    """One soft key light, and the light from all around."""

    direction: Colour
    """Towards the key light, [3]."""
    key: Colour
    """Linear light of the key, [3]."""
    sky: Colour
    """Light from above, [3]."""
    ground: Colour
    """Light from below, [3]."""
    wrap: float
    """How far the key reaches round, 0 (hard) to 1."""
    softness: float
    """Half-width of a shadow's edge, of the reach of shadows."""


def read_light(observation: Latent) -> Light:
    """Light for one observation [d_O]; at z_O = 0 a soft frontal light from slightly above."""
    z = {name: lt.CURRENT.of_how(observation, name) for name in lt.CURRENT.how["illumination"]}
    azimuth = float(lt.light_side(observation))
    elevation = 0.5 + float(lt.bounded(z["key_elevation"], 0.22, 0.42))
    key = float(lt.between(0.8 * z["key_strength"], 0.45, 1.25))
    warmth = float(lt.bounded(z["key_warmth"], 0.05, 0.16))
    level = float(lt.between(0.8 * z["sky_strength"], 0.30, 0.80))
    tint = float(lt.bounded(z["sky_tint"], 0.04, 0.12))
    fill = float(lt.between(0.8 * z["ground_strength"], 0.35, 0.75))
    wrap = float(lt.between(z["key_wrap"], 0.1, 0.55))
    direction = np.array([np.sin(azimuth), elevation, abs(np.cos(azimuth)) + 0.15])
    return Light(
        direction=direction / np.linalg.norm(direction),
        key=key * np.array([1 + warmth, 1.0, 1 - warmth]),
        sky=level * np.array([1 + tint, 1.0, 1 - tint]),
        ground=level * fill * np.array([1 + tint * 0.5, 0.98, 0.94 - tint * 0.5]),
        wrap=wrap,
        softness=0.006 + 0.07 * wrap,
    )
