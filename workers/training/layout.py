"""What the latents of a model in training mean: sizes, factors, and what its pictures consist of."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from workers.generator import latents as lt
from workers.generator.background import LATENTS as BACKDROP_LATENTS
from workers.generator.landmarks import LANDMARKS, STROKES
from workers.generator.sdgan.network import Architecture
from workers.generator.sdgan.told import colours_told, told, told_size
from workers.training.spec import Method, TrainingSpec

PLACING_WIDTH = 512
"""Of the network that places the landmarks."""

BEGUN = 2**61 + 3
"""Seed of the turns by which labels become latents that a run begins from."""

WEAK_FACTOR_SIZE = 8
"""Dimensions of each factor's part of z_O where only weak labels are known."""

UNSEEN = ("background", "capture")
"""Factors that a corpus's heads do not show: what is behind them and what the camera does comes after the network."""

PRESENT_FROM = 0.6
"""A factor counts as present in a render where its latents' root mean square is above this."""


@dataclass(frozen=True, kw_only=True)
class Layout:
    """Latents of a model, and the shape of its pictures."""

    identity: int
    factors: dict[str, tuple[int, int]]
    labels: lt.Layout | None
    """What the latents mean that its pictures are labelled with; None for pictures without labels."""
    meaning: lt.Layout | None
    """What its own latents mean: what the labels' do, or None where training finds a meaning of its own."""
    colours: int
    """4: RGB over nothing, and alpha; 3: RGB."""

    @property
    def observation(self) -> int:
        """Dimensions of z_O."""
        return max(stop for _, stop in self.factors.values())

    @property
    def anchored(self) -> bool:
        """Whether it has the labels' latents, with their flags and landmarks."""
        return self.meaning is not None

    def flags(self, identity: NDArray[np.float32], observation: NDArray[np.float32]) -> NDArray[np.float32]:
        """What a network is told beside its latents, [N, flags]; nothing where they have no meaning, [N, 0]."""
        if self.meaning is None:
            return np.zeros((len(identity), 0), np.float32)
        return told(identity, observation, self.meaning)

    @cached_property
    def shown(self) -> NDArray[np.float32]:
        """1 for the dimensions of z_O that heads show, 0 for those that come after the network: float32 [d_O]."""
        found = np.ones(self.observation, np.float32)
        for name in UNSEEN:
            if name in self.factors:
                found[slice(*self.factors[name])] = 0
        return found

    @property
    def weak_factors(self) -> tuple[str, ...]:
        """Factors that its weak labels tell of, F of them."""
        return weak_factors(self.labels) if self.labels else ()

    def weak_labels(self, observation: NDArray[np.float32]) -> NDArray[np.float32]:
        """Which weak factors are present in pictures labelled with z_O [N, d_O]: 1 or 0, float32 [N, F]."""
        if self.labels is None:
            return np.zeros((len(observation), 0), np.float32)
        parts = [self.labels.factor(observation, name) for name in self.weak_factors]
        return np.stack([np.sqrt(np.square(part).mean(1)) > PRESENT_FROM for part in parts], 1).astype(np.float32)

    def begun_from(self, observation: NDArray[np.float32], rng: np.random.Generator) -> NDArray[np.float32]:
        """z_O of its own [N, own d_O] for pictures that labels say z_O [N, d_O] of.

        A factor has its label's latents, or where no label has its name all that heads show: turned at random (always
        the same way), what is too much left out, noise where there is too little; and nothing where it is absent.
        """
        if self.labels is None:
            raise ValueError("pictures without labels have no latents to begin from")
        own = np.zeros((len(observation), self.observation), np.float32)
        shown = [name for name in self.labels.factors if name not in UNSEEN]
        weakly = any(name in self.factors for name in self.weak_factors)
        for name, (start, stop) in self.factors.items():
            if name in UNSEEN:
                continue
            parts = [self.labels.factor(observation, each) for each in ([name] if weakly else shown)]
            size = max(sum(part.shape[1] for part in parts), stop - start)
            noise = rng.standard_normal((len(own), size - sum(part.shape[1] for part in parts)))
            turn, _ = np.linalg.qr(np.random.default_rng([BEGUN, start]).standard_normal((size, size)))
            own[:, start:stop] = (np.concatenate([*parts, noise], 1) @ turn)[:, : stop - start]
        if weakly:
            for name, column in zip(self.weak_factors, self.weak_labels(observation).T, strict=True):
                own[:, slice(*self.factors[name])] *= column[:, None]
        return own

    def architecture(self, spec: TrainingSpec, resolution: int) -> Architecture:
        """The network for a run."""
        return Architecture(
            identity=self.identity,
            observation=self.observation,
            flags=told_size(self.meaning) if self.meaning else 0,
            landmarks=LANDMARKS if self.anchored else 0,
            strokes=len(STROKES) if self.anchored else 0,
            placing=PLACING_WIDTH if self.anchored else 0,
            resolution=resolution,
            base=spec.base,
            fine=spec.fine,
            colours=self.colours,
            mixed=colours_told(self.meaning) if self.meaning and self.anchored else 0,
        )


def renders_layout(spec: TrainingSpec, labels: lt.Layout) -> Layout:
    """Of a model that learns from a corpus labelled with latents of a layout."""
    if spec.anchored:
        return Layout(identity=labels.identity, factors=dict(labels.factors), labels=labels, meaning=labels, colours=4)
    sizes = {"residual": 32}
    if spec.method is Method.IVIGAN:
        sizes = dict.fromkeys((*weak_factors(labels), "residual"), WEAK_FACTOR_SIZE)
    return Layout(identity=labels.identity, factors=_behind(sizes), labels=labels, meaning=None, colours=4)


def photographs_layout() -> Layout:
    """Of a model that learns from photographs, of which nothing is known but who is in them."""
    return Layout(identity=64, factors={"observation": (0, 64)}, labels=None, meaning=None, colours=3)


def weak_factors(labels: lt.Layout) -> tuple[str, ...]:
    """Factors that a weak label tells of: present in a picture, or not."""
    return tuple(name for name in labels.factors if name not in (*UNSEEN, "residual"))


def _behind(sizes: dict[str, int]) -> dict[str, tuple[int, int]]:
    """Factors one behind the other; the backdrop, which no network draws, comes last."""
    found, place = {}, 0
    for name, size in {**sizes, "background": BACKDROP_LATENTS}.items():
        found[name] = (place, place + size)
        place += size
    return found
