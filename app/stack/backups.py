"""`facsimile backup` and `facsimile restore`. For operators: they need the store's settings."""

from pathlib import Path
from typing import Annotated

import typer

from app.cli.options import JsonOption
from app.cli.output import as_json, megabytes, say
from app.stack.backup import back_up
from app.stack.backup import restore as put_back
from app.stack.keys import DataOption, open_store_of


def backup(
    folder: Annotated[Path, typer.Argument(help="A new folder, or one in which a backup was broken off.")],
    data: DataOption = None,
    json_: JsonOption = False,
) -> None:
    """Copy all that the service keeps into a folder, with digests; it may run meanwhile."""
    size = 0

    def told(objects: int, so_far: int) -> None:
        nonlocal size
        size = so_far

    count = back_up(open_store_of(data), folder, told)
    if json_:
        as_json({"objects": count, "bytes": size, "folder": str(folder)})
    else:
        say(f"{count:,} objects, {megabytes(size)}, are in {folder}")


def restore(
    folder: Annotated[Path, typer.Argument(help="Folder of a whole backup.")],
    data: DataOption = None,
    json_: JsonOption = False,
) -> None:
    """Put a backup into an empty store; every file's digest is checked first. API and workers must not run."""
    count = put_back(open_store_of(data), folder)
    if json_:
        as_json({"objects": count, "folder": str(folder)})
    else:
        say(f"{count:,} objects are restored; start API and workers, and unfinished work goes on")
