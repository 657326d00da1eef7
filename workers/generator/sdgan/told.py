"""What a network is told beside its latents: outcomes of thresholds, and light as numbers instead of a place's name."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from workers.generator import latents as lt
from workers.generator.parametric.appearance import skin_tone
from workers.generator.parametric.lighting import read_light

Floats = NDArray[np.floating[Any]]

LIGHT = 33
"""Numbers of a light: nine harmonics and a key of three colours each, and the key's direction."""


def told_size(layout: lt.Layout) -> int:
    """How many numbers `told` gives for latents of a layout."""
    return layout.flags + (LIGHT if layout is lt.SECOND else 0)


def told_names(layout: lt.Layout) -> tuple[str, ...]:
    """Names of these numbers, in order."""
    flags = tuple(f"flag {name}" for name in lt.FLAG_NAMES[: layout.flags])
    return flags + tuple(f"light {number}" for number in range(told_size(layout) - layout.flags))


def told(identity: Floats, observation: Floats, layout: lt.Layout) -> NDArray[np.float32]:
    """Flags of z_I [N, d_I] and z_O [N, d_O] (`derived_flags`) and, of the second layout, their light, [N, told_size].

    Which place's light falls on a face, turned how far, follows from the latents by distances and sines that no small
    network finds out by itself.
    """
    flags = lt.derived_flags(identity, observation, layout)
    if layout is not lt.SECOND:
        return flags
    rows = zip(identity, observation, strict=True)
    lights = [read_light(how, float(skin_tone(who))).numbers for who, how in rows]
    return np.concatenate([flags, np.asarray(lights, np.float32).reshape(len(flags), LIGHT)], 1)
