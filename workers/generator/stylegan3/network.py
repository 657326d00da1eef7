"""StyleGAN3, T and R (Karras et al., 2021), from its paper's equations: alias-free layers over Fourier features.

Legend: B batch, C channels, S pixels a side of a layer with its margin, rates in samples over the picture's width,
cut-offs in cycles. A layer convolves with modulated weights, then enlarges, rectifies and shrinks with FIR filters, so
that the rectifier adds no frequency above the layer's cut-off. The filters are stored with the weights.
"""

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from workers.generator.imported.checks import MOST_CHANNELS, MOST_WIDTH, check_resolution, check_whole
from workers.generator.imported.layers import EPSILON, SLOPE, Dense, Mapping, each_channel, each_channel_up
from workers.generator.imported.network import Noise

RATE = 0.01
FILTER = 6
"""Taps of a filter over the factor by which it enlarges or shrinks."""
OUTPUT_SCALE = 0.25


@dataclass(frozen=True, kw_only=True)
class Architecture:
    """Sizes of the network, as the model card records them."""

    latent: int
    labels: int
    embedding: int
    mapping: tuple[int, ...]
    resolution: int
    channel_base: int
    channel_max: int
    layers: int = 14
    """Without the input and the one that paints."""
    critical: int = 2
    """Layers at the end that are sampled as densely as the picture."""
    kernel: int = 3
    """Side of the convolutions: 3 in T, 1 in R."""
    radial: bool = False
    """Whether shrinking filters are radially symmetric, as in R."""
    first_cutoff: float = 2.0
    first_stopband: float = 2.0**2.1
    last_stopband: float = 2.0**0.3
    """Over the last cut-off."""
    margin: int = 10
    """Pixels around the picture in every layer."""
    clamp: float | None = 256.0

    def __post_init__(self) -> None:
        """Raise ValueError for sizes that no such model has: a card must not make us allocate at will."""
        check_whole("latent", self.latent, 1, MOST_WIDTH)
        check_whole("labels", self.labels, 0, MOST_WIDTH)
        check_whole("embedding", self.embedding, 1 if self.labels else 0, MOST_WIDTH if self.labels else 0)
        if not 1 <= len(self.mapping) <= 32:
            raise ValueError(f"mapping has {len(self.mapping)} layers; 1 to 32 are known")
        for width in self.mapping:
            check_whole("mapping", width, 1, MOST_WIDTH)
        check_resolution("resolution", self.resolution, 16)
        check_whole("channel_base", self.channel_base, 1, 2**20)
        check_whole("channel_max", self.channel_max, 1, MOST_CHANNELS)
        check_whole("layers", self.layers, 2, 64)
        check_whole("critical", self.critical, 0, self.layers - 1)
        if self.kernel not in (1, 3):
            raise ValueError(f"kernel {self.kernel} is not 1 or 3")
        check_whole("margin", self.margin, 0, 64)
        within = self.first_cutoff < self.resolution / 2
        if not (
            within and all(0.1 <= value <= 64 for value in (self.first_cutoff, self.first_stopband, self.last_stopband))
        ):
            raise ValueError("cut-offs or stop bands are not within 0.1 … 64, or above the picture's")
        if self.clamp is not None and not 0 < self.clamp < math.inf:
            raise ValueError(f"clamp {self.clamp} is not a number above 0")


@dataclass(frozen=True, kw_only=True)
class Plan:
    """How one layer resamples."""

    inputs: int
    outputs: int
    size: int
    """Pixels a side that come out."""
    kernel: int
    up: int
    down: int
    up_taps: int
    down_taps: int
    radial: bool
    padding: tuple[int, int]
    paints: bool


@dataclass(frozen=True, kw_only=True)
class Start:
    """The Fourier features."""

    channels: int
    size: int
    rate: float
    bandwidth: float


