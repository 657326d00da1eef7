"""Directions in a generator's latent space, what a unit of them is, and z_O as steps along them.

Legend: B batch, d dimensions of the space (Z or W), L layers that take a w, K directions; float32 where a network
runs. Two sorts: one that *sets* a signed distance to a boundary (so that z_O = 0 is the boundary's middle: a frontal
pose, a neutral mouth), and one that *shifts* from where the identity is.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from torch import Tensor

from app.errors import Corrupt
from workers.generator.editing.boundaries import NORM_TOLERANCE, Vector, gram
from workers.generator.editing.files import drop_tensors, load_tensors, save_tensors

FILE = r"directions(-[0-9a-f]{12})?\.safetensors"
"""Name of the file of normals. Folders of before have one without its digest."""

NOISE, NOISE_DIMENSIONS = "noise", 4
"""Factor of networks that take noise: how far, and to which, a sample's noise is from the maps that are kept."""

SPACES = ("Z", "W")
MOST = 512
"""Directions of one model."""

MAX_BYTES = 64 * 1024 * 1024


@dataclass(frozen=True, kw_only=True)
class Direction:
    """One dimension of z_O."""

    name: str
    factor: str
    space: str
    """Z or W."""
    normal: Vector
    """[d], of norm 1."""
    unit: float
    """Distance in the space for z_O = 1."""
    limit: float
    """Distance beyond which no z_O leads, on either side of the centre."""
    centre: float | None = None
    """Signed distance at z_O = 0, where the direction sets one; None where it shifts."""
    layers: tuple[int, int] | None = None
    """[first, last) of the layers of W that it moves; None for all."""
    measured: Mapping[str, Any] = field(default_factory=dict)
    """What was measured of it."""

    def __post_init__(self) -> None:
        """Raise ValueError for what is no direction."""
        if self.space not in SPACES:
            raise ValueError(f"direction {self.name}: space {self.space!r} is not Z or W")
        if self.normal.ndim != 1 or abs(float(np.linalg.norm(self.normal)) - 1) > NORM_TOLERANCE:
            raise ValueError(f"direction {self.name} is not a vector of norm 1")
        for what, value in (("unit", self.unit), ("limit", self.limit)):
            if not 0 < value < 1e6:
                raise ValueError(f"direction {self.name}: {what} {value} is not above 0")
        if self.centre is not None and not abs(self.centre) < 1e6:
            raise ValueError(f"direction {self.name}: centre {self.centre} is not finite")


def factors_of(directions: Sequence[Direction], *, noise: bool) -> dict[str, tuple[int, int]]:
    """Factor to [start, stop) within z_O; raises ValueError where a factor's directions do not stand together."""
    found: dict[str, tuple[int, int]] = {}
    for number, one in enumerate(directions):
        start, stop = found.get(one.factor, (number, number))
        if stop != number:
            raise ValueError(f"the directions of factor {one.factor} do not stand together")
        found[one.factor] = (start, number + 1)
    if noise:
        found[NOISE] = (len(directions), len(directions) + NOISE_DIMENSIONS)
    return found


class Steps:
    """z_O as moves of z and w, on one device."""

    def __init__(self, directions: Sequence[Direction], layers: int, device: torch.device) -> None:
        self.count = len(directions)
        self._parts = {
            space: _Part(directions, space, layers, device)
            for space in SPACES
            if any(one.space == space for one in directions)
        }

    def in_z(self, z: Tensor, observation: Tensor) -> Tensor:
        """z [B, d] moved as z_O [B, …] says."""
        part = self._parts.get("Z")
        return z if part is None else part.moved(z[:, None], observation)[:, 0]

    def in_w(self, w: Tensor, observation: Tensor) -> Tensor:
        """w [B, L, d], one a layer, moved as z_O [B, …] says."""
        part = self._parts.get("W")
        return w if part is None else part.moved(w, observation)


