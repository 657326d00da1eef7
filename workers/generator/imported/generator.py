"""A Generator over any imported network: z_I to w, truncated, moved along directions as z_O says, painted."""

import copy
import hashlib
from collections import OrderedDict
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn

from app.dataset.model import ModelCard
from app.errors import Corrupt
from workers.generator.base import FloatImages, Latents, check_size
from workers.generator.editing.apart import mapping_of, moved_apart
from workers.generator.editing.directions import Direction, Steps, factors_of, load_directions
from workers.generator.editing.identities import Identities, load_identities
from workers.generator.imported.layers import truncate
from workers.generator.imported.network import ImportedNetwork
from workers.generator.imported.noise import noise_maps
from workers.generator.network import device_name, in_chunks
from workers.generator.weights import load_weights

BLOCKS_KEPT = 4
"""Of identities that were moved apart."""

SMALLEST = 64
"""Pixels a side of the smallest picture that is offered, where the network's own is larger."""


class Imported:
    """A Generator over an ImportedNetwork."""

    def __init__(
        self,
        card: ModelCard,
        network: ImportedNetwork,
        directions: list[Direction],
        device: torch.device,
        *,
        psi: float = 1.0,
        cutoff: int | None = None,
        label: int | None = None,
        identities: Identities | None = None,
    ) -> None:
        if not isinstance(network, nn.Module):
            raise TypeError("an imported network is a module")
        network.to(device).eval().requires_grad_(requires_grad=False)
        self._card = card
        self._directions = directions
        self._device = device
        self._network = network
        self._steps = Steps(directions, network.layers, device)
        self._psi, self._cutoff, self._label = psi, cutoff, label
        self._identities = identities or Identities()
        turn = self._identities.turn
        self._turn = None if turn is None else torch.tensor(turn, dtype=torch.float32, device=device)
        self._held = len(card.attributes)
        self._apart: OrderedDict[bytes, Latents] = OrderedDict()
        self._chunk = chunk_of(network.resolution, device.type)

    @property
    def card(self) -> ModelCard:
        """See Generator."""
        return self._card

    @property
    def device(self) -> str:
        """See Generator."""
        return device_name(self._device)

    @property
    def network(self) -> ImportedNetwork:
        """What paints."""
        return self._network

    def truncated(self, psi: float) -> "Imported":
        """See Truncating; raises ValueError for a network without a w to truncate."""
        if self._network.average is None:
            raise ValueError("this network has no w to truncate")
        if psi == self._psi:
            return self
        other = copy.copy(self)
        other._psi = psi
        return other

    def without_directions(self) -> "Imported":
        """The same network with nothing that z_O moves but the noise: what directions are sought with."""
        return self._with([], self._identities)

    def with_identities(self, identities: Identities) -> "Imported":
        """The same generator with another meaning of z_I."""
        return self._with(self._directions, identities)

    def _with(self, directions: list[Direction], identities: Identities) -> "Imported":
        return Imported(
            self._card,
            self._network,
            directions,
            self._device,
            psi=self._psi,
            cutoff=self._cutoff,
            label=self._label,
            identities=identities,
        )

    @property
    def repels(self) -> bool:
        """See Repelling."""
        return self._identities.apart is not None

    def apart(self, drawn: Latents) -> Latents:
        """See Repelling. The last blocks are kept: a block's samples come one batch after another."""
        how = self._identities.apart
        if how is None:
            return drawn
        key = hashlib.sha256(np.ascontiguousarray(drawn).tobytes()).digest()
        if key not in self._apart:
            to_w = mapping_of(cast("nn.Module", self._network), self._label, self._network.labels)
            self._apart[key] = moved_apart(drawn, self._identities.turn, self._held, how, to_w)
            while len(self._apart) > BLOCKS_KEPT:
                self._apart.popitem(last=False)
        return self._apart[key]

    def generate(self, identity: Latents, observation: Latents, width: int, height: int) -> FloatImages:
        """See Generator."""
        check_size(self._card, width, height)
        return self.painted(self.mapped(identity, observation), observation, width)

    def mapped(self, identity: Latents, observation: Latents) -> Latents:
        """z_I [N, d_I] and z_O [N, d_O] → what the synthesis takes, float32 [N, layers · d_w]: truncated and moved."""
        network = self._network
        made = in_chunks(
            lambda z, o: self._w(z, o).view(self._chunk, 1, network.layers, network.width),
            identity,
            observation,
            shape=(network.layers, network.width, 1),
            device=self._device,
            chunk=self._chunk,
        )
        return made.reshape(len(identity), network.layers * network.width)

    def painted(self, w: Latents, observation: Latents, width: int) -> FloatImages:
        """w [N, layers · d_w], with the noise that z_O [N, d_O] says → [N, H, W, 3] in [-1, 1], `width` pixels wide."""
        side = self._network.resolution
        images = in_chunks(self._painted, w, observation, shape=(side, side, 3), device=self._device, chunk=self._chunk)
        step = side // width
        if step == 1:
            return images
        whole = images.reshape(len(images), width, step, width, step, 3)
        return np.asarray(whole.mean((2, 4)), np.float32)

    def _w(self, z: Tensor, observation: Tensor) -> Tensor:
        network = self._network
        if self._turn is not None:
            z = z @ self._turn
        label = None
        if self._label is not None:
            label = torch.zeros(len(z), network.labels, device=z.device)
            label[:, self._label] = 1
        w = network.map(self._steps.in_z(z, observation), label)
        average = network.average
        whole = w[:, None] if average is None else truncate(w, average, network.layers, self._psi, self._cutoff)
        return self._steps.in_w(whole, observation)

    def _painted(self, flat: Tensor, observation: Tensor) -> Tensor:
        network = self._network
        w = flat.view(len(flat), network.layers, network.width)
        noise = None
        if network.noise_sizes:
            noise = noise_maps(observation[:, self._steps.count :].cpu().numpy(), network.maps_kept())
        return network.synthesize(w, noise).clamp(-1, 1)


