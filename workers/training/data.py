"""A corpus in memory, and the batches drawn from it. A batch depends on (seed, iteration) alone."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from app.errors import Corrupt
from workers.generator import latents as lt
from workers.training.corpus.store import COLUMNS, missing_parts, read_part, read_spec


@dataclass(frozen=True, kw_only=True)
class Batch:
    """`pairs` pairs; item i and item pairs + i are of one subject. B = 2 · pairs."""

    head: Tensor
    """[B, 4, R, R] float32 in [0, 1]."""
    landmarks: Tensor
    """[B, K, 2]."""
    landmarks_known: Tensor
    """bool [B]: not so in flipped images: theirs are in the right places, but each is another's mirror image."""
    identity: Tensor
    """[B, 64]."""
    observation: Tensor
    """[B, 28]."""
    flags: Tensor
    """[B, 17]."""


class Corpus:
    """All images of a corpus; the last of its subjects are held out."""

    def __init__(self, folder: Path, held_out_share: float = 0.05) -> None:
        spec = read_spec(folder)
        missing = missing_parts(folder, spec)
        if missing:
            raise Corrupt(f"{folder} is not finished: {len(missing)} of {spec.parts} parts are missing; render on")
        parts = [read_part(folder, number) for number in range(spec.parts)]
        self.columns = {name: np.concatenate([part[name] for part in parts]) for name in COLUMNS}
        self.resolution = spec.size
        self.samples_per_subject = spec.samples_per_subject
        self.held_out_from = int(spec.subjects * (1 - held_out_share))
        self.subjects = spec.subjects

    def pairs(self, seed: int, iteration: int, pairs: int) -> Batch:
        """Two different samples each of `pairs` training subjects, half of them flipped left to right."""
        rng = np.random.Generator(np.random.Philox(key=[seed, 77], counter=[0, 0, 0, iteration]))
        subjects = rng.integers(self.held_out_from, size=pairs)
        order = np.argsort(rng.random((pairs, self.samples_per_subject)), 1)[:, :2]
        rows = (subjects[:, None] * self.samples_per_subject + order).T.ravel()
        return self._batch(rows, np.tile(rng.random(pairs) < 0.5, 2))

    def held_out(self, count: int) -> Batch:
        """The first `count` held-out images, as they are."""
        start = self.held_out_from * self.samples_per_subject
        rows = np.arange(start, min(start + count, len(self.columns["subject"])))
        return self._batch(rows, np.zeros(len(rows), bool))

    def _batch(self, rows: NDArray[np.intp], flipped: NDArray[np.bool_]) -> Batch:
        head = torch.from_numpy(self.columns["head"][rows]).permute(0, 3, 1, 2).float() / 255
        identity, observation = self.columns["identity"][rows], self.columns["observation"][rows].copy()
        mirror = torch.from_numpy(flipped)
        head = torch.where(mirror[:, None, None, None], head.flip(3), head)
        observation[flipped] *= lt.MIRROR_OBSERVATION
        landmarks = self.columns["landmarks"][rows].copy()
        landmarks[flipped, :, 0] = 1 - landmarks[flipped, :, 0]
        return Batch(
            head=head.contiguous(),
            landmarks=torch.from_numpy(landmarks),
            landmarks_known=~mirror,
            identity=torch.from_numpy(identity),
            observation=torch.from_numpy(observation),
            flags=torch.from_numpy(lt.derived_flags(identity, observation)),
        )
