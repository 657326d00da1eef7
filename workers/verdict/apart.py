"""A stranger's npz or Parquet file, read in a child process with limits on memory, time and files.

The declared sizes are checked in the child as well; the limits are for files that lie, and for faults in the readers.
Whatever the child dies of on a file is a refusal of that file: another attempt would end the same way.
"""

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from app.errors import Misconfigured
from workers.biometrics.errors import ScoresRefused
from workers.verdict import reading_child
from workers.verdict.blocks import Block
from workers.verdict.parquet import MOST_DIMENSIONS
from workers.verdict.reading_child import Kind
from workers.verdict.template_files import TemplateBlock

MEMORY = 1280 * 1024 * 1024
"""Bytes of address space: Python, numpy and pyarrow take 400 MB of it; files are read piece by piece."""

SECONDS = 60
"""Of processor time, and two minutes more for each GiB."""

GIB = 1024**3

LONGEST_LINE = 64 * 1024
"""Bytes of what a frame says of itself."""

MOST_ROWS = 1 << 20
"""Of a frame."""


def read_apart(path: Path, kind: Kind, most: int) -> Iterator[Block | TemplateBlock]:
    """As `read_columns` does, elsewhere; raises ScoresRefused for whatever is wrong with the file."""
    seconds = SECONDS + 120 * path.stat().st_size // GIB
    command = [sys.executable, "-P", "-m", reading_child.__name__]  # -P: what lies where the user stands is not ours
    command += [str(path.absolute()), kind, str(most), str(MEMORY), str(seconds)]
    with tempfile.TemporaryFile() as errors:
        try:
            child = subprocess.Popen(  # noqa: S603 - our own module, in this very Python
                command,
                env=_environment(),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=errors,
            )
        except OSError as exc:
            raise Misconfigured(f"the reader's process cannot be started: {exc}") from exc
        with child:
            try:
                ended = yield from _parts(child.stdout, kind)  # type: ignore[arg-type]
            except BaseException:
                child.kill()  # nobody wants the rest
                raise
        if not ended:
            raise _died(child.returncode, seconds, errors)


def _parts(out: IO[bytes], kind: Kind) -> Generator[Block | TemplateBlock, None, bool]:
    """Yield what the child found; returns whether it came to an end of its own."""
    while line := out.readline(LONGEST_LINE):
        said = json.loads(line)
        if "refused" in said:
            raise ScoresRefused(said["refused"])
        if "end" in said:
            return True
        yield _block(out, said) if kind == "scores" else _templates(out, said)
    return False


def _block(out: IO[bytes], said: dict[str, Any]) -> Block:
    rows = _rows(said)
    return Block(
        references=_array(out, np.dtype("<i8"), rows),
        probes=_array(out, np.dtype("<i8"), rows),
        values=_array(out, np.dtype("<f8"), rows),
        first=int(said["first"]),
        strange={int(row): (str(left), str(right)) for row, (left, right) in said["strange"]},
    )


def _templates(out: IO[bytes], said: dict[str, Any]) -> TemplateBlock:
    rows, width = _rows(said), min(int(said["width"]), MOST_DIMENSIONS)
    places = _array(out, np.dtype("<i8"), rows)
    return TemplateBlock(places=places, templates=_array(out, np.dtype("<f4"), rows * width).reshape(rows, width))


def _rows(said: dict[str, Any]) -> int:
    return min(int(said["rows"]), MOST_ROWS)


def _array(out: IO[bytes], dtype: np.dtype[Any], count: int) -> NDArray[Any]:
    data = out.read(count * dtype.itemsize)
    return np.frombuffer(bytearray(data), dtype, len(data) // dtype.itemsize)


def _died(code: int, seconds: int, errors: IO[bytes]) -> ScoresRefused:
    if code in (-signal.SIGXCPU, -signal.SIGKILL):
        return ScoresRefused(
            f"reading this file took more than {seconds} seconds of processor time, or too much memory"
        )
    if code < 0:
        return ScoresRefused(f"the reader was ended by signal {-code} on this file; it is damaged, or needs too much")
    errors.seek(0)
    last = errors.read(1 << 20).decode("utf-8", "replace").strip().rpartition("\n")[2][:200]
    return ScoresRefused(f"this file cannot be read: {last or f'the reader ended with {code}'}")


def _environment() -> dict[str, str]:
    """What the child sees of ours: where its modules lie. One thread, so that no library reserves memory for more."""
    paths = [str(Path(__file__).parents[2]), *os.environ.get("PYTHONPATH", "").split(os.pathsep)]
    return {
        "PATH": os.environ.get("PATH", os.defpath),
        "PYTHONPATH": os.pathsep.join(path for path in paths if path),
        "PYTHONDONTWRITEBYTECODE": "1",
        "OPENBLAS_NUM_THREADS": "1",
        "OMP_NUM_THREADS": "1",
        "ARROW_DEFAULT_MEMORY_POOL": "system",
        "LC_ALL": "C.UTF-8",
    }
