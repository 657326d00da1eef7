"""What training minimises. Images are [B, 4, R, R] float32, RGB over nothing and alpha, in [0, 1]."""

import torch
from torch import Tensor
from torch.nn import functional

BANDS = 3
"""Octaves of the Laplacian pyramid that count on their own."""


def pyramid_distance(made: Tensor, real: Tensor, weight: Tensor) -> Tensor:
    """Mean absolute difference, once as a whole and once in every octave band, so that fine detail counts.

    `weight` [B, 1, R, R] says how much a pixel matters; it has mean 1 or so.
    """
    difference = made - real
    loss = (difference.abs() * weight).mean()
    for _ in range(BANDS):
        coarse = functional.avg_pool2d(difference, 2)
        band = difference - functional.interpolate(coarse, scale_factor=2, mode="nearest")
        loss = loss + (band.abs() * weight).mean()
        difference, weight = coarse, functional.avg_pool2d(weight, 2)
    return loss + difference.abs().mean()


def generator_loss(fake_logits: Tensor) -> Tensor:
    """Non-saturating generator loss (Goodfellow 2014)."""
    return functional.softplus(-fake_logits).mean()


def discriminator_loss(real_logits: Tensor, fake_logits: Tensor) -> Tensor:
    """Non-saturating discriminator loss (Goodfellow 2014)."""
    return functional.softplus(-real_logits).mean() + functional.softplus(fake_logits).mean()


def r1_penalty(real_logits: Tensor, real: Tensor) -> Tensor:
    """Mean over the batch of the squared gradient norm at real data (Mescheder 2018); without its factor γ/2.

    The norm is taken over all axes but the batch's.
    """
    (gradient,) = torch.autograd.grad(real_logits.sum(), real, create_graph=True)
    return gradient.square().flatten(1).sum(1).mean()
