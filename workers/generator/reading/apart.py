"""Reading a file in a child process with limits on memory, time and files: the only way that a command reads one."""

import json
import os
import signal
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from safetensors import SafetensorError
from safetensors.numpy import load_file

from app.errors import Misconfigured
from workers.generator.reading.child import FACTS, TENSORS
from workers.generator.reading.contents import Contents
from workers.generator.reading.refusals import FileRefused

MEMORY = 1024 * 1024 * 1024
"""Bytes of address space for the interpreter and its libraries; the file comes on top, four times."""

SECONDS = 60
"""Of processor time, and half a minute more for each GiB."""

GIB = 1024**3


@dataclass(frozen=True, kw_only=True)
class Read:
    """What came of a file."""

    contents: Contents
    sha256: str
    bytes: int


def read_apart(source: Path, wanted: str | None = None) -> Read:
    """Read a checkpoint in a child process; raises FileRefused for one that is not taken, whatever the reason.

    `wanted` names the network to take, where a file holds several. Nothing but plain arrays and JSON comes back.
    """
    try:
        size = source.stat().st_size
    except OSError as exc:
        raise FileRefused(f"cannot be read: {exc.strerror or exc}") from exc
    memory, seconds = MEMORY + 4 * size, SECONDS + 30 * size // GIB
    with tempfile.TemporaryDirectory(prefix="facsimile-import-") as folder:
        argument = (str(source.absolute()), folder, str(memory), str(seconds), wanted or "")
        command = [sys.executable, "-m", "workers.generator.reading.child", *argument]
        try:
            ended = subprocess.run(  # noqa: S603 - our own module, in this very Python
                command,
                env=_environment(),
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                timeout=4 * seconds,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise FileRefused(f"reading took more than {4 * seconds} seconds and was ended") from None
        except OSError as exc:
            raise Misconfigured(f"the reader's process cannot be started: {exc}") from exc
        return _outcome(Path(folder), ended.returncode, ended.stderr.decode("utf-8", "replace"), seconds)


def _environment() -> dict[str, str]:
    """What the child sees of ours: where its modules lie. One thread, so that no library reserves memory for more."""
    paths = [str(Path(__file__).parents[3]), *os.environ.get("PYTHONPATH", "").split(os.pathsep)]
    return {
        "PATH": os.environ.get("PATH", os.defpath),
        "PYTHONPATH": os.pathsep.join(path for path in paths if path),
        "PYTHONDONTWRITEBYTECODE": "1",
        "OPENBLAS_NUM_THREADS": "1",
        "OMP_NUM_THREADS": "1",
        "LC_ALL": "C.UTF-8",
    }


def _outcome(folder: Path, code: int, errors: str, seconds: int) -> Read:
    if code in (-signal.SIGXCPU, -signal.SIGKILL):
        raise FileRefused(f"reading took more than {seconds} seconds of processor time, or more memory than there is")
    if code < 0:
        raise FileRefused(f"the reader was ended by signal {-code} on this file")
    try:
        facts = json.loads((folder / FACTS).read_bytes())
    except (OSError, ValueError):
        last = errors.strip().rpartition("\n")[2][:200]
        raise FileRefused(f"the reader failed on this file, which is a fault of its own: {last}") from None
    if "refused" in facts:
        raise FileRefused(facts["refused"], facts["at"])
    try:
        tensors = load_file(str(folder / TENSORS))
    except (OSError, SafetensorError) as exc:
        raise FileRefused(f"the reader's own file cannot be read back: {exc}") from exc
    contents = Contents(
        form=facts["form"],
        label=facts["label"],
        labels=tuple(facts["labels"]),
        settings=facts["settings"],
        beside=facts["beside"],
        tensors=tensors,
    )
    return Read(contents=contents, sha256=facts["sha256"], bytes=facts["bytes"])
