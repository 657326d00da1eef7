"""The archive of a dataset or release as a file, fetched once it is made; broken off, it goes on."""

import json
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from app.client.cache import told
from app.client.errors import ServiceUnreachable, VerificationFailed
from app.client.patience import Patience
from app.client.readers import HttpReader, NoRanges, open_http
from app.client.service import Client
from app.dataset.layout import Layout

OnBytes = Callable[[int, int], None]


def archive_name(dataset: str, layout: Layout) -> str:
    """What the service calls an archive."""
    return f"{dataset}{'' if layout is Layout.PLAIN else f'-{layout}'}{layout.suffix}"


def fetch_archive(client: Client, archive: str, path: Path, on_bytes: OnBytes = lambda done, total: None) -> None:
    """Wait until an archive, by its path, is made, and write it to a file that has its name only when it is whole.

    `on_bytes` is told (bytes so far, bytes in all). Raises ServiceRefused, ServiceUnreachable, FolderProblem.
    """
    client.await_archive(archive)
    part, tag = path.with_name(f".{path.name}.part"), path.with_name(f".{path.name}.etag")
    with told(path), open_http(client.url) as http:
        part.parent.mkdir(parents=True, exist_ok=True)
        reader = HttpReader(http, archive, client=client)
        try:
            _go_on(reader, part, tag, on_bytes)
        except VerificationFailed:  # what was begun is of another archive
            part.unlink(missing_ok=True)
            _go_on(HttpReader(http, archive, client=client), part, tag, on_bytes)
        part.replace(path)
        tag.unlink(missing_ok=True)


def _go_on(reader: HttpReader, part: Path, tag: Path, on_bytes: OnBytes) -> None:
    """Read what is missing of a part file, again where it breaks off, until it is as long as its source says."""
    at = _begun(reader, part, tag)
    patience = Patience()
    with part.open("r+b" if at else "wb") as file:
        while reader.size is None or at < reader.size:
            file.truncate(at)
            file.seek(at)
            try:
                with closing(reader.read(at)) as chunks:
                    for chunk in chunks:
                        if at == 0:
                            _note(reader, tag)
                        file.write(chunk)
                        at += len(chunk)
                        patience.renew()
                        on_bytes(at, reader.size or 0)
                if reader.size is None:
                    return
                if at < reader.size:
                    raise ServiceUnreachable(f"{reader.where} broke off after {at} of {reader.size} bytes")
            except NoRanges:
                at = 0
            except ServiceUnreachable as exc:
                patience.wait(exc)


def _begun(reader: HttpReader, part: Path, tag: Path) -> int:
    """How much of a file an earlier try has left; 0 where that cannot be told."""
    try:
        noted = json.loads(tag.read_text(encoding="utf-8"))
        size, etag, begun = int(noted["size"]), str(noted["etag"]), part.stat().st_size
    except (OSError, ValueError, KeyError, TypeError):
        return 0
    reader.expect(size, etag)
    return min(begun, size)


def _note(reader: HttpReader, tag: Path) -> None:
    if reader.size is not None and reader.etag:
        tag.write_text(json.dumps({"size": reader.size, "etag": reader.etag}), encoding="utf-8")