class _Part:
    """The directions of one space."""

    def __init__(self, directions: Sequence[Direction], space: str, layers: int, device: torch.device) -> None:
        chosen = [number for number, one in enumerate(directions) if one.space == space]
        own = [directions[number] for number in chosen]
        normals = np.stack([one.normal for one in own])
        # Distances are met together: what one direction moves of another's distance is taken back.
        sets = np.array([one.centre is not None for one in own])
        solve = np.zeros((len(own), len(own)))
        if sets.any():
            solve[np.ix_(sets, sets)] = np.linalg.inv(gram(normals[sets]))
        count = layers if space == "W" else 1
        mask = np.ones((len(own), count))
        for row, one in enumerate(own):
            if one.layers is not None and space == "W":
                mask[row] = [one.layers[0] <= layer < one.layers[1] for layer in range(count)]

        def tensor(values: Any) -> Tensor:
            return torch.tensor(np.asarray(values), dtype=torch.float32, device=device)

        self._columns = chosen
        self._normals, self._solve, self._mask = tensor(normals), tensor(solve), tensor(mask)
        self._unit, self._limit = tensor([one.unit for one in own]), tensor([one.limit for one in own])
        self._centre = tensor([one.centre or 0.0 for one in own])
        self._sets = tensor(sets)

    def moved(self, points: Tensor, observation: Tensor) -> Tensor:
        """points [B, L, d] → the same shape."""
        step = self._limit * torch.tanh(observation[:, self._columns] * self._unit / self._limit)
        missing = (self._centre + step)[:, None] - points @ self._normals.T
        along = (missing * self._sets) @ self._solve + (step * (1 - self._sets))[:, None]
        return points + (along * self._mask.T) @ self._normals


def save_directions(folder: Path, directions: Sequence[Direction]) -> dict[str, Any]:
    """Write a model folder's directions beside those that it has; returns what its card is to say of them."""
    tensors = {f"{number}": one.normal for number, one in enumerate(directions)}
    return {**save_tensors(folder, "directions", tensors), "list": [_as_card(one) for one in directions]}


def drop_directions(folder: Path, kept: str) -> None:
    """Remove files of directions that no card speaks of any more; `kept` is the name of the one that is in use."""
    drop_tensors(folder, FILE, kept)


def _as_card(one: Direction) -> dict[str, Any]:
    return {
        "name": one.name,
        "factor": one.factor,
        "space": one.space,
        "unit": one.unit,
        "limit": one.limit,
        "centre": one.centre,
        "layers": None if one.layers is None else list(one.layers),
        "measured": dict(one.measured),
    }


def load_directions(folder: Path, said: Any, dimensions: Mapping[str, int], layers: int) -> list[Direction]:
    """A model's directions as its card says them; raises Corrupt. `dimensions` are those of Z and of W."""
    where = folder / "card.json"
    try:
        listed = said["list"]
        if not isinstance(listed, list) or len(listed) > MOST or not re.fullmatch(FILE, said["file"]):
            raise ValueError(f"directions are no list of at most {MOST} in a file of their own")
        if not listed:
            return []
        normals = load_tensors(folder, said, MAX_BYTES)
        found = [_direction(entry, normals[str(number)]) for number, entry in enumerate(listed)]
        for one in found:
            if len(one.normal) != dimensions[one.space]:
                raise ValueError(f"direction {one.name} has {len(one.normal)} dimensions; {one.space} has others")
            if one.layers is not None and not 0 <= one.layers[0] < one.layers[1] <= layers:
                raise ValueError(f"direction {one.name} moves layers that are not there")
    except (KeyError, TypeError, ValueError, OSError, SafetensorError) as exc:
        raise Corrupt(f"{where} has directions that cannot be: {exc}") from exc
    return found


def _direction(entry: Mapping[str, Any], normal: NDArray[Any]) -> Direction:
    if not np.isfinite(normal).all():
        raise ValueError(f"direction {entry['name']} is not finite")
    layers = entry["layers"]
    return Direction(
        name=str(entry["name"]),
        factor=str(entry["factor"]),
        space=str(entry["space"]),
        normal=normal.astype(np.float64),
        unit=float(entry["unit"]),
        limit=float(entry["limit"]),
        centre=None if entry["centre"] is None else float(entry["centre"]),
        layers=None if layers is None else (int(layers[0]), int(layers[1])),
        measured=entry.get("measured", {}),
    )
