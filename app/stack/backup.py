"""Backups: every object of the store as a file with its digest, and back into an empty store.

What exists in the store is all there is to a service: the queue is made anew from it. A backup of a running service is
consistent because what completes a thing is written last of all: the backup is of a moment, and of what was complete
then all parts were there. A set that was being made goes on where it stood; what was deleted meanwhile is left out.

A backup's folder has `objects/` with a file a key, and `index.jsonl` with a line a file, written when all is there.
"""

import hashlib
import json
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from app.dataset import keys
from app.errors import Conflict, Corrupt, ObjectNotFound
from app.storage import ObjectInfo, ObjectStore

INDEX = "index.jsonl"
UNDER_WAY = "index.part.jsonl"
"""Lines of what is there, while the backup is being made; another try goes on from them."""

RESTORING = "restoring.json"
"""In the store while it is being filled: whose backup it is, so that another try goes on."""

CLOCK = "backup-clock.json"
"""Written to learn what time it is for the store."""

SETTLED_S = 2.0
"""Stores tell times to the second: so long after a moment, whatever is said to be of it is there to be listed."""

LEFT_OUT = (keys.SESSIONS, RESTORING, CLOCK)
"""Browsers sign in anew."""

CHUNK = 1024 * 1024

Told = Callable[[int, int], None]
"""Is told objects and bytes, so far."""


