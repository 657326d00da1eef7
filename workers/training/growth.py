"""Growing: a network begins with what another has learned, of the same latents or, by their names, of others."""

import math
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from app.errors import RequestRefused
from workers.generator import latents as lt
from workers.generator.sdgan.generator import load_sdgan
from workers.generator.sdgan.network import GeneratorNetwork
from workers.generator.sdgan.told import told_names
from workers.training.checkpoint import read_module
from workers.training.loop import CHECKPOINT
from workers.training.trainer import Trainer

HEARING = ("mapping.0.weight", "geometry.0.weight")
"""Weights with a column for each latent and flag."""


@dataclass(frozen=True, kw_only=True)
class Grown:
    """What a network took over."""

    layers: tuple[str, ...]
    """Names of the weights that were taken, whole or in part."""
    begun: tuple[str, ...]
    """Latents and flags that the other does not have: they begin without effect."""
    dropped: tuple[str, ...]
    """Latents and flags of the other that are no more."""

    @property
    def told(self) -> str:
        """The same in a sentence; nothing where all latents are the same."""
        if not (self.begun or self.dropped):
            return ""
        return f"{len(self.begun)} latents and flags begin at zero; dropped are {_listed(self.dropped)}"


@torch.no_grad()
def grow(network: GeneratorNetwork, learned: dict[str, Tensor], columns: list[int | None] | None = None) -> list[str]:
    """Copy another network's weights into one as large or larger, and return the names of those that were taken.

    Equal shapes are copied. Where landmarks or strokes were added, their part of a layer begins at zero; so does
    what paints the new resolution: at first the larger network makes the smaller one's image, enlarged. (Of one that
    has strokes, not quite: what it painted at half of its own resolution is left behind.)

    `columns` says of each latent and flag which of the other's it is, or None for one that begins at zero; without it
    they are the same.
    """
    taken = []
    mean = learned.get("landmark_mean")
    other_landmarks = mean is not None and len(mean) != network.architecture.landmarks
    blocks = {name.split(".")[1] for name in learned if name.startswith("blocks.")}
    enlarged = network.underpaint is not None and len(blocks) < len(network.blocks)
    own: dict[str, nn.Parameter] = dict(network.named_parameters())
    for name, value in learned.items():
        target = own.get(name)
        if enlarged and name.startswith(("paint.", "mix.")):
            target = own.get("under" + name)
        if target is None or (other_landmarks and name.startswith("geometry.")):
            continue
        if columns is not None and name in HEARING and target.shape[0] == value.shape[0]:
            target.copy_(_by_columns(value, columns))
        elif target.shape == value.shape:
            target.copy_(value)
        elif name.endswith("place.weight") and target.shape[0] == value.shape[0]:
            target.zero_()
            target[:, : value.shape[1]].copy_(value)
        else:
            continue
        taken.append(name)
    if enlarged:
        network.paint.weight.zero_()
        if network.paint.bias is not None:
            network.paint.bias.zero_()
    return taken


def _by_columns(weight: Tensor, columns: list[int | None]) -> Tensor:
    """A weight [outputs, inputs] for other inputs: a linear layer's gain falls with their number, so weights rise."""
    found = weight.new_zeros(len(weight), len(columns))
    for place, column in enumerate(columns):
        if column is not None:
            found[:, place] = weight[:, column]
    return found * math.sqrt(len(columns) / weight.shape[1])


def grow_from(trainer: Trainer, folder: Path) -> Grown:
    """Begin a run with what is in a folder: a run's average of now, or an exported model (`grow_from_model`)."""
    if (folder / CHECKPOINT).exists():
        return grow_from_run(trainer, folder)
    return grow_from_model(trainer, folder)


def grow_from_run(trainer: Trainer, folder: Path) -> Grown:
    """Begin a run where another of the same network is now, with other settings or a larger corpus.

    Raises RequestRefused where the networks differ, Corrupt.
    """
    learned = read_module(folder / CHECKPOINT, "average")
    shapes = {name: value.shape for name, value in trainer.average.named_parameters()}
    differing = sorted(name for name in shapes if name not in learned or learned[name].shape != shapes[name])
    if differing:
        what = f"holds a run of another network ({_listed(tuple(differing), 2)}); export it, and grow from the model"
        raise RequestRefused([("grow_from", f"{folder} {what}")])
    layers: list[str] = []
    for network in trainer.networks:
        layers = grow(network, learned)
        trainer.forget_unseen(network)
    return Grown(layers=tuple(layers), begun=(), dropped=())


def grow_from_model(trainer: Trainer, folder: Path) -> Grown:
    """Begin a run with an exported model of the same or half its resolution; raises RequestRefused, Corrupt.

    Its latents may be of another layout: those with the same name in both go on meaning what they meant.
    """
    model = load_sdgan(folder, "cpu")
    smaller = model.network
    theirs, ours = smaller.architecture, trainer.architecture
    layout, meaning = lt.layout_of(model.card), trainer.layout.meaning
    latents = (theirs.identity, theirs.observation, theirs.flags) == (ours.identity, ours.observation, ours.flags)
    by_name = layout is not None and meaning is not None and theirs.flags > 0 and layout is not meaning
    fit = (latents or by_name) and (theirs.base, theirs.colours) == (ours.base, ours.colours)
    if not fit or theirs.resolution not in (ours.resolution, ours.resolution // 2):
        what = "latents without names, a base or a resolution"
        raise RequestRefused([("grow_from", f"{folder} has {what} that this cannot grow from")])
    learned, columns = smaller.state_dict(), None
    old: tuple[str, ...] = ()
    new: tuple[str, ...] = ()
    if by_name and layout is not None and meaning is not None:
        old, new = hearing_names(layout), hearing_names(meaning)
        places = {name: place for place, name in enumerate(old)}
        columns = [places.get(name) for name in new]
    layers: list[str] = []
    for network in trainer.networks:
        layers = grow(network, learned, columns)
        trainer.forget_unseen(network)
    return Grown(
        layers=tuple(layers),
        begun=tuple(name for name in new if name not in old),
        dropped=tuple(name for name in old if name not in new),
    )


def hearing_names(layout: lt.Layout) -> tuple[str, ...]:
    """Names of all that a network of a layout hears, in order: z_I, z_O, flags.

    Dimensions that spread over the whole head are the layout's own: another's modes are other shapes.
    """
    named = {place: name for name, place in layout.who.items() if place not in layout.shape}
    who = [f"z_I {named.get(k, f'shape {k} of layout {layout.version}')}" for k in range(layout.identity)]
    return (*who, *(f"z_O {name}" for name in layout.dimensions), *told_names(layout))


def _listed(names: tuple[str, ...], most: int = 8) -> str:
    shown = ", ".join(names[:most]) or "none"
    return shown if len(names) <= most else f"{shown} and {len(names) - most} more"
