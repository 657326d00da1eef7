"""Storing: a shard's samples as one tar, in the plan's order, the same bytes whenever it is made again."""

import hashlib
import io
import tarfile
import tempfile
from collections.abc import Iterable
from typing import Any, BinaryIO, Self, cast

from app.dataset.shard import SampleRow, ShardReport, StoredSample
from app.errors import Corrupt
from app.jobs.datasets.archive import BLOCK, END, below, member_header
from app.storage import ChunkReader, ObjectStore
from workers.provenance.marker import Sealed

IN_MEMORY_BYTES = 32 * 1024 * 1024
"""A tar larger than this is laid down on disk while it is made."""


class ShardTar:
    """A tar being written; samples must be added in the plan's order."""

    def __init__(self, folder: str = "") -> None:
        """`folder` is the plan's: the archive's, whose part this tar is."""
        self._folder = folder
        self._file = tempfile.SpooledTemporaryFile(IN_MEMORY_BYTES)  # noqa: SIM115  (closed by __exit__)
        self.stored: list[StoredSample] = []
        self.bytes = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def add(self, row: SampleRow, sealed: Sealed) -> None:
        """Append one sample's file, and what lies beside it."""
        offset = self._append(row.file, sealed.data)
        beside = None
        if row.c2pa is not None and sealed.manifest is not None:
            beside = self._append(row.c2pa.file, sealed.manifest)
        self.stored.append(StoredSample(row=row, offset=offset, c2pa_offset=beside))

    def put(self, store: ObjectStore, key: str) -> None:
        """Write the whole tar to the store; it appears only when it is complete."""
        self._finish()
        if self.bytes <= IN_MEMORY_BYTES:
            store.put(key, self._file.read(), "application/x-tar")
        else:
            store.put_stream(key, cast(BinaryIO, self._file), "application/x-tar")

    def put_once(self, store: ObjectStore, key: str, report: ShardReport) -> ShardReport:
        """Write the whole tar unless there is one already; returns the report of the one that is there.

        For files that have chance in them: of two workers at one shard, and of two attempts, the first decides, and the
        report of either fits the tar. Raises Corrupt if the one that is there is not of these samples.
        """
        self._finish()
        if store.put_if_absent(key, self._file.read(), "application/x-tar"):
            return report
        tar = store.get(key)
        members = _members(tar)
        samples = tuple(_as_found(stored, members, self._folder) for stored in report.samples)
        return report.model_copy(update={"samples": samples, "tar_bytes": len(tar) - len(END)})

    def _append(self, name: str, data: bytes) -> int:
        """Append a member; returns where its first byte is."""
        header = member_header(below(self._folder, name), len(data))
        padding = bytes(-len(data) % BLOCK)
        for part in (header, data, padding):
            self._file.write(part)
        offset = self.bytes + len(header)
        self.bytes += len(header) + len(data) + len(padding)
        return offset

    def _finish(self) -> None:
        self._file.write(END)
        self._file.seek(0)


def _members(tar: bytes) -> dict[str, tuple[int, bytes]]:
    """Name to (first byte, content) of every member."""
    with tarfile.open(fileobj=io.BytesIO(tar)) as members:
        return {
            member.name: (member.offset_data, tar[member.offset_data : member.offset_data + member.size])
            for member in members
        }


def _as_found(stored: StoredSample, members: dict[str, tuple[int, bytes]], folder: str) -> StoredSample:
    """A sample of ours with place, size and digest of the file that is in the store, whose pixels are the same."""
    row = stored.row
    file, manifest_file = below(folder, row.file), below(folder, row.c2pa.file) if row.c2pa else None
    if file not in members or manifest_file not in (None, *members):
        raise Corrupt(f"the stored samples of this shard lack {row.file}")
    offset, data = members[file]
    changes: dict[str, Any] = {"bytes": len(data), "file_sha256": hashlib.sha256(data).hexdigest()}
    beside = None
    if row.c2pa is not None and manifest_file is not None:
        beside, manifest = members[manifest_file]
        changes["c2pa"] = row.c2pa.model_copy(
            update={"bytes": len(manifest), "sha256": hashlib.sha256(manifest).hexdigest()}
        )
    return StoredSample(row=row.model_copy(update=changes), offset=offset, c2pa_offset=beside)


def put_chunks(store: ObjectStore, key: str, chunks: Iterable[bytes], content_type: str) -> None:
    """Write an object out of chunks; only a part of it is ever in memory."""
    store.put_stream(key, io.BufferedReader(ChunkReader(chunks), 1024 * 1024), content_type)
