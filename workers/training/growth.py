"""Growing: a network begins with what a smaller one has learned."""

from pathlib import Path

import torch
from torch import Tensor, nn

from app.errors import RequestRefused
from workers.generator.sdgan.generator import load_sdgan
from workers.generator.sdgan.network import GeneratorNetwork
from workers.training.trainer import Trainer


@torch.no_grad()
def grow(network: GeneratorNetwork, learned: dict[str, Tensor]) -> list[str]:
    """Copy a smaller network's weights into a larger one, and return the names of those that were taken.

    Equal shapes are copied. Where landmarks or strokes were added, their part of a layer begins at zero; so does
    what paints the new resolution: at first the larger network makes the smaller one's image, enlarged. (Of one that
    has strokes, not quite: what it painted at half of its own resolution is left behind.)
    """
    taken = []
    mean = learned.get("landmark_mean")
    other_landmarks = mean is not None and len(mean) != network.architecture.landmarks
    blocks = {name.split(".")[1] for name in learned if name.startswith("blocks.")}
    enlarged = network.underpaint is not None and len(blocks) < len(network.blocks)
    own: dict[str, nn.Parameter] = dict(network.named_parameters())
    for name, value in learned.items():
        target = own.get(name)
        if enlarged and name.startswith("paint."):
            target = own["under" + name]
        if target is None or (other_landmarks and name.startswith("geometry.")):
            continue
        if target.shape == value.shape:
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


def grow_from_model(trainer: Trainer, folder: Path) -> None:
    """Begin a run with an exported model of the same or half its resolution; raises RequestRefused, Corrupt."""
    smaller = load_sdgan(folder, "cpu").network
    theirs, ours = smaller.architecture, trainer.architecture
    fit = (theirs.identity, theirs.observation, theirs.flags, theirs.base, theirs.colours) == (
        ours.identity,
        ours.observation,
        ours.flags,
        ours.base,
        ours.colours,
    ) and theirs.resolution in (ours.resolution, ours.resolution // 2)
    if not fit:
        raise RequestRefused([("grow_from", f"{folder} has a layout, base or resolution that this cannot grow from")])
    for network in trainer.networks:
        grow(network, smaller.state_dict())
