"""Training an SD-GAN on a labelled corpus: labels pin what each latent means, pairs keep identity and sharpness.

Two phases in one loop: reconstruction of labelled renders alone, then with the pair discriminator. Everything
random depends on (seed, iteration), so a run that was broken off ends on the same weights as one that was not
(on the CPU, with the same number of threads).
"""

import copy
import csv
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from torch import Tensor

from app.errors import Corrupt, RequestRefused
from workers.generator import latents as lt
from workers.generator.landmarks import FEATURES, GLASSES, LANDMARKS, STROKES
from workers.generator.network import Architecture, GeneratorNetwork, profiles
from workers.training.checkpoint import load_checkpoint, save_checkpoint
from workers.training.data import Batch, Corpus
from workers.training.discriminator import PairDiscriminator
from workers.training.losses import discriminator_loss, generator_loss, pyramid_distance, r1_penalty

PLACING_WIDTH = 512
"""Of the network that places the landmarks."""

CHECKPOINT, SETTINGS = "checkpoint.safetensors", "settings.json"

FEATURE_SPOT = 0.02
"""Width of the spots about features in which differences weigh more, over the image's width."""


class TrainingSpec(BaseModel):
    """Settings of a run."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    seed: int = 0
    iterations: int = Field(gt=0)
    pairs: int = Field(8, gt=0)
    """Pairs a batch; the batch has twice as many images."""
    base: int = Field(32, ge=4)
    """Channels at resolution 64."""
    fine: int = Field(24, ge=0)
    """Channels at resolution 128; 0 for half of those at 64."""
    placing_iterations: int = Field(0, ge=0)
    """Iterations in which only the landmarks are learned, before any image; they stay as they are from then on."""
    learning_rate: float = Field(2e-3, gt=0)
    adversary_from: float = Field(0.4, ge=0, le=1)
    """Share of the iterations after which the discriminator joins; 1 leaves it out."""
    adversary_weight: float = Field(0.03, ge=0)
    discriminator_rate: float = Field(2e-4, gt=0)
    """Learning rate of the discriminator; at 1e-3 it runs away."""
    r1_gamma: float = Field(0.05, ge=0)
    r1_interval: int = Field(8, gt=0)
    average_halflife_images: float = Field(8_000, gt=0)
    """Of the generator's moving average, which is what gets exported."""
    mixed_precision: bool = False
    """bfloat16 in convolutions; faster where the processor has it."""


