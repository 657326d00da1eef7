"""The judge of pairs in training: what it says counts for the generator, and it learns beside it."""

import numpy as np
import torch
from torch import Tensor

from workers.training.discriminator import PairDiscriminator
from workers.training.losses import (
    critic_generator_loss,
    critic_loss,
    discriminator_loss,
    generator_loss,
    gradient_penalty,
    r1_penalty,
)
from workers.training.spec import Loss, TrainingSpec
from workers.training.streams import JUDGE, stream


class Judge:
    """A pair discriminator with its optimizer. Pairs are [P, 2 C, R, R], weak labels [P, 2 F] or None."""

    def __init__(self, spec: TrainingSpec, network: PairDiscriminator, device: torch.device) -> None:
        self._spec = spec
        self._device = device
        self.network = network.to(device)
        second_moment = 0.9 if spec.loss is Loss.WGAN_GP else 0.99
        self.steps = torch.optim.Adam(self.network.parameters(), spec.discriminator_rate, (0.0, second_moment))

    def fooled(self, fakes: Tensor, labels: Tensor | None) -> Tensor:
        """The generator's loss: small where the judge takes made pairs for real ones."""
        logits = self._logits(fakes, labels)
        return critic_generator_loss(logits) if self._spec.loss is Loss.WGAN_GP else generator_loss(logits)

    def step(self, number: int, real: Tensor, fakes: Tensor, labels: Tensor | None) -> Tensor:
        """Learn from real and made pairs; returns the loss. `number` counts the judge's steps."""
        loss = self._loss(number, real, fakes, labels)
        self.steps.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        self.steps.step()
        return loss.detach()

    def _loss(self, number: int, real: Tensor, fakes: Tensor, labels: Tensor | None) -> Tensor:
        spec = self._spec
        real_logits, fake_logits = self._logits(real, labels), self._logits(fakes, labels)
        # Penalties are taken in full precision: they are gradients of gradients.
        if spec.loss is Loss.WGAN_GP:
            shares = torch.from_numpy(stream(spec.seed, JUDGE, number).random(len(real), np.float32))
            penalty = gradient_penalty(lambda x: self.network(x, labels), real, fakes, shares.to(self._device))
            return critic_loss(real_logits, fake_logits) + spec.gradient_penalty * penalty
        loss = discriminator_loss(real_logits, fake_logits)
        if spec.r1_gamma and number % spec.r1_interval == 0:
            real = real.detach().requires_grad_()
            # Applied every so many steps, so that many times as strongly.
            loss = loss + spec.r1_gamma / 2 * spec.r1_interval * r1_penalty(self.network(real, labels), real)
        return loss

    def _logits(self, pairs: Tensor, labels: Tensor | None) -> Tensor:
        with torch.autocast(self._device.type, torch.bfloat16, enabled=self._spec.mixed_precision):
            logits: Tensor = self.network(pairs, labels)
        return logits.float()
