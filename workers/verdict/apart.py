"""A stranger's file, read in a child process with limits on memory, time and files.

The declared sizes are checked in the child as well; the limits are for files that lie, and for faults in the readers.
Whatever the child dies of on a file is a refusal of that file: another attempt would end the same way.
"""

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Generator, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from app.errors import Misconfigured
from workers.biometrics.errors import ScoresRefused
from workers.verdict import reading_child
from workers.verdict.frames import CutOff, Kind, Part, read_part

MEMORY = 1280 * 1024 * 1024
"""Bytes of address space: Python, numpy and pyarrow take 400 MB of it; files are read piece by piece."""

SECONDS = 60
"""Of processor time, and two minutes more for each GiB."""

GIB = 1024**3

LONGEST_LINE = 64 * 1024
"""Bytes of what a frame says of itself."""


@contextmanager
def laid_down(chunks: Iterable[bytes]) -> Iterator[Path]:
    """A file of these bytes, for as long as it is read."""
    with tempfile.NamedTemporaryFile(prefix="facsimile-scores-") as file:
        for chunk in chunks:
            file.write(chunk)
        file.flush()
        yield Path(file.name)


def read_apart(path: Path, kind: Kind, most: int, numbered: Path | None = None) -> Iterator[Part]:
    """As `read_columns` does, elsewhere; raises ScoresRefused for whatever is wrong with the file."""
    seconds = SECONDS + 120 * path.stat().st_size // GIB
    command = [sys.executable, "-P", "-m", reading_child.__name__]  # -P: what lies where the user stands is not ours
    command += [str(path.absolute()), kind, str(most), str(MEMORY), str(seconds)]
    command.append("" if numbered is None else str(numbered.absolute()))
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


def _parts(out: IO[bytes], kind: Kind) -> Generator[Part, None, bool]:
    """Yield what the child found; returns whether it came to an end of its own."""
    while line := out.readline(LONGEST_LINE):
        said = json.loads(line)
        if "refused" in said:
            raise ScoresRefused(said["refused"])
        if "end" in said:
            return True
        try:
            part = read_part(out, said, kind)
        except CutOff:
            return False
        yield part
    return False


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
