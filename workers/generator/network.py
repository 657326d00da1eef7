"""The SD-GAN generator's network: latents to a head over nothing.

Legend: B batch, R resolution (pixels a side, a power of two), C channels, K = 48 landmarks.
z_I [B, 64] and z_O [B, 28] float32; the output is [B, 4, R, R] float32, RGB multiplied by alpha and alpha, display
values, roughly in [0, 1] (the caller clips). Landmarks are [B, K, 2], x and y in [0, 1] from the top left.

A small network first places the landmarks; the image network is then told where they are by maps of soft spots, at
every resolution from 16 up. So convolutions paint eyes and mouths where they are, instead of having to find out.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

SLOPE = 0.2
"""Of the leaky rectifier."""

SPOT = 0.033
"""Standard deviation of a landmark's soft spot, over the image's width."""


@dataclass(frozen=True, kw_only=True)
class Architecture:
    """Sizes of the network, as the model card records them."""

    identity: int
    """Dimensions of z_I."""
    observation: int
    """Dimensions of z_O."""
    flags: int
    """Further features derived from both (thresholds' outcomes)."""
    landmarks: int
    resolution: int
    base: int = 24
    """Channels at resolution 64; others follow."""
    width: int = 256
    """Of the mapping networks."""

    def __post_init__(self) -> None:
        """Raise ValueError for sizes that no model of ours has: a card must not make us allocate at will."""
        if self.resolution not in (16, 32, 64, 128, 256):
            raise ValueError(f"resolution {self.resolution} is not a power of two from 16 to 256")
        for name, most in (
            ("identity", 1_024), ("observation", 1_024), ("flags", 1_024), ("landmarks", 512), ("base", 256),
            ("width", 2_048),
        ):  # fmt: skip
            if not 1 <= getattr(self, name) <= most:
                raise ValueError(f"{name} {getattr(self, name)} is not within 1 … {most}")

    def channels(self, resolution: int) -> int:
        """Channels of the feature maps at a resolution."""
        share = {4: 8.0, 8: 8.0, 16: 4.0, 32: 2.0, 64: 1.0, 128: 0.5, 256: 0.25}[resolution]
        return max(8, int(self.base * share))


class Linear(nn.Module):
    """A fully connected layer whose weights are scaled while it runs (equalised learning rate)."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(outputs, inputs))
        self.bias = nn.Parameter(torch.zeros(outputs))
        self.gain = 1 / math.sqrt(inputs)

    def forward(self, x: Tensor) -> Tensor:
        """[B, inputs] → [B, outputs]."""
        return functional.linear(x, self.weight * self.gain, self.bias)


def mapping(inputs: int, width: int, outputs: int, layers: int) -> nn.Sequential:
    """A stack of fully connected layers, rectified but for the last."""
    parts: list[nn.Module] = []
    for number in range(layers):
        parts.append(Linear(inputs if number == 0 else width, outputs if number == layers - 1 else width))
        if number < layers - 1:
            parts.append(nn.LeakyReLU(SLOPE))
    return nn.Sequential(*parts)


def spots(landmarks: Tensor, resolution: int) -> Tensor:
    """Draw a soft spot at every landmark: [B, K, 2] → [B, K, R, R] in [0, 1]."""
    places = (torch.arange(resolution, device=landmarks.device, dtype=landmarks.dtype) + 0.5) / resolution
    across, down = torch.exp(-0.5 * ((places - landmarks[..., None]) / SPOT) ** 2).unbind(2)  # [B, K, R] each
    return down[:, :, :, None] * across[:, :, None, :]


class Block(nn.Module):
    """Doubles the resolution: convolve, upsample, add the landmarks' spots, convolve; styled by w (AdaIN)."""

    def __init__(self, inputs: int, outputs: int, width: int, landmarks: int) -> None:
        super().__init__()
        # The first convolution stands before the upsampling: a quarter of the cost.
        self.first = nn.Conv2d(inputs, outputs, 3, padding=1)
        self.second = nn.Conv2d(outputs, outputs, 3, padding=1)
        self.first_style = Linear(width, 2 * outputs)
        self.second_style = Linear(width, 2 * outputs)
        self.place = nn.Conv2d(landmarks, outputs, 1) if landmarks else None

    def forward(self, x: Tensor, w: Tensor, places: Tensor | None) -> Tensor:
        """[B, C, R/2, R/2] → [B, C', R, R]; `places` is [B, K, R, R]."""
        x = functional.interpolate(self.first(x), scale_factor=2, mode="bilinear", align_corners=False)
        if self.place is not None and places is not None:
            x = x + self.place(places)
        x = _styled(x, self.first_style(w))
        return _styled(self.second(x), self.second_style(w))


def _styled(x: Tensor, style: Tensor) -> Tensor:
    scale, shift = style[:, :, None, None].chunk(2, 1)
    return functional.leaky_relu(functional.instance_norm(x) * (1 + scale) + shift, SLOPE)


class GeneratorNetwork(nn.Module):
    """(z_I, z_O, flags) → (head, landmarks)."""

    def __init__(self, architecture: Architecture) -> None:
        super().__init__()
        a = self.architecture = architecture
        features = a.identity + a.observation + a.flags
        self.landmark_mean = nn.Parameter(torch.full((a.landmarks, 2), 0.5))
        self.geometry = mapping(features, a.width, 2 * a.landmarks, layers=4)
        self.mapping = mapping(features, a.width, a.width, layers=3)
        self.start = Linear(a.width, a.channels(4) * 16)
        self.blocks = nn.ModuleList()
        resolution = 4
        while resolution < a.resolution:
            told = a.landmarks if 2 * resolution >= 16 else 0
            self.blocks.append(Block(a.channels(resolution), a.channels(2 * resolution), a.width, told))
            resolution *= 2
        self.paint = nn.Conv2d(a.channels(a.resolution), 4, 1)

    def forward(self, identity: Tensor, observation: Tensor, flags: Tensor) -> tuple[Tensor, Tensor]:
        """Returns the head [B, 4, R, R] and the landmarks [B, K, 2]."""
        a = self.architecture
        features = torch.cat([identity, observation, flags], 1)
        landmarks = self.landmark_mean + 0.1 * self.geometry(features).view(-1, a.landmarks, 2)
        w = functional.leaky_relu(self.mapping(features), SLOPE)
        x = functional.leaky_relu(self.start(w), SLOPE).view(-1, a.channels(4), 4, 4)
        for block in self.blocks:
            resolution = 2 * x.shape[-1]
            x = block(x, w, spots(landmarks, resolution) if resolution >= 16 else None)
        return self.paint(x), landmarks
