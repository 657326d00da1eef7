"""Which process a process id means. Ids are used again; an id with the moment of its start is not."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

PROC = Path("/proc")

MARK = "FACSIMILE_STACK_DATA"
"""Every child has this variable, holding its data folder."""


def identity_of(pid: int) -> str | None:
    """A text that this process has and no other ever had; None if there is no such process."""
    if sys.platform == "linux":
        fields = _stat(pid)
        if fields is None or fields[0] == "Z":
            return None
        boot = (PROC / "sys/kernel/random/boot_id").read_text().strip()
        return f"{boot}:{fields[19]}"
    command = ["ps", "-o", "lstart=", "-p", str(pid)]
    found = subprocess.run(command, capture_output=True, text=True, check=False)
    return found.stdout.strip() or None


def stop_left_over(pid: int, identity: str, data: Path, patience_s: float = 8.0) -> bool:
    """End a process group that a killed stack left; returns whether there was anything to end.

    Nothing happens to a process that merely has the same id, nor to one of another data folder: in a copy of a folder
    stand the processes of the original, which may well be at work.
    """
    now = identity_of(pid)
    if now is not None and sys.platform == "linux" and not _is_marked(pid, data):
        return False
    if now is not None and now != identity:
        return False
    members = _members(pid, data)
    if now is None and not members:
        return False
    _signal(pid, now is not None, members, signal.SIGTERM)
    deadline = time.monotonic() + patience_s
    while time.monotonic() < deadline:
        if identity_of(pid) != identity and not _members(pid, data):
            return True
        time.sleep(0.05)
    _signal(pid, identity_of(pid) == identity, _members(pid, data), signal.SIGKILL)
    return True


def _signal(leader: int, leader_lives: bool, members: list[int], number: signal.Signals) -> None:
    for pid in {*members, *([leader] if leader_lives else [])}:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(pid, number)


def _members(session: int, data: Path) -> list[int]:
    """Processes of a child's session that carry our mark, its leader apart. Linux only; elsewhere none."""
    if sys.platform != "linux":
        return []
    found = []
    for entry in PROC.iterdir():
        if not entry.name.isdigit() or int(entry.name) == session:
            continue
        fields = _stat(int(entry.name))
        if fields is None or fields[0] == "Z" or int(fields[3]) != session:
            continue
        if _is_marked(int(entry.name), data):
            found.append(int(entry.name))
    return found


def _is_marked(pid: int, data: Path) -> bool:
    """Whether a process was started for this data folder; Linux only."""
    try:
        return f"{MARK}={data}".encode() in (PROC / str(pid) / "environ").read_bytes().split(b"\0")
    except OSError:
        return False


def _stat(pid: int) -> list[str] | None:
    """Fields of /proc/PID/stat from the third on: state, parent, group, session … start time at index 19."""
    try:
        text = (PROC / str(pid) / "stat").read_text()
    except OSError:
        return None
    return text.rpartition(")")[2].split()
