"""Light augmentation of what the judge sees, real and made alike: moved by some pixels, relit, recoloured.

Few images are soon known by heart; what every image is changed by, at random, cannot be (Karras et al., 2020, ADA;
Zhao et al., 2020). All of it lets gradients through.
"""

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

REACH = 1 / 12
"""Of a move, over the image's width."""

LIGHT, CONTRAST, COLOUR = 0.25, 0.2, 0.3
"""Largest change of brightness (of 2), of contrast and of colourfulness (of 1)."""


def augmented(images: Tensor, share: float, rng: np.random.Generator) -> Tensor:
    """Images [B, 3, R, R] in [-1, 1], each changed with probability `share`; what is drawn comes from `rng`."""
    if not share:
        return images
    count, side = len(images), images.shape[-1]
    drawn = rng.uniform(-1, 1, (count, 5)) * (rng.random((count, 1)) < share)
    light, contrast, colour, across, down = torch.from_numpy(drawn.astype(np.float32)).to(images.device).T
    grey = images.mean(1, keepdim=True)
    x = grey + (images - grey) * (1 + COLOUR * colour)[:, None, None, None]
    middle = x.mean((1, 2, 3), keepdim=True)
    x = middle + (x - middle) * (1 + CONTRAST * contrast)[:, None, None, None] + (LIGHT * light)[:, None, None, None]
    return _moved(x, (across * REACH * side).round().long(), (down * REACH * side).round().long())


def _moved(x: Tensor, across: Tensor, down: Tensor) -> Tensor:
    """Each image moved by whole pixels; what comes in from outside repeats the border."""
    side, reach = x.shape[-1], int(x.shape[-1] * REACH) + 1
    wide = functional.pad(x, (reach, reach, reach, reach), mode="replicate")
    line = torch.arange(side, device=x.device)
    rows, columns = line + reach + down[:, None], line + reach + across[:, None]
    image = torch.arange(len(x), device=x.device)[:, None, None]
    return wide.permute(0, 2, 3, 1)[image, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)
