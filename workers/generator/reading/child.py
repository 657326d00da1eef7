"""The child's side of a reading apart: limits first, then the file, then two files of plain data.

Started as `python -m workers.generator.reading.child SOURCE FOLDER MEMORY SECONDS NETWORK`. FOLDER gets
`tensors.safetensors` and `facts.json`, or `facts.json` alone, which says why the file is not taken.
"""

import gc
import hashlib
import json
import mmap
import os
import resource
import stat
import sys
from pathlib import Path
from typing import Any

from safetensors.numpy import save_file

from workers.generator.reading.contents import read_contents
from workers.generator.reading.limits import Limits
from workers.generator.reading.refusals import FileRefused

FACTS, TENSORS = "facts.json", "tensors.safetensors"


def main(source: str, folder: str, memory: str, seconds: str, wanted: str) -> None:
    """Read a file and write what is in it, or why it is not taken."""
    limits = Limits()
    gc.disable()  # a million nodes that all stay would be looked through again and again
    limit_process(int(memory), int(seconds), limits.tensor_bytes + 64 * 1024 * 1024)
    try:
        found = _read(Path(source), Path(folder), wanted or None, limits)
    except FileRefused as exc:
        found = {"refused": exc.problem, "at": exc.at}
    except MemoryError:
        found = {"refused": f"needs more memory than the limit of {int(memory):,} bytes", "at": None}
    except OSError as exc:
        found = {"refused": f"cannot be read: {exc.strerror or exc}", "at": None}
    Path(folder, FACTS).write_text(json.dumps(found), encoding="utf-8")


def limit_process(memory: int, seconds: int, written: int) -> None:
    """Set this process's limits: address space, processor time, size of a file, open files, no core, no children."""
    for what, most in (
        (resource.RLIMIT_AS, memory),
        (resource.RLIMIT_CPU, seconds),
        (resource.RLIMIT_FSIZE, written),
        (resource.RLIMIT_NOFILE, 32),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_NPROC, 0),
    ):
        _, hard = resource.getrlimit(what)
        within = most if hard == resource.RLIM_INFINITY else min(most, hard)
        resource.setrlimit(what, (within, within))


def _read(source: Path, folder: Path, wanted: str | None, limits: Limits) -> dict[str, Any]:
    descriptor = os.open(source, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(descriptor, "rb") as file:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise FileRefused("not a regular file")
        if status.st_size > limits.file_bytes:
            raise FileRefused(f"file has {status.st_size:,} bytes; at most {limits.file_bytes:,} are read")
        if not status.st_size:
            raise FileRefused("empty file")
        whole = memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
    contents = read_contents(whole, wanted, limits)
    facts = {
        "form": contents.form,
        "label": contents.label,
        "labels": contents.labels,
        "settings": contents.settings,
        "beside": contents.beside,
        "sha256": hashlib.sha256(whole).hexdigest(),
        "bytes": len(whole),
    }
    if len(json.dumps(facts)) > limits.facts_bytes:
        raise FileRefused(f"what the file says beside its tensors is over the limit of {limits.facts_bytes:,} bytes")
    save_file(contents.tensors, str(folder / TENSORS))
    return facts


if __name__ == "__main__":
    main(*sys.argv[1:])
