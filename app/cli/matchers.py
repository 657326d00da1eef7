"""`facsimile matchers`: by whose scores sets are judged."""

from app.cli.options import JsonOption, KeyOption, UrlOption
from app.cli.output import as_json, table
from app.client.connect import connect


def matchers(url: UrlOption = None, key: KeyOption = None, json_: JsonOption = False) -> None:
    """Show the matchers that judge sets, and that a target can name."""
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
