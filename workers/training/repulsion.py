"""Different people kept apart, and one person together, in a matcher's space.

Renders share a skin, a pair of eyes and a brow, and a network that learns them crowds its identities into one corner of
every matcher's space: at a threshold that is right for photographs most of them match each other. Repulsion asks a
differentiable matcher how alike two identities look, and pushes those apart that are more alike than strangers are;
mated pairs at every σ are drawn together. What a matcher says may be met by patterns that no eye sees: so it is shown
disturbed images, and the network that the run began with holds what may not change (workers.training.holding). Judge
the result by a matcher that had no say.

Legend: B = 2 P images of P pairs (item i and P + i share z_I), T templates of earlier steps, D dimensions.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from workers.generator import latents as lt
from workers.generator.sdgan.network import GeneratorNetwork
from workers.training.disturbance import disturbed
from workers.training.holding import held_losses
from workers.training.layout import Layout
from workers.training.seen import before
from workers.training.spec import TrainingSpec
from workers.training.streams import REPELLED, stream

KEPT = 240
"""T: templates of earlier steps that a batch is pushed away from as well; so many more pairs cost nothing."""

TAIL = 2.0
"""Of the squared excess beside the plain one: pairs that are far too alike count most."""

FRESH_SIGMA = (0.2, 1.6)
"""σ of pairs that are drawn afresh, uniform between these: mated pairs at every σ keep the knob in order."""

WEARERS = 3
"""One in so many pairs that are drawn afresh has glasses, more than are usual: frames are thin, and easily lost."""

WORN = ("glasses", "headwear", "mask")
"""Flags of what comes and goes between images of one person."""

Draw = Callable[[GeneratorNetwork, Tensor, Tensor, Tensor], tuple[Tensor, Tensor]]
"""(network, z_I, z_O, flags) → images and landmarks."""


class Kept(nn.Module):
    """The newest KEPT templates of identities that were drawn afresh; a part of the checkpoint."""

    templates: Tensor

    def __init__(self, dimensions: int = 128) -> None:
        super().__init__()
        self.register_buffer("templates", torch.zeros(KEPT, dimensions))

    def add(self, templates: Tensor) -> None:
        """Put the newest [N, D] in front and let the oldest go."""
        self.templates.copy_(torch.cat([templates.detach(), self.templates])[:KEPT])

    @property
    def filled(self) -> Tensor:
        """Those that are there, [0 … T, D]."""
        return self.templates[self.templates.square().sum(1) > 0]


@dataclass(frozen=True, kw_only=True)
class Repelled:
    """What repulsion adds to a step."""

    images: Tensor
    """[2 · pairs, 4, R, R] of pairs that were drawn afresh, for the judge to look at too."""
    loss: Tensor
    """Repulsion and all that holds it, weighed."""
    told: dict[str, Tensor]
    """Single losses by name, for the log."""


class Repulsion:
    """Repulsion with its state: the network that holds, and templates of earlier steps."""

    def __init__(
        self,
        spec: TrainingSpec,
        layout: Layout,
        held: GeneratorNetwork,
        *,
        draw: Draw,
        look: Callable[[Tensor], Tensor],
        device: torch.device,
    ) -> None:
        """`draw` runs a network, `look` gives templates [B, D] of images [B, 3, R, R]."""
        self._spec = spec
        self._layout = layout
        self._flip = layout.labels is None or layout.labels.mirror is not None
        self._draw = draw
        self._look = look
        self._device = device
        self.held = held.to(device).eval().requires_grad_(requires_grad=False)
        self._kept = Kept().to(device)

    @property
    def modules(self) -> dict[str, nn.Module]:
        """What a checkpoint must hold of it."""
        return {"held": self.held, "kept": self._kept}

    def step(self, iteration: int, generator: GeneratorNetwork, made: Tensor, flags: Tensor) -> Repelled:
        """Draw pairs afresh and push all identities apart, those of the batch's images `made` [2 P, 4, R, R] too.

        `flags` [2 P, F] are the batch's.
        """
        spec = self._spec
        rng = stream(spec.seed, REPELLED, iteration)
        latents = self._latents(rng)
        fresh, landmarks = self._draw(generator, *latents)
        with torch.no_grad():
            before, _ = self._draw(self.held, *latents)
        held = held_losses(fresh, before.clamp(0, 1), landmarks, latents[2])
        (new_first, new_second), (first, second) = fresh.chunk(2), made.chunk(2)
        random = torch.Generator().manual_seed(int(rng.integers(2**62)))
        templates = self._look(
            disturbed(
                _before_grey(torch.cat([new_first, first, new_second, second]), random, self._layout.labels),
                random,
                flip=self._flip,
            )
        )
        repulsion = repulsion_loss(templates, self._kept.filled, spec.repulsion_margin)
        # To draw a face with glasses or a cap to itself without them would teach the network to fade them.
        alike = torch.cat([same_worn(latents[2]), same_worn(flags)])
        mated = mated_loss(templates, alike)
        firsts, seconds = templates.chunk(2)
        self._kept.add(torch.cat([firsts[: len(new_first)], seconds[: len(new_first)]]))
        return Repelled(
            images=fresh,
            loss=spec.repulsion_weight * repulsion
            + spec.mated_weight * mated
            + spec.held_coarse * held.coarse
            + spec.held_plain * held.plain
            + spec.held_eyes * held.eyes,
            told={"repulsion": repulsion, "mated": mated, "held": held.plain, "eyes": held.eyes},
        )

    def _latents(self, rng: np.random.Generator) -> tuple[Tensor, Tensor, Tensor]:
        """z_I, z_O and flags of pairs, each sample with a σ of its own."""
        pairs = self._spec.repulsion_pairs
        identity = np.tile(rng.standard_normal((pairs, self._layout.identity), np.float32), (2, 1))
        if self._layout.meaning is not None:
            worn, wearers = self._layout.meaning.who["glasses"], np.tile(np.arange(pairs) % WEARERS == 0, 2)
            identity[wearers, worn] = lt.GLASSES_THRESHOLD + np.abs(identity[wearers, worn])
        sigma = rng.uniform(*FRESH_SIGMA, (2 * pairs, 1)).astype(np.float32)
        observation = sigma * rng.standard_normal((2 * pairs, self._layout.observation), np.float32)
        flags = self._layout.flags(identity, observation)
        first, second, third = (torch.from_numpy(part).to(self._device) for part in (identity, observation, flags))
        return first, second, third


def repulsion_loss(templates: Tensor, others: Tensor, margin: float) -> Tensor:
    """How far strangers' cosines exceed `margin`: those among [B, D] and those with others [T, D], weighed alike."""
    own = torch.arange(len(templates), device=templates.device) % (len(templates) // 2)
    loss = _excess((templates @ templates.T)[own[:, None] != own[None]], margin)
    return (loss + _excess(templates @ others.T, margin)) / 2 if len(others) else loss


def mated_loss(templates: Tensor, alike: Tensor) -> Tensor:
    """One less the cosine of both templates of a pair [B, D], mean over the pairs that are marked, bool [P]."""
    first, second = templates.chunk(2)
    return ((1 - (first * second).sum(1)) * alike).sum() / alike.sum().clamp(min=1)


def same_worn(flags: Tensor) -> Tensor:
    """Which pairs [P] wear the same in both images, by flags [2 P, F]: glasses, caps and masks."""
    worn = [lt.FLAG_NAMES.index(name) for name in WORN]
    first, second = (flags[:, [column for column in worn if column < flags.shape[1]]] > 0).chunk(2)
    return (first == second).all(1)


def _excess(cosines: Tensor, margin: float) -> Tensor:
    over = (cosines - margin).clamp(min=0)
    return (over + TAIL * over.square()).mean()


def _before_grey(heads: Tensor, random: torch.Generator, layout: lt.Layout | None) -> Tensor:
    """Heads over nothing before a grey of its own each, as they are seen: RGB in [0, 1]."""
    greys = torch.rand(len(heads), 1, 1, 1, generator=random).to(heads.device)
    return before(heads, greys, layout)
