"""What may not change while a network is pushed about: colours and shapes at a coarse scale, glasses, open eyes.

Legend: B images [B, 4, R, R], RGB over nothing and alpha, in [0, 1]; landmarks [B, K, 2], x and y in [0, 1]. `held` are
the images of the network that holds, at the same latents; both place their landmarks alike.
"""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from workers.generator import latents as lt
from workers.generator.landmarks import GLASSES, GROUPS
from workers.generator.sdgan.network import profiles

COARSE = 9
"""Side of the squares, in pixels of 128, over which colours and shapes are compared."""

WORN_SPOT, WORN_WEIGHT = 0.02, 30
"""Width of the spots about glasses that are worn, over the image's width, and how much a pixel weighs there."""

EYES_ALIKE, EYES_CONTRAST = 0.85, 0.9
"""Correlation of an eye with the held one's, and share of its contrast, from which it counts as unharmed."""

DARK = 1e-4
"""Variance that every eye is taken to have at the least: one in the dark has hardly any contrast to compare."""

BROWS_CONTRAST = 0.7
"""Share of the contrast that a brow must keep of the held one's; where it lies and how it runs is free."""

EYE, BROW = (14, 24), (12, 24)
"""Rows and columns of the window that is looked at about an eye and about a brow."""


@dataclass(frozen=True, kw_only=True)
class HeldLosses:
    """How far images have moved from the holding network's."""

    coarse: Tensor
    """Mean absolute difference of means over squares of COARSE pixels."""
    plain: Tensor
    """Mean absolute difference, pixels about worn glasses weighing WORN_WEIGHT times as much."""
    eyes: Tensor
    """By how much eyes fall short of EYES_ALIKE and of EYES_CONTRAST, and brows of BROWS_CONTRAST: lids that close,
    eyes that fade, brows that vanish."""


def held_losses(made: Tensor, held: Tensor, landmarks: Tensor, flags: Tensor) -> HeldLosses:
    """Compare images with the holding network's; `flags` [B, 17] say who wears glasses."""
    difference = made - held
    down, across = profiles(landmarks[:, GLASSES.start : GLASSES.stop], made.shape[-1], WORN_SPOT)
    worn = (flags[:, lt.GLASSES_FLAG] > 0).to(made.dtype)[:, None, None]
    weight = 1 + (WORN_WEIGHT - 1) * ((down * worn).transpose(1, 2) @ across).clamp(max=1)[:, None]
    return HeldLosses(
        coarse=_coarse(difference).abs().mean(),
        plain=(difference.abs() * weight).mean(),
        eyes=eyes_lost(eye_windows(made, landmarks), eye_windows(held, landmarks))
        + contrast_lost(brow_windows(made, landmarks), brow_windows(held, landmarks), BROWS_CONTRAST),
    )


def eye_windows(images: Tensor, landmarks: Tensor) -> Tensor:
    """Cut grey windows about the left and the right eyes' openings, a fifth wider than the lids, [2 B, 1, *EYE]."""
    return _windows(images, landmarks, ("upper-lids", "lower-lids"), EYE, wide=1.2, high=1.2 * EYE[0] / EYE[1])


def brow_windows(images: Tensor, landmarks: Tensor) -> Tensor:
    """Cut grey windows about the left and the right brows, as high as a brow is half wide, [2 B, 1, *BROW]."""
    return _windows(images, landmarks, ("brows",), BROW, wide=1.1, high=0.55)


def eyes_lost(made: Tensor, held: Tensor) -> Tensor:
    """By how much eyes [N, 1, H, W] fall short of others in likeness and in contrast; 0 for those left as they were."""
    (a, spread_a), (b, spread_b) = _spread(made), _spread(held)
    alike = (a * b).mean(1) / (spread_a * spread_b)
    return (EYES_ALIKE - alike).clamp(min=0).mean() + contrast_lost(made, held, EYES_CONTRAST)


def contrast_lost(made: Tensor, held: Tensor, least: float) -> Tensor:
    """By how much the contrast of windows [N, 1, H, W] falls short of a share `least` of others', mean over windows."""
    return (least - _spread(made)[1] / _spread(held)[1]).clamp(min=0).mean()


def _spread(windows: Tensor) -> tuple[Tensor, Tensor]:
    """Differences from each window's mean [N, H · W], and their deviation [N]."""
    flat = windows.flatten(1)
    off = flat - flat.mean(1, keepdim=True)
    return off, (off.square().mean(1) + DARK).sqrt()


def _windows(
    images: Tensor, landmarks: Tensor, groups: tuple[str, ...], size: tuple[int, int], *, wide: float, high: float
) -> Tensor:
    """Grey windows about the left and then the right points of some groups, [2 B, 1, *size].

    They reach as far as the points, times `wide` to both sides, and up and down `high` times as far.
    """
    grey, (rows, columns) = images[:, :3].mean(1, keepdim=True), size
    windows = []
    for right in (False, True):
        points = landmarks[:, [point for name in groups for point in _half(name, right)]].detach()
        low, most = points.amin(1), points.amax(1)
        centre, reach = low + most - 1, most[:, :1] - low[:, :1]  # in the sampler's -1 … 1
        x = centre[:, :1] + torch.linspace(-1, 1, columns, device=images.device) * reach * wide
        y = centre[:, 1:] + torch.linspace(-1, 1, rows, device=images.device) * reach * high
        grid = torch.stack([x[:, None].expand(-1, rows, -1), y[:, :, None].expand(-1, -1, columns)], -1)
        windows.append(functional.grid_sample(grey, grid, padding_mode="border", align_corners=False))
    return torch.cat(windows)


def _coarse(difference: Tensor) -> Tensor:
    side = COARSE * difference.shape[-1] // 128 | 1
    for _ in range(2):
        difference = functional.avg_pool2d(difference, side, 1, side // 2, count_include_pad=False)
    return difference


def _half(name: str, right: bool) -> range:
    points = GROUPS[name]
    middle = (points.start + points.stop) // 2
    return range(middle, points.stop) if right else range(points.start, middle)
