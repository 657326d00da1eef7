"""Archives as streams: entries of known size, one after the other, as a tar or a ZIP file; the same bytes each time.

Images pass through one by one. A list that grows with the set is laid down on disk first, for an archive tells the
size of each file before its bytes.
"""

import tempfile
import zipfile
from collections.abc import Iterable, Iterator
from typing import IO, NamedTuple

from app.errors import Corrupt
from app.jobs.datasets.archive import BLOCK, END, member_header

CHUNK = 256 * 1024
IN_MEMORY_BYTES = 1024 * 1024
"""A list longer than this is laid down on disk while it is written."""

ZIP_EPOCH = (1980, 1, 1, 0, 0, 0)
"""The earliest time that a ZIP file can tell."""


class Entry(NamedTuple):
    """One file of an archive."""

    name: str
    size: int
    chunks: Iterable[bytes]
    """`size` bytes in all."""


def whole(name: str, data: bytes) -> Entry:
    """A file that is at hand."""
    return Entry(name, len(data), (data,))


def text(name: str, lines: Iterable[str]) -> Entry:
    """A text of lines, each with its end, that may be long."""
    spool = Spool()
    for line in lines:
        spool.write(line.encode())
    return spool.entry(name)


class Spool:
    """A file on its way into an archive: written first, then read once."""

    def __init__(self) -> None:
        self._file = tempfile.SpooledTemporaryFile(IN_MEMORY_BYTES)  # noqa: SIM115  (closed when read or forgotten)
        self.size = 0

    def write(self, data: bytes) -> int:
        """Append bytes."""
        self.size += len(data)
        return self._file.write(data)

    def chunks(self) -> Iterator[bytes]:
        """Yield all of it; then it is gone."""
        with self._file:
            self._file.seek(0)
            yield from pieces(self._file)

    def entry(self, name: str) -> Entry:
        """It as a file of an archive."""
        return Entry(name, self.size, self.chunks())


def pieces(file: IO[bytes]) -> Iterator[bytes]:
    """The rest of a file, in chunks."""
    while chunk := file.read(CHUNK):
        yield chunk


def checked(entry: Entry) -> Iterator[bytes]:
    """The chunks of an entry; raises Corrupt if they are not as many bytes as it says."""
    seen = 0
    for chunk in entry.chunks:
        seen += len(chunk)
        yield chunk
    if seen != entry.size:
        raise Corrupt(f"{entry.name} has {seen} bytes instead of {entry.size}")


def tar_of(entries: Iterable[Entry]) -> Iterator[bytes]:
    """Yield a tar of the entries."""
    for entry in entries:
        yield member_header(entry.name, entry.size)
        yield from checked(entry)
        if padding := -entry.size % BLOCK:
            yield bytes(padding)
    yield END


def zip_of(entries: Iterable[Entry]) -> Iterator[bytes]:
    """Yield a ZIP file of the entries, stored as they are: images do not become smaller by it."""
    window = _Window()
    with zipfile.ZipFile(window, "w", zipfile.ZIP_STORED) as archive:
        for entry in entries:
            info = zipfile.ZipInfo(entry.name, ZIP_EPOCH)
            info.create_system = 3  # Unix, wherever it is made
            info.external_attr = 0o100644 << 16
            info.file_size = entry.size
            with archive.open(info, "w") as file:
                for chunk in checked(entry):
                    file.write(chunk)
            yield from window.taken()
    yield from window.taken()


class _Window:
    """A file whose beginning is taken away again and again: `zipfile` goes back to the header of the file at hand only.

    So checksums stand before the data, where every reader looks for them.
    """

    def __init__(self) -> None:
        self._file = tempfile.SpooledTemporaryFile(IN_MEMORY_BYTES)  # noqa: SIM115  (closed when forgotten)
        self._base = 0

    def write(self, data: bytes) -> int:
        """Write at the place."""
        return self._file.write(data)

    def tell(self) -> int:
        """The place, from the beginning of all."""
        return self._base + self._file.tell()

    def seek(self, place: int, whence: int = 0) -> int:
        """Go to a place that is not taken yet."""
        if whence != 0 or place < self._base:
            raise ValueError("what was taken cannot be gone back to")
        self._file.seek(place - self._base)
        return place

    def flush(self) -> None:
        """Nothing is held back."""

    def close(self) -> None:
        """Nothing is to be done: what is left can still be taken."""

    def taken(self) -> Iterator[bytes]:
        """Yield what was written since the last time."""
        end = self._file.tell()
        self._file.seek(0)
        yield from pieces(self._file)
        self._base += end
        self._file.seek(0)
        self._file.truncate()
