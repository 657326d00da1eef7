"""Storing: a shard's samples as one tar, in the plan's order, the same bytes whenever it is made again."""

import io
import tempfile
from collections.abc import Iterable, Iterator
from typing import BinaryIO, Self, cast

from app.dataset.shard import SampleRow, StoredSample
from app.jobs.archive import BLOCK, END, member_header
from app.storage import ObjectStore

IN_MEMORY_BYTES = 32 * 1024 * 1024
"""A tar larger than this is laid down on disk while it is made."""


class ShardTar:
    """A tar being written; samples must be added in the plan's order."""

    def __init__(self) -> None:
        self._file = tempfile.SpooledTemporaryFile(IN_MEMORY_BYTES)  # noqa: SIM115  (closed by __exit__)
        self.stored: list[StoredSample] = []
        self.bytes = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def add(self, row: SampleRow, data: bytes) -> None:
        """Append one file."""
        header = member_header(row.file, len(data))
        padding = bytes(-len(data) % BLOCK)
        for part in (header, data, padding):
            self._file.write(part)
        self.stored.append(StoredSample(row=row, offset=self.bytes + len(header)))
        self.bytes += len(header) + len(data) + len(padding)

    def put(self, store: ObjectStore, key: str) -> None:
        """Write the whole tar to the store; it appears only when it is complete."""
        self._file.write(END)
        self._file.seek(0)
        if self.bytes <= IN_MEMORY_BYTES:
            store.put(key, self._file.read(), "application/x-tar")
        else:
            store.put_stream(key, cast(BinaryIO, self._file), "application/x-tar")


class ChunkReader(io.RawIOBase):
    """A readable stream over chunks of bytes that are made while it is read."""

    def __init__(self, chunks: Iterable[bytes]) -> None:
        self._chunks: Iterator[bytes] = iter(chunks)
        self._left = b""

    def readable(self) -> bool:
        """See RawIOBase."""
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        """See RawIOBase."""
        while not self._left:
            chunk = next(self._chunks, None)
            if chunk is None:
                return 0
            self._left = chunk
        count = min(len(buffer), len(self._left))
        buffer[:count] = self._left[:count]
        self._left = self._left[count:]
        return count


def put_chunks(store: ObjectStore, key: str, chunks: Iterable[bytes], content_type: str) -> None:
    """Write an object out of chunks; only a part of it is ever in memory."""
    store.put_stream(key, io.BufferedReader(ChunkReader(chunks), 1024 * 1024), content_type)
