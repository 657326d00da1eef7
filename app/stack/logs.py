"""The children's log files: one each, bounded, and their last lines for error texts."""

import shutil
from pathlib import Path

LIMIT_BYTES = 10 * 1024 * 1024
"""A log of this size becomes NAME.log.1 (replacing the one before) and begins anew."""

TAIL_LINES = 15


def rotate(log: Path, limit_bytes: int = LIMIT_BYTES) -> None:
    """Copy a log aside and empty it if it has grown to its limit; its writer appends, so it goes on."""
    try:
        if log.stat().st_size < limit_bytes:
            return
    except FileNotFoundError:
        return
    shutil.copyfile(log, log.with_name(log.name + ".1"))
    with log.open("r+b") as file:
        file.truncate(0)


def tail(log: Path, lines: int = TAIL_LINES) -> str:
    """The last lines of a log, indented; says so if there are none."""
    try:
        with log.open("rb") as file:
            file.seek(max(log.stat().st_size - 16_384, 0))
            found = file.read().decode(errors="replace").splitlines()
    except OSError:
        found = []
    found = [line for line in found if line.strip()][-lines:]
    return "\n".join(f"    {line}" for line in found) or "    (the log is empty)"