class Trainer:
    """The state of a run: networks, optimizers, iteration."""

    def __init__(self, corpus: Corpus, spec: TrainingSpec, device: str = "cpu") -> None:
        torch.manual_seed(spec.seed)
        self.spec = spec
        self.device = torch.device(device)
        self._corpus = corpus
        self.architecture = Architecture(
            identity=lt.IDENTITY,
            observation=lt.OBSERVATION,
            flags=lt.FLAGS,
            landmarks=LANDMARKS,
            strokes=len(STROKES),
            placing=PLACING_WIDTH,
            resolution=corpus.resolution,
            base=spec.base,
            fine=spec.fine,
        )
        self.generator = GeneratorNetwork(self.architecture).to(self.device)
        self.average = copy.deepcopy(self.generator).requires_grad_(requires_grad=False)
        self.discriminator = PairDiscriminator(corpus.resolution).to(self.device)
        self._generator_steps = torch.optim.Adam(self.generator.parameters(), spec.learning_rate, (0.5, 0.99))
        self._discriminator_steps = torch.optim.Adam(
            self.discriminator.parameters(), spec.discriminator_rate, (0.0, 0.99)
        )
        self.iteration = 0

    @property
    def _modules(self) -> dict[str, torch.nn.Module]:
        return {"generator": self.generator, "average": self.average, "discriminator": self.discriminator}

    @property
    def _optimizers(self) -> dict[str, torch.optim.Adam]:
        return {"generator-steps": self._generator_steps, "discriminator-steps": self._discriminator_steps}

    def save(self, path: Path) -> None:
        """Write a checkpoint."""
        save_checkpoint(path, self.iteration, self._modules, self._optimizers)

    def load(self, path: Path) -> None:
        """Go on from a checkpoint; raises Corrupt."""
        self.iteration = load_checkpoint(path, self._modules, self._optimizers)

    def step(self) -> dict[str, float]:
        """One iteration; returns its losses."""
        spec = self.spec
        batch = self._on_device(self._corpus.pairs(spec.seed, self.iteration, spec.pairs))
        self._set_learning_rate()
        made, landmarks = self._generate(self.generator, batch.identity, batch.observation, batch.flags)
        loss = pyramid_distance(made, batch.head, self._weight(batch.landmarks, batch.flags))
        off = (landmarks - batch.landmarks).abs().mean((1, 2))
        placing = (off * batch.landmarks_known).sum() / batch.landmarks_known.sum().clamp(min=1)
        total = loss + 10 * placing
        losses = {"pyramid": loss.item(), "landmarks": placing.item()}
        progress = self.iteration / spec.iterations
        adversary = spec.adversary_weight > 0 and progress >= spec.adversary_from
        if adversary:
            fakes = self._fake_pairs(made, batch)
            fooled = generator_loss(self._judge(*fakes))
            ramp = min(1.0, (progress - spec.adversary_from) / 0.05)
            total = total + spec.adversary_weight * ramp * fooled
            losses["fooled"] = fooled.item()
        self._generator_steps.zero_grad(set_to_none=True)
        total.backward()  # type: ignore[no-untyped-call]
        self._generator_steps.step()
        if adversary:
            losses["judge"] = self._discriminator_step(batch, (fakes[0].detach(), fakes[1].detach()))
        self._follow()
        self.iteration += 1
        return losses

    @torch.no_grad()
    def held_out_error(self, count: int = 256) -> float:
        """Mean absolute error of the averaged generator on held-out subjects, 0 to 1."""
        batch = self._on_device(self._corpus.held_out(count))
        error = 0.0
        for start in range(0, len(batch.head), 64):
            part = slice(start, start + 64)
            made, _ = self.average(batch.identity[part], batch.observation[part], batch.flags[part])
            error += (made.clamp(0, 1) - batch.head[part]).abs().sum().item()
        return error / batch.head.numel()

    def _generate(
        self, network: GeneratorNetwork, identity: Tensor, observation: Tensor, flags: Tensor
    ) -> tuple[Tensor, Tensor]:
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.spec.mixed_precision):
            made, landmarks = network(identity, observation, flags)
        return made.float(), landmarks.float()

    def _judge(self, first: Tensor, second: Tensor) -> Tensor:
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.spec.mixed_precision):
            logits: Tensor = self.discriminator(first, second)
        return logits.float()

    def _weight(self, landmarks: Tensor, flags: Tensor) -> Tensor:
        """How much each pixel matters, [B, 1, R, R]: more on eyes, brows, mouth, and glasses that are worn."""
        down, across = profiles(landmarks, self.architecture.resolution, FEATURE_SPOT)
        shown = torch.zeros_like(landmarks[..., :1])
        shown[:, list(FEATURES)] = 1
        shown[:, GLASSES.start : GLASSES.stop] = (flags[:, lt.GLASSES_FLAG] > 0).to(shown.dtype)[:, None, None]
        return 1 + 3 * ((down * shown).transpose(1, 2) @ across).clamp(max=1)[:, None]

    def _fake_pairs(self, made: Tensor, batch: Batch) -> tuple[Tensor, Tensor]:
        """Half of the fakes share the batch's labels; half are drawn afresh, as they will be in use."""
        pairs, half = self.spec.pairs, self.spec.pairs // 2
        rng = np.random.Generator(np.random.Philox(key=[self.spec.seed, 78], counter=[0, 0, 0, self.iteration]))
        identity = np.tile(rng.standard_normal((half, lt.IDENTITY), np.float32), (2, 1))
        observation = rng.standard_normal((2 * half, lt.OBSERVATION), np.float32)
        flags = torch.from_numpy(lt.derived_flags(identity, observation)).to(self.device)
        fresh, _ = self._generate(
            self.generator,
            torch.from_numpy(identity).to(self.device),
            torch.from_numpy(observation).to(self.device),
            flags,
        )
        return (
            torch.cat([made[: pairs - half], fresh[:half]]),
            torch.cat([made[pairs : 2 * pairs - half], fresh[half:]]),
        )

    def _discriminator_step(self, batch: Batch, fakes: tuple[Tensor, Tensor]) -> float:
        first, second = batch.head[: self.spec.pairs], batch.head[self.spec.pairs :]
        loss = discriminator_loss(self._judge(first, second), self._judge(*fakes))
        if self.spec.r1_gamma and self.iteration % self.spec.r1_interval == 0:
            real = torch.cat([first, second], 1).requires_grad_()
            penalty = r1_penalty(self.discriminator(*real.chunk(2, 1)), real)
            # Applied every so many iterations, so that many times as strongly.
            loss = loss + self.spec.r1_gamma / 2 * self.spec.r1_interval * penalty
        self._discriminator_steps.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        self._discriminator_steps.step()
        return loss.item()

    def _set_learning_rate(self) -> None:
        """Warm up over 100 iterations, fall to a twentieth over the second half."""
        progress = self.iteration / self.spec.iterations
        share = min(1.0, (self.iteration + 1) / 100) * (1 if progress < 0.5 else max(0.05, 2 * (1 - progress)))
        for group in self._generator_steps.param_groups:
            group["lr"] = self.spec.learning_rate * share

    @torch.no_grad()
    def _follow(self) -> None:
        images = 2 * self.spec.pairs
        halflife = min(self.spec.average_halflife_images, 0.1 * (self.iteration + 1) * images)
        share = 1 - 0.5 ** (images / halflife)
        for mean, value in zip(self.average.parameters(), self.generator.parameters(), strict=True):
            mean.lerp_(value, share)

    def _on_device(self, batch: Batch) -> Batch:
        if self.device.type == "cpu":
            return batch
        return Batch(**{name: getattr(batch, name).to(self.device) for name in Batch.__dataclass_fields__})


