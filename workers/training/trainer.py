"""Training a generator on pairs: labels, where there are any, pin what each latent means; the judge keeps identity
and sharpness; a matcher's templates hold identities together and apart where it is asked to.

Everything random depends on (seed, iteration), so a run that was broken off ends on the same weights as one that was
not (on the CPU, with the same number of threads).
"""

import copy
import math
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from app.errors import FacsimileError
from workers.generator import latents as lt
from workers.generator.landmarks import FEATURES, GLASSES, GROUPS
from workers.generator.sdgan.network import GeneratorNetwork, profiles
from workers.training.checkpoint import load_checkpoint, save_checkpoint
from workers.training.data import Batch, Labels, Source
from workers.training.discriminator import PairDiscriminator
from workers.training.embedding import load_embedding
from workers.training.judge import Judge
from workers.training.losses import identity_loss, pyramid_distance, triplet_loss
from workers.training.repulsion import Repulsion
from workers.training.seen import before
from workers.training.spec import Loss, Method, TrainingSpec
from workers.training.streams import MADE, stream

FEATURE_SPOT = 0.02
"""Width of the spots about features in which differences weigh more, over the image's width."""


PLACING_BATCH = 512
"""Faces at once where only landmarks are learned."""


class Diverged(FacsimileError):
    """A loss is no longer a number; says which and when."""


