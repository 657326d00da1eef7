"""ProGAN (Karras et al., 2018), written from its paper's equations.

Legend: B batch, C channels, R pixels a side. z is normalised, brought to 4 × 4, and then convolved twice at every
resolution; each convolution is followed by a leaky rectifier and pixel norm. Images of every resolution can be
painted: the level of detail `lod` says how far from the full one, its fraction blends two of them.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from workers.generator.imported.checks import MOST_WIDTH, check_channels, check_resolution, check_whole, stages
from workers.generator.imported.layers import SLOPE, nearest, normalize, shifted_sum
from workers.generator.imported.network import Noise

GAIN = math.sqrt(2.0)


@dataclass(frozen=True, kw_only=True)
class Architecture:
    """Sizes of the network, as the model card records them."""

    latent: int
    resolution: int
    channels: tuple[int, ...]
    """At 4, 8 … resolution."""
    fused: tuple[bool, ...]
    """At 8, 16 … resolution: whether enlarging and convolution are one step."""
    lod: float = 0.0
    """Level of detail: 0 for the full resolution, 1 for half of it."""

    def __post_init__(self) -> None:
        """Raise ValueError for sizes that no such model has: a card must not make us allocate at will."""
        check_whole("latent", self.latent, 1, MOST_WIDTH)
        check_resolution("resolution", self.resolution)
        steps = len(stages(self.resolution))
        check_channels("channels", self.channels, steps)
        if len(self.fused) != steps - 1 or not all(isinstance(one, bool) for one in self.fused):
            raise ValueError(f"fused are not {steps - 1} booleans")
        if not 0 <= self.lod <= steps - 1:
            raise ValueError(f"lod {self.lod} is outside of 0 to {steps - 1}")


class Stage(nn.Module):
    """Two convolutions at one resolution, and what paints there."""

    def __init__(self, inputs: int, outputs: int, *, first: bool, fused: bool) -> None:
        super().__init__()
        self.grow = None if first else nn.Parameter(torch.empty(outputs, inputs, 3, 3))
        self.grow_bias = None if first else nn.Parameter(torch.empty(outputs))
        self.refine = nn.Parameter(torch.empty(outputs, outputs, 3, 3))
        self.refine_bias = nn.Parameter(torch.empty(outputs))
        self.paint = nn.Parameter(torch.empty(3, outputs, 1, 1))
        self.paint_bias = nn.Parameter(torch.empty(3))
        self._fused = fused

    def forward(self, x: Tensor) -> Tensor:
        """[B, C, R, R] → [B, C', 2R, 2R], or as large as before in the first stage."""
        if self.grow is not None and self.grow_bias is not None:
            weight = self.grow * (GAIN / math.sqrt(9 * self.grow.shape[1]))
            if self._fused:
                x = functional.conv_transpose2d(x, shifted_sum(weight).transpose(0, 1), stride=2, padding=1)
            else:
                x = functional.conv2d(nearest(x), weight, padding=1)
            x = _rectified(x, self.grow_bias)
        weight = self.refine * (GAIN / math.sqrt(9 * self.refine.shape[1]))
        return _rectified(functional.conv2d(x, weight, padding=1), self.refine_bias)

    def painted(self, x: Tensor) -> Tensor:
        """[B, C, R, R] → [B, 3, R, R]."""
        weight = self.paint / math.sqrt(self.paint.shape[1])
        return functional.conv2d(x, weight) + self.paint_bias[:, None, None]


def _rectified(x: Tensor, bias: Tensor) -> Tensor:
    return normalize(functional.leaky_relu(x + bias[:, None, None], SLOPE))


class ProGan(nn.Module):
    """z → image."""

    def __init__(self, architecture: Architecture) -> None:
        super().__init__()
        a = self.architecture = architecture
        self.start = nn.Parameter(torch.empty(a.channels[0], a.latent, 4, 4))
        self.start_bias = nn.Parameter(torch.empty(a.channels[0], 4, 4))
        inputs = (a.channels[0], *a.channels[:-1])
        self.stages = nn.ModuleList(
            Stage(one, out, first=number == 0, fused=number > 0 and a.fused[number - 1])
            for number, (one, out) in enumerate(zip(inputs, a.channels, strict=True))
        )
        self.latent = self.width = a.latent
        self.labels, self.layers, self.resolution = 0, 1, a.resolution
        self.noise_sizes: tuple[int, ...] = ()

    @property
    def _each(self) -> list[Stage]:
        return [stage for stage in self.stages if isinstance(stage, Stage)]

    @property
    def average(self) -> None:
        """See ImportedNetwork."""
        return None

    def map(self, z: Tensor, label: Tensor | None = None) -> Tensor:
        """See ImportedNetwork: z itself."""
        return z

    def maps_kept(self) -> list[Tensor]:
        """See ImportedNetwork."""
        return []

    def synthesize(self, w: Tensor, noise: Noise = None) -> Tensor:
        """See ImportedNetwork."""
        z = normalize(w[:, 0])
        weight = self.start * (GAIN / 4 / math.sqrt(self.start.shape[1]))
        x = torch.einsum("bz,czhw->bchw", z, weight) + self.start_bias
        x = normalize(functional.leaky_relu(x, SLOPE))
        lod = self.architecture.lod
        level, share = int(lod), lod - int(lod)
        image: Tensor | None = None
        for number, stage in enumerate(self._each):
            x = stage(x)
            above = len(self.stages) - 1 - number
            if above == level + 1 and share:
                image = nearest(stage.painted(x))
            if above == level:
                painted = stage.painted(x)
                image = painted if image is None else painted.lerp(image, share)
                return nearest(image, 1 << level)
        raise ValueError(f"lod {lod} is beyond the network")
