"""SD-BEGAN: the network of Donahue et al. (ICLR 2018) behind our protocol, for weights that `sdgan_web` imports.

Legend: its own latents u = [u_I ; u_O] are U(-1, 1), float32 [B, d_I + d_O]; ours are N(0, 1), with σ on z_O.
Images are float32 in [-1, 1], NCHW inside the network and NHWC outside.
"""

from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import erf
from torch import Tensor, nn
from torch.nn import functional

from app.dataset.model import ModelCard
from app.errors import Corrupt
from workers.generator.base import FloatImages, Latents, check_size
from workers.generator.cards import check_layout
from workers.generator.network import device_name, in_chunks
from workers.generator.sdbegan import FAMILY
from workers.generator.weights import load_weights

START = 8
"""Resolution of the first feature maps; each further stage doubles it."""

FACTOR = "residual"
"""Its one observation factor: its authors named no parts of z_O."""


@dataclass(frozen=True, kw_only=True)
class Architecture:
    """Sizes of the network, as the model card records them."""

    identity: int
    """Dimensions of u_I."""
    observation: int
    """Dimensions of u_O."""
    channels: int
    """Of every feature map."""
    resolution: int

    def __post_init__(self) -> None:
        """Raise ValueError for sizes that no such model has: a card must not make us allocate at will."""
        if self.resolution not in (8, 16, 32, 64, 128):
            raise ValueError(f"resolution {self.resolution} is not a power of two from 8 to 128")
        for name, most in (("identity", 1_024), ("observation", 1_024), ("channels", 256)):
            if not 1 <= getattr(self, name) <= most:
                raise ValueError(f"{name} {getattr(self, name)} is not within 1 … {most}")

    @property
    def convolutions(self) -> int:
        """Two at every resolution; the one that paints is not counted."""
        return 2 * (self.resolution // START).bit_length()


class Decoder(nn.Module):
    """u → image: fully connected to 8 × 8, then twice convolve (ELU) and double, with no normalisation anywhere."""

    def __init__(self, architecture: Architecture) -> None:
        super().__init__()
        a = self.architecture = architecture
        self.start = nn.Linear(a.identity + a.observation, a.channels * START * START)
        self.convolutions = nn.ModuleList(
            nn.Conv2d(a.channels, a.channels, 3, padding=1) for _ in range(a.convolutions)
        )
        self.paint = nn.Conv2d(a.channels, 3, 3, padding=1)

    def forward(self, u: Tensor) -> Tensor:
        """[B, d_I + d_O] → [B, 3, R, R], roughly in [-1, 1] (the caller clips)."""
        x = self.start(u).view(-1, self.architecture.channels, START, START)
        for number, convolution in enumerate(self.convolutions):
            if number and number % 2 == 0:
                x = functional.interpolate(x, scale_factor=2, mode="nearest")
            x = functional.elu(convolution(x))
        return self.paint(x)


def uniform(z: Latents) -> NDArray[np.float32]:
    """Map latents to the network's, u = 2Φ(z) - 1.

    z ~ N(0, 1) becomes exactly the U(-1, 1) it was trained with. An observation comes as σ·z: u stays within
    [-1, 1] at every σ, is 0 at σ = 0, uniform at σ = 1, and has standard deviation √(2/π · asin(σ² / (1 + σ²))).
    """
    return np.asarray(erf(np.asarray(z, np.float64) / np.sqrt(2)), np.float32)


def paint(network: Decoder, u: NDArray[np.float32], device: torch.device) -> FloatImages:
    """Run u [N, d_I + d_O] through a network on `device`, in chunks of one size; returns [N, R, R, 3] in [-1, 1]."""
    side = network.architecture.resolution
    return in_chunks(lambda chunk: network(chunk).clamp(-1, 1), u, shape=(side, side, 3), device=device)


class SdBegan:
    """A Generator over a Decoder."""

    def __init__(self, card: ModelCard, network: Decoder, device: torch.device) -> None:
        self._card = card
        self._device = device
        self._network = network.to(device).eval().requires_grad_(requires_grad=False)

    @property
    def card(self) -> ModelCard:
        """See Generator."""
        return self._card

    @property
    def device(self) -> str:
        """See Generator."""
        return device_name(self._device)

    def generate(self, identity: Latents, observation: Latents, width: int, height: int) -> FloatImages:
        """See Generator."""
        check_size(self._card, width, height)
        return paint(self._network, uniform(np.concatenate([identity, observation], 1)), self._device)


def load_sdbegan(folder: Path, device: str) -> SdBegan:
    """Load a model folder (card.json, weights.safetensors); raises Corrupt."""
    card = FAMILY.card(folder)
    architecture = _architecture(folder, card)
    side = architecture.resolution
    check_layout(
        folder,
        card,
        identity=architecture.identity,
        observation={FACTOR: (0, architecture.observation)},
        size=(side, side),
    )
    if card.attributes:
        raise Corrupt(
            f"{folder / 'card.json'} offers attributes, and nothing is known of what this model's latents mean"
        )
    with torch.device("meta"):
        network = Decoder(architecture)
    load_weights(folder, card, network)
    return SdBegan(card, network, torch.device(device))


def _architecture(folder: Path, card: ModelCard) -> Architecture:
    sizes = (card.model_extra or {}).get("architecture")
    names = {field.name for field in fields(Architecture)}
    if not isinstance(sizes, dict) or set(sizes) != names or not all(type(size) is int for size in sizes.values()):
        raise Corrupt(f"{folder / 'card.json'} has no architecture of whole numbers {', '.join(sorted(names))}")
    try:
        return Architecture(**sizes)
    except ValueError as exc:
        raise Corrupt(f"{folder / 'card.json'} has an architecture that cannot be: {exc}") from exc
