"""Outlives the supervisor by a moment, to kill what it left. Run as a script, told of children on its input.

`+PID` is a process group to kill, `-PID` one that has ended. At the end of input the supervisor is gone;
if it said `bye` before, all is well. The leash kills direct children; this kills their children too (a
worker's pool), and works on systems that have no leash. Standard library only.
"""

import contextlib
import os
import signal
import sys


def main() -> None:
    """Listen until the end of input, then kill every process group that is still noted."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    groups: set[int] = set()
    for line in sys.stdin:
        word = line.strip()
        if word == "bye":
            return
        if word.startswith("+"):
            groups.add(int(word[1:]))
        elif word.startswith("-"):
            groups.discard(int(word[1:]))
    for group in groups:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(group, signal.SIGKILL)


if __name__ == "__main__":
    main()
