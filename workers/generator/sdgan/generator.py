"""The learned generator: an SD-GAN network out of safetensors, over a backdrop made by formula."""

from dataclasses import MISSING, fields
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from app.dataset.model import ModelCard
from app.errors import Corrupt
from workers.generator import latents as lt
from workers.generator.background import LATENTS, background
from workers.generator.base import FloatImages, Latents, check_size
from workers.generator.network import device_name, in_chunks
from workers.generator.parametric.composing import compose
from workers.generator.sdgan import FAMILY
from workers.generator.sdgan.network import Architecture, GeneratorNetwork
from workers.generator.sdgan.told import told, told_size
from workers.generator.weights import load_weights


class SdGan:
    """A Generator over a GeneratorNetwork."""

    def __init__(
        self, card: ModelCard, network: GeneratorNetwork, layout: lt.Layout | None, device: torch.device
    ) -> None:
        """`layout` is that of its latents; a network with flags has one."""
        self._card = card
        self._layout = layout
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

    @property
    def network(self) -> GeneratorNetwork:
        """What draws."""
        return self._network

    def generate(self, identity: Latents, observation: Latents, width: int, height: int) -> FloatImages:
        """See Generator."""
        check_size(self._card, width, height)
        architecture = self._network.architecture
        flags = np.zeros((len(identity), 0), np.float32)
        if self._layout is not None and architecture.flags:
            flags = told(identity, observation, self._layout)
        shape = (architecture.resolution, architecture.resolution, architecture.colours)
        heads = _smaller(in_chunks(self._paint, identity, observation, flags, shape=shape, device=self._device), width)
        if architecture.colours == 4:
            span = self._card.latent.observation["background"]
            heads = as_seen(heads, identity, observation, lt.layout_of(self._card), span)
        return np.asarray(heads.clip(0, 1) * 2 - 1, np.float32)

    def _paint(self, identity: Tensor, observation: Tensor, flags: Tensor) -> Tensor:
        """One chunk → pictures [chunk, 4 or 3, R, R] in [0, 1]: heads over nothing with alpha, or all there is."""
        heads, _ = self._network(identity, observation, flags)
        return heads.clamp(0, 1)


def _smaller(heads: FloatImages, width: int) -> FloatImages:
    """Heads [N, R, R, C] at a whole fraction of their size: means over squares, colours being multiplied by alpha."""
    count, own, _, channels = heads.shape
    step = own // width
    if step == 1:
        return heads
    return np.asarray(heads.reshape(count, width, step, width, step, channels).mean((2, 4)))


def as_seen(
    heads: FloatImages, identity: Latents, observation: Latents, layout: lt.Layout | None, backdrop: tuple[int, int]
) -> FloatImages:
    """Heads [N, H, W, 4] as their latents would have them seen: before a backdrop; of layout 2, through a camera, too.

    `backdrop` is where in z_O the latents of the backdrop lie.
    """
    if layout is lt.SECOND:
        return compose(heads, identity, observation)
    return before_backdrop(heads, observation[:, slice(*backdrop)])


def before_backdrop(heads: FloatImages, latents: Latents) -> FloatImages:
    """Heads [N, H, W, 4] in front of backdrops made by formula from their latents [N, 6]."""
    count, height, width, _ = heads.shape
    behind = np.asarray([background(row, height, width) for row in latents]).reshape(count, height, width, 3)
    return np.asarray(heads[..., :3] + (1 - heads[..., 3:]) * behind)


def load_sdgan(folder: Path, device: str) -> SdGan:
    """Load a model folder (card.json, weights.safetensors); raises Corrupt."""
    card = FAMILY.card(folder)
    architecture = _architecture(folder, card)
    latents = (architecture.identity, architecture.observation)
    if (card.latent.identity, card.latent.observation_size) != latents:
        raise Corrupt(f"{folder / 'card.json'} lists other latents than its architecture has")
    layout = lt.layout_of(card)
    if architecture.flags and (layout is None or architecture.flags != told_size(layout)):
        raise Corrupt(f"{folder / 'card.json'} speaks of latents that this version does not have")
    if architecture.colours == 4:
        start, stop = card.latent.observation.get("background", (0, 0))
        if stop - start != LATENTS:
            raise Corrupt(f"{folder / 'card.json'} has heads before a backdrop, and no latents for one")
    own = architecture.resolution
    if wrong := [size for size in card.sizes if size[0] != size[1] or size[0] > own or own % size[0]]:
        raise Corrupt(f"{folder / 'card.json'} offers {wrong[0][0]}×{wrong[0][1]}, which is no whole fraction of {own}")
    network = GeneratorNetwork(architecture)
    load_weights(folder, card, network)
    return SdGan(card, network, layout, torch.device(device))


def _architecture(folder: Path, card: ModelCard) -> Architecture:
    """What the card says of the network; what later versions added may be left out."""
    try:
        sizes = dict((card.model_extra or {})["architecture"])
        told = [field for field in fields(Architecture) if field.default is MISSING or field.name in sizes]
        return Architecture(**{field.name: int(sizes[field.name]) for field in told})
    except (KeyError, TypeError, ValueError) as exc:
        raise Corrupt(f"{folder / 'card.json'} has no complete architecture: {exc}") from exc
