"""Heads with the shapes of scan statistics: what an import writes beside a card, and what the renderer asks of it.

Legend: V = 19,158 vertices of our mesh, decimetres; K = 64 of the scans' modes.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from app.dataset.model import ModelCard
from app.errors import Corrupt
from workers.digests import file_sha256
from workers.generator.latents import SECOND_BLOCKS
from workers.generator.parametric import faces

FILE = "heads.safetensors"
VERTICES = 19_158
MODES = SECOND_BLOCKS["shape"] + SECOND_BLOCKS["form"]
"""What the latents of a shape say: the first modes by the latents `shape`, the next ones by `form`."""

MAX_BYTES = 32 * 1024 * 1024

SPREAD = 1.35
"""Of the modes' own standard deviations: still people, and fewer of them are taken for each other."""

SEX_SIGMA, AGE_SIGMA = 1.6, 2.0
"""How far the sexes lie from the middle along their direction, and 30 years from each other along that of age, σ."""

OWN_SHARE = 0.5
"""How much of what the modes say along both directions is a person's own."""

MIDDLE_AGE = 40.0


@dataclass(frozen=True, kw_only=True)
class ScanHeads:
    """The registered mean and modes."""

    mean: NDArray[np.float32]
    """[V, 3]"""
    modes: NDArray[np.float32]
    """[K, V, 3], for one standard deviation each."""
    sex: NDArray[np.float32]
    """Direction towards male, of length 1, [K]."""
    age: NDArray[np.float32]
    """Direction towards old, of length 1 and square to that of sex, [K]."""

    def rest(self, identity: NDArray[np.floating], age: float) -> NDArray[np.float32]:
        """Vertices [V, 3] of one identity z_I [190] at an apparent age in years, its face at rest."""
        own = np.concatenate([faces.block(identity, "shape"), faces.block(identity, "form")]).astype(np.float64)
        own *= SPREAD
        for direction, where in (
            (self.sex, SEX_SIGMA * (2 * float(faces.masculinity(identity)) - 1)),
            (self.age, AGE_SIGMA * (age - MIDDLE_AGE) / 30),
        ):
            along = float(own @ direction)
            own += direction * (where + (OWN_SHARE - 1) * along)
        moved = np.tensordot(own.astype(np.float32), self.modes, 1)
        return np.asarray(self.mean + moved, np.float32)


def save_heads(folder: Path, heads: ScanHeads) -> str:
    """Write the heads into a model's folder; returns the file's SHA-256."""
    path = folder / FILE
    save_file(
        {
            "mean": np.ascontiguousarray(heads.mean, np.float32),
            "modes": np.ascontiguousarray(heads.modes, np.float16),
            "sex": np.ascontiguousarray(heads.sex, np.float32),
            "age": np.ascontiguousarray(heads.age, np.float32),
        },
        path,
    )
    path.chmod(0o644)
    return file_sha256(path)


def load_heads(folder: Path, card: ModelCard) -> ScanHeads | None:
    """The heads that a card names; None for a card that names none. Raises Corrupt before a bad file is used."""
    named = (card.model_extra or {}).get("heads")
    if named is None:
        return None
    digest = named.get("sha256") if isinstance(named, dict) else None
    return read_heads(folder / FILE, str(digest))


def read_heads(path: Path, sha256: str) -> ScanHeads:
    """Read a file of heads that must have this digest; raises Corrupt."""
    try:
        if not path.is_file():
            raise Corrupt(f"{path} is not there, or is not a regular file")
        if path.stat().st_size > MAX_BYTES:
            raise Corrupt(f"{path} has {path.stat().st_size:,} bytes; at most {MAX_BYTES:,} are loaded")
        if file_sha256(path) != sha256:
            raise Corrupt(f"{path} is not the file that was spoken of: its SHA-256 is not {sha256}")
        held = load_file(path)
    except (OSError, SafetensorError) as exc:
        raise Corrupt(f"{path} is not a readable safetensors file: {exc}") from exc
    wanted = {"mean": (VERTICES, 3), "modes": (MODES, VERTICES, 3), "sex": (MODES,), "age": (MODES,)}
    if {name: value.shape for name, value in held.items()} != wanted:
        raise Corrupt(f"{path} does not hold {', '.join(wanted)} of {MODES} modes and {VERTICES:,} vertices")
    values = {name: np.asarray(value, np.float32) for name, value in held.items()}
    if not all(np.isfinite(value).all() for value in values.values()):
        raise Corrupt(f"{path} holds values that are not finite")
    return ScanHeads(**values)
