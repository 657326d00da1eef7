"""What every imported network is to the rest: a mapping to w, and a synthesis out of one w a layer."""

from collections.abc import Sequence
from typing import Protocol

import torch
from torch import Tensor

Noise = Sequence[Tensor] | None
"""One map [B or 1, 1, R, R] a layer that takes noise; None for the maps that the network keeps."""


class ImportedNetwork(Protocol):
    """A network whose images are [B, 3, R, R], nominally in [-1, 1]."""

    latent: int
    """Dimensions of z."""
    labels: int
    """Classes that it was told of, 0 for none."""
    width: int
    """Dimensions of w; those of z where there is no mapping."""
    layers: int
    """How many w the synthesis takes; 1 where there is no mapping."""
    resolution: int
    noise_sizes: tuple[int, ...]
    """Pixels a side of each noise map; empty where the network takes none."""

    @property
    def average(self) -> Tensor | None:
        """The mean w [d_w], to which truncation draws; None where there is no mapping."""

    def map(self, z: Tensor, label: Tensor | None = None) -> Tensor:
        """z [B, d] → w [B, d_w]."""

    def synthesize(self, w: Tensor, noise: Noise = None) -> Tensor:
        """w [B, layers, d_w] → images [B, 3, R, R]."""

    def maps_kept(self) -> list[Tensor]:
        """The noise maps that the network keeps, [1, 1, R, R] each."""


def no_noise(network: ImportedNetwork, device: torch.device) -> list[Tensor]:
    """Maps of nought for every layer."""
    return [torch.zeros(1, 1, side, side, device=device) for side in network.noise_sizes]
