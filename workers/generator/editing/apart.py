"""Repulsion: identities of one block moved apart in z, so that no two of them are predicted to look alike.

Legend: B identities of a block, d dimensions of z; float64, on the processor, whatever paints: every machine that takes
part in a set comes to the same identities, and to the same ones for a sample alone as for the whole block.

After HyperFace and DisCo: gradient descent of max(0, cosine - margin)² over all pairs of the block, cosines being those
of templates as they are predicted from w. Each z keeps its length, and so stays among the network's own.
"""

import copy
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn

from workers.generator.base import Latents
from workers.generator.editing.identities import Apart

Map = Callable[[Tensor], Tensor]
"""z [B, d] → w [B, d_w], float64."""


def mapping_of(network: nn.Module, label: int | None, labels: int) -> Map:
    """A network's own mapping in double precision on the processor; z itself where it has none."""
    mapping = getattr(network, "mapping", None)
    if mapping is None:
        return lambda z: z
    exact: Map = copy.deepcopy(mapping).cpu().double()
    if label is None:
        return exact

    def labelled(z: Tensor) -> Tensor:
        one_hot = torch.zeros(len(z), labels, dtype=torch.float64)
        one_hot[:, label] = 1
        made: Tensor = exact(z, one_hot)  # type: ignore[call-arg]
        return made

    return labelled


def predicted(w: Tensor, how: Apart) -> Tensor:
    """Templates [B, k] of length 1 as they are predicted from w [B, d_w]."""
    likeness, middle, base = (torch.from_numpy(values) for values in (how.likeness, how.middle, how.base))
    return nn.functional.normalize(base + (w - middle) @ likeness.T, dim=1)


def moved_apart(drawn: Latents, turn: np.ndarray | None, held: int, how: Apart, to_w: Map) -> Latents:
    """z_I [B, d] of a whole block, moved apart; the first `held` dimensions, which are attributes', stay."""
    start = torch.from_numpy(drawn.astype(np.float64))
    turned = None if turn is None else torch.from_numpy(turn)
    lengths = start[:, held:].norm(dim=1, keepdim=True)
    z = start.clone()
    own = ~torch.eye(len(z), dtype=torch.bool)
    for _ in range(how.steps):
        z.requires_grad_()
        with torch.enable_grad():
            templates = predicted(to_w(z if turned is None else z @ turned), how)
            over = ((templates @ templates.T)[own] - how.margin).clamp(min=0)
            (gradient,) = torch.autograd.grad(over.square().sum(), z)
        gradient = gradient[:, held:]
        z = z.detach()
        # Those that nothing is near stay where they are; the nearer a neighbour, the farther the step.
        size = gradient.norm(dim=1, keepdim=True)
        most = float(size.max())
        if most == 0:
            break
        free = z[:, held:] - gradient / most * how.stride * lengths
        z[:, held:] = free / free.norm(dim=1, keepdim=True) * lengths
    return np.asarray(z.numpy(), np.float32)
