"""`facsimile fetch`: the archive of a dataset in one of its layouts, as a file."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from app.cli.bars import Bars
from app.cli.options import DatasetArgument, JsonOption, KeyOption, UrlOption
from app.cli.output import as_json, say
from app.cli.request import in_callers_words
from app.client.archives import archive_name, fetch_archive
from app.client.connect import connect
from app.client.errors import UsageProblem
from app.dataset.layout import Layout

OnBytes = Callable[[int, int], None]


def fetch(
    dataset: DatasetArgument,
    layout: Annotated[Layout, typer.Option(help="As which test harness reads it.")] = Layout.PLAIN,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="File for the archive; left out: its own name, here.")
    ] = None,
    url: UrlOption = None,
    key: KeyOption = None,
    json_: JsonOption = False,
) -> None:
    """Download the archive of a dataset in a layout, which is made if it never was. Repeated, it goes on."""
    client = connect(url, key)
    try:
        dataset = client.dataset_id(dataset)
        path = out or Path(archive_name(dataset, layout))
        if path.exists():
            raise UsageProblem(f"{path} is there already; choose another file with --out")
        with Bars() as bars, in_callers_words(options={"layout": "--layout"}):
            fetch_archive(client, client.archive(dataset, layout), path, partial(bars.amount, "downloading", unit="B"))
            bars.end()
    finally:
        client.close()
    if json_:
        as_json({"dataset": dataset, "layout": layout.value, "out": str(path), "bytes": path.stat().st_size})
    else:
        say(f"{dataset} as {layout}: {path}")