def train(
    trainer: Trainer,
    folder: Path,
    *,
    checkpoint_every: int = 500,
    on_progress: Callable[[int, int, dict[str, float]], None] = lambda done, total, losses: None,
    should_cancel: Callable[[], bool] = lambda: False,
) -> bool:
    """Run until the spec's iterations are done, writing `checkpoint.safetensors` and `log.csv` into `folder`.

    Goes on from the checkpoint that is there; raises RequestRefused if that is of a run with other settings.
    Returns False if it was cancelled first.
    """
    folder.mkdir(parents=True, exist_ok=True)
    checkpoint = folder / CHECKPOINT
    settings = folder / SETTINGS
    if settings.exists() and TrainingSpec.model_validate_json(settings.read_bytes()) != trainer.spec:
        raise RequestRefused([("out", f"{folder} holds a run with other settings; name an empty folder")])
    settings.write_text(trainer.spec.model_dump_json(indent=1) + "\n", encoding="utf-8")
    if checkpoint.exists():
        trainer.load(checkpoint)
    total = trainer.spec.iterations
    while trainer.iteration < total:
        if should_cancel():
            trainer.save(checkpoint)
            return False
        losses = trainer.step()
        if trainer.iteration % checkpoint_every == 0 or trainer.iteration == total:
            losses["held_out"] = trainer.held_out_error()
            trainer.save(checkpoint)
            _log(folder / "log.csv", trainer.iteration, losses)
        on_progress(trainer.iteration, total, losses)
    return True


def open_run(corpus: Corpus, folder: Path) -> Trainer:
    """Read a run back from its folder; raises Corrupt."""
    try:
        spec = TrainingSpec.model_validate_json((folder / SETTINGS).read_bytes())
    except (OSError, ValidationError) as exc:
        raise Corrupt(f"{folder} is not a training run: {exc}") from exc
    trainer = Trainer(corpus, spec)
    trainer.load(folder / CHECKPOINT)
    return trainer


def _log(path: Path, iteration: int, losses: dict[str, float]) -> None:
    columns = ("iteration", "pyramid", "landmarks", "fooled", "judge", "held_out")
    new = not path.exists()
    with path.open("a", newline="") as file:
        writer = csv.DictWriter(file, columns)
        if new:
            writer.writeheader()
        writer.writerow({"iteration": iteration, **losses})
