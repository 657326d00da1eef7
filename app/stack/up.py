"""`facsimile up`: the whole service on this machine."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import FrameType
from typing import Annotated

import typer
from rich.console import Console

from app.stack import logs, ports
from app.stack.embedded import EmbeddedStack, default_workers
from app.stack.errors import StackError, StackInterrupted
from app.stack.folder import DataFolder, read_json
from app.stack.invitation import invite
from app.stack.supervisor import Event

DataOption = Annotated[Path, typer.Option("--data", help="Folder for everything that the service keeps.")]

DETACHED_READY_S = 240.0


def up(
    data: DataOption = Path("facsimile-data"),
    port: Annotated[
        int | None,
        typer.Option(min=1, max=65535, help="Port of the API on 127.0.0.1. Left out: the first free one from 8000 on."),
    ] = None,
    workers: Annotated[
        int | None, typer.Option(min=0, help="Worker processes. Left out: one a core; 0: none, for a restore.")
    ] = None,
    detach: Annotated[bool, typer.Option("--detach", help="Return once it is ready; 'down' stops it.")] = False,
    json_: Annotated[bool, typer.Option("--json", help="Write JSON to standard output when ready.")] = False,
) -> None:
    """Start the service on this machine: queue, object store, worker and API. Ctrl-C stops it.

    Everything listens on 127.0.0.1 only, and keeps its data, secrets and logs in one folder. Datasets that were
    unfinished when it was stopped go on.
    """
    port = port or ports.usual()
    if detach:
        _detach(data, port, default_workers() if workers is None else workers, json_)
        return
    console = Console(stderr=True, highlight=False, soft_wrap=True)
    stack = EmbeddedStack(data, workers=workers, port=port, on_event=lambda event: show(console, event))
    stop_on_signals(stack)
    try:
        stack.start()
    except StackInterrupted:
        console.print("stopped before it was ready")
        return
    try:
        _welcome(console, stack, json_)
        stack.wait_interrupted()
        console.print("stopping …")
    finally:
        stack.stop()
    console.print("stopped")


def stop_on_signals(stack: EmbeddedStack) -> None:
    """Let SIGINT and SIGTERM end the stack in order, and a second one at once."""
    asked = 0

    def handle(number: int, frame: FrameType | None) -> None:
        nonlocal asked
        asked += 1
        stack.interrupt(hurry=asked > 1)

    signal.signal(signal.SIGINT, handle)
    signal.signal(signal.SIGTERM, handle)


def show(console: Console, event: Event) -> None:
    """Write what happened to a child."""
    if event.kind not in ("starting", "stopped"):
        console.print(f"  {event.child:<7} {event.kind} {event.text}", markup=False)


def _welcome(console: Console, stack: EmbeddedStack, json_: bool) -> None:
    if json_:
        typer.echo(json.dumps({"url": stack.url, "data": str(stack.folder.root), "pid": os.getpid()}))
    console.print(
        f"\nFacsimile is up: {stack.url}  (API: {stack.url}/docs)\n"
        f"  console  {invite(stack.folder)}\n"
        "           (signs you in once, within the hour; 'facsimile console' prints another)\n"
        f"  API key  {stack.folder.api_key}\n"
        f"  logs     {stack.folder.logs}\n"
        "  try      facsimile generate --subjects 10 --samples 4 --out faces\n"
        "Ctrl-C stops it.\n",
        markup=False,
    )


def _detach(data: Path, port: int, workers: int, json_: bool) -> None:
    folder = DataFolder(data)
    folder.acquire()  # complains here, where somebody reads it
    folder.release()
    folder.service.unlink(missing_ok=True)
    log = folder.log("stack")
    log.unlink(missing_ok=True)
    with log.open("ab") as file:
        process = subprocess.Popen(
            [
                sys.executable,
                "-P",
                "-m",
                "app.cli.main",
                "up",
                "--data",
                str(folder.root),
                "--port",
                str(port),
                "--workers",
                str(workers),
            ],
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    deadline = time.monotonic() + DETACHED_READY_S
    while not (service := read_json(folder.service)):
        if process.poll() is not None:
            raise StackError(f"the service did not start:\n{logs.tail(log)}")
        if time.monotonic() > deadline:
            process.terminate()
            raise StackError(f"the service is not ready after {DETACHED_READY_S:g} s:\n{logs.tail(log)}")
        time.sleep(0.1)
    if json_:
        typer.echo(json.dumps({"url": service["url"], "data": str(folder.root), "pid": process.pid}))
    Console(stderr=True, highlight=False, soft_wrap=True).print(
        f"Facsimile is up: {service['url']}  (process {process.pid}; stop it with 'facsimile down')\n"
        f"  console  {invite(folder)}",
        markup=False,
    )
