"""What a generator is: a card, and a function from latents to images."""

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from app.dataset.model import ModelCard

Latents = NDArray[np.float32]
FloatImages = NDArray[np.float32]


class Generator(Protocol):
    """Maps latents to images. The same latents give the same pixels in whatever batch they come."""

    @property
    def card(self) -> ModelCard:
        """What it offers: sizes, factors, attributes, provenance."""

    @property
    def device(self) -> str:
        """Where it runs, for the record: `cpu`, a CUDA device's name, or an OpenGL renderer's."""

    def generate(self, identity: Latents, observation: Latents, width: int, height: int) -> FloatImages:
        """z_I [N, d_I] and z_O [N, d_O] (scaled by σ already) → float32 [N, H, W, 3] in [-1, 1].

        `width` × `height` is one of the card's sizes.
        """
