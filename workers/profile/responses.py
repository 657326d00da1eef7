"""What a model's latents do to the quantities of a profile, measured on its own images.

A latent is moved over a few values with all other observation latents at 0, on several identities; and samples at σ = 1
tell what everything else does to the quantity meanwhile. One latent moves one quantity: the one it is listed for first.
"""

from collections.abc import Callable, Sequence

import numpy as np

from app.dataset.model import Response, Responses
from app.dataset.profile import QUANTITIES
from app.errors import Misconfigured
from workers.generator.base import Generator, Latents
from workers.generator.draw import draw_identity, draw_observation
from workers.generator.latents import Layout, layout_of
from workers.images import to_pixels
from workers.matchers.detector import Detector
from workers.profile.look import look
from workers.profile.tell import Floats

DRIVERS: dict[str, tuple[str, ...]] = {
    "yaw": ("yaw",),
    "roll": ("roll",),
    "smile": ("smile",),
    "light_side": ("key_azimuth",),
    "brightness": ("exposure", "key_strength", "sky_strength"),
    "contrast": ("sky_strength", "ground_strength", "key_wrap"),
    "sharpness": ("blur", "resolution"),
    "noise": ("noise",),
    "blocks": ("compression",),
}
"""Quantity to the observation latents that may move it, the likeliest first; of those that a model has and that are not
taken yet, the one that moves it farthest is."""

OF_WHO = {"skin": "skin_tone"}
"""The same of identity latents."""

STEPS = (-2.5, -1.25, 0.0, 1.25, 2.5)
"""Values of a latent that are tried; beyond ±2.5 lies one sample in eighty."""

IDENTITIES = 10

SAMPLES = 120
"""At σ = 1."""

SEED = 2**62 + 5
"""Of no request, and of no calibration or evaluation."""

LEAST = 0.5
"""A latent moves a quantity where its whole reach is this many of the deviations that all else makes."""

BATCH = 20


def measure_responses(
    generator: Generator,
    detector: Detector,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> Responses:
    """Measure a model; `on_progress` gets images done and in all. Raises Misconfigured for latents of another kind."""
    card = generator.card
    layout = layout_of(card)
    if layout is None:
        text = (
            f"model {card.name!r} has latents of its own, whose meaning is not known; no profile can be mapped to them"
        )
        raise Misconfigured(text)
    how = list(dict.fromkeys(name for names in DRIVERS.values() for name in names if name in layout.dimensions))
    who = [name for name in OF_WHO.values() if name in layout.who]
    total = (len(how) + len(who)) * len(STEPS) * IDENTITIES + SAMPLES
    done = 0

    def seen(identity: Latents, observation: Latents) -> list[dict[str, float]]:
        nonlocal done
        found = _look(generator, detector, identity, observation)
        done += len(identity)
        on_progress(done, total)
        return found

    faces = np.stack([draw_identity(SEED, number, 0, card.latent.identity) for number in range(IDENTITIES)])
    still = np.zeros((IDENTITIES, card.latent.observation_size), np.float32)
    moved: dict[str, list[dict[str, float]]] = {}
    for name in how:
        moved[name] = [_medians(seen(faces, _with(still, layout.dimensions[name], step))) for step in STEPS]
    for name in who:
        moved[name] = [_medians(seen(_with(faces, layout.who[name], step), still)) for step in STEPS]
    sigma = np.ones(card.latent.observation_size, np.float32)
    identity = np.stack([draw_identity(SEED, 1_000 + number, 0, card.latent.identity) for number in range(SAMPLES)])
    observation = np.stack([draw_observation(SEED, 1_000 + number, 0, 0, sigma) for number in range(SAMPLES)])
    usual = seen(identity, observation)
    return Responses(
        model=card.digest,
        identities=IDENTITIES,
        quantities=_responses(layout, moved, identity, observation, usual),
        medians={name: round(value, 4) for name, value in _medians(usual).items()},
    )


def _with(latents: Latents, dimension: int, value: float) -> Latents:
    found = latents.copy()
    found[:, dimension] = value
    return found


def _look(generator: Generator, detector: Detector, identity: Latents, observation: Latents) -> list[dict[str, float]]:
    """Quantities of each image; empty where no face is found."""
    found = []
    width, height = generator.card.sizes[0]
    for start in range(0, len(identity), BATCH):
        part = slice(start, start + BATCH)
        for pixels in to_pixels(generator.generate(identity[part], observation[part], width, height)):
            face = detector.detect(pixels)
            found.append({} if face is None else look(pixels, face))
    return found


def _medians(found: Sequence[dict[str, float]]) -> dict[str, float]:
    return {
        name: float(np.median(values)) for name in QUANTITIES if (values := [one[name] for one in found if name in one])
    }


def _responses(
    layout: Layout,
    moved: dict[str, list[dict[str, float]]],
    identity: Latents,
    observation: Latents,
    usual: Sequence[dict[str, float]],
) -> dict[str, Response]:
    found: dict[str, Response] = {}
    taken: set[str] = set()
    for quantity, names in {**DRIVERS, **{name: (latent,) for name, latent in OF_WHO.items()}}.items():
        tried = []
        for name in names:
            if name in taken or name not in moved or not all(quantity in step for step in moved[name]):
                continue
            of_who = quantity in OF_WHO
            latents = identity[:, layout.who[name]] if of_who else observation[:, layout.dimensions[name]]
            dimension = layout.who[name] if of_who else layout.dimensions[name]
            curve = np.array([step[quantity] for step in moved[name]])
            response = _response(quantity, name, dimension, of_who, curve, latents.astype(np.float64), usual)
            if response is not None:
                tried.append(response)
        if tried:
            reach, best = max(tried, key=lambda one: one[0])
            if reach >= LEAST:
                found[quantity] = best
                taken.add(best.name)
    return found


def _response(
    quantity: str,
    name: str,
    dimension: int,
    of_who: bool,
    curve: Floats,
    latents: Floats,
    usual: Sequence[dict[str, float]],
) -> tuple[float, Response] | None:
    """How far a latent moves a quantity, in deviations that all else makes, and the response."""
    form = np.log if QUANTITIES[quantity].logarithmic else np.asarray
    values = np.asarray(form(curve), np.float64)
    rising = values[-1] >= values[0]
    values = np.maximum.accumulate(values) if rising else np.minimum.accumulate(values)
    there = np.array([quantity in one for one in usual])
    if there.sum() < SAMPLES // 2:
        return None
    measured = np.asarray(form([one[quantity] for one in usual if quantity in one]), np.float64)
    rest = measured - np.interp(latents[there], STEPS, values)
    low, middle, high = np.quantile(rest, [0.16, 0.5, 0.84])
    others = max(float(high - low) / 2, 1e-9)
    shifted = values + middle
    back = np.exp(shifted) if QUANTITIES[quantity].logarithmic else shifted
    return float(abs(values[-1] - values[0]) / others), Response(
        space="identity" if of_who else "observation",
        latent=dimension,
        name=name,
        latents=STEPS,
        values=tuple(round(float(value), 4) for value in back),
        others=round(others, 5),
    )
