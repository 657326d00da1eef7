"""What a network is told beside its latents: outcomes of thresholds, and light and colours as the renderer has them."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from workers.generator import latents as lt
from workers.generator.parametric.appearance import (
    brow_colour,
    hair_colour,
    headwear_colour,
    iris_colours,
    shirt_colour,
    skin_colour,
    skin_tone,
)
from workers.generator.parametric.lighting import read_light

Floats = NDArray[np.floating[Any]]

LIGHT = 33
"""Numbers of a light: nine harmonics and a key of three colours each, and the key's direction."""

COLOURED = ("skin", "hair", "brows", "irises", "shirt", "cap")
"""What has a colour of its own."""


def colours_told(layout: lt.Layout) -> int:
    """Of how many things `told` ends in colours."""
    return len(COLOURED) if layout is lt.SECOND else 0


def told_size(layout: lt.Layout) -> int:
    """How many numbers `told` gives for latents of a layout."""
    return layout.flags + (LIGHT + 3 * colours_told(layout) if layout is lt.SECOND else 0)


def told_names(layout: lt.Layout) -> tuple[str, ...]:
    """Names of these numbers, in order."""
    flags = tuple(f"flag {name}" for name in lt.FLAG_NAMES[: layout.flags])
    if layout is not lt.SECOND:
        return flags
    lights = (f"light {number}" for number in range(LIGHT))
    return (*flags, *lights, *(f"{channel} of {thing}" for thing in COLOURED for channel in ("red", "green", "blue")))


def told(identity: Floats, observation: Floats, layout: lt.Layout) -> NDArray[np.float32]:
    """Flags of z_I [N, d_I] and z_O [N, d_O] (`derived_flags`) and, of the second layout, light and colours,
    [N, told_size].

    Which place's light falls on a face, turned how far, and what colour a shirt has, follow from the latents by
    distances and sines that no small network finds out by itself.
    """
    flags = lt.derived_flags(identity, observation, layout)
    if layout is not lt.SECOND:
        return flags
    numbers = [
        (*read_light(how, float(skin_tone(who))).numbers, *colours(who, how))
        for who, how in zip(identity, observation, strict=True)
    ]
    return np.concatenate(
        [flags, np.asarray(numbers, np.float32).reshape(len(flags), told_size(layout) - layout.flags)], 1
    )


def colours(identity: Floats, observation: Floats) -> NDArray[np.float64]:
    """Colours of COLOURED, of one z_I [d_I] and z_O [d_O], [3 × COLOURED]: display values, -1 (none) to 1."""
    who, how = np.asarray(identity, np.float32), np.asarray(observation, np.float32)
    linear = (
        skin_colour(who),
        hair_colour(who, how),
        brow_colour(who, how),
        iris_colours(who)[1],
        shirt_colour(how),
        headwear_colour(who),
    )
    return np.asarray(2 * np.clip(np.concatenate(linear), 0, 1) ** (1 / 2.2) - 1)