class Entry(BaseModel):
    """One object."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    key: str
    size: int
    etag: str
    """As the store had it; tells whether the object is still the one that was copied."""
    sha256: str


def back_up(
    store: ObjectStore,
    folder: Path,
    told: Told = lambda objects, size: None,
    sleep: Callable[[float], None] = time.sleep,
) -> int:
    """Copy every object into a folder and return how many; the service may run meanwhile.

    Broken off, it goes on when called again. Raises Conflict for a folder that holds anything else, or a whole backup.
    """
    folder.mkdir(parents=True, exist_ok=True)
    known = _begun(folder)
    size = 0
    entries: list[Entry] = []
    with (folder / UNDER_WAY).open("a", encoding="utf-8") as lines:
        for info in _of_a_moment(store, sleep):
            entry = known.get(info.key)
            if entry is None or entry.etag != info.etag or not _is_there(folder, entry):
                try:
                    entry = _copy(store, info, _file(folder, info.key))
                except ObjectNotFound:
                    continue  # deleted since it was listed
                lines.write(entry.model_dump_json() + "\n")
                lines.flush()
            entries.append(entry)
            size += entry.size
            told(len(entries), size)
    left = {info.key for info in _objects(store)}
    gone = [entry for entry in entries if entry.key not in left]
    for entry in gone:
        _file(folder, entry.key).unlink()
    kept = [entry for entry in entries if entry.key in left]
    partial = folder / f"{INDEX}.new"
    partial.write_text("".join(entry.model_dump_json() + "\n" for entry in kept), encoding="utf-8")
    (folder / UNDER_WAY).unlink()
    partial.replace(folder / INDEX)
    return len(kept)


def restore(store: ObjectStore, folder: Path, told: Told = lambda objects, size: None) -> int:
    """Put every object of a backup into an empty store and return how many; API and workers must not run.

    Every file is held against its digest before the first is written. Broken off, it goes on when called again. Raises
    Conflict for a store that holds anything else, Corrupt for a backup that is not whole.
    """
    index = folder / INDEX
    if not index.is_file():
        raise Corrupt(f"{folder} holds no whole backup: there is no {INDEX}; let the backup come to its end first")
    entries = list(_entries(index))
    for entry in entries:
        _check(folder, entry)
    mine = json.dumps({"index": hashlib.sha256(index.read_bytes()).hexdigest()}).encode()
    store.ensure_bucket()
    if not _goes_on(store, mine):
        if (other := next(iter(store.list("")), None)) is not None:
            raise Conflict(f"the store is not empty ({other.key}); restore into an empty bucket")
        store.put(RESTORING, mine, "application/json")
    there = {info.key: info.size for info in store.list("")}
    size = 0
    for number, entry in enumerate(entries, 1):
        if there.get(entry.key) != entry.size:
            with _file(folder, entry.key).open("rb") as file:
                store.put_stream(entry.key, file, _type_of(entry.key))
        size += entry.size
        told(number, size)
    store.delete(RESTORING)
    return len(entries)


def _objects(store: ObjectStore) -> Iterator[ObjectInfo]:
    return (info for info in store.list("") if not info.key.startswith(LEFT_OUT))


def _of_a_moment(store: ObjectStore, sleep: Callable[[float], None]) -> Iterator[ObjectInfo]:
    """What was there at one moment, whatever is written while it is listed.

    A listing alone is of no moment: it may pass where a part will be before it comes to what completes it.
    """
    seen = {info.key for info in _objects(store)}
    store.put(CLOCK, b"{}", "application/json")
    moment = store.stat(CLOCK).modified
    store.delete(CLOCK)
    sleep(SETTLED_S)
    return (info for info in _objects(store) if info.modified <= moment or info.key in seen)


def _begun(folder: Path) -> dict[str, Entry]:
    """What an earlier try has copied."""
    part = folder / UNDER_WAY
    if (folder / INDEX).exists():
        raise Conflict(f"{folder} holds a whole backup already; name another folder")
    if not part.exists():
        if any(folder.iterdir()):
            raise Conflict(f"{folder} is not empty; name a new folder")
        return {}
    whole, _, _ = part.read_text(encoding="utf-8").rpartition("\n")  # the last line may have been cut off
    part.write_text(f"{whole}\n" if whole else "", encoding="utf-8")
    return {entry.key: entry for entry in _entries(part)}


def _entries(path: Path) -> Iterator[Entry]:
    with path.open(encoding="utf-8") as lines:
        for number, line in enumerate(lines, 1):
            try:
                yield Entry.model_validate_json(line)
            except ValidationError as exc:
                raise Corrupt(f"line {number} of {path} is no entry of a backup; it was damaged") from exc


def _file(folder: Path, key: str) -> Path:
    parts = key.split("/")
    if not all(parts) or {".", ".."} & set(parts):
        raise Corrupt(f"{key!r} is no key of an object that Facsimile makes")
    return folder.joinpath("objects", *parts)


def _copy(store: ObjectStore, info: ObjectInfo, to: Path) -> Entry:
    to.parent.mkdir(parents=True, exist_ok=True)
    digest, size = hashlib.sha256(), 0
    partial = to.with_name(f"{to.name}.part")
    try:
        with partial.open("wb") as file:
            for chunk in store.read(info.key):
                digest.update(chunk)
                size += len(chunk)
                file.write(chunk)
        partial.replace(to)
    except BaseException:
        with suppress(OSError):
            partial.unlink()
        raise
    return Entry(key=info.key, size=size, etag=info.etag, sha256=digest.hexdigest())


def _is_there(folder: Path, entry: Entry) -> bool:
    file = _file(folder, entry.key)
    return file.is_file() and file.stat().st_size == entry.size


def _check(folder: Path, entry: Entry) -> None:
    digest = hashlib.sha256()
    try:
        with _file(folder, entry.key).open("rb") as file:
            while chunk := file.read(CHUNK):
                digest.update(chunk)
    except FileNotFoundError as exc:
        raise Corrupt(f"the backup lacks {entry.key}") from exc
    if digest.hexdigest() != entry.sha256:
        raise Corrupt(f"{entry.key} in the backup has another digest than when it was made")


def _goes_on(store: ObjectStore, mine: bytes) -> bool:
    try:
        found = store.get(RESTORING)
    except ObjectNotFound:
        return False
    if found != mine:
        raise Conflict("another backup is being restored into this store; end that, or empty the bucket")
    return True


def _type_of(key: str) -> str:
    return "application/json" if key.endswith(".json") else "application/octet-stream"
