"""`facsimile down`: stop a service that `up` started."""

import os
import signal
import time
from pathlib import Path

from app.cli.options import JsonOption
from app.cli.output import as_json, say
from app.stack.errors import StackError
from app.stack.folder import DataFolder
from app.stack.up import DataOption

DOWN_WITHIN_S = 60.0


def down(data: DataOption = Path("facsimile-data"), json_: JsonOption = False) -> None:
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
    if json_:
        as_json({"data": str(folder.root), "stopped": holder})
    else:
        say("stopped")
