"""The SD-GAN generator's network: latents to a head over nothing.

Legend: B batch, R resolution (pixels a side, a power of two), C channels, K landmarks, S maps of strokes.
z_I [B, 64] and z_O [B, 28] float32; the output is [B, 4, R, R] float32, RGB multiplied by alpha and alpha, display
values, roughly in [0, 1] (the caller clips). Landmarks are [B, K, 2], x and y in [0, 1] from the top left.

A small network first places the landmarks; the image network is then told where they are by maps of soft spots, and
of thin strokes along lids, lips, brows and spectacles, at every resolution from 16 up. So convolutions paint eyes and
mouths where they are, instead of having to find out.
"""

import math
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

from workers.generator import latents as lt
from workers.generator.landmarks import GLASSES, LANDMARKS, STROKES

SLOPE = 0.2
"""Of the leaky rectifier."""

SPOT = 0.033
"""Standard deviation of a landmark's soft spot, over the image's width."""

FINE_SPOT = 0.016
"""The same from resolution 128 up."""

STROKE_STEPS = 8
"""Points along each segment of a stroke."""


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
    strokes: int = 0
    """Maps of strokes: 0, or one for each of workers.generator.landmarks.STROKES."""
    placing: int = 0
    """Width of the network that places the landmarks; 0 for that of the mapping network."""
    fine: int = 0
    """Channels at resolution 128; 0 for half of those at 64."""
    colours: int = 4
    """4: RGB over nothing, and alpha; 3: RGB."""
    mixed: int = 0
    """Things whose colours it is told by the last of its flags, three each (`sdgan.told`): it paints how much of each
    there is in a pixel beside what it paints itself."""

    def __post_init__(self) -> None:
        """Raise ValueError for sizes that no model of ours has: a card must not make us allocate at will."""
        if self.resolution not in (16, 32, 64, 128, 256):
            raise ValueError(f"resolution {self.resolution} is not a power of two from 16 to 256")
        for name, least, most in (
            ("identity", 1, 1_024),
            ("observation", 1, 1_024),
            ("flags", 0, 1_024),
            ("landmarks", 0, 512),
            ("base", 1, 256),
            ("width", 1, 2_048),
            ("placing", 0, 2_048),
            ("fine", 0, 256),
            ("colours", 3, 4),
            ("mixed", 0, self.flags // 3),
        ):
            if not least <= getattr(self, name) <= most:
                raise ValueError(f"{name} {getattr(self, name)} is not within {least} … {most}")
        if self.strokes and (self.strokes, self.landmarks) != (len(STROKES), LANDMARKS):
            raise ValueError(f"{self.strokes} strokes over {self.landmarks} landmarks are none that this version draws")

    def channels(self, resolution: int) -> int:
        """Channels of the feature maps at a resolution."""
        share = {4: 8.0, 8: 8.0, 16: 4.0, 32: 2.0, 64: 1.0, 128: 0.5, 256: 0.25}[resolution]
        if resolution == 128 and self.fine:
            return self.fine
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


@dataclass(frozen=True)
class Sketch:
    """Where things are, for one resolution."""

    spots: Tensor
    """[B, K, R, R], or of half of that a side, in [0, 1]: each landmark's spot; 0 where it is not shown."""
    strokes: Tensor | None
    """[B, S, R, R] in [0, 1]."""

    def painted(self, weight: Tensor, resolution: int) -> Tensor | None:
        """What is drawn at a resolution through a 1 × 1 convolution of weight [C, K + S, 1, 1] → [B, C, R, R]."""
        count = self.spots.shape[1]
        painted: Tensor | None = None
        for maps, part in ((self.spots, weight[:, :count]), (self.strokes, weight[:, count:])):
            if maps is None or maps.shape[-1] != resolution:
                continue
            # A product of matrices for each image: a plain one, or a convolution, would copy all maps.
            each = part[:, :, 0, 0].to(maps.dtype).expand(len(maps), -1, -1)
            drawn = torch.bmm(each, maps.flatten(2)).view(len(maps), -1, resolution, resolution)
            painted = drawn if painted is None else painted + drawn
        return painted


FAINT = -40.0
"""Exponent below which a Gaussian is not followed: a product of two is then never too small for an ordinary float32,
with which processors reckon many times as fast as with subnormal ones. No pixel can tell."""


def profiles(places: Tensor, resolution: int, deviation: float) -> tuple[Tensor, Tensor]:
    """Gaussians about places [B, K, 2] along both axes: down and across, [B, K, R] each."""
    ticks = (torch.arange(resolution, device=places.device, dtype=places.dtype) + 0.5) / resolution
    exponents = -0.5 * ((ticks - places[..., None]) / deviation) ** 2
    across, down = torch.exp(exponents.clamp(min=FAINT)).unbind(2)
    return down, across


def spots(down: Tensor, across: Tensor) -> Tensor:
    """Draw soft spots from their profiles, [B, K, R] each → [B, K, R, R] in [0, 1]."""
    return down[:, :, :, None] * across[:, :, None, :]


def _stroke_points() -> tuple[Tensor, list[int]]:
    """Points along all strokes as mixtures of landmarks, [P, K], and how many belong to each map."""
    rows: list[Tensor] = []
    counts: list[int] = []
    for curves in STROKES:
        before = len(rows)
        for curve in curves:
            points = [*curve.points, curve.points[0]] if curve.closed else list(curve.points)
            for first, second in pairwise(points):
                for step in range(STROKE_STEPS):
                    row = torch.zeros(LANDMARKS)
                    row[first], row[second] = 1 - step / STROKE_STEPS, step / STROKE_STEPS
                    rows.append(row)
        counts.append(len(rows) - before)
    return torch.stack(rows), counts


class Block(nn.Module):
    """Doubles the resolution: convolve, upsample, add the landmarks' spots, convolve; styled by w (AdaIN)."""

    def __init__(self, inputs: int, outputs: int, width: int, maps: int) -> None:
        super().__init__()
        # The first convolution stands before the upsampling: a quarter of the cost.
        self.first = nn.Conv2d(inputs, outputs, 3, padding=1)
        self.second = nn.Conv2d(outputs, outputs, 3, padding=1)
        self.first_style = Linear(width, 2 * outputs)
        self.second_style = Linear(width, 2 * outputs)
        self.place = nn.Conv2d(maps, outputs, 1) if maps else None

    def forward(self, x: Tensor, w: Tensor, sketch: Sketch | None) -> Tensor:
        """[B, C, R/2, R/2] → [B, C', R, R]."""
        x = self._placed(self.first(x), sketch)
        x = self._placed(_doubled(x), sketch)
        if self.place is not None and self.place.bias is not None:
            x = x + self.place.bias.to(x.dtype)[:, None, None]
        x = _styled(x, self.first_style(w))
        return _styled(self.second(x), self.second_style(w))

    def _placed(self, x: Tensor, sketch: Sketch | None) -> Tensor:
        """With what the sketch holds for this resolution."""
        if self.place is None or sketch is None:
            return x
        painted = sketch.painted(self.place.weight, x.shape[-1])
        return x if painted is None else x + painted


def _doubled(x: Tensor) -> Tensor:
    # In mixed precision, autocast would widen it, and with it all that follows up to the next convolution.
    with torch.autocast(x.device.type, enabled=False):
        return functional.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)


