"""Layers that several families have: dense layers with a run-time scale, mapping networks, filtering with FIR kernels.

Legend: B batch, C channels, H × W pixels; all float32, NCHW. Weights are stored as they were trained and scaled where
they are used ("equalised learning rate", Karras 2018), for rounding is then the originals'.
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

SLOPE = 0.2
"""Of every leaky rectifier."""

EPSILON = 1e-8


class Dense(nn.Module):
    """A fully connected layer, weight [out, in] times `gain`/√in · `rate`, bias times `rate`."""

    def __init__(self, inputs: int, outputs: int, *, gain: float = 1.0, rate: float = 1.0, bias: bool = True) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(outputs, inputs))
        self.bias = nn.Parameter(torch.empty(outputs)) if bias else None
        self._scale = gain / math.sqrt(inputs) * rate
        self._rate = rate

    def forward(self, x: Tensor) -> Tensor:
        """[B, in] → [B, out]."""
        return functional.linear(x, self.weight * self._scale, None if self.bias is None else self.bias * self._rate)


class Mapping(nn.Module):
    """z (and a label) → w: both normalised, then dense layers with leaky rectifiers.

    `weights` is the gain of the layers' weights and `activations` that behind the rectifier: √2 stands in the former in
    StyleGAN1, in the latter since StyleGAN2.
    """

    def __init__(
        self,
        latent: int,
        labels: int,
        embedding: int,
        widths: Sequence[int],
        *,
        rate: float,
        weights: float = 1.0,
        activations: float = math.sqrt(2.0),
    ) -> None:
        super().__init__()
        self.embed = Dense(labels, embedding) if labels else None
        inputs = [latent + (embedding if labels else 0), *widths[:-1]]
        self.layers = nn.ModuleList(
            Dense(one, out, gain=weights, rate=rate) for one, out in zip(inputs, widths, strict=True)
        )
        self._activations = activations

    def forward(self, z: Tensor, label: Tensor | None = None) -> Tensor:
        """z [B, d], one-hot labels [B, K] where the network has them → w [B, d_w]."""
        x = normalize(z)
        if self.embed is not None:
            if label is None:
                raise ValueError("this network wants a label")
            x = torch.cat([x, normalize(self.embed(label))], 1)
        for layer in self.layers:
            x = functional.leaky_relu(layer(x), SLOPE) * self._activations
        return x


def normalize(x: Tensor, dimension: int = 1) -> Tensor:
    """Divide by the root of the mean square over a dimension (pixel norm)."""
    # Divided by the root: torch's own 1/√ is a little off, and pixel norm after pixel norm makes more of it.
    return x / torch.sqrt(x.square().mean(dimension, keepdim=True) + EPSILON)


def truncate(w: Tensor, average: Tensor, layers: int, psi: float = 1.0, cutoff: int | None = None) -> Tensor:
    """w [B, d] → [B, layers, d], the first `cutoff` of them (all for None) drawn to the average by ψ."""
    whole = w.unsqueeze(1).repeat(1, layers, 1)
    stop = layers if cutoff is None else cutoff
    if psi != 1.0:
        whole[:, :stop] = average.lerp(whole[:, :stop], psi)
    return whole


def fir(taps: Sequence[float]) -> Tensor:
    """A FIR kernel [n, n] out of one dimension's taps, its sum 1, float64."""
    line = torch.tensor(list(taps), dtype=torch.float64)
    kernel = torch.outer(line, line)
    return kernel / kernel.sum()


def filtered(x: Tensor, kernel: Tensor, padding: tuple[int, int], gain: float = 1.0) -> Tensor:
    """Convolve every channel with a kernel [n, n], with `padding` before and behind (negative: cropped)."""
    low, high = padding
    return each_channel(functional.pad(x, (low, high, low, high)), kernel.flip(0, 1) * gain)


def each_channel(x: Tensor, kernel: Tensor, stride: tuple[int, int] = (1, 1)) -> Tensor:
    """Correlate every channel of [B, C, H, W] with one kernel [h, w]."""
    channels = x.shape[1]
    return functional.conv2d(x, kernel.expand(channels, 1, -1, -1), stride=stride, groups=channels)


def each_channel_up(x: Tensor, kernel: Tensor, stride: tuple[int, int]) -> Tensor:
    """Zeros between the pixels of every channel, and the whole convolution with one kernel [h, w]."""
    channels = x.shape[1]
    return functional.conv_transpose2d(x, kernel.expand(channels, 1, -1, -1), stride=stride, groups=channels)


def doubled(x: Tensor, kernel: Tensor) -> Tensor:
    """Enlarge ×2: zeros between the pixels, then the kernel with gain 4, so that sizes double exactly."""
    height, width = x.shape[2:]
    taps = kernel.shape[0]
    out = each_channel_up(x, kernel * 4, (2, 2))
    # That is the whole convolution: what padding would have kept is cut out of it.
    start = taps - 1 - (taps + 1) // 2
    bottom, right = 2 * height - (out.shape[2] - start), 2 * width - (out.shape[3] - start)
    return functional.pad(out, (-start, right, -start, bottom))


def shifted_sum(weight: Tensor) -> Tensor:
    """A kernel [..., 3, 3] summed over its four places in [..., 4, 4]: nearest-neighbour ×2 and it, in one.

    How ProGAN and StyleGAN1 fuse enlarging and convolution: not the same function as one after the other at borders.
    """
    wide = functional.pad(weight, (1, 1, 1, 1))
    return wide[..., 1:, 1:] + wide[..., :-1, 1:] + wide[..., 1:, :-1] + wide[..., :-1, :-1]


def nearest(x: Tensor, times: int = 2) -> Tensor:
    """Each pixel `times` × `times` times."""
    return functional.interpolate(x, scale_factor=times, mode="nearest") if times > 1 else x