def chunk_of(resolution: int, device: str) -> int:
    """Images that run through a network at once: as many as a few GiB hold, and for one size always the same."""
    pixels = (resolution / 256) ** 2
    return max(1, min(8, int(4 / pixels))) if device == "cpu" else max(4, min(128, int(64 / pixels)))


def sizes_of(resolution: int) -> list[list[int]]:
    """What a network of this resolution offers: its own size, and halves of it down to SMALLEST."""
    sizes = [resolution]
    while sizes[-1] // 2 >= SMALLEST:
        sizes.append(sizes[-1] // 2)
    return [[side, side] for side in sizes]


def load_imported(
    folder: Path, card: ModelCard, device: str, make: Callable[[Mapping[str, Any]], nn.Module]
) -> Imported:
    """Load an imported model's folder; raises Corrupt. `make` gives the network of the card's architecture."""
    where, extra = folder / "card.json", card.model_extra or {}
    try:
        values = extra["architecture"]
        with torch.device("meta"):
            network: Any = make(values)
    except (KeyError, TypeError, ValueError) as exc:
        raise Corrupt(f"{where} has an architecture that cannot be: {exc}") from exc
    directions = load_directions(
        folder, extra.get("directions"), {"Z": network.latent, "W": network.width}, network.layers
    )
    offered = {tuple(size) for size in sizes_of(network.resolution)}
    if wrong := [size for size in card.sizes if size not in offered]:
        raise Corrupt(f"{where} offers {wrong[0][0]}×{wrong[0][1]}, which its model does not make")
    try:
        factors = factors_of(directions, noise=bool(network.noise_sizes))
    except ValueError as exc:
        raise Corrupt(f"{where} has directions that cannot be: {exc}") from exc
    if card.latent.identity != network.latent or dict(card.latent.observation) != factors:
        raise Corrupt(
            f"{where} offers latents that its model does not have: identity {card.latent.identity}, observation "
            f"{dict(card.latent.observation)}; the model has {network.latent} and {factors}"
        )
    psi, cutoff = _truncation(where, extra.get("truncation"), network.layers)
    label = extra.get("label")
    if (label is None) != (not network.labels) or (label is not None and not _within(label, network.labels)):
        raise Corrupt(f"{where} names the label {label!r}; the model has {network.labels} labels")
    identities = load_identities(folder, extra.get("identities"), network.latent, network.width)
    load_weights(folder, card, network)
    return Imported(
        card, network, directions, torch.device(device), psi=psi, cutoff=cutoff, label=label, identities=identities
    )


def _within(value: Any, count: int) -> bool:
    return type(value) is int and 0 <= value < count


def _truncation(where: Path, said: Any, layers: int) -> tuple[float, int | None]:
    if said is None:
        return 1.0, None
    if not isinstance(said, dict) or set(said) != {"psi", "cutoff"}:
        raise Corrupt(f"{where} has a truncation that is not psi and cutoff")
    psi, cutoff = said["psi"], said["cutoff"]
    if isinstance(psi, bool) or not isinstance(psi, (int, float)) or not 0 <= psi <= 1:
        raise Corrupt(f"{where} has a truncation psi that is not within 0 … 1")
    if cutoff is not None and not _within(cutoff, layers + 1):
        raise Corrupt(f"{where} has a truncation cutoff that is not within 0 … {layers}")
    return float(psi), cutoff
