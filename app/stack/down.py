"""`facsimile down`: stop a service that `up` started."""

import os
import signal
import time
from pathlib import Path

from rich.console import Console

from app.stack.errors import StackError
from app.stack.folder import DataFolder
from app.stack.up import DataOption

DOWN_WITHIN_S = 60.0


def down(data: DataOption = Path("facsimile-data")) -> None:
    """Stop a service that 'up' started, in order; returns when it has stopped."""
    folder = DataFolder(data)
    holder = folder.holder()
    if holder is None:
        raise StackError(f"no service runs on {folder.root}")
    os.kill(holder, signal.SIGTERM)
    deadline = time.monotonic() + DOWN_WITHIN_S
    while folder.holder() is not None:
        if time.monotonic() > deadline:
            raise StackError(f"process {holder} has not stopped after {DOWN_WITHIN_S:g} s; see {folder.logs}")
        time.sleep(0.1)
    Console(stderr=True).print("stopped")
