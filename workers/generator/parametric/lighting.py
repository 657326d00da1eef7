"""Light on the face, and what lies behind it: panoramas of real places, mixed, turned and weighed by the latents.

Radiance is linear, y up, z towards the viewer; a panorama is [32, 64, 3], its first row up, its middle column along +z.
Spherical harmonics: nine real ones, order (l, m) 00, 1-1, 10, 11, 2-2, 2-1, 20, 21, 22 (R. Ramamoorthi, P. Hanrahan: An
efficient representation for irradiance environment maps. SIGGRAPH 2001).
"""

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from workers.generator.parametric import faces

Colour = NDArray[np.float64]

PANORAMAS = Path(__file__).parent / "data" / "panoramas.npz"
"""18 HDRIs of Poly Haven (CC0-1.0), reduced to 64×32 and to a mean luminance of 1."""

LEFT_OUT = ("night",)
CAP = 5.0
"""Radiance, in means of a panorama, above which it counts as the key light's."""

NEAR = 0.30
"""How far a place reaches in the space of the three place latents, σ."""

FACE_LUMINANCE = 0.62
"""Light on a face seen from the front, before exposure by its own tone."""

_BAND = np.array([1.0, 2 / 3, 2 / 3, 2 / 3, 0.25, 0.25, 0.25, 0.25, 0.25])
"""Cosine lobe by degree, over π: radiance's coefficients to those of light reflected by white paper."""

_LUMINANCE = np.array([0.2126, 0.7152, 0.0722])


@dataclass(frozen=True, kw_only=True)
class Light:
    """One soft key light, and the light from all around."""

    direction: Colour
    """Towards the key light, [3]."""
    key: Colour
    """Linear light of the key, [3]."""
    harmonics: Colour
    """Light from all around as white paper reflects it, [9, 3]."""
    panorama: NDArray[np.float32]
    """The place as it is seen in eyes and behind the head, [32, 64, 3]."""
    wrap: float
    """How far the key reaches round, 0 (hard) to 1."""
    softness: float
    """Half-width of a shadow's edge, of the reach of shadows."""

    @property
    def numbers(self) -> NDArray[np.float32]:
        """What a network is told of it: harmonics, key and direction, [33]."""
        return np.concatenate([self.harmonics.ravel(), self.key, self.direction]).astype(np.float32)

    @property
    def sky(self) -> Colour:
        """Light from above, [3]."""
        return np.maximum(shaded(self.harmonics, np.array([0.0, 1.0, 0.0])), 0)

    @property
    def ground(self) -> Colour:
        """Light from below, [3]."""
        return np.maximum(shaded(self.harmonics, np.array([0.0, -1.0, 0.0])), 0)


@dataclass(frozen=True, kw_only=True)
class _Places:
    """All panoramas, and where each stands in the space of the place latents."""

    radiance: NDArray[np.float32]
    """[K, 32, 64, 3]; the first is an evenly lit studio, made by formula."""
    points: NDArray[np.float64]
    """[K, 3]"""
    directions: NDArray[np.float64]
    """[32, 64, 3]"""
    solid: NDArray[np.float64]
    """Solid angle of each pixel, [32, 64]."""
    basis: NDArray[np.float64]
    """Harmonics at each pixel, [9, 32, 64]."""


def harmonics_at(n: NDArray[Any]) -> NDArray[np.float64]:
    """The nine harmonics in directions [..., 3]: [9, ...]."""
    x, y, z = np.moveaxis(np.asarray(n, np.float64), -1, 0)
    return np.stack(
        [
            0.282095 * np.ones_like(x),
            0.488603 * y,
            0.488603 * z,
            0.488603 * x,
            1.092548 * x * y,
            1.092548 * y * z,
            0.315392 * (3 * z * z - 1),
            1.092548 * x * z,
            0.546274 * (x * x - y * y),
        ]
    )


def shaded(harmonics: Colour, normal: NDArray[Any]) -> Colour:
    """Light that white paper facing a direction [3] reflects, [3]."""
    return np.asarray(harmonics_at(normal) @ harmonics)


@lru_cache(maxsize=1)
def load_places() -> _Places:
    """Read the panoramas, once a process."""
    with np.load(PANORAMAS) as stored:
        names = [name for name in stored.files if name not in LEFT_OUT]
        real = np.maximum(np.stack([stored[name].astype(np.float32) for name in names]), 0.0)
    # A sun's pixel has a broken channel in some of them: no light that we know has four times its middle one.
    real = np.minimum(real, 4 * np.median(real, axis=3, keepdims=True))
    height, width = real.shape[1:3]
    polar = (np.arange(height) + 0.5) / height * np.pi
    around = (np.arange(width) + 0.5) / width * 2 * np.pi - np.pi
    directions = np.stack(
        [
            np.sin(polar)[:, None] * np.sin(around),
            np.cos(polar)[:, None] * np.ones(width),
            np.sin(polar)[:, None] * np.cos(around),
        ],
        -1,
    )
    solid = np.sin(polar)[:, None] * (np.pi / height) * (2 * np.pi / width) * np.ones(width)
    rng = np.random.default_rng(18)
    cloud = rng.normal(0, 0.8, (4000, 3))
    cloud = cloud[np.linalg.norm(cloud, axis=1) < 1.5]
    points = [np.zeros(3)]
    while len(points) < len(names) + 1:  # apart from each other, yet where latents often lie
        gaps = np.linalg.norm(cloud[:, None] - np.array(points)[None], axis=2).min(1) - 0.35 * np.linalg.norm(
            cloud, axis=1
        )
        points.append(cloud[gaps.argmax()])
    studio = _studio(directions)
    return _Places(
        radiance=np.concatenate([studio[None], real]).astype(np.float32),
        points=np.array(points),
        directions=directions,
        solid=solid,
        basis=harmonics_at(directions),
    )


