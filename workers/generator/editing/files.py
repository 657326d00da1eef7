"""Files of tensors beside a model's card, each named by what it is and the beginning of its digest.

So another model's tensors never take the place of those that a card still speaks of: the step from the former ones to
these is the writing of the card.
"""

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load_file, save_file

from workers.digests import file_sha256


def save_tensors(folder: Path, stem: str, tensors: Mapping[str, NDArray[Any]]) -> dict[str, str]:
    """Write tensors as float64 into a file `stem-DIGEST.safetensors`; returns what the card is to say of the file."""
    beside = folder / f".{stem}.{os.getpid()}.part"
    try:
        save_file({name: np.ascontiguousarray(values, np.float64) for name, values in tensors.items()}, beside)
        beside.chmod(0o644)  # safetensors writes for its owner alone
        digest = file_sha256(beside)
        path = folder / f"{stem}-{digest[:12]}.safetensors"
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)
    return {"file": path.name, "sha256": digest}


def drop_tensors(folder: Path, pattern: str, kept: str) -> None:
    """Remove files of these names that no card speaks of any more; `kept` is the one that is in use."""
    for path in folder.glob("*.safetensors"):
        if path.name != kept and re.fullmatch(pattern, path.name):
            path.unlink(missing_ok=True)


def load_tensors(folder: Path, said: Any, most_bytes: int) -> dict[str, NDArray[Any]]:
    """Read the file that a card speaks of; raises ValueError, OSError or SafetensorError for another one."""
    path = folder / said["file"]
    if not path.is_file() or path.stat().st_size > most_bytes or file_sha256(path) != said["sha256"]:
        raise ValueError(f"{path} is not the file that the card speaks of")
    loaded: dict[str, NDArray[Any]] = load_file(path)
    return loaded
