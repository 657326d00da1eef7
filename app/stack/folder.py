"""The data folder of one embedded stack: what lies where, who may read it, and whose it is."""

import fcntl
import json
import os
from pathlib import Path
from typing import Any

from app.stack.errors import StackError

MARK = "facsimile-stack.json"
"""The file by which a folder is known to be ours."""

FORMAT = 1


def write_private(path: Path, text: str) -> None:
    """Write a file that only its owner can read; it is there whole or not at all."""
    beside = path.with_name(f".{path.name}.{os.getpid()}.part")
    beside.unlink(missing_ok=True)
    with os.fdopen(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    beside.replace(path)


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object; empty if there is none or it cannot be read."""
    try:
        found = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


class DataFolder:
    """Paths within a data folder, and the lock that one stack at a time holds on it."""

    def __init__(self, root: Path) -> None:
        self.root = root.absolute()
        self.logs = self.root / "logs"
        self.valkey = self.root / "valkey"
        self.s3 = self.root / "s3"
        self.s3_tls = self.root / "s3-tls"
        self.run = self.root / "run"
        """Working directory of the Python children: nothing lies here that could be imported."""
        self.c2pa = self.root / "c2pa"
        self.credentials = self.root / "credentials.json"
        self.api_key = self.root / "api-key"
        self.service = self.root / "service.json"
        self.settings = self.root / "settings.env"
        self.ports = self.root / "ports.json"
        self.children = self.root / "children.json"
        self.beat_schedule = self.root / "beat-schedule"
        self._lock_file = self.root / "lock"
        self._lock_fd: int | None = None

    def acquire(self) -> None:
        """Make the folder if need be and lock it; raises StackError if it is another's or in use."""
        self._make()
        descriptor = os.open(self._lock_file, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as exc:
            holder = os.read(descriptor, 20).decode(errors="replace").strip()
            os.close(descriptor)
            raise StackError(
                f"the folder {self.root} is in use by another stack (process {holder or 'unknown'}); "
                "stop that one (facsimile down) or choose another folder with --data"
            ) from exc
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        self._lock_fd = descriptor

    def release(self) -> None:
        """Give the lock back."""
        if self._lock_fd is not None:
            os.close(self._lock_fd)
            self._lock_fd = None

    def holder(self) -> int | None:
        """Process id of the stack that runs on this folder, or None if none does."""
        try:
            descriptor = os.open(self._lock_file, os.O_RDWR)
        except OSError:
            return None
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except OSError:
            return int(os.read(descriptor, 20).decode() or 0) or None
        finally:
            os.close(descriptor)
        return None

    def recorded_root(self) -> Path | None:
        """Where the folder was when a stack last ran on it; None where that was not noted."""
        found = read_json(self.root / MARK).get("root")
        return Path(found) if isinstance(found, str) else None

    def original(self) -> Path | None:
        """The folder that this one is a copy of; None for one that is its own, or was moved."""
        before = self.recorded_root()
        if before is None or before == self.root or read_json(before / MARK).get("root") != str(before):
            return None
        return before

    def settle(self) -> None:
        """Note where the folder is."""
        if self.recorded_root() != self.root:
            write_private(self.root / MARK, json.dumps({"format": FORMAT, "root": str(self.root)}))

    def log(self, child: str) -> Path:
        """Log file of a child."""
        return self.logs / f"{child}.log"

    def _make(self) -> None:
        try:
            self.root.mkdir(mode=0o700, parents=True, exist_ok=True)
            if not (self.root / MARK).exists():
                if any(self.root.iterdir()):
                    raise StackError(
                        f"the folder {self.root} holds other files; choose an empty or new one with --data"
                    )
                write_private(self.root / MARK, json.dumps({"format": FORMAT}))
            if read_json(self.root / MARK).get("format") != FORMAT:
                raise StackError(
                    f"the folder {self.root} was written by another version of Facsimile; choose another with --data"
                )
            self.root.chmod(0o700)  # secrets and faces lie here
            for folder in (self.logs, self.valkey, self.s3, self.run):
                folder.mkdir(mode=0o700, exist_ok=True)
        except OSError as exc:
            raise StackError(f"the folder {self.root} cannot be used: {exc.strerror}") from exc
