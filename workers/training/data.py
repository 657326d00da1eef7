"""A corpus in memory, and the batches drawn from it. A batch depends on (seed, iteration) alone."""

from dataclasses import dataclass, fields
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from app.errors import Corrupt
from workers.generator import latents as lt
from workers.generator.sdgan.told import told
from workers.training.corpus.store import (
    COLUMNS,
    Columns,
    CorpusSpec,
    corpus_digest,
    missing_parts,
    read_part,
    read_spec,
    so_far,
)
from workers.training.layout import Layout, renders_layout
from workers.training.spec import TrainingSpec
from workers.training.streams import BATCHES, stream


@dataclass(frozen=True, kw_only=True)
class Labels:
    """All that renders know of themselves. B images, in the order of their batch."""

    landmarks: Tensor
    """[B, K, 2]."""
    landmarks_known: Tensor
    """bool [B]: not so in flipped images: theirs are in the right places, but each is another's mirror image."""
    identity: Tensor
    """[B, d_I]."""
    observation: Tensor
    """[B, d_O]."""
    flags: Tensor
    """What the network is told beside them, [B, F]: see workers.generator.sdgan.told."""

    def to(self, device: torch.device) -> "Labels":
        """The same on a device."""
        return Labels(**{field.name: getattr(self, field.name).to(device) for field in fields(self)})


@dataclass(frozen=True, kw_only=True)
class Batch:
    """`pairs` pairs; item i and item pairs + i are of one subject. B = 2 · pairs."""

    images: Tensor
    """[B, 4 or 3, R, R] float32 in [0, 1]: heads over nothing with alpha, or photographs."""
    labels: Labels | None

    def to(self, device: torch.device) -> "Batch":
        """The same on a device."""
        return Batch(images=self.images.to(device), labels=self.labels.to(device) if self.labels else None)


Placed = tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]
"""z_I [N, d_I], z_O [N, d_O], flags [N, F] and landmarks [N, K, 2] of N images."""


class Source(Protocol):
    """Where a run's images come from."""

    resolution: int
    subjects: int
    held_out_from: int
    """Subjects from this one on are never trained on."""

    @property
    def latents(self) -> lt.Layout | None:
        """What its labels mean; None where nothing is labelled."""

    def layout(self, spec: TrainingSpec) -> Layout:
        """Latents and pictures of a model that learns from it; raises RequestRefused for what it cannot teach."""

    def pairs(self, seed: int, iteration: int, pairs: int) -> Batch:
        """Two different samples each of `pairs` training subjects, half of them flipped where faces are symmetric."""

    def held_out(self, count: int) -> Batch:
        """The first `count` held-out images, as they are."""

    def training_landmarks(self) -> Placed:
        """z_I, z_O, flags and landmarks of all training images; empty where nothing is labelled."""

    def training_images(self) -> NDArray[np.uint8]:
        """All training images, [N, R, R, 4 or 3]: heads over nothing with alpha, or photographs."""

    def card(self) -> dict[str, Any]:
        """What it is, for a model's card: its settings and digest."""


