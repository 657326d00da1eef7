"""`facsimile diff`: what changed between two releases, folders, or a release and a folder."""

from typing import Annotated

import typer

from app.cli.endings import FAILED
from app.cli.options import JsonOption, KeyOption, UrlOption
from app.cli.output import as_json, fields, show, table
from app.client.connect import Lazily, connect
from app.client.diff import compare
from app.client.errors import NotComparable
from app.client.http import Json
from app.dataset.release import Change, DiffSide, Names, ReleaseDiff
from app.errors import FacsimileError

SHOWN = 40
"""Changed values that are listed; all are in the JSON."""


def diff(
    before: Annotated[str, typer.Argument(metavar="A", help="NAME@VERSION, or the folder of a release or dataset.")],
    after: Annotated[str, typer.Argument(metavar="B", help="The same.")],
    url: UrlOption = None,
    key: KeyOption = None,
    json_: JsonOption = False,
) -> None:
    """Show what changed from A to B: request, model, σ, subjects, samples, measures.

    Exits with 0 if not a byte of a sample or comparison differs, with 1 if something does, and with 2 if they cannot
    be compared. Two folders need no service.
    """
    client = Lazily(lambda: connect(url, key))
    try:
        found = compare(before, after, client)
    except FacsimileError as exc:
        raise NotComparable(str(exc)) from exc
    if json_:
        as_json(found.model_dump(mode="json"))
    else:
        _show(found)
    if not found.same_content:
        raise typer.Exit(FAILED)


def _show(found: ReleaseDiff) -> None:
    fields([(side, f"{_name(of)}  digest {of.digest[:16]}…") for side, of in (("A", found.before), ("B", found.after))])
    if found.same_content:
        show("the same: not a byte of a sample or a comparison differs")
        return
    parts = (("pixels", found.same_pixels), ("comparisons", found.same_comparisons))
    same = [name for name, is_same in parts if is_same]
    show("they differ" + (f"; the same {' and '.join(same)}" if same else ""))
    rows = []
    for what, counted in (("subjects", found.subjects), ("samples", found.samples)):
        for kind, names in counted:
            if isinstance(names, Names) and names.count:
                first = ", ".join(names.first[:3]) + (" …" if names.count > 3 else "")
                rows.append([what, kind, str(names.count), first])
            elif not isinstance(names, Names):
                rows.append([what, kind, str(names), ""])
    table(["", "became", "count", "first"], rows)
    changed: list[tuple[str, Change]] = [
        (what, change) for what in ("request", "model", "sigma", "measures") for change in getattr(found, what)
    ]
    if changed:
        table(
            ["of the", "field", "A", "B"],
            [[what, item.field, _value(item.before), _value(item.after)] for what, item in changed[:SHOWN]],
        )
    if len(changed) > SHOWN:
        show(f"and {len(changed) - SHOWN} more (--json shows all)")


def _name(side: DiffSide) -> str:
    return f"{side.name}@{side.version}" if side.version else side.name


def _value(value: Json | str | float | None) -> str:
    return "–" if value is None else str(value)[:60]
