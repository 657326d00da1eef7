"""What a matcher is shown in training: images as a camera might have taken them, so that no fine pattern pleases it."""

import torch
from torch import Tensor
from torch.nn import functional

SHIFT, SCALE, TURN = 0.025, 0.05, 0.05
"""Standard deviations: of the shift over half the image's width, of the scale about 1, of the turn in radians."""

EXPOSURE, TINT, LEVEL, NOISE = 0.15, 0.06, 0.05, 0.02
"""Standard deviations of factors for all colours and for each, of what is added to all, and of each pixel's noise."""

WITHOUT_COLOUR, COVERED = 0.25, 1 / 3
"""Shares of images that lose their colour, and of those of which a rectangle is covered."""

BLURS = ((3, 0.35), (5, 0.25))
"""Sides of the squares over which a batch is blurred, and how often; else it stays sharp."""


def disturbed(images: Tensor, random: torch.Generator, *, flip: bool = True) -> Tensor:
    """Images [B, 3, R, R] in [0, 1] flipped, shifted, scaled, turned, relit, blurred, covered in part, made noisy.

    Without `flip` for faces whose sides differ: to call a face and its mirror image one person would even them out.
    """
    count, _, side, _ = images.shape

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=random).to(images.device)

    def uniform(*shape: int) -> Tensor:
        return torch.rand(*shape, generator=random).to(images.device)

    scale, turn = 1 + SCALE * normal(count), TURN * normal(count)
    mirror = torch.where((uniform(count) < 0.5) & flip, -1.0, 1.0)
    affine = torch.stack(
        [
            torch.stack([mirror * scale * turn.cos(), -turn.sin(), SHIFT * normal(count)], 1),
            torch.stack([mirror * scale * turn.sin(), turn.cos() * scale, SHIFT * normal(count)], 1),
        ],
        1,
    )
    grid = functional.affine_grid(affine, [count, 3, side, side], align_corners=False)
    images = functional.grid_sample(images, grid, padding_mode="border", align_corners=False)
    grey = (uniform(count) < WITHOUT_COLOUR).to(images.dtype)[:, None, None, None]
    images = images * (1 - grey) + images.mean(1, keepdim=True) * grey
    images = images * (1 + EXPOSURE * normal(count, 1, 1, 1)) * (1 + TINT * normal(count, 3, 1, 1))
    images = _blurred(images + LEVEL * normal(count, 1, 1, 1), float(uniform(1)))
    images = _covered(images, uniform(count), uniform(count, 2), uniform(count, 2))
    return (images + NOISE * normal(*images.shape)).clamp(0, 1)


def _blurred(images: Tensor, drawn: float) -> Tensor:
    for side, share in BLURS:
        if drawn < share:
            return functional.avg_pool2d(images, side, 1, side // 2)
        drawn -= share
    return images


def _covered(images: Tensor, chosen: Tensor, size: Tensor, place: Tensor) -> Tensor:
    """A rectangle of some images takes their mean colour: identity must not sit in one place alone."""
    side = images.shape[-1]
    ticks = (torch.arange(side, device=images.device) + 0.5) / side
    half, middle = 0.05 + 0.09 * size, 0.2 + 0.6 * place
    inside = (ticks[None, None] - middle[:, :, None]).abs() < half[:, :, None]
    cover = (inside[:, 1, :, None] & inside[:, 0, None, :])[:, None] & (chosen < COVERED)[:, None, None, None]
    return torch.where(cover, images.mean((2, 3), keepdim=True), images)
