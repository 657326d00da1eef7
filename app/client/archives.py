"""The archive of a dataset or release as a file, fetched once it is made; broken off, it goes on."""

import shutil
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from app.client.download import CHUNK, ArchiveStream
from app.client.errors import ServiceRefused
from app.client.service import Client
from app.dataset.layout import Layout

OnBytes = Callable[[int, int], None]


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
