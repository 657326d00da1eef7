"""`facsimile quickstart`: make a first dataset with the same commands as users do, on a running service or its own."""

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from app.cli.options import JsonOption
from app.cli.output import as_json
from app.client.service import Client
from app.stack.embedded import EmbeddedStack
from app.stack.errors import StackError, StackInterrupted
from app.stack.folder import DataFolder, read_json
from app.stack.up import show, stop_on_signals

SETTLED_WITHIN_S = 120.0
"""So long another's service may start or stop before it is given up."""


@dataclass(frozen=True, kw_only=True)
class Service:
    """A service that answers."""

    url: str
    api_key: str
    own: bool
    """Whether it was started for this, and stops with it."""
    interrupted: Callable[[], bool] = lambda: False


def quickstart(
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for the dataset.")] = Path("facsimile-out"),
    data: Annotated[Path, typer.Option("--data", help="Folder of the service.")] = Path("facsimile-data"),
    subjects: Annotated[int, typer.Option(min=1, help="How many subjects.")] = 20,
    samples: Annotated[int, typer.Option(min=1, help="Samples of each subject.")] = 5,
    seed: Annotated[int, typer.Option(min=0, help="The same seed gives the same pixels.")] = 7,
    model: Annotated[str, typer.Option(help="Model.")] = "default",
    workers: Annotated[int | None, typer.Option(min=1, help="Worker processes. Left out: one a core.")] = None,
    json_: JsonOption = False,
) -> None:
    """Show everything once: start the service, make a small dataset, download and verify it, stop the service.

    A service that runs on the folder already, or starts just now, is used, and goes on running. A second run finds the
    dataset made, and only verifies it.
    """
    console = Console(stderr=True, highlight=False, soft_wrap=True)
    begun = time.monotonic()
    with _service(data, workers, console) as service:
        started = time.monotonic()
        command = ["generate", "--name", "quickstart", "--model", model, "--subjects", str(subjects)]
        command += ["--samples", str(samples), "--seed", str(seed), "--out", str(out)]
        if not _can_be_told_apart(service, model):
            console.print("\nthis model has no measured threshold for the uniqueness check, so it is left out")
            command.append("--no-unique")
        console.print(f"\n[bold]2. Making a dataset[/]: facsimile {' '.join(command)}", soft_wrap=True)
        code = _run(service, command)
        made = time.monotonic()
        if code:
            raise typer.Exit(code)
        console.print(f"\n[bold]3. {'Stopping the service' if service.own else 'Leaving the service as it is'}[/]")
    stopped = time.monotonic()
    folder = "" if data == Path("facsimile-data") else f" --data {data}"
    then = (
        f"Start the service for good:  facsimile up{folder}" if service.own else f"The service runs on: {service.url}"
    )
    if json_:
        seconds = {"started": started - begun, "made": made - started, "stopped": stopped - made}
        as_json({"out": str(out), "url": service.url, "own": service.own, "seconds": seconds})
    console.print(
        f"""
Done in {stopped - begun:.1f} s: started in {started - begun:.1f} s, made, downloaded and verified in \
{made - started:.1f} s, stopped in {stopped - made:.1f} s.
  samples        {out / "samples"}
  report         {out / "report.html"}
  contact sheet  {out / "contact-sheet.png"}
  manifest       {out / "manifest.json"}
  comparisons    {out / "comparisons.csv"}

{then}
""",
        markup=False,
    )


@contextlib.contextmanager
def _service(data: Path, workers: int | None, console: Console) -> Iterator[Service]:
    """The service that runs on a data folder, or one that is started for the block."""
    folder = DataFolder(data)
    if running := _running(folder, console):
        console.print(f"[bold]1. A service runs on {data} already[/]: {running['url']}")
        yield Service(url=str(running["url"]), api_key=folder.api_key.read_text().strip(), own=False)
        return
    console.print("[bold]1. Starting the service[/] (queue, object store, worker and API on this machine)")
    # Any free port: it must not fail because something else has the usual one.
    stack = EmbeddedStack(data, workers=workers, on_event=lambda event: show(console, event))
    stop_on_signals(stack)
    try:
        stack.start()
    except StackInterrupted:
        raise typer.Exit(130) from None
    try:
        yield Service(url=stack.url, api_key=stack.api_key, own=True, interrupted=lambda: stack.interrupted)
    finally:
        stack.stop()


def _running(folder: DataFolder, console: Console) -> dict[str, Any]:
    """Where the service on a folder is; waits for one that starts or stops just now. Empty where none runs."""
    deadline, told = time.monotonic() + SETTLED_WITHIN_S, False
    while (holder := folder.holder()) is not None:
        # What a service that was killed has left names another process.
        if (found := read_json(folder.service)).get("pid") == holder:
            return found
        if time.monotonic() > deadline:
            raise StackError(
                f"the service on {folder.root} (process {holder}) is not ready after {SETTLED_WITHIN_S:g} s; "
                f"see {folder.logs}, or stop it (facsimile down)"
            )
        if not told:
            console.print(f"A service is starting or stopping on {folder.root}; waiting for it", markup=False)
            told = True
        time.sleep(0.1)
    return {}


def _can_be_told_apart(service: Service, model: str) -> bool:
    """Whether the model has a threshold for the uniqueness check."""
    client = Client(service.url, service.api_key)
    try:
        name = client.models()["default"] if model == "default" else model
        return client.model(name).get("checks", {}).get("unique") is not None
    finally:
        client.close()


def _run(service: Service, command: list[str]) -> int:
    """Run one of our own commands, as a user would, against the service."""
    environment = {**os.environ, "FACSIMILE_URL": service.url, "FACSIMILE_API_KEY": service.api_key}
    # -P: a folder "app" where the user stands is not ours.
    process = subprocess.Popen([sys.executable, "-P", "-m", "app.cli.main", *command], env=environment)
    while True:
        try:
            return process.wait(0.2)
        except subprocess.TimeoutExpired:
            if service.interrupted():
                process.terminate()
                process.wait()
                return 130
