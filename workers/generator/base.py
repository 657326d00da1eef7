"""What a generator is: a card, and a function from latents to images. And what a family of generators is."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from app.dataset.model import ModelCard
from workers.generator.cards import read_card

Latents = NDArray[np.float32]
FloatImages = NDArray[np.float32]


class Generator(Protocol):
    """Maps latents to images. The same latents give the same pixels in whatever batch they come."""

    @property
    def card(self) -> ModelCard:
        """What it offers: sizes, factors, attributes, provenance."""

    @property
    def device(self) -> str:
        """Where it runs, for the record: `cpu`, a CUDA device's name, or an OpenGL renderer's."""

    def generate(self, identity: Latents, observation: Latents, width: int, height: int) -> FloatImages:
        """z_I [N, d_I] and z_O [N, d_O] (scaled by σ already) → float32 [N, H, W, 3] in [-1, 1].

        `width` × `height` is one of the card's sizes.
        """


@runtime_checkable
class Truncating(Protocol):
    """A generator whose identities can be drawn nearer to the mean face than its card says."""

    def truncated(self, psi: float) -> Generator:
        """The same generator with another ψ, 0 to 1; shares all that is large."""


APART_BLOCK = 256
"""Subjects whose identities are moved apart together: block b has those from 256·b on, whatever a set's size."""


@runtime_checkable
class Repelling(Protocol):
    """A generator that may know how to move identities apart."""

    @property
    def repels(self) -> bool:
        """Whether it does: its card says so."""

    def apart(self, drawn: Latents) -> Latents:
        """z_I [APART_BLOCK, d_I] of a whole block as drawn → as they shall be; the same block gives the same."""


@dataclass(frozen=True, kw_only=True)
class Family:
    """One kind of model: the code that makes images of a model folder. A package a family, FAMILY in its `__init__`.

    That `__init__` imports neither torch nor OpenGL: a worker's parent reads it before it forks. The functions given
    here import what they need when they are called.
    """

    kind: str
    """As cards name it."""
    drawing: int
    """Version of its pictures. Raise it with every change that makes other pixels of the same latents and weights:
    what is drawn so is another model, and a plan pinned to the former one says so instead of mixing both. Golden
    pictures (tests/generator/golden) hold it to the pixels."""
    load: Callable[[Path, str], Generator]
    """(folder, `cpu` or `cuda`) → what generates; raises Corrupt."""
    uses_torch: bool = True
    why_unavailable: Callable[[], str | None] = lambda: None
    """What is missing on this machine, and how to get it; None if nothing is. Loads nothing."""

    def card(self, folder: Path) -> ModelCard:
        """The card in a model's folder, with the version of the pictures that this code makes; raises Corrupt."""
        return read_card(folder).model_copy(update={"drawing": self.drawing})


def check_size(card: ModelCard, width: int, height: int) -> None:
    """Raise ValueError for a size that a model does not offer."""
    if (width, height) not in card.sizes:
        raise ValueError(f"model {card.name!r} does not make {width}×{height}")
