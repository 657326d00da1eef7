"""From latents to the head's vertices: who it is, how old it looks, and what it does with its face."""

from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from workers.generator import latents as lt
from workers.generator.parametric.geometry import HeadModel, Vertices

SPREAD = 0.38
"""Slider units a σ; more makes caricatures."""

LOW_SPREAD = 0.75
"""Of that, for mouth and chin, where caricatures begin soonest."""

ASYMMETRY_SEED = 5

Latent = NDArray[np.float32]


@lru_cache(maxsize=2)
def _slider_directions(count: int) -> NDArray[np.float64]:
    """One fixed unit vector over the shape latents for every slider, [count, shape latents].

    Random and the same for ever: it is part of what a latent means.
    """
    vectors = np.random.default_rng(ASYMMETRY_SEED).normal(size=(count, len(lt.CURRENT.shape)))
    return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True))


def identity_weights(head: HeadModel, identity: Latent, age: float) -> dict[Path, float]:
    """Morph targets and weights for one identity [d_I] at an apparent age in years."""
    weights: dict[Path, float] = {}

    def add(path: Path, weight: float) -> None:
        weights[path] = weights.get(path, 0.0) + float(weight)

    _add_macros(head, identity, age, add)
    amounts = _slider_directions(len(head.sliders)) @ identity[lt.CURRENT.shape.start : lt.CURRENT.shape.stop] * SPREAD
    for (name, sides), share in zip(head.sliders.items(), amounts, strict=True):
        for ends in sides.values():
            names = sorted(ends)
            amount = share * LOW_SPREAD if name.startswith(("mouth", "chin")) else share
            if name == "head":
                # Seven face outlines round a circle: two of them mixed by where the latent points.
                _add_outline(ends, identity, add)
            elif len(names) == 1:
                add(ends[names[0]], min(abs(amount), 0.9) if amount > 0 else 0.0)
            else:
                add(ends[names[0] if amount < 0 else names[1]], min(abs(amount), 0.95))
    return weights


def _add_outline(ends: dict[str, Path], identity: Latent, add: Callable[[Path, float], None]) -> None:
    first, second = float(identity[lt.OUTLINE_ACROSS]), float(identity[lt.OUTLINE_ALONG])
    strength = 0.28 * float(np.hypot(first, second))
    position = (np.arctan2(second, first) / (2 * np.pi) % 1.0) * len(ends)
    names = sorted(ends)
    low = int(position) % len(names)
    share = position - int(position)
    add(ends[names[low]], min(strength, 0.7) * (1 - share))
    add(ends[names[(low + 1) % len(names)]], min(strength, 0.7) * share)


def _add_macros(head: HeadModel, identity: Latent, age: float, add: Callable[[Path, float], None]) -> None:
    male = float(lt.masculinity(identity))
    genders = {"male": male, "female": 1 - male}
    old = float(np.clip((age - 25) / 65, 0, 1))
    child = float(np.clip((25 - age) / 13, 0, 1))
    ages = {"child": child, "young": 1 - old - child, "old": old}
    muscle = float(lt.between(identity[lt.MUSCLE], 0.35, 0.7))
    weight = float(lt.between(identity[lt.WEIGHT], 0.25, 0.85))
    for race, share in zip(("african", "asian", "caucasian"), lt.ancestry(identity), strict=True):
        for gender, g in genders.items():
            for stage, a in ages.items():
                add(head.macro(f"{race}-{gender}-{stage}"), share * g * a)
    for gender, g in genders.items():
        for stage, a in ages.items():
            for m_name, m in _three_way(muscle, "muscle").items():
                for w_name, w in _three_way(weight, "weight").items():
                    add(head.macro(f"universal-{gender}-{stage}-{m_name}-{w_name}"), g * a * m * w)


def _three_way(value: float, name: str) -> dict[str, float]:
    return {
        f"min{name}": max(0.0, 1 - 2 * value),
        f"average{name}": 1 - abs(2 * value - 1),
        f"max{name}": max(0.0, 2 * value - 1),
    }


def expression_weights(head: HeadModel, observation: Latent) -> dict[Path, float]:
    """Expression units and weights for one observation [d_O]; all zero at z_O = 0."""
    smile, lips, brows, lids, pucker, jaw = lt.bounded(lt.CURRENT.factor(observation, "expression"), 1.0, 2.2)
    units: dict[str, float] = {"browInnerUp": 0.35 * brows, "jawOpen": 0.16 * jaw, "mouthPucker": 0.35 * pucker}
    for side in ("Left", "Right"):
        units |= {
            f"mouthSmile{side}": 0.4 * smile,
            f"cheekSquint{side}": 0.28 * smile,
            f"mouthFrown{side}": -0.32 * smile,
            f"mouthUpperUp{side}": 0.18 * lips,
            f"mouthPress{side}": -0.3 * lips,
            f"browDown{side}": -0.35 * brows,
            f"browOuterUp{side}": 0.3 * brows,
            f"eyeWide{side}": 0.3 * lids,
            f"eyeSquint{side}": -0.35 * lids,
            f"mouthStretch{side}": -0.3 * pucker,
        }
    return {head.unit(name): float(np.clip(value, 0, 1)) for name, value in units.items() if value > 0}


def shape_head(head: HeadModel, identity: Latent, observation: Latent) -> tuple[Vertices, Vertices]:
    """Vertices at rest and with expression, both [V, 3], not yet turned."""
    age = float(lt.age_years(identity, observation))
    rest = head.morph(head.vertices, identity_weights(head, identity, age))
    return rest, head.morph(rest, expression_weights(head, observation))


def vertex_normals(vertices: Vertices, faces: NDArray[Any]) -> Vertices:
    """Unit normals [V, 3] of a mesh of quads [F, 4]."""
    corners = vertices[faces]
    across = np.cross(corners[:, 2] - corners[:, 0], corners[:, 3] - corners[:, 1])
    normals = np.zeros_like(vertices)
    for axis in range(3):
        # bincount is many times faster than np.add.at here.
        normals[:, axis] = np.bincount(faces.ravel(), np.repeat(across[:, axis], 4), minlength=len(vertices))
    return np.asarray(normals / np.maximum(np.linalg.norm(normals, axis=1), 1e-9)[:, None], np.float32)
