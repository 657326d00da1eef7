"""The judge of single images, after StyleGAN2's residual discriminator (Karras et al., 2020).

Legend: B images, C channels, R pixels a side. Weights are scaled where they are used, as the generator's are.
"""

import math
from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

from workers.generator.imported.layers import SLOPE

GROUP = 8
"""Images whose spread is looked at together, against mode collapse."""


class Convolution(nn.Module):
    """Weights [out, in, k, k] times 1/√(in · k²), bias, leaky rectifier unless told otherwise."""

    def __init__(self, inputs: int, outputs: int, kernel: int, *, bent: bool = True) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(outputs, inputs, kernel, kernel))
        self.bias = nn.Parameter(torch.zeros(outputs)) if bent else None
        self._scale = 1 / math.sqrt(inputs * kernel * kernel)

    def forward(self, x: Tensor) -> Tensor:
        """[B, C, R, R] → [B, C', R, R]."""
        weight = self.weight * self._scale
        made: Tensor = functional.conv2d(x, weight, self.bias, padding=weight.shape[-1] // 2)
        if self.bias is not None:
            made = functional.leaky_relu(made, SLOPE) * math.sqrt(2)
        return made


class Halving(nn.Module):
    """Two convolutions and a shortcut, to half the size."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.first = Convolution(inputs, inputs, 3)
        self.second = Convolution(inputs, outputs, 3)
        self.shortcut = Convolution(inputs, outputs, 1, bent=False)

    def forward(self, x: Tensor) -> Tensor:
        """[B, C, R, R] → [B, C', R/2, R/2]."""
        short: Tensor = self.shortcut(functional.avg_pool2d(x, 2))
        through: Tensor = self.second(functional.avg_pool2d(self.first(x), 2))
        return (through + short) * math.sqrt(0.5)


class ImageDiscriminator(nn.Module):
    """Is this image real?"""

    def __init__(self, channels: Sequence[int]) -> None:
        """`channels` are those at 4, 8 … pixels."""
        super().__init__()
        fine_first = list(reversed(channels))
        self.enter = Convolution(3, fine_first[0], 1)
        self.stages = nn.ModuleList(Halving(one, two) for one, two in pairwise(fine_first))
        width = fine_first[-1]
        self.last = Convolution(width + 1, width, 3)
        self.dense = Convolution(width, width, 4)
        self.answer = nn.Linear(width, 1)

    def forward(self, images: Tensor) -> Tensor:
        """Images [B, 3, R, R] in [-1, 1] → logits [B, 1]; positive means real."""
        x = self.enter(images.contiguous(memory_format=torch.channels_last))
        for stage in self.stages:
            x = stage(x)
        x = self.last(torch.cat([x, _spread(x)], 1))
        weight = self.dense.weight.flatten(1) * (1 / math.sqrt(self.dense.weight[0].numel()))
        x = functional.leaky_relu(functional.linear(x.flatten(1), weight, self.dense.bias), SLOPE) * math.sqrt(2)
        logits: Tensor = self.answer(x)
        return logits.float()


def _spread(x: Tensor) -> Tensor:
    """How much the images of a group differ, one plane each, [B, 1, R, R]."""
    group = next(size for size in range(min(GROUP, len(x)), 0, -1) if len(x) % size == 0)
    grouped = x.float().reshape(group, len(x) // group, *x.shape[1:])
    deviation = (grouped.var(0, unbiased=False) + 1e-8).sqrt().mean((1, 2, 3))
    return deviation.repeat(group)[:, None, None, None].expand(-1, 1, *x.shape[2:]).to(x.dtype)
