"""`facsimile matchers`: by whose scores sets are judged."""

import typer

from app.cli.options import JsonOption, KeyOption, UrlOption
from app.cli.output import as_json, table
from app.cli.plugins import contributed_group
from app.client.connect import connect

matchers = contributed_group("matchers", "Show the matchers that judge sets, and that a target can name.")


@matchers.callback(invoke_without_command=True)
def list_matchers(ctx: typer.Context, url: UrlOption = None, key: KeyOption = None, json_: JsonOption = False) -> None:
    """Show the matchers that judge sets, and that a target can name."""
    if ctx.invoked_subcommand is not None:
        return
    found = connect(url, key).matchers()
    if json_:
        as_json(found)
        return
    table(
        ["name", "version", "judges", "score", "provenance"],
        [
            [
                card["name"],
                card["version"],
                "every set" if card["judge"] else "if named",
                card["score"],
                card["provenance"],
            ]
            for card in found["matchers"]
        ],
    )
