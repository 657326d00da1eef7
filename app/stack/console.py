"""`facsimile console`: a link to the console in the browser."""

import webbrowser
from pathlib import Path
from typing import Annotated

import typer

from app.cli.options import JsonOption
from app.cli.output import as_json
from app.stack.errors import StackError
from app.stack.folder import DataFolder
from app.stack.invitation import invite
from app.stack.up import DataOption


def console(
    data: DataOption = Path("facsimile-data"),
    open_: Annotated[bool, typer.Option("--open", help="Open it in this machine's browser, too.")] = False,
    json_: JsonOption = False,
) -> None:
    """Print a link to the console in the browser. It signs in once, within the hour."""
    link = invite(DataFolder(data))
    if json_:
        as_json({"link": link})
    else:
        typer.echo(link)
    if open_ and not webbrowser.open(link):
        raise StackError("no browser could be opened here; follow the link in one")
