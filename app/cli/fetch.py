"""`facsimile fetch`: the archive of a dataset in one of its layouts, as a file."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from app.cli.bars import Bars
from app.cli.options import KeyOption, UrlOption
from app.cli.output import say
from app.client.archives import archive_name, fetch_archive
from app.client.connect import connect
from app.client.errors import UsageProblem
from app.dataset.layout import Layout

OnBytes = Callable[[int, int], None]


def fetch(
    dataset: Annotated[str, typer.Argument(metavar="ID", help="Dataset, e.g. ds_06fa3k9x2m7q0v4c8d1e.")],
    layout: Annotated[Layout, typer.Option(help="As which test harness reads it.")] = Layout.PLAIN,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="File for the archive; left out: its own name, here.")
    ] = None,
    url: UrlOption = None,
    key: KeyOption = None,
) -> None:
    """Download the archive of a dataset in a layout, which is made if it never was. Repeated, it goes on."""
    path = out or Path(archive_name(dataset, layout))
    if path.exists():
        raise UsageProblem(f"{path} is there already; choose another file with --out")
    client = connect(url, key)
    try:
        with Bars() as bars:
            fetch_archive(client, client.archive(dataset, layout), path, partial(bars.amount, "downloading", unit="B"))
            bars.end()
    finally:
        client.close()
    say(f"{dataset} as {layout}: {path}")
