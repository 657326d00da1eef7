"""A generator that writes its latents into the pixels, and matchers and a detector that read them there."""

from typing import Any

import numpy as np
import pytest

from app.dataset.model import ModelCard
from workers.generator import latents as lt
from workers.matchers.comparison import COSINE
from workers.matchers.detector import Face


class Writing:
    """A generator that writes its latents into the pixels, where a matcher can read them."""

    device = "none"

    def __init__(self) -> None:
        self.card = ModelCard.model_validate(
            {
                "name": "writing",
                "version": "1",
                "kind": "writing",
                "description": "For tests",
                "sizes": [[16, 16]],
                "latent": {"identity": lt.FIRST.identity, "observation": lt.FIRST.factors},
                "licence": "none",
                "provenance": "none",
            }
        )

    def generate(self, identity: Any, observation: Any, width: int, height: int) -> Any:
        values = np.concatenate([identity, observation], 1).clip(-4, 4) / 4
        images = np.zeros((len(values), height * width * 3), np.float32)
        images[:, : values.shape[1]] = values
        return images.reshape(-1, height, width, 3)


class Reading:
    """A matcher that reads them: identity plus a share of the observation, which is what errors come from."""

    version, digest, provenance = "1", "0" * 64, "none"
    dimensions = lt.FIRST.identity

    def __init__(self, name: str, score: Any, blind_above: float = 99.0) -> None:
        self.name, self.score, self._blind_above = name, score, blind_above

    def detect(self, pixels: Any) -> Any:
        return None if abs(self._latents(pixels)[lt.FIRST.identity]) > self._blind_above else object()

    def align(self, pixels: Any, face: Any) -> Any:
        return pixels

    def template(self, chip: Any) -> Any:
        latents = self._latents(chip)
        template = latents[: lt.FIRST.identity].copy()
        template[: lt.FIRST.observation] += 1.3 * latents[lt.FIRST.identity :]
        return (template / np.linalg.norm(template)).astype(np.float32)

    def compare(self, references: Any, probes: Any) -> Any:
        return self.score.cross(references, probes)

    def _latents(self, pixels: Any) -> Any:
        return (pixels.ravel()[: lt.FIRST.identity + lt.FIRST.observation].astype(np.float64) / 127.5 - 1) * 4


class TellTale:
    """A detector that finds every face, and points that show exactly the yaw asked for."""

    name = "tell-tale"

    def detect(self, pixels: Any) -> Face:
        yaw = float(lt.pose_of(Reading("", COSINE)._latents(pixels)[lt.FIRST.identity :], lt.FIRST).yaw)
        nose = 30 + 20 * np.sin(np.radians(yaw)) / 1.62
        points = np.array([[20, 20], [40, 20], [nose, 32], [25, 40], [35, 40]], np.float32)
        return Face(box=(0, 0, 1, 1), points=points, score=1.0)


@pytest.fixture(scope="session")
def writing() -> Writing:
    return Writing()


@pytest.fixture(scope="session")
def reading() -> type[Reading]:
    """Reading(name, score, blind_above)."""
    return Reading


@pytest.fixture(scope="session")
def tell_tale() -> type[TellTale]:
    return TellTale