def plan(a: Architecture) -> tuple[Start, tuple[Plan, ...]]:
    """Sizes, rates and filters of every layer: cut-offs and stop bands grow geometrically up to the critical layers."""
    count = a.layers + 1
    growth = np.minimum(np.arange(count) / (a.layers - a.critical), 1)
    last = a.resolution / 2
    cutoffs = a.first_cutoff * (last / a.first_cutoff) ** growth
    stopbands = a.first_stopband * (last * a.last_stopband / a.first_stopband) ** growth
    rates = np.exp2(np.ceil(np.log2(np.minimum(stopbands * 2, a.resolution)))).astype(int)
    sizes = rates + 2 * a.margin
    sizes[-2:] = a.resolution
    channels = np.rint(np.minimum(a.channel_base / 2 / cutoffs, a.channel_max)).astype(int)
    channels[-1] = 3
    if channels.min() < 1:
        raise ValueError(f"channel_base {a.channel_base} leaves a layer without channels")
    plans = []
    for number in range(count):
        before, paints = max(number - 1, 0), number == a.layers
        dense = int(max(rates[before], rates[number])) * (1 if paints else 2)
        up, down = dense // int(rates[before]), dense // int(rates[number])
        up_taps = FILTER * up if up > 1 and not paints else 1
        down_taps = FILTER * down if down > 1 and not paints else 1
        kernel = 1 if paints else a.kernel
        wanted = (int(sizes[number]) - 1) * down + 1 + up_taps + down_taps - 2
        total = wanted - (int(sizes[before]) + kernel - 1) * up
        low = (total + up) // 2
        plans.append(
            Plan(
                inputs=int(channels[before]),
                outputs=int(channels[number]),
                size=int(sizes[number]),
                kernel=kernel,
                up=up,
                down=down,
                up_taps=up_taps,
                down_taps=down_taps,
                radial=a.radial and number < a.layers - a.critical and down_taps > 1,
                padding=(low, total - low),
                paints=paints,
            )
        )
    start = Start(channels=int(channels[0]), size=int(sizes[0]), rate=float(rates[0]), bandwidth=float(cutoffs[0]))
    return start, tuple(plans)


class Features(nn.Module):
    """Fourier features, turned and moved as w says."""

    def __init__(self, width: int, start: Start) -> None:
        super().__init__()
        self.affine = Dense(width, 4)
        self.weight = nn.Parameter(torch.empty(start.channels, start.channels))
        self.register_buffer("frequencies", torch.empty(start.channels, 2))
        self.register_buffer("phases", torch.empty(start.channels))
        self.register_buffer("transform", torch.empty(3, 3))
        self._start = start

    def forward(self, w: Tensor) -> Tensor:
        """w [B, d] → [B, C, S, S]."""
        start = self._start
        turn = self.affine(w)
        turn = turn / turn[:, :2].norm(dim=1, keepdim=True)
        cosine, sine, right, down = turn.unbind(1)
        none, one = torch.zeros_like(cosine), torch.ones_like(cosine)
        rotation = torch.stack([cosine, -sine, none, sine, cosine, none, none, none, one], 1).view(-1, 3, 3)
        movement = torch.stack([one, none, -right, none, one, -down, none, none, one], 1).view(-1, 3, 3)
        whole = rotation @ movement @ self.get_buffer("transform")
        waves = self.get_buffer("frequencies")
        phases = self.get_buffer("phases") + (waves @ whole[:, :2, 2:]).squeeze(2)
        waves = waves @ whole[:, :2, :2]
        over = (waves.norm(dim=2) - start.bandwidth) / (start.rate / 2 - start.bandwidth)
        strength = (1 - over).clamp(0, 1)
        reach = start.size / start.rate / 2
        middles = (torch.arange(start.size, device=w.device, dtype=w.dtype) * 2 + 1) / start.size - 1
        y, x = torch.meshgrid(middles * reach, middles * reach, indexing="ij")
        places = torch.stack([x, y], 2).view(-1, 2)
        values = torch.sin((places @ waves.transpose(1, 2) + phases[:, None]) * (2 * math.pi)) * strength[:, None]
        values = values @ (self.weight / math.sqrt(start.channels)).T
        return values.transpose(1, 2).reshape(-1, start.channels, start.size, start.size)


