"""Does a model show the glasses that it is asked for? A small classifier, trained on labelled renders, looks.

A model may offer glasses as an attribute only where what is asked is seen.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import ndtr
from torch import Tensor, nn
from torch.nn import functional

from workers.generator import latents as lt
from workers.generator.base import Generator
from workers.generator.draw import draw_identity, draw_observation
from workers.generator.sdgan.generator import as_seen
from workers.training.data import Corpus
from workers.training.measure import MEASURING_SEED
from workers.training.streams import GLASSES, stream

AT_LEAST = 0.9
"""Share of samples, with and without glasses weighed alike, in which they must be seen as asked."""

EYES = (slice(40, 80), slice(12, 116))
"""Rows and columns of an image of 128 × 128 in which glasses lie."""

BATCH, STEPS = 64, 400


@dataclass(frozen=True, kw_only=True)
class GlassesSeen:
    """Shares in which the classifier is right, with and without glasses weighed alike."""

    held_out_renders: float
    """How far the classifier itself is to be trusted."""
    generated: float
    asked_and_seen: float
    """Of the samples with glasses."""
    not_asked_and_not_seen: float
    samples: int

    @property
    def enough(self) -> bool:
        """Whether the model may offer glasses."""
        return self.generated >= AT_LEAST


def glasses_seen(
    generator: Generator,
    corpus: Corpus,
    *,
    samples: int = 400,
    steps: int = STEPS,
    classifier: nn.Module | None = None,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> GlassesSeen:
    """Let a classifier look at a generator's samples at σ = 1.

    `classifier` is one that `learn_glasses` made of this corpus; without it one is made now, in so many steps.
    """
    if classifier is None:
        classifier = learn_glasses(corpus, steps, lambda done: on_progress(done, steps + samples))
    batch = corpus.held_out(2_000)
    if batch.labels is None:
        raise AssertionError("a corpus has labels")
    worn = batch.labels.flags[:, lt.GLASSES_FLAG].numpy() > 0
    who, how = batch.labels.identity.numpy(), batch.labels.observation.numpy()
    pixels = composed(batch.images.permute(0, 2, 3, 1).numpy(), who, how, corpus.latents)
    own = _shares(_seen(classifier, pixels), worn)
    asked, images = _samples(generator, samples, lambda done: on_progress(steps + done, steps + samples))
    found = _shares(_seen(classifier, images), asked)
    return GlassesSeen(
        held_out_renders=float(np.mean(own)),
        generated=float(np.mean(found)),
        asked_and_seen=found[0],
        not_asked_and_not_seen=found[1],
        samples=samples,
    )


def learn_glasses(corpus: Corpus, steps: int, told: Callable[[int], None] = lambda done: None) -> nn.Module:
    """Train a classifier of glasses on a corpus's training renders; `told` gets the steps done."""
    torch.manual_seed(0)
    classifier = nn.Sequential(
        nn.Conv2d(1, 12, 3, stride=2, padding=1),
        nn.ReLU(),
        nn.Conv2d(12, 24, 3, stride=2, padding=1),
        nn.ReLU(),
        nn.Conv2d(24, 32, 3, stride=2, padding=1),
        nn.ReLU(),
        nn.Flatten(),
        nn.LazyLinear(1),
    )
    stop = corpus.held_out_from * corpus.samples_per_subject
    identity, observation = (corpus.columns[name][:stop] for name in ("identity", "observation"))
    worn = lt.wears_glasses(identity, observation, corpus.latents)
    # As many with as without: one render in six has them.
    groups = [np.flatnonzero(worn), np.flatnonzero(~worn)]
    classifier(_eyes(np.zeros((1, 128, 128, 3), np.float32)))  # settles the last layer's size
    optimizer = torch.optim.Adam(classifier.parameters(), 2e-3)
    known: dict[int, Tensor] = {}

    def eyes_of(rows: NDArray[np.int64]) -> Tensor:
        """Eyes of some rows, [N, 1, 40, 104]; those with glasses come again and again."""
        fresh = np.array([row for row in np.unique(rows).tolist() if row not in known], np.int64)
        if len(fresh):
            heads = np.asarray(corpus.columns["head"][fresh] / np.float32(255), np.float32)
            seen = composed(heads, identity[fresh], observation[fresh], corpus.latents)
            known.update(zip(fresh.tolist(), _eyes(seen), strict=True))
        return torch.stack([known[row] for row in rows.tolist()])

    for step in range(steps):
        rng = stream(0, GLASSES, step)
        rows = np.concatenate([rng.choice(group, BATCH // 2) for group in groups])
        mirrored = rng.random() < 0.5  # glasses are glasses in anybody's mirror, too
        eyes = eyes_of(rows).flip(3) if mirrored else eyes_of(rows)
        wanted = torch.from_numpy(worn[rows].astype(np.float32))
        loss = functional.binary_cross_entropy_with_logits(classifier(eyes)[:, 0], wanted)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        told(step + 1)
    return classifier.eval()


def _samples(
    generator: Generator, count: int, told: Callable[[int], None]
) -> tuple[NDArray[np.bool_], NDArray[np.float32]]:
    """Samples at σ = 1, every second of an identity that is asked to wear glasses; whether they are on, and images."""
    width, height = generator.card.sizes[0]
    worn, images = [], []
    split = float(ndtr(lt.GLASSES_THRESHOLD))
    layout = lt.layout_of(generator.card)
    if layout is None:
        raise AssertionError("glasses are asked for by a latent of our layouts")
    wearer, sigma = layout.who["glasses"], np.ones(layout.observation, np.float32)
    for start in range(0, count, 8):
        numbers = range(start, min(start + 8, count))
        who = np.stack(
            [
                draw_identity(MEASURING_SEED, k, 2, layout.identity, {wearer: (split, 1.0) if k % 2 else (0.0, split)})
                for k in numbers
            ]
        )
        how = np.stack([draw_observation(MEASURING_SEED, k, 2, 0, sigma) for k in numbers])
        worn.append(lt.wears_glasses(who, how, layout))
        images.append((generator.generate(who, how, width, height) + 1) / 2)
        told(numbers.stop)
    return np.concatenate(worn), np.concatenate(images)


def composed(
    heads: NDArray[np.float32], identity: NDArray[np.float32], observation: NDArray[np.float32], layout: lt.Layout
) -> NDArray[np.float32]:
    """Heads [N, H, W, 4] of a corpus as a model of its latents would show them, [N, H, W, 3] in [0, 1]."""
    return as_seen(heads, identity, observation, layout, layout.factors["background"])


def _eyes(images: NDArray[np.float32]) -> Tensor:
    """Images [N, H, W, 3] in [0, 1] → the eyes' part of 128 × 128, grey, without its mean, [N, 1, 40, 104]."""
    grey = torch.from_numpy(np.ascontiguousarray(images.mean(3, keepdims=True))).permute(0, 3, 1, 2).float()
    if grey.shape[-1] != 128:
        grey = functional.interpolate(grey, size=(128, 128), mode="bilinear", align_corners=False, antialias=True)
    eyes = grey[:, :, EYES[0], EYES[1]]
    return 4 * (eyes - functional.avg_pool2d(eyes, 15, 1, 7, count_include_pad=False))


@torch.no_grad()
def _seen(classifier: nn.Module, images: NDArray[np.float32]) -> NDArray[np.bool_]:
    parts = [classifier(_eyes(images[start : start + 128]))[:, 0] > 0 for start in range(0, len(images), 128)]
    return np.asarray(torch.cat(parts).numpy())


def _shares(seen: NDArray[np.bool_], worn: NDArray[np.bool_]) -> tuple[float, float]:
    """Of those with glasses, those seen with them; of those without, those seen without."""
    return float(seen[worn].mean()), float((~seen[~worn]).mean())
