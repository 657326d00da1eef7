"""Heads as a matcher shall see them: before a backdrop, and developed where they are encoded light.

Heads of the second layout are light, encoded for eight bits (workers.generator.parametric.develop); what is seen has
gone through a tone curve. The functions here are those of `develop` for tensors, differentiable.
"""

import torch
from torch import Tensor

from workers.generator import latents as lt
from workers.generator.parametric.develop import BRIGHTEST, GAMMA

LEAST = 1e-6
"""Below this, roots are taken to have the slope that they have here: at 0 it has no bound."""


def before(heads: Tensor, behind: Tensor | float, layout: lt.Layout | None) -> Tensor:
    """Heads [B, 4, R, R] before `behind` ([B, 1, 1, 1] or one value for all) as they are seen: RGB [B, 3, R, R].

    `layout` is that of the latents which label them.
    """
    return as_displayed(heads[:, :3] + behind * (1 - heads[:, 3:]), layout)


def as_displayed(rgb: Tensor, layout: lt.Layout | None) -> Tensor:
    """Pictures [B, 3, R, R] in [0, 1] as heads of a layout have them → display values in [0, 1]."""
    return _toned(rgb) if layout is lt.SECOND else rgb.clamp(0, 1)


def _toned(encoded: Tensor) -> Tensor:
    x = 0.80 * BRIGHTEST * encoded.clamp(LEAST, 1) ** GAMMA
    curve = (x * (2.51 * x + 0.03)) / (x * (2.43 * x + 0.59) + 0.14)
    return torch.as_tensor(curve.clamp(LEAST, 1) ** (1 / GAMMA))
