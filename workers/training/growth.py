"""Growing: a network begins with what a smaller one has learned."""

import torch
from torch import Tensor, nn

from workers.generator.network import GeneratorNetwork


@torch.no_grad()
def grow(network: GeneratorNetwork, learned: dict[str, Tensor]) -> list[str]:
    """Copy a smaller network's weights into a larger one, and return the names of those that were taken.

    Equal shapes are copied. Where landmarks or strokes were added, their part of a layer begins at zero; so does
    what paints the new resolution: at first the larger network makes the smaller one's image, enlarged.
    """
    taken = []
    own: dict[str, nn.Parameter] = dict(network.named_parameters())
    for name, value in learned.items():
        target = own.get(name)
        if name.startswith("paint.") and network.underpaint is not None:
            target = own["under" + name]
        if target is None or name.startswith(("geometry.", "landmark_mean")):
            continue
        if target.shape == value.shape:
            target.copy_(value)
        elif name.endswith("place.weight") and target.shape[0] == value.shape[0]:
            target.zero_()
            target[:, : value.shape[1]].copy_(value)
        else:
            continue
        taken.append(name)
    if "paint.weight" in learned and network.underpaint is not None:
        network.paint.weight.zero_()
        if network.paint.bias is not None:
            network.paint.bias.zero_()
    return taken
