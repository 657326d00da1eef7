"""Files that appear under their names only when they are whole."""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import save_file

from app.errors import FacsimileError


class DiskFull(FacsimileError):
    """There is no room for a file; says where. What was there before is whole."""


@contextmanager
def whole(path: Path) -> Iterator[Path]:
    """A path to write to, which becomes `path` at the end, and vanishes if that is not reached; raises DiskFull."""
    unfinished = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    try:
        yield unfinished
        unfinished.replace(path)
    except (OSError, SafetensorError) as exc:
        unfinished.unlink(missing_ok=True)
        # safetensors has no type of its own for it.
        if getattr(exc, "errno", None) == errno.ENOSPC or f"os error {errno.ENOSPC}" in str(exc):
            raise DiskFull(f"no room is left for {path}; make some and start again, it goes on from there") from exc
        raise


def write_whole(path: Path, data: bytes) -> None:
    """Write a small file; raises DiskFull."""
    with whole(path) as unfinished:
        unfinished.write_bytes(data)


def save_whole(path: Path, columns: dict[str, NDArray[Any]], metadata: dict[str, str] | None = None) -> None:
    """Write a safetensors file of arrays; raises DiskFull."""
    with whole(path) as unfinished:
        save_file(columns, unfinished, metadata=metadata)
