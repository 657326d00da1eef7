"""StyleGAN1 (Karras et al., 2019), written from its paper's equations.

Legend: B batch, C channels, R pixels a side. Every layer adds noise, one strength a channel, then bias, leaky
rectifier, instance norm, and a style of w: (scale + 1) · x + shift. Enlarging is nearest neighbour and a convolution
below 128 pixels, one transposed convolution from there on, and a blur either way.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from workers.generator.imported.checks import MOST_WIDTH, check_channels, check_resolution, check_whole, stages
from workers.generator.imported.layers import (
    EPSILON,
    SLOPE,
    Dense,
    Mapping,
    filtered,
    fir,
    nearest,
    shifted_sum,
)
from workers.generator.imported.network import Noise

GAIN = math.sqrt(2.0)
RATE = 0.01
FUSED_FROM = 128
BLUR = (1.0, 2.0, 1.0)


@dataclass(frozen=True, kw_only=True)
class Architecture:
    """Sizes of the network, as the model card records them."""

    latent: int
    mapping: tuple[int, ...]
    """Widths of the mapping's layers; the last is that of w."""
    resolution: int
    channels: tuple[int, ...]
    """At 4, 8 … resolution."""
    lod: float = 0.0

    def __post_init__(self) -> None:
        """Raise ValueError for sizes that no such model has: a card must not make us allocate at will."""
        check_whole("latent", self.latent, 1, MOST_WIDTH)
        if not 1 <= len(self.mapping) <= 32:
            raise ValueError(f"mapping has {len(self.mapping)} layers; 1 to 32 are known")
        for width in self.mapping:
            check_whole("mapping", width, 1, MOST_WIDTH)
        check_resolution("resolution", self.resolution)
        steps = len(stages(self.resolution))
        check_channels("channels", self.channels, steps)
        if not 0 <= self.lod <= steps - 1:
            raise ValueError(f"lod {self.lod} is outside of 0 to {steps - 1}")


class Epilogue(nn.Module):
    """Noise, bias, rectifier, instance norm, style."""

    def __init__(self, width: int, channels: int, side: int) -> None:
        super().__init__()
        self.bias = nn.Parameter(torch.empty(channels))
        self.noise_strength = nn.Parameter(torch.empty(channels))
        self.register_buffer("noise", torch.empty(side, side))
        self.style = Dense(width, 2 * channels)

    def forward(self, x: Tensor, w: Tensor, noise: Tensor) -> Tensor:
        """[B, C, R, R], w [B, d] → the same shape."""
        x = x + noise * self.noise_strength[:, None, None] + self.bias[:, None, None]
        x = functional.leaky_relu(x, SLOPE)
        x = x - x.mean((2, 3), keepdim=True)
        x = x * torch.rsqrt(x.square().mean((2, 3), keepdim=True) + EPSILON)
        scale, shift = self.style(w)[:, :, None, None].chunk(2, 1)
        return x * (scale + 1) + shift


class Stage(nn.Module):
    """Two layers at one resolution, and what paints there."""

    def __init__(self, a: Architecture, number: int) -> None:
        super().__init__()
        side, outputs, width = 4 << number, a.channels[number], a.mapping[-1]
        self.grow = nn.Parameter(torch.empty(outputs, a.channels[number - 1], 3, 3)) if number else None
        self.first = Epilogue(width, outputs, side)
        self.refine = nn.Parameter(torch.empty(outputs, outputs, 3, 3))
        self.second = Epilogue(width, outputs, side)
        self.paint = nn.Parameter(torch.empty(3, outputs, 1, 1))
        self.paint_bias = nn.Parameter(torch.empty(3))
        self._fused = side >= FUSED_FROM

    def forward(self, x: Tensor, w: tuple[Tensor, Tensor], noise: tuple[Tensor, Tensor], blur: Tensor) -> Tensor:
        """[B, C, R, R] → [B, C', 2R, 2R], or as large as before in the first stage."""
        if self.grow is not None:
            weight = self.grow * (GAIN / math.sqrt(9 * self.grow.shape[1]))
            if self._fused:
                x = functional.conv_transpose2d(x, shifted_sum(weight).transpose(0, 1), stride=2, padding=1)
            else:
                x = functional.conv2d(nearest(x), weight, padding=1)
            x = filtered(x, blur, (1, 1))
        x = self.first(x, w[0], noise[0])
        weight = self.refine * (GAIN / math.sqrt(9 * self.refine.shape[1]))
        return self.second(functional.conv2d(x, weight, padding=1), w[1], noise[1])

    def painted(self, x: Tensor) -> Tensor:
        """[B, C, R, R] → [B, 3, R, R]."""
        weight = self.paint / math.sqrt(self.paint.shape[1])
        return functional.conv2d(x, weight) + self.paint_bias[:, None, None]


class StyleGan1(nn.Module):
    """z → w → image."""

    def __init__(self, architecture: Architecture) -> None:
        super().__init__()
        a = self.architecture = architecture
        self.mapping = Mapping(a.latent, 0, 0, a.mapping, rate=RATE, weights=GAIN, activations=1.0)
        self.register_buffer("w_average", torch.empty(a.mapping[-1]))
        self.start = nn.Parameter(torch.empty(a.channels[0], 4, 4))
        self.stages = nn.ModuleList(Stage(a, number) for number in range(len(a.channels)))
        self.latent, self.labels, self.width = a.latent, 0, a.mapping[-1]
        self.layers = 2 * len(a.channels)
        self.resolution = a.resolution
        self.noise_sizes = tuple(side for side in stages(a.resolution) for _ in range(2))

    @property
    def _each(self) -> list[Stage]:
        return [stage for stage in self.stages if isinstance(stage, Stage)]

    @property
    def average(self) -> Tensor:
        """See ImportedNetwork."""
        return self.get_buffer("w_average")

    def map(self, z: Tensor, label: Tensor | None = None) -> Tensor:
        """See ImportedNetwork."""
        return self.mapping(z)

    def maps_kept(self) -> list[Tensor]:
        """See ImportedNetwork."""
        return [one.get_buffer("noise")[None, None] for stage in self._each for one in (stage.first, stage.second)]

    def synthesize(self, w: Tensor, noise: Noise = None) -> Tensor:
        """See ImportedNetwork."""
        maps = self.maps_kept() if noise is None else list(noise)
        blur = fir(BLUR).to(w)
        lod = self.architecture.lod
        level, share = int(lod), lod - int(lod)
        x = self.start[None].expand(len(w), -1, -1, -1)
        image: Tensor | None = None
        for number, stage in enumerate(self._each):
            one, two = 2 * number, 2 * number + 1
            x = stage(x, (w[:, one], w[:, two]), (maps[one], maps[two]), blur)
            above = len(self.stages) - 1 - number
            if above == level + 1 and share:
                image = nearest(stage.painted(x))
            if above == level:
                painted = stage.painted(x)
                image = painted if image is None else painted.lerp(image, share)
                return nearest(image, 1 << level)
        raise ValueError(f"lod {lod} is beyond the network")
