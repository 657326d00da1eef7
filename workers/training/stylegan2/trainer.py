"""Training a StyleGAN2 on single images, non-saturating with lazy R1 (Karras et al., 2020).

Everything random depends on (seed, iteration), so a run that was broken off ends on the same weights as one that was
not (on the CPU, with the same number of threads).
"""

import copy
import math
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.func import functional_call

from workers.generator.imported.layers import truncate
from workers.generator.stylegan2.network import Architecture, StyleGan2
from workers.training.checkpoint import load_checkpoint, save_checkpoint
from workers.training.losses import discriminator_loss, generator_loss, pyramid_distance, r1_penalty
from workers.training.streams import JUDGE, MADE, stream
from workers.training.stylegan2.augment import augmented
from workers.training.stylegan2.discriminator import ImageDiscriminator
from workers.training.stylegan2.pictures import Pictures
from workers.training.stylegan2.spec import StyleGan2Spec
from workers.training.trainer import Diverged

AVERAGE_OF_W = 0.005
"""Share of the mean w that each step's w replace."""


def architecture_of(spec: StyleGan2Spec) -> Architecture:
    """Sizes of the network that a run trains; raises ValueError."""
    return Architecture(
        latent=spec.latent,
        labels=0,
        embedding=0,
        mapping=(spec.latent,) * spec.mapping_layers,
        resolution=spec.size,
        channels=spec.channels,
    )


def begun(architecture: Architecture, seed: int) -> StyleGan2:
    """A network at the start of its training."""
    network = StyleGan2(architecture)
    random = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, value in [*network.named_parameters(), *network.named_buffers()]:
            if name.endswith("affine.bias"):
                value.fill_(1)
            elif name.endswith(("bias", "noise_strength", "w_average")):
                value.zero_()
            else:
                value.normal_(generator=random)
                if name.startswith("mapping"):
                    value.mul_(100)  # its learning rate is a hundredth of the rest's, by a factor of its weights
    return network


