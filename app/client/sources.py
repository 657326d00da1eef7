"""Where a release's files come from: its plain archive read by ranges, a folder, or such a folder over HTTP."""

import io
import shutil
import tarfile
import threading
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Protocol, cast

import httpx

from app.client.cache import Cache
from app.client.direct import DirectReader
from app.client.errors import UsageProblem, VerificationFailed
from app.client.manifest import Manifest
from app.client.paths import in_archive, inside, set_folder
from app.client.readers import FileReader, HttpReader, NotThere, Reader, open_http
from app.client.records import product_digests
from app.client.service import Client
from app.dataset.release import RELEASE_FILE
from app.dataset.shard import SampleRow

BLOCK = tarfile.BLOCKSIZE
SAMPLES = "samples/"

SKIPPED_BYTES = 1024 * 1024
"""Something that is here already and longer is not read again, at the price of another request."""

FIRST_WINDOW, LARGEST_WINDOW = 256 * 1024, 8 * 1024 * 1024
"""Bytes of the products that are asked for at a time."""

Kept = Callable[[str, int], bool]
"""Whether a product of this name and size is here already and right."""


class OtherOrder(Exception):
    """An archive is not laid out as the service lays it out; it must be read from end to end."""


@dataclass(frozen=True)
class Wanted:
    """A sample to be fetched."""

    row: SampleRow
    offset: int
    """Where its header lies behind the first sample's, if the archive is the service's."""

    @property
    def end(self) -> int:
        """Where the next one's header lies."""
        return self.offset + BLOCK + -(-self.row.bytes // BLOCK) * BLOCK


class Source(Protocol):
    """A release's files."""

    @property
    def where(self) -> str:
        """What it is, for people."""

    def products(self, into: Path, kept: Kept) -> None:
        """Put everything but the samples into a folder; raises OtherOrder, NoRanges."""

    def check_length(self, samples_bytes: int) -> None:
        """Raise VerificationFailed if the samples, so many bytes with headers, cannot all be there."""

    def read(self, run: Sequence[Wanted]) -> Generator[tuple[Wanted, bytes]]:
        """Yield the bytes of samples that follow each other; raises OtherOrder, NoRanges, ServiceUnreachable."""

    def take_all(self, into: Path, cache: Cache, on_bytes: Callable[[int], None]) -> None:
        """Read everything from end to end: products into a folder, samples into the cache under their digests."""


class PlainArchive:
    """The plain archive: an uncompressed tar of products, then samples in the manifest's order."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self.where = reader.where
        self._first = 0
        """Where the first sample's header lies."""

    def products(self, into: Path, kept: Kept) -> None:
        """See Source. Only their headers are read of those that are kept."""
        self._first = self._products_from(0, into, kept)

    def check_length(self, samples_bytes: int) -> None:
        """See Source."""
        end, size = self._first + samples_bytes, self._reader.size
        if size is not None and size < end + 2 * BLOCK:
            raise VerificationFailed(
                f"the archive of {self.where} is cut short: it has {size} bytes, and its manifest's samples need "
                f"{end + 2 * BLOCK}; repeat the command, or get another copy",
                [],
            )

    def read(self, run: Sequence[Wanted]) -> Generator[tuple[Wanted, bytes]]:
        """See Source."""
        chunks = self._reader.read(self._first + run[0].offset, self._first + run[-1].end)
        with closing(_Stream(chunks)) as stream:
            for wanted in run:
                name, size, kind = _header(stream.take(BLOCK))
                if name != wanted.row.file or size != wanted.row.bytes or kind not in b"0\0":
                    raise OtherOrder
                data = stream.take(size)
                stream.take(-size % BLOCK)
                yield wanted, data

    def take_all(self, into: Path, cache: Cache, on_bytes: Callable[[int], None]) -> None:
        """See Source."""
        with closing(_Stream(self._reader.read(0), on_bytes)) as stream:
            try:
                with tarfile.open(fileobj=cast(IO[bytes], stream), mode="r|", bufsize=BLOCK * 512) as tar:
                    for member in tar:
                        self._take(tar, member, into, cache)
                        tar.members.clear()  # type: ignore[attr-defined]  # it would remember every member
            except (tarfile.TarError, EOFError) as exc:
                raise VerificationFailed(f"the archive of {self.where} is damaged or cut short: {exc}", []) from exc

    def _take(self, tar: tarfile.TarFile, member: tarfile.TarInfo, into: Path, cache: Cache) -> None:
        name = in_archive(member.name)
        if member.isdir():
            return
        if not member.isreg():
            raise VerificationFailed(
                f"the archive holds {member.name!r}, which is no plain file; nothing of that kind is unpacked",
                [member.name],
            )
        content = tar.extractfile(member)
        if content is None:
            raise VerificationFailed(f"{member.name!r} cannot be read", [member.name])
        if name.startswith(SAMPLES):
            cache.take(content.read())
        else:
            _put(content, inside(into, name))

    def _products_from(self, start: int, into: Path, kept: Kept) -> int:
        """Read the files from an offset on until the first sample; returns its header's offset."""
        at = start
        while True:
            with closing(_Stream(self._windows(at))) as stream:
                while True:
                    header = stream.take(BLOCK)
                    if not any(header):  # the end: no sample's file follows
                        return at
                    name, size, kind = _header(header)
                    if name.startswith(SAMPLES):
                        return at
                    if kind not in b"0\0" or not name:
                        raise OtherOrder
                    path, padded = inside(into, name), size + -size % BLOCK
                    at += BLOCK + padded
                    if size > SKIPPED_BYTES and kept(name, size):
                        break
                    _put(_Part(stream, size), path)
                    stream.take(-size % BLOCK)

    def _windows(self, at: int) -> Iterator[bytes]:
        """The bytes from an offset on, asked for as they are needed: nobody sends what is not read."""
        size = FIRST_WINDOW
        while self._reader.size is None or at < self._reader.size:
            yield from self._reader.read(at, at + size)
            at, size = at + size, min(size * 4, LARGEST_WINDOW)


class Folder:
    """A folder that holds a release's files."""

    def __init__(self, path: Path) -> None:
        self.where = str(path)
        self._path = path

    def products(self, into: Path, kept: Kept) -> None:
        """See Source."""
        if not (self._path / "manifest.json").is_file():
            raise UsageProblem(f"{self._path} holds no manifest.json: it is no release's folder")
        for path in self._path.iterdir():
            if path.is_file() and not path.name.startswith(".") and not kept(path.name, path.stat().st_size):
                with path.open("rb") as file:
                    _put(file, inside(into, path.name))

    def check_length(self, samples_bytes: int) -> None:
        """See Source: files are missed one by one."""

    def read(self, run: Sequence[Wanted]) -> Generator[tuple[Wanted, bytes]]:
        """See Source."""
        for wanted in run:
            try:
                yield wanted, inside(self._path, wanted.row.file).read_bytes()
            except FileNotFoundError:
                yield wanted, b""

    def take_all(self, into: Path, cache: Cache, on_bytes: Callable[[int], None]) -> None:
        """Never needed."""
        raise NotImplementedError


class Mirror:
    """Such a folder over HTTP."""

    def __init__(self, http: httpx.Client, url: str) -> None:
        self._http = http
        self._url = url.rstrip("/")
        self.where = HttpReader(http, self._url).where

    def products(self, into: Path, kept: Kept) -> None:
        """See Source."""
        self._get("manifest.json", into)
        with suppress(NotThere):  # a dataset that is no release has none
            self._get(RELEASE_FILE, into)
        for name in product_digests(Manifest(into / "manifest.json")):
            self._get(name, into)

    def _get(self, name: str, into: Path) -> None:
        with closing(_Stream(HttpReader(self._http, f"{self._url}/{name}").read(0))) as stream:
            _put(_Part(stream, None), inside(into, name))

    def check_length(self, samples_bytes: int) -> None:
        """See Source: files are missed one by one."""

    def read(self, run: Sequence[Wanted]) -> Generator[tuple[Wanted, bytes]]:
        """See Source."""
        for wanted in run:
            try:
                yield wanted, b"".join(HttpReader(self._http, f"{self._url}/{wanted.row.file}").read(0))
            except NotThere:
                yield wanted, b""

    def take_all(self, into: Path, cache: Cache, on_bytes: Callable[[int], None]) -> None:
        """Never needed."""
        raise NotImplementedError


class Deferred:
    """A source that is opened only if something is missing."""

    def __init__(self, where: str, opened: Callable[[], Source]) -> None:
        self.where = where
        self._opened = opened
        self._source: Source | None = None
        self._lock = threading.Lock()

    @property
    def _real(self) -> Source:
        with self._lock:
            if self._source is None:
                self._source = self._opened()
            return self._source

    def products(self, into: Path, kept: Kept) -> None:
        """See Source."""
        self._real.products(into, kept)

    def check_length(self, samples_bytes: int) -> None:
        """See Source."""
        self._real.check_length(samples_bytes)

    def read(self, run: Sequence[Wanted]) -> Generator[tuple[Wanted, bytes]]:
        """See Source."""
        return self._real.read(run)

    def take_all(self, into: Path, cache: Cache, on_bytes: Callable[[int], None]) -> None:
        """See Source."""
        self._real.take_all(into, cache, on_bytes)


def open_source(text: str) -> Source:
    """What --from names: a folder, a tar, the URL of a tar (presigned, say) or that of a folder."""
    if text.startswith(("http://", "https://")):
        http = open_http(text)
        if _is_tar(HttpReader(http, text)):
            return PlainArchive(HttpReader(http, text))
        return Mirror(http, text)
    path = Path(text)
    if path.is_dir():
        return Folder(set_folder(path))
    if path.is_file():
        return PlainArchive(FileReader(path))
    raise UsageProblem(f"--from {text}: there is no such folder or file, and it is no URL")


def service_source(
    client: Client, http: httpx.Client, name: str, version: str, tell: Callable[[str], None] = lambda text: None
) -> Source:
    """A release of a service, read from its store where that can be; `tell` is told which way."""
    archive = HttpReader(http, client.release_archive(name, version), client=client)
    return PlainArchive(DirectReader(archive, lambda: client.release_parts(name, version), tell))


def dataset_source(client: Client, http: httpx.Client, dataset: str) -> Source:
    """A dataset of a service, by its plain archive."""
    return PlainArchive(HttpReader(http, client.archive(dataset), client=client))


def _is_tar(reader: Reader) -> bool:
    try:
        with closing(_Stream(reader.read(0, BLOCK))) as stream:
            return stream.take(BLOCK)[257:262] == b"ustar"
    except (NotThere, EOFError):
        return False


def _header(block: bytes) -> tuple[str, int, bytes]:
    """Name (below the top folder), size and type of a member; raises OtherOrder where it is no small plain file."""
    try:
        return in_archive(block[:100].rstrip(b"\0").decode()), int(block[124:135], 8), block[156:157]
    except ValueError:
        raise OtherOrder from None


def _put(content: "IO[bytes] | _Part", path: Path) -> None:
    """Write a product in a staging folder."""
    beside = path.with_name(f".{path.name}.part")
    path.parent.mkdir(parents=True, exist_ok=True)
    with beside.open("wb") as file:
        shutil.copyfileobj(content, file, BLOCK * 512)
    beside.replace(path)


class _Stream(io.RawIOBase):
    """Chunks as a stream from which so many bytes can be taken."""

    def __init__(self, chunks: Iterator[bytes], on_bytes: Callable[[int], None] = lambda count: None) -> None:
        super().__init__()
        self._chunks = chunks
        self._on_bytes = on_bytes
        self._chunk = b""
        self._at = 0

    def close(self) -> None:
        """End the connection."""
        if not self.closed and hasattr(self._chunks, "close"):
            self._chunks.close()
        super().close()

    def take(self, size: int) -> bytes:
        """Exactly so many bytes; raises EOFError."""
        end = self._at + size
        if end <= len(self._chunk):
            found = self._chunk[self._at : end]
            self._at = end
            return found
        parts = []
        while size > 0:
            part = self.read(size)
            if not part:
                raise EOFError("it ends too early")
            parts.append(part)
            size -= len(part)
        return b"".join(parts)

    def read(self, size: int = -1) -> bytes:
        """Up to so many bytes; empty at the end."""
        if self._at == len(self._chunk):
            self._chunk, self._at = next(self._chunks, b""), 0
            self._on_bytes(len(self._chunk))
        found = self._chunk[self._at : self._at + size] if size >= 0 else self._chunk[self._at :]
        self._at += len(found)
        return found


class _Part(io.RawIOBase):
    """The next so many bytes of a stream (None: all); raises EOFError if they are not there."""

    def __init__(self, stream: _Stream, size: int | None) -> None:
        super().__init__()
        self._stream = stream
        self._left = size

    def read(self, size: int = -1) -> bytes:
        """See RawIOBase."""
        if self._left is None:
            return self._stream.read(size)
        if not self._left:
            return b""
        found = self._stream.read(min(size, self._left) if size >= 0 else self._left)
        if not found:
            raise EOFError("it ends too early")
        self._left -= len(found)
        return found
