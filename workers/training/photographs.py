"""A user's own photographs as a source of pairs: nothing is known of them but who is in them."""

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open

from app.errors import Corrupt, RequestRefused
from workers.digests import file_sha256
from workers.training.data import Batch, Placed, rows_of_pairs
from workers.training.layout import Layout, photographs_layout
from workers.training.packing import PACKED, read_packed, told_of
from workers.training.spec import Method, TrainingSpec


class Photographs:
    """Packed photographs in memory, as a source of pairs; the last subjects are held out."""

    def __init__(self, packed: Path, held_out_share: float = 0.05) -> None:
        self._packed = packed
        spec = self._spec = read_packed(packed)
        images, names = [], []
        for path in sorted(packed.glob("part-*.safetensors")):
            part, owners = _read_part(path)
            images.append(part)
            names += owners
        place = {name: number for number, name in enumerate(spec.subjects)}
        usable = np.array([place.get(name, -1) for name in names])
        order = np.argsort(usable[usable >= 0], kind="stable")
        self.images = np.concatenate(images)[usable >= 0][order]
        subject = usable[usable >= 0][order]
        self._starts, self._counts = (
            values.astype(np.int64) for values in np.unique(subject, return_index=True, return_counts=True)[1:]
        )
        if len(self._starts) != len(spec.subjects) or self._counts.min() < 2:
            raise Corrupt(f"{packed} lacks pictures that its {PACKED} speaks of; pack them again")
        self.resolution = spec.size
        self.subjects = len(spec.subjects)
        self.held_out_from = max(2, int(self.subjects * (1 - held_out_share)))

    latents = None
    """See Source."""

    def layout(self, spec: TrainingSpec) -> Layout:
        """See Source."""
        if spec.method is Method.IVIGAN:
            raise RequestRefused(
                [("method", "ivigan needs labels of each picture's factors, and photographs have none; use sdgan")]
            )
        if spec.anchored_iterations:
            raise RequestRefused([("anchored_iterations", "photographs have no labels to begin from; leave it at 0")])
        if spec.anchored or spec.identity_weight:
            raise RequestRefused(
                [("anchored", "photographs have no labels to learn latents from; set anchored to false")]
            )
        return photographs_layout()

    def card(self) -> dict[str, Any]:
        """See Source; the subjects' names stay with the user."""
        digest = hashlib.sha256()
        for path in sorted(self._packed.glob("part-*.safetensors")):
            digest.update(bytes.fromhex(file_sha256(path)))
        return {
            "kind": "photographs",
            "size": self._spec.size,
            "aligned": self._spec.aligned,
            "subjects": self.subjects,
            "images": len(self.images),
            "left_out": len(self._spec.left_out),
            "sha256": digest.hexdigest(),
        }

    def pairs(self, seed: int, iteration: int, pairs: int) -> Batch:
        """See Source."""
        training = slice(0, self.held_out_from)
        rows, flipped = rows_of_pairs(seed, iteration, self._starts[training], self._counts[training], pairs)
        batch = self._batch(rows)
        images = torch.where(torch.from_numpy(flipped)[:, None, None, None], batch.images.flip(3), batch.images)
        return Batch(images=images.contiguous(), labels=None)

    def held_out(self, count: int) -> Batch:
        """See Source."""
        start = self._starts[self.held_out_from] if self.held_out_from < self.subjects else len(self.images)
        return self._batch(np.arange(start, min(start + count, len(self.images))))

    def training_landmarks(self) -> Placed:
        """See Source: there are none."""
        nothing = np.zeros((0, 0), np.float32)
        return nothing, nothing, nothing, np.zeros((0, 0, 2), np.float32)

    def training_images(self) -> NDArray[np.uint8]:
        """See Source."""
        stop = self._starts[self.held_out_from] if self.held_out_from < self.subjects else len(self.images)
        return np.asarray(self.images[:stop], np.uint8)

    def _batch(self, rows: NDArray[np.int64]) -> Batch:
        return Batch(images=torch.from_numpy(self.images[rows]).permute(0, 3, 1, 2).float() / 255, labels=None)


def _read_part(path: Path) -> tuple[NDArray[np.uint8], list[str]]:
    told = told_of(path)
    try:
        with safe_open(path, framework="np") as file:
            images = np.asarray(file.get_tensor("image"))
    except (OSError, SafetensorError) as exc:
        raise Corrupt(f"{path} cannot be read ({exc}); pack the photographs again") from exc
    if told is None or images.dtype != np.uint8 or len(images) != len(told["owners"]):
        raise Corrupt(f"{path} is not a part of packed photographs; pack them again")
    return images, list(told["owners"])
