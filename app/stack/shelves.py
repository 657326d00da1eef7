"""Where a backup lies: in a folder, or below a prefix of an S3 bucket, in the same form.

`objects/` has a file a key and `index.jsonl` a line a file, written when all is there; until then what has been copied
stands in lines apart, by which another try goes on.
"""

import hashlib
import io
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO, Protocol, cast

from pydantic import BaseModel, ConfigDict, ValidationError

from app.errors import Conflict, Corrupt, ObjectNotFound
from app.storage import ChunkReader, ObjectStore

INDEX = "index.jsonl"
UNDER_WAY = "index.part.jsonl"
"""Lines of what is there, while the backup is being made."""
OBJECTS = "objects"

CHUNK = 1024 * 1024
LINES_AT_ONCE = 200
"""In a bucket nothing can be appended to: so many lines go into an object, and as many files at the most twice."""


class Entry(BaseModel):
    """One object."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    key: str
    size: int
    etag: str
    """As the store had it; tells whether the object is still the one that was copied."""
    sha256: str


class Shelf(Protocol):
    """What a backup is written to and read from."""

    def begun(self) -> dict[str, Entry]:
        """What an earlier try has copied; raises Conflict where there is a whole backup, or anything else."""

    def has(self, entry: Entry) -> bool:
        """Whether the file of an entry is there in its length."""

    def keep(self, key: str, etag: str, chunks: Iterable[bytes]) -> Entry:
        """Write an object's file whole, and note it."""

    def drop(self, entry: Entry) -> None:
        """Remove a file."""

    def finish(self, entries: Iterable[Entry]) -> None:
        """Write the index: the backup is whole."""

    def index(self) -> bytes:
        """The index of a whole backup; raises Corrupt where it is none."""

    def read(self, key: str) -> Iterator[bytes]:
        """An object's bytes; raises Corrupt where its file is not there."""


def lines_of(entries: Iterable[Entry]) -> bytes:
    """Entries as they are written."""
    return "".join(entry.model_dump_json() + "\n" for entry in entries).encode()


def entries_in(text: bytes, where: str) -> Iterator[Entry]:
    """Entries as they were written; raises Corrupt."""
    for number, line in enumerate(text.splitlines(), 1):
        try:
            yield Entry.model_validate_json(line)
        except ValidationError as exc:
            raise Corrupt(f"line {number} of {where} is no entry of a backup; it was damaged") from exc


def whole_lines(text: bytes) -> bytes:
    """Without the last line where it was cut off."""
    return text[: text.rfind(b"\n") + 1]


class Hashed(ChunkReader):
    """Chunks as a stream, which counts and digests what is read of them."""

    def __init__(self, chunks: Iterable[bytes]) -> None:
        super().__init__(self._told(chunks))
        self.size = 0
        self.digest = hashlib.sha256()

    def _told(self, chunks: Iterable[bytes]) -> Iterator[bytes]:
        for chunk in chunks:
            self.size += len(chunk)
            self.digest.update(chunk)
            yield chunk


