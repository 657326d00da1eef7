"""A generator that costs nothing, plans for it, and the parametric model where it can run."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from app.dataset.model import ModelCard
from app.dataset.plan import Plan
from app.dataset.planning import make_plan
from app.dataset.request import DatasetRequest
from workers.matchers.comparison import MINUS_EUCLIDEAN

CARD = {
    "name": "paint",
    "version": "1.0.0",
    "kind": "paint",
    "description": "For tests",
    "sizes": [[16, 24]],
    "latent": {"identity": 3, "observation": {"pose": [0, 2], "background": [2, 4]}},
    "attributes": {
        "sex": {"kind": "choice", "latent": 0, "values": {"female": [None, 0.0], "male": [0.0, None]}},
        "age": {"kind": "range", "latent": 1, "min": 20.0, "max": 70.0},
    },
    "checks": {"unique": {"matcher": "sface", "threshold": 0.9, "basis": "chosen for tests"}},
    "licence": "none",
    "provenance": "none",
}


class Paint:
    """Fills an image with what its latents are; counts how it was called."""

    def __init__(self) -> None:
        self.card = ModelCard.model_validate(CARD)
        self.device = "none"
        self.batches: list[int] = []

    def generate(self, identity: Any, observation: Any, width: int, height: int) -> Any:
        self.batches.append(len(identity))
        values = np.concatenate([identity, observation], 1)  # [N, 7]
        ramp = np.linspace(0.3, 1.7, width * height * 3).reshape(height, width, 3)
        waves = np.stack([np.sin(ramp * (k + 1)) for k in range(values.shape[1])], -1)  # [H, W, 3, 7]
        return np.tanh(np.einsum("hwck,nk->nhwc", waves, values) / 2).astype(np.float32)


BLOCK = 8
"""Pixels a side: a block of JPEG, so that its grey comes through."""


class Blocks:
    """Writes every latent into the image as a grey block; counts how it was called."""

    device = "none"

    def __init__(self) -> None:
        latent = {"identity": 6, "observation": {"pose": [0, 3], "background": [3, 6]}}
        self.card = ModelCard.model_validate({**CARD, "name": "blocks", "sizes": [[32, 32]], "latent": latent})
        self.samples = 0

    def generate(self, identity: Any, observation: Any, width: int, height: int) -> Any:
        self.samples += len(identity)
        values = np.tanh(np.concatenate([identity, observation], 1) / 2)  # [N, 12]
        grid = np.zeros((len(values), 16), np.float32)
        grid[:, :12] = values
        blocks = grid.reshape(-1, 4, 4, 1).repeat(BLOCK, 1).repeat(BLOCK, 2).repeat(3, 3)
        assert blocks.shape[1:] == (height, width, 3)
        return blocks


class Reader:
    """A matcher that reads these blocks; what the observation adds to the identity makes its errors.

    Blind to samples whose first observation latent lies beyond `blind_beyond`.
    """

    name, version, digest, dimensions, score, provenance = "reader", "1", "a" * 64, 6, MINUS_EUCLIDEAN, "none"

    def __init__(self, blind_beyond: float = 99.0) -> None:
        self.blind_beyond = blind_beyond
        self.extracted = 0

    def detect(self, pixels: Any) -> Any:
        return None if abs(self._latents(pixels)[6]) > self.blind_beyond else object()

    def align(self, pixels: Any, face: Any) -> Any:
        return pixels

    def template(self, chip: Any) -> Any:
        self.extracted += 1
        latents = self._latents(chip)
        return (latents[:6] + 0.5 * latents[6:]).astype(np.float32)

    def compare(self, references: Any, probes: Any) -> Any:
        return self.score.cross(references, probes)

    def compare_pairs(self, references: Any, probes: Any) -> Any:
        return self.score.pairs(references, probes)

    def _latents(self, pixels: Any) -> Any:
        greys = pixels[BLOCK // 2 :: BLOCK, BLOCK // 2 :: BLOCK].mean(2).ravel()[:12]
        return 2 * np.arctanh(np.clip(greys / 127.5 - 1, -0.99, 0.99))


@pytest.fixture
def blocks() -> Blocks:
    return Blocks()


@pytest.fixture
def reader() -> Reader:
    return Reader()


@pytest.fixture
def paint() -> Paint:
    return Paint()


@pytest.fixture(scope="session")
def plan_for() -> Callable[..., Plan]:
    """Makes a plan of a card from a request's fields; `seed` and `shard_size` may be given too."""

    def make(card: ModelCard, seed: int = 7, shard_size: int = 200, **fields: Any) -> Plan:
        fields = {"checks": {"unique": False, "face_found": False}, **fields}
        request = DatasetRequest.model_validate({"name": "test", **fields})
        return make_plan(request, card, dataset="ds_test", seed=seed, shard_size=shard_size, max_comparisons=10**9)

    return make
