"""What is behind a head: the place that lights it, far out of focus, or a plain wall in its light."""

import cv2
import numpy as np
from numpy.typing import NDArray

from workers.generator.parametric import faces
from workers.generator.parametric.develop import encode
from workers.generator.parametric.lighting import Light


def backdrop(light: Light, observation: NDArray[np.float32], height: int, width: int) -> NDArray[np.float32]:
    """Draw what is behind, float32 [H, W, 3] in [0, 1], encoded as heads are (see `develop`)."""

    def latent(name: str) -> float:
        return float(faces.how(observation, f"backdrop_{name}"))

    columns = light.panorama.shape[1]
    behind = np.roll(light.panorama, columns // 2 + round(float(faces.bounded(latent("turn"), 5, 14))), 1)
    span = 20
    middle = columns // 2
    part = np.minimum(behind[6:26, middle - span // 2 : middle + span // 2], 4.0)
    soft = float(faces.between(latent("blur"), 0.6, 1.8))
    part = cv2.GaussianBlur(part, (0, 0), soft, borderType=cv2.BORDER_REFLECT)
    side = max(height, width)
    seen = cv2.resize(part, (side, side), interpolation=cv2.INTER_CUBIC)
    top, left = (side - height) // 2, (side - width) // 2
    seen = seen[top : top + height, left : left + width]
    # A wall behind some: evenly lit by the same light, in a shade of its own.
    share = float(1 / (1 + np.exp(-(1.6 * latent("plain") - 0.6))))
    grey = float(faces.between(latent("level"), 0.18, 0.95))
    hue = 0.10 * np.tanh(latent("hue"))
    x = (np.arange(width, dtype=np.float32) / width - 0.5)[None, :, None]
    y = (np.arange(height, dtype=np.float32) / height - 0.5)[:, None, None]
    fall = 1 - 0.5 * np.tanh(0.6 * abs(latent("vignette"))) * (x * x + y * y) - 0.12 * x - 0.10 * y
    lit = 0.6 * (light.sky + light.ground) / 2 + 0.55 * light.key.mean()
    wall = grey * lit * np.array([1 + hue, 1.0, 1 - hue]) * fall
    return encode(np.maximum((1 - share) * seen + share * wall, 0)).astype(np.float32)
