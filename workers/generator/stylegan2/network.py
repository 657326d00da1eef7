"""StyleGAN2 (Karras et al., 2020), written from its paper's equations.

Legend: B batch, C channels, R pixels a side, s styles, one a channel. Convolutions are modulated: weights times s,
demodulated by 1/√(Σ(w·s)² + 1e-8); as both factors belong to whole channels, the picture is scaled instead of the
weights. Enlarging is a transposed convolution followed by a FIR kernel. Images add up over resolutions (`skip`), or
come from the last one alone (`resnet`, `orig`).
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from workers.generator.imported.checks import MOST_WIDTH, check_channels, check_resolution, check_whole, stages
from workers.generator.imported.layers import EPSILON, SLOPE, Dense, Mapping, doubled, filtered, fir
from workers.generator.imported.network import Noise

FORMS = ("skip", "resnet", "orig")
RATE = 0.01
"""Learning rate of the mapping network over that of the rest."""


@dataclass(frozen=True, kw_only=True)
class Architecture:
    """Sizes of the network, as the model card records them."""

    latent: int
    labels: int
    embedding: int
    """Width of the embedded label; 0 without labels."""
    mapping: tuple[int, ...]
    """Widths of the mapping's layers; the last is that of w."""
    resolution: int
    channels: tuple[int, ...]
    """At 4, 8 … resolution."""
    form: str = "skip"
    clamp: float | None = None
    """Bound of every layer's values; None for none."""
    taps: tuple[float, ...] = (1.0, 3.0, 3.0, 1.0)
    """Of the FIR kernel."""

    def __post_init__(self) -> None:
        """Raise ValueError for sizes that no such model has: a card must not make us allocate at will."""
        check_whole("latent", self.latent, 1, MOST_WIDTH)
        check_whole("labels", self.labels, 0, MOST_WIDTH)
        check_whole("embedding", self.embedding, 1 if self.labels else 0, MOST_WIDTH if self.labels else 0)
        if not 1 <= len(self.mapping) <= 32:
            raise ValueError(f"mapping has {len(self.mapping)} layers; 1 to 32 are known")
        for width in self.mapping:
            check_whole("mapping", width, 1, MOST_WIDTH)
        check_resolution("resolution", self.resolution)
        check_channels("channels", self.channels, len(stages(self.resolution)))
        if self.form not in FORMS:
            raise ValueError(f"form {self.form!r} is not known ({', '.join(FORMS)})")
        if self.clamp is not None and not 0 < self.clamp < math.inf:
            raise ValueError(f"clamp {self.clamp} is not a number above 0")
        if not 1 <= len(self.taps) <= 16 or not all(math.isfinite(tap) for tap in self.taps) or not sum(self.taps):
            raise ValueError("taps are not 1 to 16 numbers with a sum")


class Layer(nn.Module):
    """A modulated 3 × 3 convolution, enlarging or not; noise, bias, leaky rectifier."""

    def __init__(self, a: Architecture, inputs: int, outputs: int, side: int, *, up: bool) -> None:
        super().__init__()
        self.affine = Dense(a.mapping[-1], inputs)
        self.weight = nn.Parameter(torch.empty(outputs, inputs, 3, 3))
        self.bias = nn.Parameter(torch.empty(outputs))
        self.noise_strength = nn.Parameter(torch.empty(()))
        self.register_buffer("noise", torch.empty(side, side))
        self._up = up
        self._clamp = a.clamp

    def forward(self, x: Tensor, w: Tensor, noise: Tensor, kernel: Tensor, gain: float = 1.0) -> Tensor:
        """[B, C, R, R], w [B, d] → [B, C', R or 2R, …]; `gain` scales what comes out, and its bound."""
        style = self.affine(w)
        squares = self.weight.square().sum((2, 3))
        demodulation = torch.rsqrt(style.square() @ squares.T + EPSILON)
        x = x * style[:, :, None, None]
        if self._up:
            taps = kernel.shape[0]
            before = (taps + 1) // 2 - 1
            x = functional.conv_transpose2d(x, self.weight.transpose(0, 1), stride=2)
            x = filtered(x, kernel, (before, taps - 2 - before), 4.0)
        else:
            x = functional.conv2d(x, self.weight, padding=1)
        x = x * demodulation[:, :, None, None] + noise * self.noise_strength
        x = functional.leaky_relu(x + self.bias[:, None, None], SLOPE) * (math.sqrt(2.0) * gain)
        return x if self._clamp is None else x.clamp(-self._clamp * gain, self._clamp * gain)