class Trainer:
    """The state of a run: networks, optimizers, iteration."""

    def __init__(self, source: Source, spec: TrainingSpec, device: str = "cpu") -> None:
        """Raises RequestRefused if the source cannot teach what the spec asks."""
        torch.manual_seed(spec.seed)
        self.spec = spec
        self.source = source
        self.device = torch.device(device)
        self.layout = source.layout(spec)
        self.architecture = self.layout.architecture(spec, source.resolution)
        self.generator = GeneratorNetwork(self.architecture).to(self.device)
        self._shown = torch.from_numpy(self.layout.shown).to(self.device)
        """So no step moves the weights of what no head shows; they begin at zero (`forget_unseen`), and stay there."""
        self.forget_unseen(self.generator)
        self.average = copy.deepcopy(self.generator).requires_grad_(requires_grad=False)
        labels = len(self.layout.weak_factors) if spec.method is Method.IVIGAN else 0
        judge = PairDiscriminator(source.resolution, self.layout.colours, labels)
        self.judge = Judge(spec, judge, self.device)
        moments = (0.0, 0.9) if spec.loss is Loss.WGAN_GP else (0.5, 0.99)
        self._generator_steps = torch.optim.Adam(self.generator.parameters(), spec.learning_rate, moments)
        self._embedding = load_embedding().to(self.device) if spec.embedded else None
        self._repulsion = self._repelling() if spec.repulsion_weight else None
        self.iteration = 0

    def _repelling(self) -> Repulsion:
        held = copy.deepcopy(self.average)
        return Repulsion(self.spec, self.layout, held, draw=self._generate, look=self._look, device=self.device)

    @property
    def networks(self) -> tuple[GeneratorNetwork, ...]:
        """Those that begin with what a run grows from."""
        own = (self.generator, self.average)
        return own if self._repulsion is None else (*own, self._repulsion.held)

    @property
    def _modules(self) -> dict[str, torch.nn.Module]:
        own = {"generator": self.generator, "average": self.average, "discriminator": self.judge.network}
        return own if self._repulsion is None else {**own, **self._repulsion.modules}

    @property
    def _optimizers(self) -> dict[str, torch.optim.Adam]:
        return {"generator-steps": self._generator_steps, "discriminator-steps": self.judge.steps}

    def forget_unseen(self, network: GeneratorNetwork) -> None:
        """Let a network hear nothing of the latents that no head shows: backdrop and camera come after it."""
        with torch.no_grad():
            for layer in network.hearing:
                start = self.architecture.identity
                layer.weight[:, start : start + self.architecture.observation] *= self._shown

    def save(self, path: Path) -> None:
        """Write a checkpoint."""
        save_checkpoint(path, self.iteration, self._modules, self._optimizers)

    def load(self, path: Path) -> None:
        """Go on from a checkpoint; raises Corrupt."""
        self.iteration = load_checkpoint(path, self._modules, self._optimizers)
        for network in self.networks:
            self.forget_unseen(network)  # in a run of before they may be heard
        self._hold_landmarks()

    def step(self) -> dict[str, float]:
        """One iteration; returns its losses by name. Raises Diverged, the networks then being of no more use."""
        if self._landmarks_apart:
            if self.iteration < self.spec.placing_iterations:
                losses = self._place()
                self.iteration += 1
                return self._checked(losses)
            if self.iteration == self.spec.placing_iterations:
                self._hold_landmarks()
        losses = self._begin() if self._beginning else self._learn()
        self._follow()
        self.iteration += 1
        return self._checked(losses)

    def _checked(self, losses: dict[str, float]) -> dict[str, float]:
        for name, value in losses.items():
            if not math.isfinite(value):
                raise Diverged(
                    f"loss {name!r} is {value} at iteration {self.iteration}; the last checkpoint is from before: go "
                    "on from it with a lower learning rate, or a higher r1-gamma if it was the judge"
                )
        return losses

    @torch.no_grad()
    def held_out_error(self, count: int = 256) -> float | None:
        """Mean absolute error of the averaged generator on held-out subjects, 0 to 1; None without labels."""
        batch = self.source.held_out(count)
        if not self.layout.anchored or batch.labels is None:
            return None
        error = 0.0
        for start in range(0, len(batch.images), 64):
            part = slice(start, start + 64)
            labels = batch.labels
            latents = (labels.identity[part], labels.observation[part], labels.flags[part])
            made, _ = self._generate(self.average, *(tensor.to(self.device) for tensor in latents))
            error += (made.clamp(0, 1) - batch.images[part].to(self.device)).abs().sum().item()
        return error / batch.images.numel()

    def _learn(self) -> dict[str, float]:
        spec, number = self.spec, self.iteration * self.spec.discriminator_steps
        batch = self.source.pairs(spec.seed, number, spec.pairs).to(self.device)
        self._set_learning_rate()
        losses: dict[str, Tensor] = {}
        total = torch.zeros((), device=self.device)
        made = None
        if self.layout.anchored and batch.labels is not None:
            made, landmarks = self._generate(
                self.generator, batch.labels.identity, batch.labels.observation, batch.labels.flags
            )
            losses["pyramid"] = pyramid_distance(made, batch.images, self._weight(batch.labels))
            losses["landmarks"] = _placing(landmarks, batch.labels)
            total = total + losses["pyramid"]
            if landmarks.requires_grad:
                total = total + 10 * losses["landmarks"]
        fresh = None
        if self._repulsion is not None and made is not None and batch.labels is not None:
            repelled = self._repulsion.step(self.iteration, self.generator, made, batch.labels.flags)
            total, fresh = total + repelled.loss, repelled.images
            losses |= repelled.told
        adversary = self._adversary()
        asked = spec.embedded and self.iteration % spec.embedding_interval == 0
        triplet = asked and spec.method is Method.SDGAN_TRIPLET
        if adversary or triplet:
            fakes = self._fake_pairs(number, made, batch) if fresh is None else torch.cat(fresh.chunk(2), 1)
        if adversary:
            losses["fooled"] = self.judge.fooled(fakes, self._weak(batch))
            total = total + adversary * losses["fooled"]
        if triplet:
            losses["triplet"] = self._triplet(fakes)
            total = total + spec.triplet_weight * spec.embedding_interval * losses["triplet"]
        if asked and spec.identity_weight and made is not None and self._progress >= spec.identity_from:
            losses["identity"] = self._likeness(made, batch)
            total = total + spec.identity_weight * spec.embedding_interval * losses["identity"]
        self._generator_steps.zero_grad(set_to_none=True)
        total.backward()  # type: ignore[no-untyped-call]
        self._generator_steps.step()
        if adversary:
            losses["judge"] = self.judge.step(number, _paired(batch), fakes.detach(), self._weak(batch))
            for further in range(number + 1, number + spec.discriminator_steps):
                losses["judge"] = self._further_step(further)
        return {name: loss.item() for name, loss in losses.items()}

    def _begin(self) -> dict[str, float]:
        """One step in which renders are learned from latents made of their labels, before the judge takes over."""
        batch = self.source.pairs(self.spec.seed, self.iteration, self.spec.pairs).to(self.device)
        labels = batch.labels
        if labels is None:
            raise AssertionError("a run begins from labels that there are not")
        self._set_learning_rate()
        rng = stream(self.spec.seed, MADE, self.iteration)
        own = self.layout.begun_from(labels.observation.cpu().numpy(), rng)
        flags = torch.zeros(len(own), 0, device=self.device)
        made, _ = self._generate(self.generator, labels.identity, torch.from_numpy(own).to(self.device), flags)
        loss = pyramid_distance(made, batch.images, self._weight(labels))
        self._generator_steps.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        self._generator_steps.step()
        return {"pyramid": loss.item()}

    def _place(self) -> dict[str, float]:
        """One step of the landmarks alone, on random training labels."""
        identity, observation, flags, landmarks = self.source.training_landmarks()
        rng = stream(self.spec.seed, MADE, self.iteration)
        rows = rng.integers(len(identity), size=PLACING_BATCH)
        tensors = [torch.from_numpy(part[rows]).to(self.device) for part in (identity, observation, flags)]
        tensors[1] = tensors[1] * self._shown
        loss = (self.generator.place(*tensors) - torch.from_numpy(landmarks[rows]).to(self.device)).abs().mean()
        share = self.iteration / self.spec.placing_iterations
        for group in self._generator_steps.param_groups:
            group["lr"] = self.spec.learning_rate * (0.005 + 0.5 * (1 + math.cos(math.pi * share)))
        self._generator_steps.zero_grad(set_to_none=True)
        (10 * loss).backward()  # type: ignore[no-untyped-call]
        self._generator_steps.step()
        return {"landmarks": loss.item()}

    def _hold_landmarks(self) -> None:
        """From the end of their own iterations on, landmarks stay as they are, in the average too."""
        if not self._landmarks_apart or self.iteration < self.spec.placing_iterations:
            return
        self.generator.geometry.requires_grad_(requires_grad=False)
        self.generator.landmark_mean.requires_grad = False
        if self.iteration == self.spec.placing_iterations:
            self.average.load_state_dict(self.generator.state_dict())

    @property
    def _landmarks_apart(self) -> bool:
        """Whether landmarks are not learned beside the images."""
        return self.layout.anchored and (self.spec.placing_iterations > 0 or self.spec.hold_landmarks)

    def _generate(
        self, network: GeneratorNetwork, identity: Tensor, observation: Tensor, flags: Tensor
    ) -> tuple[Tensor, Tensor]:
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.spec.mixed_precision):
            made, landmarks = network(identity, observation * self._shown, flags)
        return made.float(), landmarks.float()

    def _adversary(self) -> float:
        """How much the judge counts now; 0 while it takes no part."""
        spec = self.spec
        if not self.layout.anchored:
            return 1.0
        progress = self._progress
        if not spec.adversary_weight or progress < spec.adversary_from:
            return 0.0
        return spec.adversary_weight * min(1.0, (progress - spec.adversary_from) / 0.05 + 0.01)

    def _weight(self, labels: Labels) -> Tensor:
        """How much each pixel matters, [B, 1, R, R]: more on eyes, brows, mouth, and glasses that are worn."""
        down, across = profiles(labels.landmarks, self.architecture.resolution, FEATURE_SPOT)
        shown = torch.zeros_like(labels.landmarks[..., :1])
        # With repulsion brows are free to differ from those of renders, which all have one.
        free = GROUPS["brows"] if self._repulsion is not None else range(0)
        shown[:, [point for point in FEATURES if point not in free]] = 1
        worn = (labels.flags[:, lt.GLASSES_FLAG] > 0).to(shown.dtype)
        shown[:, GLASSES.start : GLASSES.stop] = worn[:, None, None]
        weight = 1 + 3 * ((down * shown).transpose(1, 2) @ across).clamp(max=1)[:, None]
        if self._repulsion is None:
            return weight
        # What repulsion fades first: frames differ between images of one person.
        part = slice(GLASSES.start, GLASSES.stop)
        glasses = ((down * shown)[:, part].transpose(1, 2) @ across[:, part]).clamp(max=1)[:, None]
        return weight + 12 * glasses

    def _fake_pairs(self, number: int, made: Tensor | None, batch: Batch) -> Tensor:
        """Pairs [pairs, 2 C, R, R] that share z_I. Beside labelled ones, half are drawn afresh, as they are in use."""
        pairs = self.spec.pairs
        half = pairs // 2 if made is not None else pairs
        identity, observation, flags = self._latents(number, half, batch)
        fresh, _ = self._generate(self.generator, identity, observation, flags)
        first, second = fresh[:half], fresh[half:]
        if made is not None:
            first = torch.cat([made[: pairs - half], first])
            second = torch.cat([made[pairs : 2 * pairs - half], second])
        return torch.cat([first, second], 1)

    def _latents(self, number: int, pairs: int, batch: Batch) -> tuple[Tensor, Tensor, Tensor]:
        """Latents of `pairs` pairs, drawn afresh: the firsts of all pairs, then their seconds."""
        rng = stream(self.spec.seed, MADE, number)
        identity = np.tile(rng.standard_normal((pairs, self.layout.identity), np.float32), (2, 1))
        observation = rng.standard_normal((2 * pairs, self.layout.observation), np.float32)
        flags = self.layout.flags(identity, observation)
        if self.spec.method is Method.IVIGAN and batch.labels is not None:
            present = self.layout.weak_labels(batch.labels.observation.cpu().numpy())
            for name, column in zip(self.layout.weak_factors, present.T, strict=True):
                observation[:, slice(*self.layout.factors[name])] *= column[:, None]
        tensors = (torch.from_numpy(part).to(self.device) for part in (identity, observation, flags))
        first, second, third = tensors
        return first, second, third

    def _weak(self, batch: Batch) -> Tensor | None:
        """Labels of the batch's pairs, [pairs, 2 F]; the made pairs of `ivigan` have the same."""
        if self.spec.method is not Method.IVIGAN or batch.labels is None:
            return None
        present = torch.from_numpy(self.layout.weak_labels(batch.labels.observation.cpu().numpy())).to(self.device)
        return torch.cat(present.chunk(2), 1)

    def _triplet(self, fakes: Tensor) -> Tensor:
        first, second = (self._templates(images) for images in fakes.chunk(2, 1))
        return triplet_loss(first, second, first.roll(1, 0), self.spec.triplet_margin)

    def _likeness(self, made: Tensor, batch: Batch) -> Tensor:
        """Half of the batch, one of each pair in turn: a matcher costs as much as all the rest."""
        rows = torch.arange(self.spec.pairs) + self.spec.pairs * (self.iteration // self.spec.embedding_interval % 2)
        with torch.no_grad():
            wanted = self._templates(batch.images[rows])
        return identity_loss(self._templates(made[rows]), wanted)

    def _templates(self, images: Tensor) -> Tensor:
        rgb = images[:, :3]
        if images.shape[1] == 4:
            rgb = before(images, 0.5, self.layout.labels)
        return self._look(rgb)

    def _look(self, rgb: Tensor) -> Tensor:
        if self._embedding is None:
            raise AssertionError("a run without a matcher asked for templates")
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.spec.mixed_precision):
            templates: Tensor = self._embedding(rgb)
        return templates.float()

    def _further_step(self, number: int) -> Tensor:
        """A step of the judge alone, on a batch of its own."""
        batch = self.source.pairs(self.spec.seed, number, self.spec.pairs).to(self.device)
        made = None
        with torch.no_grad():
            if self.layout.anchored and batch.labels is not None:
                latents = (batch.labels.identity, batch.labels.observation, batch.labels.flags)
                made, _ = self._generate(self.generator, *latents)
            fakes = self._fake_pairs(number, made, batch)
        return self.judge.step(number, _paired(batch), fakes, self._weak(batch))

    @property
    def _beginning(self) -> bool:
        return not self.layout.anchored and self.iteration < self.spec.anchored_iterations

    @property
    def _progress(self) -> float:
        """Share of the iterations with images that are done."""
        placing = self.spec.placing_iterations if self.layout.anchored else 0
        return max(0, self.iteration - placing) / max(1, self.spec.iterations - placing)

    def _set_learning_rate(self) -> None:
        """Warm up; with labels, fall to a twentieth over the second half."""
        share = min(1.0, (self.iteration + 1) / self.spec.warm_up)
        if self.layout.anchored and self._progress > 0.5:
            share *= max(0.05, 2 * (1 - self._progress))
        rate = self.spec.anchored_rate if self._beginning else self.spec.learning_rate
        for group in self._generator_steps.param_groups:
            group["lr"] = rate * share

    @torch.no_grad()
    def _follow(self) -> None:
        images = self.spec.images
        halflife = min(self.spec.average_halflife_images, 0.1 * (self.iteration + 1) * images)
        share = 1 - 0.5 ** (images / halflife)
        for mean, value in zip(self.average.parameters(), self.generator.parameters(), strict=True):
            mean.lerp_(value, share)


def _paired(batch: Batch) -> Tensor:
    """The batch's real pairs, [pairs, 2 C, R, R]."""
    return torch.cat(batch.images.chunk(2), 1)


def _placing(landmarks: Tensor, labels: Labels) -> Tensor:
    off = (landmarks - labels.landmarks).abs().mean((1, 2))
    return (off * labels.landmarks_known).sum() / labels.landmarks_known.sum().clamp(min=1)
