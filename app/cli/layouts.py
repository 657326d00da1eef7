"""`facsimile fetch`: the archive of a dataset in one of its layouts, as a file."""

import shutil
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from app.cli.client import Client
from app.cli.connect import KeyOption, UrlOption, connect
from app.cli.errors import ServiceRefused, UsageProblem
from app.cli.fetch import CHUNK, ArchiveStream
from app.cli.output import say
from app.cli.watch import Bars
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


def archive_name(dataset: str, layout: Layout) -> str:
    """What the service calls an archive."""
    return f"{dataset}{'' if layout is Layout.PLAIN else f'-{layout}'}{layout.suffix}"


def fetch_archive(client: Client, archive: str, path: Path, on_bytes: OnBytes = lambda done, total: None) -> None:
    """Wait until an archive, by its path, is made, and write it to a file that has its name only when it is whole."""
    client.await_archive(archive)
    part, tag = path.with_name(f".{path.name}.part"), path.with_name(f".{path.name}.etag")
    try:
        _go_on(client, archive, part, tag, on_bytes)
    except ServiceRefused as exc:
        if exc.status != 416:
            raise
        part.unlink(missing_ok=True)  # it was whole, or another; what it is cannot be told any more
        _go_on(client, archive, part, tag, on_bytes)
    part.replace(path)
    tag.unlink(missing_ok=True)


def _go_on(client: Client, archive: str, part: Path, tag: Path, on_bytes: OnBytes) -> None:
    start, etag = 0, None
    with suppress(OSError):
        start, etag = part.stat().st_size, tag.read_text()
    part.parent.mkdir(parents=True, exist_ok=True)
    with (
        ArchiveStream(client, archive, start=start, etag=etag, on_bytes=on_bytes) as stream,
        part.open("r+b" if stream.start else "wb") as file,
    ):
        file.truncate(stream.start)
        file.seek(stream.start)
        tag.write_text(stream.etag or "")
        shutil.copyfileobj(stream, file, CHUNK)
