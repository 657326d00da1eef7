"""`facsimile status`: datasets that the service has."""

from typing import Annotated, Any

import typer

from app.cli.options import JsonOption, KeyOption, UrlOption
from app.cli.output import as_json, fields, megabytes, say, table
from app.cli.request import in_callers_words
from app.client.connect import connect


def status(
    dataset: Annotated[
        str | None, typer.Argument(metavar="ID", help="One dataset, or its name; left out: a list.")
    ] = None,
    state: Annotated[str | None, typer.Option(help="Only those in this state.")] = None,
    name: Annotated[str | None, typer.Option(help="Only those whose name contains this.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="How many at the most.")] = 20,
    url: UrlOption = None,
    key: KeyOption = None,
    json_: JsonOption = False,
) -> None:
    """Show datasets, newest first, or one of them."""
    client = connect(url, key)
    if dataset is not None:
        found = client.dataset(client.dataset_id(dataset))
        as_json(found) if json_ else _show(found)
        return
    with in_callers_words(options={"state": "--state", "name": "--name", "limit": "--limit"}):
        listed = list(client.datasets(state=state, name=name, limit=limit))
    if json_:
        as_json({"datasets": listed})
    elif not listed:
        say("there are no datasets" + (" that match" if state or name else ""))
    else:
        table(
            ["id", "state", "samples", "created", "name"],
            [[item["id"], item["state"], _progress(item), item["created_at"][:16], item["name"]] for item in listed],
        )


def _progress(dataset: dict[str, Any]) -> str:
    progress = dataset["progress"]
    return f"{progress['samples_done']}/{progress['samples_total']}"


def _show(dataset: dict[str, Any]) -> None:
    counts = dataset.get("counts") or {}
    fields(
        [
            ("id", dataset["id"]),
            ("name", dataset["name"]),
            ("state", dataset["state"]),
            ("failure", dataset.get("failure")),
            ("created", dataset["created_at"]),
            ("model", " ".join(str(dataset["model"].get(part, "")) for part in ("name", "version"))),
            ("seed", str(dataset["seed"])),
            ("samples", f"{_progress(dataset)} done"),
            ("size", megabytes(counts["bytes"]) if counts else ""),
            ("shortfall", counts.get("shortfall") or ""),
            ("pixels", (dataset.get("digests") or {}).get("pixels")),
        ]
    )
