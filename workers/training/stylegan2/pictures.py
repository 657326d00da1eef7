"""The single images that a run learns from: a corpus of renders or photographs, before one grey, at the run's size."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from app.errors import RequestRefused
from workers.generator import latents as lt
from workers.training.seen import before
from workers.training.sources import open_source

GREY = 0.5
"""What renders stand before; they are drawn over nothing."""

PART = 512


class Pictures:
    """All training images at one size, in memory."""

    def __init__(self, folder: Path, size: int) -> None:
        """Raises Corrupt for a folder without training data, RequestRefused for a size that it does not have."""
        source = open_source(folder)
        if size > source.resolution or source.resolution % size or size & (size - 1):
            raise RequestRefused(
                [("size", f"{folder} has images of {source.resolution} pixels; take a power of two that divides that")]
            )
        self._source, self._size = source, size
        self.images = shrunk(source.training_images(), size, source.latents)
        """uint8 [N, 3, R, R]."""

    def card(self) -> dict[str, Any]:
        """What they are, for a model's card."""
        return self._source.card()

    def check_labelled(self, latent: int) -> None:
        """Raise RequestRefused unless the images have latents, and `latent` dimensions hold them."""
        labels = self._source.pairs(0, 0, 1).labels
        if labels is None:
            raise RequestRefused([("anchored_iterations", "photographs have no latents to be learned from; give 0")])
        wanted = labels.identity.shape[1] + labels.observation.shape[1]
        if latent < wanted:
            raise RequestRefused([("latent", f"{latent} dimensions do not hold the renders' {wanted}; give more")])

    def labelled(self, seed: int, iteration: int, count: int) -> tuple[Tensor, Tensor]:
        """Images [count, 3, R, R] in [-1, 1] and the latents [count, d] that they were drawn from, z_I then z_O."""
        batch = self._source.pairs(seed, iteration, -(-count // 2))
        if batch.labels is None:
            raise ValueError("these images have no latents")
        x = batch.images[:count]
        rgb = before(x, GREY, self._source.latents)
        images = functional.avg_pool2d(rgb, rgb.shape[-1] // self._size) * 2 - 1
        return images, torch.cat([batch.labels.identity, batch.labels.observation], 1)[:count]

    def batch(self, rng: np.random.Generator, count: int) -> Tensor:
        """Images [count, 3, R, R] in [-1, 1], half of them flipped left to right."""
        rows = rng.integers(len(self.images), size=count)
        images = torch.from_numpy(self.images[rows]).float() / 127.5 - 1
        flipped = torch.from_numpy(rng.random(count) < 0.5)
        return torch.where(flipped[:, None, None, None], images.flip(3), images)


def shrunk(images: NDArray[np.uint8], size: int, layout: lt.Layout | None) -> NDArray[np.uint8]:
    """[N, H, W, 4 or 3] → [N, 3, size, size], heads of a layout before grey."""
    parts = []
    for start in range(0, len(images), PART):
        x = torch.from_numpy(images[start : start + PART]).permute(0, 3, 1, 2).float()
        if x.shape[1] == 4:
            x = 255 * before(x / 255, GREY, layout)
        x = functional.avg_pool2d(x, x.shape[-1] // size)
        parts.append(x.round().clamp(0, 255).byte().numpy())
    return np.concatenate(parts)