def rows_of_pairs(
    seed: int, iteration: int, starts: NDArray[np.int64], counts: NDArray[np.int64], pairs: int
) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Rows [2 · pairs] of two different samples each of `pairs` subjects, and which pairs are flipped, [2 · pairs].

    Subject s has the rows from starts[s] on, counts[s] of them, at least two.
    """
    rng = stream(seed, BATCHES, iteration)
    subjects = rng.integers(len(starts), size=pairs)
    first = (rng.random(pairs) * counts[subjects]).astype(np.int64)
    step = 1 + (rng.random(pairs) * (counts[subjects] - 1)).astype(np.int64)
    second = (first + step) % counts[subjects]
    rows = np.concatenate([starts[subjects] + first, starts[subjects] + second])
    return rows, np.tile(rng.random(pairs) < 0.5, 2)


def _latents_of(folder: Path, spec: CorpusSpec, columns: Columns) -> lt.Layout:
    layout = lt.LAYOUTS.get(spec.layout)
    if layout is None:
        raise Corrupt(f"{folder} has latents of layout {spec.layout}; this version knows {list(lt.LAYOUTS)}")
    if (columns["identity"].shape[1], columns["observation"].shape[1]) != (layout.identity, layout.observation):
        raise Corrupt(f"{folder} says that it has latents of layout {spec.layout}, and has others; render it again")
    return layout


class Corpus:
    """All images of a corpus of renders; the last of its subjects are held out."""

    def __init__(self, folder: Path, held_out_share: float = 0.05, *, begun: bool = False) -> None:
        """`begun` takes what there is of a corpus that is still being rendered; else Corrupt is raised for it."""
        self._folder = folder
        spec = read_spec(folder)
        spec = self._spec = so_far(folder, spec) if begun else spec
        missing = missing_parts(folder, spec)
        if missing:
            raise Corrupt(f"{folder} is not finished: {len(missing)} of {spec.parts} parts are missing; render on")
        parts = [read_part(folder, number) for number in range(spec.parts)]
        self.columns = {name: np.concatenate([part[name] for part in parts]) for name in COLUMNS}
        self.latents = _latents_of(folder, spec, self.columns)
        """See Source."""
        self.resolution = spec.size
        self.samples_per_subject = spec.samples_per_subject
        self.held_out_from = int(spec.subjects * (1 - held_out_share))
        self.subjects = spec.subjects

    def layout(self, spec: TrainingSpec) -> Layout:
        """See Source."""
        return renders_layout(spec, self.latents)

    def card(self) -> dict[str, Any]:
        """See Source."""
        return {**self._spec.model_dump(mode="json"), "sha256": self._digest}

    @cached_property
    def _digest(self) -> str:
        return corpus_digest(self._folder, self._spec)

    @cached_property
    def _told(self) -> NDArray[np.float32]:
        """Flags of all images: the same in a mirror, where it may be flipped."""
        return told(self.columns["identity"], self.columns["observation"], self.latents)

    def pairs(self, seed: int, iteration: int, pairs: int) -> Batch:
        """See Source."""
        starts = np.arange(self.held_out_from) * self.samples_per_subject
        counts = np.full(self.held_out_from, self.samples_per_subject)
        rows, flipped = rows_of_pairs(seed, iteration, starts, counts, pairs)
        if self.latents.mirror is None:
            flipped = np.zeros_like(flipped)
        return self._batch(rows, flipped)

    def held_out(self, count: int) -> Batch:
        """See Source."""
        start = self.held_out_from * self.samples_per_subject
        rows = np.arange(start, min(start + count, len(self.columns["subject"])))
        return self._batch(rows, np.zeros(len(rows), bool))

    def training_landmarks(self) -> Placed:
        """See Source."""
        stop = self.held_out_from * self.samples_per_subject
        identity, observation, landmarks = (
            self.columns[name][:stop] for name in ("identity", "observation", "landmarks")
        )
        return identity, observation, self._told[:stop], landmarks

    def training_images(self) -> NDArray[np.uint8]:
        """See Source."""
        return np.asarray(self.columns["head"][: self.held_out_from * self.samples_per_subject], np.uint8)

    def _batch(self, rows: NDArray[np.int64], flipped: NDArray[np.bool_]) -> Batch:
        head = torch.from_numpy(self.columns["head"][rows]).permute(0, 3, 1, 2).float() / 255
        identity, observation = self.columns["identity"][rows], self.columns["observation"][rows].copy()
        landmarks = self.columns["landmarks"][rows].copy()
        mirror = torch.from_numpy(flipped)
        head = torch.where(mirror[:, None, None, None], head.flip(3), head)
        if self.latents.mirror is not None:
            observation[flipped] *= self.latents.mirror
        landmarks[flipped, :, 0] = 1 - landmarks[flipped, :, 0]
        labels = Labels(
            landmarks=torch.from_numpy(landmarks),
            landmarks_known=~mirror,
            identity=torch.from_numpy(identity),
            observation=torch.from_numpy(observation),
            flags=torch.from_numpy(self._told[rows]),
        )
        return Batch(images=head.contiguous(), labels=labels)