class StyleGan2Trainer:
    """The state of a run: networks, optimizers, iteration."""

    def __init__(self, pictures: Pictures, spec: StyleGan2Spec, device: str = "cpu") -> None:
        self.spec, self.pictures, self.device = spec, pictures, torch.device(device)
        self.architecture = architecture_of(spec)
        torch.manual_seed(spec.seed)
        self.generator = begun(self.architecture, spec.seed).to(self.device)
        self.average = copy.deepcopy(self.generator).requires_grad_(requires_grad=False)
        self.judge = ImageDiscriminator(spec.channels).to(self.device)
        for network in (self.generator, self.judge):
            network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        lazy = spec.r1_interval / (spec.r1_interval + 1)
        self._makes = torch.optim.Adam(self.generator.parameters(), spec.learning_rate, (0.0, 0.99), 1e-8)
        self._judges = torch.optim.Adam(self.judge.parameters(), spec.learning_rate * lazy, (0.0, 0.99**lazy), 1e-8)
        self.iteration = 0
        if spec.anchored_iterations:
            pictures.check_labelled(spec.latent)

    @property
    def _modules(self) -> dict[str, torch.nn.Module]:
        return {"generator": self.generator, "average": self.average, "discriminator": self.judge}

    @property
    def _optimizers(self) -> dict[str, torch.optim.Adam]:
        return {"generator-steps": self._makes, "discriminator-steps": self._judges}

    def save(self, path: Path) -> None:
        """Write a checkpoint."""
        save_checkpoint(path, self.iteration, self._modules, self._optimizers)

    def load(self, path: Path) -> None:
        """Go on from a checkpoint; raises Corrupt."""
        self.iteration = load_checkpoint(path, self._modules, self._optimizers)

    def step(self) -> dict[str, float]:
        """One iteration; returns its losses by name. Raises Diverged, the networks then being of no more use."""
        spec = self.spec
        rng = stream(spec.seed, MADE, self.iteration)
        if self.iteration < spec.anchored_iterations:
            return self._checked(self._anchored_step(rng))
        losses: dict[str, Tensor] = {}
        self.judge.requires_grad_(requires_grad=False)
        made = self._made(rng)
        losses["fooled"] = generator_loss(self._judged(augmented(made, spec.augmentation, rng)))
        self._makes.zero_grad(set_to_none=True)
        losses["fooled"].backward()  # type: ignore[no-untyped-call]
        self._makes.step()
        self.judge.requires_grad_(requires_grad=True)
        losses |= self._judge_step(made.detach())
        return self._checked(losses)

    def _anchored_step(self, rng: np.random.Generator) -> dict[str, Tensor]:
        """Learn renders from their own latents; no judge yet."""
        spec = self.spec
        real, latents = self.pictures.labelled(spec.seed, self.iteration, spec.batch)
        z = torch.from_numpy(rng.standard_normal((len(real), spec.latent), np.float32))
        z[:, : latents.shape[1]] = latents
        made = self._made(rng, z.to(self.device))
        even = torch.ones(len(real), 1, spec.size, spec.size, device=self.device)
        loss = pyramid_distance(made, real.to(self.device), even)
        self._makes.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        self._makes.step()
        return {"pyramid": loss}

    def _checked(self, losses: dict[str, Tensor]) -> dict[str, float]:
        self._follow()
        self.iteration += 1
        found = {name: loss.item() for name, loss in losses.items()}
        if wrong := [name for name, value in found.items() if not math.isfinite(value)]:
            raise Diverged(
                f"loss {wrong[0]!r} is not finite at iteration {self.iteration}; a lower learning rate helps"
            )
        return found

    def _judge_step(self, made: Tensor) -> dict[str, Tensor]:
        spec = self.spec
        rng = stream(spec.seed, JUDGE, self.iteration)
        real = self.pictures.batch(rng, spec.batch).to(self.device)
        shown = augmented(real, spec.augmentation, rng)
        regular = spec.r1_gamma > 0 and self.iteration % spec.r1_interval == 0
        shown.requires_grad_(regular)
        logits = self._judged(shown)
        losses = {"judge": discriminator_loss(logits, self._judged(augmented(made, spec.augmentation, rng)))}
        total = losses["judge"]
        if regular:
            losses["r1"] = r1_penalty(logits, shown)
            total = total + losses["r1"] * (spec.r1_gamma / 2 * spec.r1_interval)
        self._judges.zero_grad(set_to_none=True)
        total.backward()  # type: ignore[no-untyped-call]
        self._judges.step()
        return losses

    def _made(self, rng: np.random.Generator, z: Tensor | None = None) -> Tensor:
        """A batch of pictures, from fresh z unless they are given, with fresh noise; the mean w follows."""
        spec, network = self.spec, self.generator
        if z is None:
            z = torch.from_numpy(rng.standard_normal((spec.batch, spec.latent), np.float32)).to(self.device)
        noise = [
            torch.from_numpy(rng.standard_normal((len(z), 1, side, side), np.float32)).to(self.device)
            for side in network.noise_sizes
        ]
        w = network.map(z)
        network.average.lerp_(w.detach().mean(0), AVERAGE_OF_W)
        whole = truncate(w, network.average, network.layers)
        if not spec.mixed_precision:
            return network.synthesize(whole, noise)
        images: Tensor = functional_call(
            _Synthesis(network), _shortened(network), (whole.bfloat16(), [one.bfloat16() for one in noise])
        )
        return images.float()

    def _judged(self, images: Tensor) -> Tensor:
        logits: Tensor
        if not self.spec.mixed_precision:
            logits = self.judge(images)
            return logits
        short = {name: value.bfloat16() for name, value in self.judge.named_parameters()}
        logits = functional_call(self.judge, short, (images.bfloat16(),))
        return logits.float()

    @torch.no_grad()
    def _follow(self) -> None:
        images = self.spec.batch
        halflife = min(self.spec.average_halflife_images, 0.1 * (self.iteration + 1) * images)
        share = 1 - 0.5 ** (images / halflife)
        for mean, value in zip(self.average.parameters(), self.generator.parameters(), strict=True):
            mean.lerp_(value, share)
        self.average.average.copy_(self.generator.average)


class _Synthesis(nn.Module):
    """A network's synthesis alone, as a module whose weights can be stood in for."""

    def __init__(self, network: StyleGan2) -> None:
        super().__init__()
        self.network = network

    def forward(self, w: Tensor, noise: list[Tensor]) -> Tensor:
        """See ImportedNetwork."""
        return self.network.synthesize(w, noise)


def _shortened(network: StyleGan2) -> dict[str, Tensor]:
    return {f"network.{name}": value.bfloat16() for name, value in network.named_parameters()}
