"""Files that a command is told to write: whether they can be is settled before the work; what is replaced is told."""

from collections.abc import Iterable, Mapping
from pathlib import Path

from app.cli.output import say
from app.client.errors import UsageProblem
from app.client.files import demand_place, is_stream


def demand_outputs(outputs: Mapping[str, Path | None], read: Iterable[Path | None] = ()) -> None:
    """Settle where files are written, by the options that name them, given what the command reads.

    Raises UsageProblem unless each can be written, in a place of its own and not over what is read or a set's file.
    Says which of them replace one that is there.
    """
    for path in settled(outputs, read):
        say(f"{path} is there, and will be replaced")


def settled(outputs: Mapping[str, Path | None], read: Iterable[Path | None] = ()) -> list[Path]:
    """The files that would be replaced; raises as `demand_outputs` does, and says nothing."""
    taken = {path.resolve(): "it is read" for path in read if path is not None and not is_stream(path)}
    there = []
    for option, path in outputs.items():
        if path is None:
            continue
        if demand_place(path):
            there.append(path)
        if is_stream(path):
            continue
        if why := taken.get(path.resolve()):
            raise UsageProblem(f"{option} {path} cannot be written: {why}; name another file")
        taken[path.resolve()] = f"{option} writes it already"
    return there
