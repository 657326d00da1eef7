"""`facsimile quickstart`: start the service, make a first dataset with the same commands as users do, stop it."""

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from app.jobs.catalogues.models import ModelCatalogue
from app.stack.embedded import EmbeddedStack
from app.stack.errors import StackInterrupted
from app.stack.up import show, stop_on_signals
from app.storage import open_store


def quickstart(
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for the dataset.")] = Path("facsimile-out"),
    data: Annotated[Path, typer.Option("--data", help="Folder of the service.")] = Path("facsimile-data"),
    subjects: Annotated[int, typer.Option(min=1, help="How many subjects.")] = 20,
    samples: Annotated[int, typer.Option(min=1, help="Samples of each subject.")] = 5,
    seed: Annotated[int, typer.Option(min=0, help="The same seed gives the same pixels.")] = 7,
    model: Annotated[str, typer.Option(help="Model.")] = "default",
    workers: Annotated[int | None, typer.Option(min=1, help="Worker processes. Left out: one a core.")] = None,
) -> None:
    """Show everything once: start the service, make a small dataset, download and verify it, stop the service.

    A second run finds the dataset made, and only verifies it.
    """
    console = Console(stderr=True, highlight=False, soft_wrap=True)
    begun = time.monotonic()
    console.print("[bold]1. Starting the service[/] (queue, object store, worker and API on this machine)")
    # Any free port: it must not fail because something else has the usual one.
    stack = EmbeddedStack(data, workers=workers, on_event=lambda event: show(console, event))
    stop_on_signals(stack)
    try:
        stack.start()
    except StackInterrupted:
        raise typer.Exit(130) from None
    try:
        started = time.monotonic()
        command = [
            "generate",
            "--name",
            "quickstart",
            "--model",
            model,
            "--subjects",
            str(subjects),
            "--samples",
            str(samples),
            "--seed",
            str(seed),
            "--out",
            str(out),
        ]
        if ModelCatalogue(open_store(stack.settings().store)).get(model).checks.unique is None:
            console.print("\nthis model has no measured threshold for the uniqueness check, so it is left out")
            command.append("--no-unique")
        console.print(f"\n[bold]2. Making a dataset[/]: facsimile {' '.join(command)}", soft_wrap=True)
        code = _run(stack, command)
        made = time.monotonic()
        if code:
            raise typer.Exit(code)
        console.print("\n[bold]3. Stopping the service[/]")
    finally:
        stack.stop()
    stopped = time.monotonic()
    console.print(
        f"""
Done in {stopped - begun:.1f} s: started in {started - begun:.1f} s, made, downloaded and verified in \
{made - started:.1f} s, stopped in {stopped - made:.1f} s.
  samples        {out / "samples"}
  report         {out / "report.html"}
  contact sheet  {out / "contact-sheet.png"}
  manifest       {out / "manifest.json"}
  comparisons    {out / "comparisons.csv"}

Start the service for good:  facsimile up{"" if data == Path("facsimile-data") else f" --data {data}"}
""",
        markup=False,
    )


def _run(stack: EmbeddedStack, command: list[str]) -> int:
    """Run one of our own commands, as a user would, against the stack."""
    environment = {
        **os.environ,
        "FACSIMILE_URL": stack.url,
        "FACSIMILE_API_KEY": stack.api_key,
    }
    # -P: a folder "app" where the user stands is not ours.
    process = subprocess.Popen([sys.executable, "-P", "-m", "app.cli.main", *command], env=environment)
    while True:
        try:
            return process.wait(0.2)
        except subprocess.TimeoutExpired:
            if stack.interrupted:
                process.terminate()
                process.wait()
                return 130
