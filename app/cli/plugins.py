"""What other installed packages add: commands (group `facsimile.commands`) and verifiers (`facsimile.verifiers`).

Loaded only when they are needed, so that a client without torch or Pillow works, and starts quickly.
"""

import importlib.metadata
from collections.abc import Callable
from pathlib import Path
from typing import Any

import typer

from app.cli.errors import UsageProblem

COMMANDS = "facsimile.commands"
VERIFIERS = "facsimile.verifiers"

PixelDigest = Callable[[Path], str]
"""From an image file to the SHA-256 of its pixels, as `SampleRow.pixel_sha256` defines it."""


def command_names(below: str = "") -> list[str]:
    """Names of the commands that are contributed; nothing is loaded for that.

    With `below`, those of a command's own: an entry point `models.evaluate` is `evaluate` below `models`.
    """
    prefix = f"{below}." if below else ""
    names = importlib.metadata.entry_points(group=COMMANDS).names
    own = (name.removeprefix(prefix) for name in names if name.startswith(prefix))
    return sorted(name for name in own if "." not in name)


def load_command(name: str, below: str = "") -> Any | None:
    """The contributed command, ready to be mounted; None if there is none of that name.

    One whose packages are not installed is still listed; it says what it needs when it is called.
    """
    found = importlib.metadata.entry_points(group=COMMANDS, name=f"{below}.{name}" if below else name)
    if not found:
        return None
    entry = next(iter(found))
    try:
        return as_command(name, entry.load())
    except ImportError as exc:
        return _unavailable(name, exc)


def _unavailable(name: str, cause: ImportError) -> Any:
    def explain() -> None:
        raise UsageProblem(
            f"'facsimile {name}' needs a package that is not installed ({cause}); "
            "install a worker's: pip install 'facsimile[worker,torch]'"
        ) from cause

    explain.__doc__ = "(needs a package that is not installed)"
    single = typer.Typer(add_completion=False)
    single.command(
        name, context_settings={"allow_extra_args": True, "ignore_unknown_options": True}, add_help_option=False
    )(explain)
    return typer.main.get_command(single)


def as_command(name: str, contributed: Any) -> Any:
    """Make a command out of a function or a typer.Typer."""
    if not isinstance(contributed, typer.Typer):
        single = typer.Typer(add_completion=False)
        single.command(name)(contributed)
        contributed = single
    command = typer.main.get_command(contributed)
    command.name = name
    return command


def pixel_digest() -> PixelDigest | None:
    """The contributed function that digests an image's pixels; None where no image reader is installed."""
    return contributed_verifier("pixels")


def contributed_verifier(name: str) -> Callable[..., Any] | None:
    """A contributed function that looks at one sample's file; None where what it needs is not installed."""
    for entry in importlib.metadata.entry_points(group=VERIFIERS, name=name):
        try:
            found: Callable[..., Any] = entry.load()
        except ImportError:
            continue
        return found
    return None
