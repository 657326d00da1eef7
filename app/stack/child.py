"""One child process: on its leash, into its log, in a process group of its own; signalled, reaped."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from app.stack import leash
from app.stack.errors import StackError

KILL_WAIT_S = 10.0


@dataclass(frozen=True, kw_only=True)
class ChildSpec:
    """What a child is and how it is ended."""

    name: str
    command: tuple[str, ...]
    environment: dict[str, str]
    directory: Path
    log: Path
    stop: tuple[tuple[signal.Signals, float], ...]
    """Signals to ask with, each with the seconds that it is given; after them it is killed."""
    prepare: Callable[[int], None] = lambda quick_deaths: None
    """Called before each start with how often in a row it has died soon after its start."""


class Child:
    """A running child. To be started and reaped by one thread: its death is tied to that thread's."""

    def __init__(self, spec: ChildSpec) -> None:
        """Start the process; raises StackError if the program cannot be started."""
        self.spec = spec
        self.started = time.monotonic()
        with open(spec.log, "ab", opener=lambda path, flags: os.open(path, flags, 0o600)) as log:
            try:
                self._process = subprocess.Popen(
                    [sys.executable, "-I", "-S", leash.__file__, str(os.getpid()), *spec.command],
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    cwd=spec.directory,
                    env=spec.environment,
                    # Ctrl-C at the terminal reaches the supervisor alone, which ends the others in order.
                    start_new_session=True,
                    umask=0o077,
                )
            except OSError as exc:
                raise StackError(f"{spec.name} cannot be started: {exc}") from exc

    @property
    def pid(self) -> int:
        """Its process id, which is its process group's too."""
        return self._process.pid

    def ended(self) -> str | None:
        """How it ended, in words; None while it runs."""
        code = self._process.poll()
        if code is None:
            return None
        if code < 0:
            return f"was ended by {signal.Signals(-code).name}"
        return f"ended with exit status {code}"

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the process itself."""
        with contextlib.suppress(ProcessLookupError):
            self._process.send_signal(number)

    def sweep(self) -> None:
        """Kill whatever is left of its process group."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)

    def stop(self, hurry: Callable[[], bool] = lambda: False) -> None:
        """End it: ask as the spec says, then kill; `hurry` skips the asking."""
        for number, patience_s in self.spec.stop:
            if self.ended() or hurry():
                break
            self.signal(number)
            deadline = time.monotonic() + patience_s
            while not self.ended() and time.monotonic() < deadline and not hurry():
                time.sleep(0.02)
        self.sweep()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(KILL_WAIT_S)
