"""A head, drawn or learned, before its backdrop and through its camera: what no network has to learn."""

import numpy as np
from numpy.typing import NDArray

from workers.generator.parametric.appearance import skin_tone
from workers.generator.parametric.backdrop import backdrop
from workers.generator.parametric.capture import capture
from workers.generator.parametric.lighting import Light, read_light
from workers.generator.parametric.shape import Latent

Images = NDArray[np.float32]


def compose(heads: Images, identity: NDArray[np.float32], observation: NDArray[np.float32]) -> Images:
    """Heads [N, H, W, 4], encoded and multiplied by alpha, with their latents → pictures [N, H, W, 3] in [0, 1]."""
    rows = zip(heads, identity, observation, strict=True)
    made = [composed(head, read_light(how, skin_tone(who)), how) for head, who, how in rows]
    return np.asarray(made, np.float32).reshape(*heads.shape[:3], 3)


def composed(head: Images, light: Light, observation: Latent) -> Images:
    """One head [H, W, 4] in a light → a picture [H, W, 3] in [0, 1]."""
    behind = backdrop(light, observation, *head.shape[:2])
    return capture(head[..., :3] + (1 - head[..., 3:]) * behind, observation)
