"""What the latents of a model in training mean: sizes, factors, and what its pictures consist of."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from workers.generator import latents as lt
from workers.generator.landmarks import LANDMARKS, STROKES
from workers.generator.sdgan.network import Architecture
from workers.training.spec import Method, TrainingSpec

PLACING_WIDTH = 512
"""Of the network that places the landmarks."""

WEAK_FACTOR_SIZE = 8
"""Dimensions of each factor's part of z_O where only weak labels are known."""

WEAK_FACTORS = tuple(name for name in lt.FACTORS if name not in ("background", "residual"))
"""Factors that a weak label tells of: present in a picture, or not."""

PRESENT_FROM = 0.6
"""A factor counts as present in a render where its latents' root mean square is above this."""


@dataclass(frozen=True, kw_only=True)
class Layout:
    """Latents of a model, and the shape of its pictures."""

    identity: int
    factors: dict[str, tuple[int, int]]
    anchored: bool
    """Latents have the meaning of workers.generator.latents, with its flags and landmarks."""
    colours: int
    """4: RGB over nothing, and alpha; 3: RGB."""

    @property
    def observation(self) -> int:
        """Dimensions of z_O."""
        return max(stop for _, stop in self.factors.values())

    def architecture(self, spec: TrainingSpec, resolution: int) -> Architecture:
        """The network for a run."""
        return Architecture(
            identity=self.identity,
            observation=self.observation,
            flags=lt.FLAGS if self.anchored else 0,
            landmarks=LANDMARKS if self.anchored else 0,
            strokes=len(STROKES) if self.anchored else 0,
            placing=PLACING_WIDTH if self.anchored else 0,
            resolution=resolution,
            base=spec.base,
            fine=spec.fine,
            colours=self.colours,
        )


def renders_layout(spec: TrainingSpec) -> Layout:
    """Of a model that learns from a labelled corpus."""
    if spec.anchored:
        return Layout(identity=lt.IDENTITY, factors=dict(lt.FACTORS), anchored=True, colours=4)
    if spec.method is not Method.IVIGAN:
        return Layout(identity=lt.IDENTITY, factors=_behind({"residual": 32}), anchored=False, colours=4)
    factors = _behind(dict.fromkeys((*WEAK_FACTORS, "residual"), WEAK_FACTOR_SIZE))
    return Layout(identity=lt.IDENTITY, factors=factors, anchored=False, colours=4)


def photographs_layout() -> Layout:
    """Of a model that learns from photographs, of which nothing is known but who is in them."""
    return Layout(identity=64, factors={"observation": (0, 64)}, anchored=False, colours=3)


def weak_labels(observation: NDArray[np.float32]) -> NDArray[np.float32]:
    """Which of WEAK_FACTORS are present in renders of z_O [N, 28]: 1 or 0, float32 [N, F]."""
    columns = [
        np.sqrt(np.square(observation[:, slice(*lt.FACTORS[name])]).mean(1)) > PRESENT_FROM for name in WEAK_FACTORS
    ]
    return np.stack(columns, 1).astype(np.float32)


def _behind(sizes: dict[str, int]) -> dict[str, tuple[int, int]]:
    """Factors one behind the other; the backdrop, which no network draws, comes last."""
    start, stop = lt.FACTORS["background"]
    found, place = {}, 0
    for name, size in {**sizes, "background": stop - start}.items():
        found[name] = (place, place + size)
        place += size
    return found
