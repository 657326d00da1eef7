"""A folder of raw float32 files and the manifest.json that names and shapes them, as sdgan-web has it.

The folder comes from elsewhere: all that it says is checked before a value is read, and every value before it is used.
"""

import json
import math
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.errors import Corrupt

MANIFEST = "manifest.json"
BESIDE = (MANIFEST, "LICENSE.txt")
"""Files that a manifest does not list."""

MAX_MANIFEST_BYTES = 1024 * 1024
MAX_FILE_BYTES = 256 * 1024 * 1024
MAX_DIMENSIONS = 8


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One tensor of the manifest, whose file has exactly the size of its shape."""

    path: Path
    shape: tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class Files:
    """A folder whose manifest, names and sizes are in order; of the values nothing is known yet."""

    folder: Path
    entries: Mapping[str, Entry]

    def read(self, name: str) -> NDArray[np.float32]:
        """One tensor, float32 in the manifest's shape; raises Corrupt for values that are not finite."""
        entry = self.entries[name]
        size = _size(entry.shape)
        try:
            with entry.path.open("rb") as file:
                data = file.read(size + 1)
        except OSError as exc:
            raise Corrupt(f"{entry.path} cannot be read: {exc}") from exc
        if len(data) != size:
            raise Corrupt(f"{entry.path} changed while it was read")
        values = np.frombuffer(data, "<f4").astype(np.float32).reshape(entry.shape)
        if not np.isfinite(values).all():
            raise Corrupt(f"{entry.path}: {name} holds values that are not finite")
        return values


def open_web_files(folder: Path) -> Files:
    """Read and check a folder's manifest and its files' names and sizes; raises Corrupt, naming what is wrong."""
    entries: dict[str, Entry] = {}
    owners: dict[str, str] = {}
    for name, entry in _manifest(folder / MANIFEST).items():
        file, shape = _entry(folder / MANIFEST, name, entry)
        if file in owners:
            raise Corrupt(f"{folder / MANIFEST} gives {owners[file]} and {name} the same file {file!r}")
        owners[file] = name
        size, found = _size(shape), _regular(folder / file, name)
        if size > MAX_FILE_BYTES:
            raise Corrupt(f"{folder / MANIFEST}: {name} would have {size:,} bytes; at most {MAX_FILE_BYTES:,} are read")
        if found != size:
            raise Corrupt(f"{folder / file} has {found:,} bytes; the shape {list(shape)} of {name} takes {size:,}")
        entries[name] = Entry(path=folder / file, shape=shape)
    try:
        there = sorted(path.name for path in folder.iterdir())
    except OSError as exc:
        raise Corrupt(f"{folder} cannot be listed: {exc}") from exc
    if strays := [name for name in there if name not in (*owners, *BESIDE)]:
        raise Corrupt(f"{folder} holds {strays[0]!r}, of which its manifest says nothing; take it away")
    return Files(folder=folder, entries=entries)


def _size(shape: tuple[int, ...]) -> int:
    """Bytes that a shape takes."""
    return 4 * math.prod(shape)


def _regular(path: Path, what: str) -> int:
    """Size of a regular file; a link may lead out of the folder, and a pipe has no end."""
    try:
        status = path.lstat()
    except OSError as exc:
        raise Corrupt(f"{path}, the file of {what}, cannot be read: {exc}") from exc
    if not stat.S_ISREG(status.st_mode):
        raise Corrupt(f"{path}, the file of {what}, is not a regular file")
    return status.st_size


def _manifest(path: Path) -> dict[str, Any]:
    if (size := _regular(path, "the manifest")) > MAX_MANIFEST_BYTES:
        raise Corrupt(f"{path} has {size:,} bytes; a manifest has at most {MAX_MANIFEST_BYTES:,}")
    try:
        found = json.loads(path.read_bytes(), object_pairs_hook=_unrepeated)
    except OSError as exc:
        raise Corrupt(f"{path} cannot be read: {exc}") from exc
    except (ValueError, RecursionError) as exc:
        raise Corrupt(f"{path} is not a manifest: {exc}") from exc
    if not isinstance(found, dict):
        raise Corrupt(f"{path} is not a manifest: it holds no object of tensors")
    return found


def _unrepeated(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name stands twice in one object")
    return found


def _entry(where: Path, name: str, entry: Any) -> tuple[str, tuple[int, ...]]:
    """File name and shape of a manifest's entry."""
    if not isinstance(entry, dict) or set(entry) != {"filename", "shape"}:
        raise Corrupt(f"{where}: {name} is not an object of filename and shape")
    file, shape = entry["filename"], entry["shape"]
    if not isinstance(file, str) or not file.isprintable() or file in ("", ".", "..") or {"/", "\\"} & set(file):
        raise Corrupt(f"{where}: {name} names the file {file!r}; it must lie in the same folder")
    if file in BESIDE:
        raise Corrupt(f"{where}: {name} names the file {file!r}, which holds no tensor")
    if (
        not isinstance(shape, list)
        or not 1 <= len(shape) <= MAX_DIMENSIONS
        or not all(type(side) is int and 1 <= side <= MAX_FILE_BYTES for side in shape)
    ):
        raise Corrupt(f"{where}: {name} has the shape {str(shape)[:80]}; it must be a list of whole numbers above 0")
    return file, tuple(shape)
