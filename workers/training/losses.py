"""What training minimises. Images are [B, C, R, R] float32 in [0, 1]: RGB over nothing and alpha, or RGB."""

from collections.abc import Callable

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


def critic_loss(real_scores: Tensor, fake_scores: Tensor) -> Tensor:
    """Wasserstein critic loss (Arjovsky 2017), without its penalty."""
    return fake_scores.mean() - real_scores.mean()


def critic_generator_loss(fake_scores: Tensor) -> Tensor:
    """Wasserstein generator loss."""
    return -fake_scores.mean()


def gradient_penalty(critic: Callable[[Tensor], Tensor], real: Tensor, fake: Tensor, shares: Tensor) -> Tensor:
    """Mean of (‖∇‖ − 1)² at points between real and made data (Gulrajani 2017); without its factor λ.

    `shares` [B] in [0, 1] say where between. The norm is taken over all axes but the batch's.
    """
    share = shares.view(-1, *(1,) * (real.dim() - 1))
    between = (share * real + (1 - share) * fake).detach().requires_grad_()
    (gradient,) = torch.autograd.grad(critic(between).sum(), between, create_graph=True)
    penalty: Tensor = (gradient.flatten(1).norm(dim=1) - 1).square().mean()
    return penalty


def triplet_loss(anchor: Tensor, positive: Tensor, negative: Tensor, margin: float) -> Tensor:
    """How far the cosine of mated templates falls short of a non-mated one's by `margin`; all [B, D], of length 1."""
    mated, non_mated = (anchor * positive).sum(1), (anchor * negative).sum(1)
    return (margin + non_mated - mated).clamp(min=0).mean()


def identity_loss(made: Tensor, real: Tensor) -> Tensor:
    """One less the cosine of the templates of what was made and what it should be, both [B, D], length 1."""
    return (1 - (made * real).sum(1)).mean()
