"""The renderer as a generator: exact in identity and attributes, at any of its sizes; slower than the network."""

import ctypes.util
from pathlib import Path

import numpy as np

from app.dataset.model import ModelCard
from app.errors import Corrupt
from workers.generator import latents as lt
from workers.generator.base import FloatImages, Latents, check_size
from workers.generator.parametric import FAMILY
from workers.generator.parametric.geometry import HeadDataMissing, data_folder
from workers.generator.parametric.scans.heads import ScanHeads, load_heads
from workers.generator.parametric.scene import load_scene


class Parametric:
    """A Generator that draws every image."""

    def __init__(self, card: ModelCard, scans: ScanHeads | None = None) -> None:
        self._card = card
        self._scans = scans

    @property
    def card(self) -> ModelCard:
        """See Generator."""
        return self._card

    @property
    def device(self) -> str:
        """See Generator."""
        return load_scene().canvas.renderer

    def generate(self, identity: Latents, observation: Latents, width: int, height: int) -> FloatImages:
        """See Generator."""
        check_size(self._card, width, height)
        scene = load_scene()
        images = np.empty((len(identity), height, width, 3), np.float32)
        for number, (who, how) in enumerate(zip(identity, observation, strict=True)):
            images[number] = scene.draw(who, how, width, height, self._scans).rgb * 2 - 1
        return images


def load_parametric(folder: Path) -> Parametric:
    """Make the generator whose card lies in a folder; nothing is drawn yet. Raises Corrupt for other latents."""
    card = FAMILY.card(folder)
    if lt.layout_of(card) is not lt.CURRENT:
        raise Corrupt(
            f"{folder / 'card.json'} has other latents than layout {lt.CURRENT.version}, which this version draws"
        )
    return Parametric(card, load_heads(folder, card))


def why_unavailable() -> str | None:
    """What is missing for drawing, and how to get it; None if nothing is. Opens no context."""
    try:
        data_folder()
    except HeadDataMissing as exc:
        return str(exc)
    if missing := [name for name in ("EGL", "GL") if ctypes.util.find_library(name) is None]:
        return (
            f"lib{missing[0]} is missing; on Debian or Ubuntu: "
            "apt-get install libgl1 libegl1 libegl-mesa0 libgl1-mesa-dri"
        )
    return None