class Painter(nn.Module):
    """Features to RGB: a modulated 1 × 1 convolution without demodulation."""

    def __init__(self, a: Architecture, inputs: int) -> None:
        super().__init__()
        self.affine = Dense(a.mapping[-1], inputs)
        self.weight = nn.Parameter(torch.empty(3, inputs, 1, 1))
        self.bias = nn.Parameter(torch.empty(3))
        self._scale = 1 / math.sqrt(inputs)
        self._clamp = a.clamp

    def forward(self, x: Tensor, w: Tensor) -> Tensor:
        """[B, C, R, R], w [B, d] → [B, 3, R, R]."""
        style = self.affine(w) * self._scale
        x = functional.conv2d(x * style[:, :, None, None], self.weight) + self.bias[:, None, None]
        return x if self._clamp is None else x.clamp(-self._clamp, self._clamp)


class Stage(nn.Module):
    """What happens at one resolution."""

    def __init__(self, a: Architecture, number: int) -> None:
        super().__init__()
        side, outputs = 4 << number, a.channels[number]
        inputs = a.channels[number - 1] if number else outputs
        self.grow = Layer(a, inputs, outputs, side, up=True) if number else None
        self.refine = Layer(a, outputs, outputs, side, up=False)
        last = side == a.resolution
        self.paint = Painter(a, outputs) if last or a.form == "skip" else None
        self.skip = nn.Parameter(torch.empty(outputs, inputs, 1, 1)) if number and a.form == "resnet" else None

    @property
    def layers(self) -> int:
        """How many w it takes that no later stage takes again."""
        return 1 if self.grow is None else 2


class StyleGan2(nn.Module):
    """z → w → image."""

    def __init__(self, architecture: Architecture) -> None:
        super().__init__()
        a = self.architecture = architecture
        self.mapping = Mapping(a.latent, a.labels, a.embedding, a.mapping, rate=RATE)
        self.register_buffer("w_average", torch.empty(a.mapping[-1]))
        self.start = nn.Parameter(torch.empty(a.channels[0], 4, 4))
        self.stages = nn.ModuleList(Stage(a, number) for number in range(len(a.channels)))
        self.latent, self.labels, self.width = a.latent, a.labels, a.mapping[-1]
        self.layers = 2 * len(a.channels)
        self.resolution = a.resolution
        self.noise_sizes = (4, *(side for side in stages(a.resolution)[1:] for _ in range(2)))

    @property
    def _each(self) -> list[Stage]:
        return [stage for stage in self.stages if isinstance(stage, Stage)]

    @property
    def average(self) -> Tensor:
        """See ImportedNetwork."""
        return self.get_buffer("w_average")

    def map(self, z: Tensor, label: Tensor | None = None) -> Tensor:
        """See ImportedNetwork."""
        return self.mapping(z, label)

    def maps_kept(self) -> list[Tensor]:
        """See ImportedNetwork."""
        layers = [layer for stage in self._each for layer in (stage.grow, stage.refine) if layer is not None]
        return [layer.get_buffer("noise")[None, None] for layer in layers]

    def synthesize(self, w: Tensor, noise: Noise = None) -> Tensor:
        """See ImportedNetwork."""
        maps = iter(self.maps_kept() if noise is None else noise)
        kernel = fir(self.architecture.taps).to(w)
        residual = self.architecture.form == "resnet"
        x = self.start[None].expand(len(w), -1, -1, -1)
        image: Tensor | None = None
        number = 0
        for stage in self._each:
            if stage.grow is not None:
                before = x
                x = stage.grow(x, w[:, number], next(maps), kernel)
                number += 1
                half = math.sqrt(0.5) if residual else 1.0
                x = stage.refine(x, w[:, number], next(maps), kernel, half)
                if stage.skip is not None:
                    scale = math.sqrt(0.5) / math.sqrt(stage.skip.shape[1])
                    x = doubled(functional.conv2d(before, stage.skip * scale), kernel) + x
            else:
                x = stage.refine(x, w[:, number], next(maps), kernel)
            number += 1
            if image is not None:
                image = doubled(image, kernel)
            if stage.paint is not None:
                # The painter's w is that of the next stage's first layer.
                painted = stage.paint(x, w[:, number])
                image = painted if image is None else image + painted
        if image is None:
            raise ValueError("a network without a painter")
        return image