class Layer(nn.Module):
    """A modulated convolution and a rectifier between two filters."""

    def __init__(self, width: int, p: Plan, clamp: float | None) -> None:
        super().__init__()
        self.affine = Dense(width, p.inputs)
        self.weight = nn.Parameter(torch.empty(p.outputs, p.inputs, p.kernel, p.kernel))
        self.bias = nn.Parameter(torch.empty(p.outputs))
        self.register_buffer("magnitude", torch.empty(()))
        if p.up_taps > 1:
            self.register_buffer("up_filter", torch.empty(p.up_taps))
        if p.down_taps > 1:
            shape = (p.down_taps, p.down_taps) if p.radial else (p.down_taps,)
            self.register_buffer("down_filter", torch.empty(shape))
        self._plan = p
        self._clamp = clamp

    def forward(self, x: Tensor, w: Tensor) -> Tensor:
        """[B, C, S, S], w [B, d] → [B, C', S', S']."""
        p = self._plan
        style = self.affine(w)
        weight: Tensor = self.weight
        if p.paints:
            style = style / math.sqrt(p.inputs)
        else:
            weight = weight * torch.rsqrt(weight.square().mean((1, 2, 3), keepdim=True))
            # The originals take the mean over the whole batch: a factor that demodulation takes out again, but for
            # rounding. Over the sample's own styles the picture does not depend on what else is drawn with it.
            style = style * torch.rsqrt(style.square().mean(1, keepdim=True))
        x = x * (style * torch.rsqrt(self.get_buffer("magnitude")))[:, :, None, None]
        x = functional.conv2d(x, weight, padding=p.kernel - 1)
        if not p.paints:
            squares = weight.square().sum((2, 3))
            x = x * torch.rsqrt(style.square() @ squares.T + EPSILON)[:, :, None, None]
        x = x + self.bias[:, None, None]
        x = enlarged(x, self.get_buffer("up_filter") if p.up_taps > 1 else None, p.up, p.padding)
        if not p.paints:
            x = functional.leaky_relu(x, SLOPE) * math.sqrt(2.0)
        if self._clamp is not None:
            x = x.clamp(-self._clamp, self._clamp)
        return shrunk(x, self.get_buffer("down_filter") if p.down_taps > 1 else None, p.down)


def enlarged(x: Tensor, taps: Tensor | None, times: int, padding: tuple[int, int]) -> Tensor:
    """Zeros between the pixels, padding, a filter [n] along both axes, gain `times`²; without taps, padding only."""
    low, high = padding
    if taps is None:
        if times != 1:
            raise ValueError("a picture cannot be enlarged without a filter")
        return functional.pad(x, (low, high, low, high))
    count, line = len(taps), taps * times
    # Each transposed convolution gives the whole convolution: what padding would have kept is cut out of it.
    start = count - 1 - low
    height, width = (side * times + low + high - count + 1 for side in x.shape[2:])
    x = each_channel_up(x, line[:, None], (times, 1))
    x = functional.pad(x, (0, 0, -start, height - (x.shape[2] - start)))
    x = each_channel_up(x, line[None], (1, times))
    return functional.pad(x, (-start, width - (x.shape[3] - start)))


def shrunk(x: Tensor, taps: Tensor | None, times: int) -> Tensor:
    """A filter [n] along both axes or [n, n], and every `times`-th pixel of what is whole."""
    if taps is None:
        return x[:, :, ::times, ::times]
    if taps.ndim == 2:
        return each_channel(x, taps.flip(0, 1), (times, times))
    line = taps.flip(0)
    return each_channel(each_channel(x, line[:, None], (times, 1)), line[None], (1, times))


class StyleGan3(nn.Module):
    """z → w → image."""

    def __init__(self, architecture: Architecture) -> None:
        super().__init__()
        a = self.architecture = architecture
        self.mapping = Mapping(a.latent, a.labels, a.embedding, a.mapping, rate=RATE)
        self.register_buffer("w_average", torch.empty(a.mapping[-1]))
        start, plans = plan(a)
        self.features = Features(a.mapping[-1], start)
        self.stack = nn.ModuleList(Layer(a.mapping[-1], p, a.clamp) for p in plans)
        self.latent, self.labels, self.width = a.latent, a.labels, a.mapping[-1]
        self.layers = len(plans) + 1
        self.resolution = a.resolution
        self.noise_sizes: tuple[int, ...] = ()

    @property
    def average(self) -> Tensor:
        """See ImportedNetwork."""
        return self.get_buffer("w_average")

    def map(self, z: Tensor, label: Tensor | None = None) -> Tensor:
        """See ImportedNetwork."""
        return self.mapping(z, label)

    def maps_kept(self) -> list[Tensor]:
        """See ImportedNetwork."""
        return []

    def synthesize(self, w: Tensor, noise: Noise = None) -> Tensor:
        """See ImportedNetwork."""
        x = self.features(w[:, 0])
        for number, layer in enumerate(self.stack, 1):
            x = layer(x, w[:, number])
        return x * OUTPUT_SCALE