def _studio(directions: NDArray[np.float64]) -> NDArray[np.float64]:
    """A grey room with a large soft light in front, a little above and to the side."""
    towards = np.array([0.0, 0.5, 0.866])
    box = np.exp((directions @ towards - 1) / 0.12)
    room = 0.62 + 0.25 * directions[..., 1:2]
    return np.asarray((0.8 * room + 6.0 * box[..., None]) * np.array([1.02, 1.0, 0.97]))


def read_light(observation: NDArray[np.float32], tone: float = 0.0) -> Light:
    """Light for one observation, exposed for a skin `tone` from 0 (lightest) to 1 (darkest)."""
    places = load_places()

    def latent(name: str) -> float:
        return float(faces.how(observation, name))

    point = np.array([latent(f"place_{k}") for k in "xyz"])
    away = ((places.points - point) ** 2).sum(1)
    share = np.exp(-(away - away.min()) / (2 * NEAR**2))
    share /= share.sum()
    mixed = np.tensordot(share, places.radiance.astype(np.float64), 1)
    mixed = _turned(mixed, float(faces.bounded(latent("key_azimuth"), 45.0, 120.0)))
    mean = np.maximum((mixed * places.solid[..., None]).sum((0, 1)), 1e-6)
    mixed = mixed / (mean / (mean @ _LUMINANCE)) ** 0.85  # the camera's white balance corrects most of a cast
    mixed /= (np.minimum(mixed, CAP) @ _LUMINANCE * places.solid).sum() / (4 * np.pi)
    around = np.minimum(mixed, CAP)
    tint = float(faces.bounded(latent("sky_tint"), 0.03, 0.09))
    fill = float(np.exp(faces.bounded(latent("ground_strength"), 0.22, 0.5)))
    harmonics = np.einsum("khw,hwc,hw->kc", places.basis, around, places.solid) * _BAND[:, None]
    harmonics[1:] *= 0.85  # light that bounces off near walls and clothes evens it out
    harmonics = harmonics * fill * np.array([1 + tint, 1.0, 1 - tint])
    direction, colour, strength = _key(places, mixed)
    direction[1] += float(faces.bounded(latent("key_elevation"), 0.16, 0.35))
    direction /= np.linalg.norm(direction)
    warmth = float(faces.bounded(latent("key_warmth"), 0.05, 0.16))
    power = strength * float(np.exp(faces.bounded(latent("key_strength"), 0.35, 0.8)))
    key = power * colour * np.array([1 + warmth, 1.0, 1 - warmth])
    wrap = float(faces.between(latent("key_wrap"), 0.1, 0.6))
    # Metered as a camera does that has found a face: light on its front, and a part of what its skin swallows.
    front = sum(
        0.34 * float((shaded(harmonics, n) + key * max(float(n @ direction), 0.0)) @ _LUMINANCE)
        for n in (np.array([0.0, 0.0, 1.0]), np.array([0.6, 0.0, 0.8]), np.array([-0.6, 0.0, 0.8]))
    )
    exposure = FACE_LUMINANCE / max(front, 1e-3) * np.exp(float(faces.bounded(latent("sky_strength"), 0.2, 0.45)))
    exposure *= 1.0 + 2.2 * tone**1.6
    return Light(
        direction=direction,
        key=key * exposure,
        harmonics=harmonics * exposure,
        panorama=(np.minimum(mixed, 12.0) * exposure).astype(np.float32),
        wrap=wrap,
        softness=0.010 + 0.09 * wrap,
    )


def key_side(observation: NDArray[np.float32]) -> float:
    """From how far aside the key light comes for one observation, radians, positive from the subject's left."""
    x, _, z = read_light(observation).direction
    return float(np.arctan2(x, max(float(z), 0.0)))


def _turned(panorama: NDArray[np.float64], degrees: float) -> NDArray[np.float64]:
    """A panorama turned about the vertical, between its columns by linear interpolation."""
    columns = degrees / 360 * panorama.shape[1]
    whole = int(np.floor(columns))
    part = columns - whole
    return np.asarray((1 - part) * np.roll(panorama, whole, 1) + part * np.roll(panorama, whole + 1, 1))


def _key(places: _Places, panorama: NDArray[np.float64]) -> tuple[Colour, Colour, float]:
    """Direction [3], colour [3] and strength of what shines brightest on the face's side; all change smoothly."""
    _, y, z = np.moveaxis(places.directions, -1, 0)
    luminance = np.minimum(panorama @ _LUMINANCE, 40.0)
    front = 1 / (1 + np.exp(-(z + 0.10) / 0.15)) / (1 + np.exp(-(y + 0.15) / 0.12))
    weight = luminance**2 * front * places.solid
    weight /= weight.sum()
    direction = (weight[..., None] * places.directions).sum((0, 1))
    focus = float(np.linalg.norm(direction))
    direction = direction / max(focus, 1e-6) + np.array([0.0, 0.12, 0.25])
    colour = (weight[..., None] * panorama).sum((0, 1))
    colour = (colour / max(float(colour @ _LUMINANCE), 1e-6)) ** 0.5
    bright = float((weight * luminance).sum())
    return direction / np.linalg.norm(direction), colour, focus * float(np.clip(0.30 * bright**0.5, 0.2, 1.3))
