"""What z_I means in a network that knows nothing of identities: attributes along its first axes, people kept apart.

Legend: d dimensions of the network's own z, K attributes, k dimensions of a template's prediction, d_w those of w.

Attributes: the network's z is z_I turned by an orthogonal matrix whose first K rows are the normals of boundaries. So
z_I stays N(0, 1) in every dimension, and a draw conditioned on an attribute is one slice of one latent, met in count.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError

from app.errors import Corrupt
from workers.generator.editing.boundaries import Vector, orthogonal_to
from workers.generator.editing.files import drop_tensors, load_tensors, save_tensors

FILE = r"identities-[0-9a-f]{12}\.safetensors"

MAX_BYTES = 256 * 1024 * 1024

SQUARE = 1e-5
"""How far from orthogonal a turn may be."""

MOST_STEPS = 100


@dataclass(frozen=True, kw_only=True)
class Apart:
    """How the identities of one block are moved apart (workers.generator.editing.apart)."""

    likeness: Vector
    """[k, d_w]: takes w, less its mean, to how a template is predicted to differ from the mean one."""
    middle: Vector
    """[d_w], the mean of w."""
    base: Vector
    """[k], the mean template. Without it people who differ little from it, and so look alike, would seem apart."""
    margin: float
    """Predicted cosine above which two are pushed apart."""
    steps: int
    """Of the descent."""
    stride: float
    """Of each step, over the mean length of z."""

    def __post_init__(self) -> None:
        """Raise ValueError for what cannot be."""
        if self.likeness.ndim != 2 or (*self.base.shape, *self.middle.shape) != self.likeness.shape:
            raise ValueError("likeness, base and middle do not fit each other")
        if not all(np.isfinite(values).all() for values in (self.likeness, self.base, self.middle)):
            raise ValueError("likeness, base or middle is not finite")
        if not -1 <= self.margin < 1 or not 1 <= self.steps <= MOST_STEPS or not 0 < self.stride < 1:
            raise ValueError(f"margin {self.margin}, {self.steps} steps of {self.stride} are not possible")


@dataclass(frozen=True, kw_only=True)
class Identities:
    """What was found of a network's z_I."""

    turn: Vector | None = None
    """[d, d], orthogonal: z = z_I · turn. None where z is z_I."""
    apart: Apart | None = None

    def __post_init__(self) -> None:
        """Raise ValueError for a turn that is none."""
        if self.turn is not None:
            size = len(self.turn)
            if self.turn.shape != (size, size) or not np.isfinite(self.turn).all():
                raise ValueError("turn is not a square of finite numbers")
            if np.abs(self.turn @ self.turn.T - np.eye(size)).max() > SQUARE:
                raise ValueError("turn is not orthogonal")


def turn_of(normals: Sequence[Vector]) -> Vector:
    """The orthogonal matrix [d, d] whose first rows are these normals [d], each without the part of those before it.

    Raises ValueError where they depend on each other.
    """
    rows: list[Vector] = []
    for normal in normals:
        rows.append(orthogonal_to(normal, rows))
    first = np.stack(rows)
    # The rest is any basis of what is left: the last right singular vectors.
    rest = np.linalg.svd(first)[2][len(rows) :]
    return np.concatenate([first, rest])


def save_identities(folder: Path, found: Identities, about: Mapping[str, Any]) -> dict[str, Any]:
    """Write a model folder's file; returns what its card is to say, `about` among it."""
    tensors: dict[str, Vector] = {}
    if found.turn is not None:
        tensors["turn"] = found.turn
    told: dict[str, Any] = dict(about)
    if found.apart is not None:
        tensors |= {"likeness": found.apart.likeness, "middle": found.apart.middle, "base": found.apart.base}
        told["apart"] = {"margin": found.apart.margin, "steps": found.apart.steps, "stride": found.apart.stride} | dict(
            about.get("apart", {})
        )
    return {**save_tensors(folder, "identities", tensors), **told}


def drop_identities(folder: Path, kept: str) -> None:
    """Remove files that no card speaks of any more; `kept` is the name of the one that is in use."""
    drop_tensors(folder, FILE, kept)


def load_identities(folder: Path, said: Any, latent: int, width: int) -> Identities:
    """What a card says of z_I, nothing where it says nothing; raises Corrupt. `latent` is d and `width` d_w."""
    if said is None:
        return Identities()
    where = folder / "card.json"
    try:
        if not re.fullmatch(FILE, said["file"]):
            raise ValueError("identities stand in a file of their own")
        tensors = load_tensors(folder, said, MAX_BYTES)
        apart = None
        if "apart" in said:
            how = said["apart"]
            apart = Apart(
                likeness=tensors["likeness"].astype(np.float64),
                middle=tensors["middle"].astype(np.float64),
                base=tensors["base"].astype(np.float64),
                margin=float(how["margin"]),
                steps=int(how["steps"]),
                stride=float(how["stride"]),
            )
            if len(apart.middle) != width:
                raise ValueError(f"likeness has {len(apart.middle)} dimensions; this model's w has {width}")
        found = Identities(turn=tensors.get("turn"), apart=apart)
        if found.turn is not None and len(found.turn) != latent:
            raise ValueError(f"turn has {len(found.turn)} dimensions; this model's z has {latent}")
    except (KeyError, TypeError, ValueError, OSError, SafetensorError) as exc:
        raise Corrupt(f"{where} has identities that cannot be: {exc}") from exc
    return found
