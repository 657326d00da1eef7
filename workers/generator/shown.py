"""What an image is asked to show, read off its latents: the truth of one sample beside its subject's attributes."""

import math

import numpy as np

from app.dataset.model import ModelCard
from app.dataset.shard import Shown
from workers.generator.latents import (
    CURRENT,
    Floats,
    Layout,
    age_years,
    bounded,
    layout_of,
    pose_of,
    wears_glasses,
    wears_headwear,
    wears_mask,
)
from workers.generator.parametric.lighting import key_side


def shown(card: ModelCard, identity: Floats, observation: Floats) -> Shown | None:
    """What the image of z_I [d_I] and z_O [d_O], σ included, is asked to show; None where the latents are not ours."""
    layout = layout_of(card)
    if layout is None:
        return None
    pose = pose_of(observation, layout)
    smile, jaw = (float(bounded(layout.of_how(observation, name), 1.0, 2.2)) / 2.2 for name in ("smile", "jaw"))
    return Shown(
        glasses=bool(wears_glasses(identity, observation, layout)) if "glasses" in card.attributes else None,
        headwear=bool(wears_headwear(identity, observation, layout)) if "headwear" in card.attributes else None,
        mask=bool(wears_mask(observation, layout)) if "mask_on" in layout.dimensions else None,
        age=round(float(age_years(identity, observation, layout)), 1),
        yaw=round(float(pose.yaw), 1),
        pitch=round(float(pose.pitch), 1),
        smile=round(smile, 2),
        mouth_open=round(max(jaw, 0.0), 2),
        light_side=round(math.degrees(light_side(observation, layout)), 1),
    )


def light_side(observation: Floats, layout: Layout = CURRENT) -> Floats:
    """From how far aside the brightest light comes, radians, positive from the subject's left, within ±1.6."""
    if "place_x" in layout.dimensions:
        return np.apply_along_axis(key_side, -1, np.asarray(observation))
    return bounded(layout.of_how(observation, "key_azimuth"), 0.55, 1.5)