def _styled(x: Tensor, style: Tensor) -> Tensor:
    """AdaIN and a rectifier: each map of x [B, C, R, R] to mean 0 and deviation 1, then scaled and shifted by `style`.

    Every map of every image is a channel of its own to a batch normalisation: one pass instead of three.
    """
    batch, channels, height, width = x.shape
    scale, shift = style.float().chunk(2, 1)
    maps = x.reshape(1, batch * channels, height, width)
    normed = functional.batch_norm(maps, None, None, (1 + scale).flatten(), shift.flatten(), training=True)
    return functional.leaky_relu(normed.view(batch, channels, height, width), SLOPE)


def _silent(inputs: int, outputs: int) -> nn.Conv2d:
    """A 1 × 1 convolution that begins without effect."""
    layer = nn.Conv2d(inputs, outputs, 1)
    for part in layer.parameters():
        nn.init.zeros_(part)
    return layer


class GeneratorNetwork(nn.Module):
    """(z_I, z_O, flags) → (picture, landmarks). A network of photographs knows neither flags nor landmarks."""

    def __init__(self, architecture: Architecture) -> None:
        super().__init__()
        a = self.architecture = architecture
        features = a.identity + a.observation + a.flags
        if a.landmarks:
            self.landmark_mean = nn.Parameter(torch.full((a.landmarks, 2), 0.5))
            self.geometry = mapping(features, a.placing or a.width, 2 * a.landmarks, layers=5 if a.placing else 4)
        self.mapping = mapping(features, a.width, a.width, layers=3)
        self.start = Linear(a.width, a.channels(4) * 16)
        self.blocks = nn.ModuleList()
        resolution = 4
        while resolution < a.resolution:
            maps = a.landmarks + a.strokes if 2 * resolution >= 16 else 0
            self.blocks.append(Block(a.channels(resolution), a.channels(2 * resolution), a.width, maps))
            resolution *= 2
        self.paint = nn.Conv2d(a.channels(a.resolution), a.colours, 1)
        self.mix = _silent(a.channels(a.resolution), a.mixed) if a.mixed else None
        self.undermix = _silent(a.channels(a.resolution // 2), a.mixed) if a.mixed and a.strokes else None
        self.underpaint: nn.Conv2d | None = None
        self._stroke_counts: list[int] = []
        if a.strokes:
            self.underpaint = nn.Conv2d(a.channels(a.resolution // 2), a.colours, 1)
            self.stroke_points, self._stroke_counts = _stroke_points()

    def forward(self, identity: Tensor, observation: Tensor, flags: Tensor) -> tuple[Tensor, Tensor]:
        """Returns the picture [B, 4 or 3, R, R] and the landmarks [B, K, 2]."""
        a = self.architecture
        features = torch.cat([identity, observation, flags], 1)
        landmarks = self.place(identity, observation, flags)
        w = functional.leaky_relu(self.mapping(features), SLOPE)
        x = functional.leaky_relu(self.start(w), SLOPE).view(-1, a.channels(4), 4, 4)
        under = None
        for block in self.blocks:
            if self.underpaint is not None and 2 * x.shape[-1] == a.resolution:
                under = _doubled(self._painted(x, flags, self.underpaint, self.undermix))
            resolution = 2 * x.shape[-1]
            told = a.landmarks > 0 and resolution >= 16
            x = block(x, w, self.sketch(landmarks, flags, resolution) if told else None)
        painted = self._painted(x, flags, self.paint, self.mix)
        return (painted if under is None else painted + under), landmarks

    def _painted(self, x: Tensor, flags: Tensor, paint: nn.Conv2d, mix: nn.Conv2d | None) -> Tensor:
        """[B, C, R, R] → a picture [B, 4 or 3, R, R]: what is painted, and the colours told, by their shares."""
        painted: Tensor = paint(x)
        if mix is None:
            return painted
        a = self.architecture
        told = 0.5 + 0.5 * flags[:, -3 * a.mixed :].view(-1, a.mixed, 3)
        shares = mix(x)
        rgb = torch.bmm(told.transpose(1, 2).to(shares.dtype), shares.flatten(2)).view(-1, 3, *shares.shape[2:])
        return painted + functional.pad(rgb, (0, 0, 0, 0, 0, a.colours - 3))  # alpha is painted alone

    @property
    def hearing(self) -> list[Linear]:
        """The layers that latents and flags go into, one column each, in their order."""
        stacks = [self.mapping, self.geometry] if self.architecture.landmarks else [self.mapping]
        return [layer for stack in stacks for layer in [stack[0]] if isinstance(layer, Linear)]

    def place(self, identity: Tensor, observation: Tensor, flags: Tensor) -> Tensor:
        """Landmarks [B, K, 2]; in full precision, for a pixel is less than bfloat16 tells apart."""
        if not self.architecture.landmarks:
            return identity.new_zeros(len(identity), 0, 2)
        features = torch.cat([identity, observation, flags], 1)
        with torch.autocast(features.device.type, enabled=False):
            placed: Tensor = self.geometry(features.float()).view(-1, self.architecture.landmarks, 2)
            return self.landmark_mean + 0.1 * placed

    def sketch(self, landmarks: Tensor, flags: Tensor, resolution: int) -> Sketch:
        """What the image network is told of the landmarks at a resolution."""
        device = landmarks.device.type
        narrow = torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else landmarks.dtype
        if not self.architecture.strokes:
            down, across = profiles(landmarks, resolution, SPOT)
            return Sketch(spots(down.to(narrow), across.to(narrow)), None)
        # A spot as wide as a pixel at half the resolution loses little by being painted there and enlarged with all
        # else: a quarter of the cost.
        side, deviation = (resolution // 2, FINE_SPOT) if resolution >= 128 else (min(resolution, 32), SPOT)
        down, across = profiles(landmarks, side, deviation)
        worn = (flags[:, lt.GLASSES_FLAG] > 0).to(landmarks.dtype)
        shown = torch.ones_like(landmarks[..., 0])
        shown[:, GLASSES.start : GLASSES.stop] = worn[:, None]
        drawn = spots((down * shown[..., None]).to(narrow), across.to(narrow))
        points = self.stroke_points.to(landmarks.device) @ landmarks
        stroke_down, stroke_across = profiles(points, resolution, max(0.006, 0.45 / resolution))
        maps = [
            1 - torch.exp(-(part_down.transpose(1, 2) @ part_across))
            for part_down, part_across in zip(
                torch.split(stroke_down, self._stroke_counts, 1),
                torch.split(stroke_across, self._stroke_counts, 1),
                strict=True,
            )
        ]
        maps[-1] = maps[-1] * worn[:, None, None]
        return Sketch(drawn, torch.stack(maps, 1).to(narrow))