class FolderShelf:
    """A backup in a folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def begun(self) -> dict[str, Entry]:
        """See Shelf."""
        self._folder.mkdir(parents=True, exist_ok=True)
        part = self._folder / UNDER_WAY
        if (self._folder / INDEX).exists():
            raise Conflict(f"{self._folder} holds a whole backup already; name another folder")
        if not part.exists():
            if any(self._folder.iterdir()):
                raise Conflict(f"{self._folder} is not empty; name a new folder")
            part.touch()
        part.write_bytes(whole_lines(part.read_bytes()))
        return {entry.key: entry for entry in entries_in(part.read_bytes(), str(part))}

    def has(self, entry: Entry) -> bool:
        """See Shelf."""
        file = self._file(entry.key)
        return file.is_file() and file.stat().st_size == entry.size

    def keep(self, key: str, etag: str, chunks: Iterable[bytes]) -> Entry:
        """See Shelf."""
        to = self._file(key)
        to.parent.mkdir(parents=True, exist_ok=True)
        digest, size = hashlib.sha256(), 0
        partial = to.with_name(f"{to.name}.part")
        try:
            with partial.open("wb") as file:
                for chunk in chunks:
                    digest.update(chunk)
                    size += len(chunk)
                    file.write(chunk)
            partial.replace(to)
        except BaseException:
            with suppress(OSError):
                partial.unlink()
            raise
        entry = Entry(key=key, size=size, etag=etag, sha256=digest.hexdigest())
        with (self._folder / UNDER_WAY).open("ab") as lines:
            lines.write(lines_of([entry]))
        return entry

    def drop(self, entry: Entry) -> None:
        """See Shelf."""
        self._file(entry.key).unlink()

    def finish(self, entries: Iterable[Entry]) -> None:
        """See Shelf."""
        partial = self._folder / f"{INDEX}.new"
        partial.write_bytes(lines_of(entries))
        (self._folder / UNDER_WAY).unlink()
        partial.replace(self._folder / INDEX)

    def index(self) -> bytes:
        """See Shelf."""
        try:
            return (self._folder / INDEX).read_bytes()
        except FileNotFoundError as exc:
            raise Corrupt(_not_whole(str(self._folder))) from exc

    def read(self, key: str) -> Iterator[bytes]:
        """See Shelf."""
        try:
            file = self._file(key).open("rb")
        except FileNotFoundError as exc:
            raise Corrupt(f"the backup lacks {key}") from exc
        with file:
            while chunk := file.read(CHUNK):
                yield chunk

    def _file(self, key: str) -> Path:
        parts = key.split("/")
        if not all(parts) or {".", ".."} & set(parts):
            raise Corrupt(f"{key!r} is no key of an object that Facsimile makes")
        return self._folder.joinpath(OBJECTS, *parts)


class BucketShelf:
    """A backup below a prefix of a bucket, which must not be the one that is backed up."""

    def __init__(self, store: ObjectStore, prefix: str) -> None:
        """`prefix` ends with a slash, or is empty."""
        self._store = store
        self._prefix = prefix
        self._sizes: dict[str, int] = {}
        self._lines: list[Entry] = []
        self._parts = 0

    def begun(self) -> dict[str, Entry]:
        """See Shelf."""
        self._store.ensure_bucket()
        sizes = {info.key.removeprefix(self._prefix): info.size for info in self._store.list(self._prefix)}
        parts = sorted(name for name in sizes if name.startswith(f"{UNDER_WAY}/"))
        objects = {name for name in sizes if name.startswith(f"{OBJECTS}/")}
        if INDEX in sizes:
            raise Conflict(f"{self._prefix!r} holds a whole backup already; name another prefix")
        if set(sizes) - objects - set(parts):
            raise Conflict(f"{self._prefix!r} is not empty; name a new prefix")
        self._sizes, self._parts = sizes, len(parts)
        found = [entry for name in parts for entry in entries_in(self._store.get(f"{self._prefix}{name}"), name)]
        return {entry.key: entry for entry in found}

    def has(self, entry: Entry) -> bool:
        """See Shelf."""
        return self._sizes.get(f"{OBJECTS}/{entry.key}") == entry.size

    def keep(self, key: str, etag: str, chunks: Iterable[bytes]) -> Entry:
        """See Shelf."""
        stream = Hashed(chunks)
        self._store.put_stream(self._of(key), cast("BinaryIO", io.BufferedReader(stream, CHUNK)))
        entry = Entry(key=key, size=stream.size, etag=etag, sha256=stream.digest.hexdigest())
        self._sizes[f"{OBJECTS}/{key}"] = stream.size
        self._lines.append(entry)
        if len(self._lines) >= LINES_AT_ONCE:
            self._store.put(f"{self._prefix}{UNDER_WAY}/{self._parts:06d}", lines_of(self._lines))
            self._parts, self._lines = self._parts + 1, []
        return entry

    def drop(self, entry: Entry) -> None:
        """See Shelf."""
        self._store.delete(self._of(entry.key))

    def finish(self, entries: Iterable[Entry]) -> None:
        """See Shelf."""
        self._store.put(f"{self._prefix}{INDEX}", lines_of(entries))
        self._store.delete_prefix(f"{self._prefix}{UNDER_WAY}/")

    def index(self) -> bytes:
        """See Shelf."""
        try:
            return self._store.get(f"{self._prefix}{INDEX}")
        except ObjectNotFound as exc:
            raise Corrupt(_not_whole(repr(self._prefix))) from exc

    def read(self, key: str) -> Iterator[bytes]:
        """See Shelf."""
        try:
            yield from self._store.read(self._of(key))
        except ObjectNotFound as exc:
            raise Corrupt(f"the backup lacks {key}") from exc

    def _of(self, key: str) -> str:
        return f"{self._prefix}{OBJECTS}/{key}"


def _not_whole(where: str) -> str:
    return f"{where} holds no whole backup: there is no {INDEX}; let the backup come to its end first"
