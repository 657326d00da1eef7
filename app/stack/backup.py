"""Backups: every object of the store as a file with its digest, and back into an empty store.

What exists in the store is all there is to a service: the queue is made anew from it. A backup of a running service is
consistent because what completes a thing is written last of all: the backup is of a moment, and of what was complete
then all parts were there. A set that was being made goes on where it stood; what was deleted meanwhile is left out.
"""

import hashlib
import io
import json
import time
from collections.abc import Callable, Iterator
from typing import BinaryIO, cast

from app.dataset import keys
from app.errors import Conflict, Corrupt, ObjectNotFound
from app.stack.shelves import CHUNK, INDEX, Entry, Hashed, Shelf, entries_in
from app.storage import ObjectInfo, ObjectStore

RESTORING = "restoring.json"
"""In the store while it is being filled: whose backup it is, so that another try goes on."""

CLOCK = "backup-clock.json"
"""Written to learn what time it is for the store."""

SETTLED_S = 2.0
"""Stores tell times to the second: so long after a moment, whatever is said to be of it is there to be listed."""

LEFT_OUT = (keys.SESSIONS, RESTORING, CLOCK)
"""Browsers sign in anew."""

OF_EVERY_SERVICE = (
    "stack/",
    keys.API_KEYS,
    keys.API_KEYS_USED,
    keys.MODELS,
    keys.MATCHERS,
    keys.default_model(),
    keys.MARKING,
    keys.RETENTION,
    keys.STOPPED_BOOTS,
)
"""What a service has from its first start; a store with nothing else counts as empty."""

Told = Callable[[int, int], None]
"""Is told objects and bytes, so far."""


def back_up(
    store: ObjectStore,
    shelf: Shelf,
    told: Told = lambda objects, size: None,
    sleep: Callable[[float], None] = time.sleep,
) -> int:
    """Copy every object onto a shelf and return how many; the service may run meanwhile.

    Broken off, it goes on when called again. Raises Conflict for a shelf that holds anything else, or a whole backup.
    """
    known = shelf.begun()
    size = 0
    entries: list[Entry] = []
    for info in _of_a_moment(store, sleep):
        entry = known.get(info.key)
        if entry is None or entry.etag != info.etag or not shelf.has(entry):
            try:
                entry = shelf.keep(info.key, info.etag, store.read(info.key))
            except ObjectNotFound:
                continue  # deleted since it was listed
        entries.append(entry)
        size += entry.size
        told(len(entries), size)
    left = {info.key for info in _objects(store)}
    for entry in entries:
        if entry.key not in left:
            shelf.drop(entry)
    kept = [entry for entry in entries if entry.key in left]
    shelf.finish(kept)
    return len(kept)


def restore(store: ObjectStore, shelf: Shelf, told: Told = lambda objects, size: None) -> int:
    """Put every object of a backup into an empty store and return how many; API and workers must not run.

    What a service makes at its first start may be there, an API key of its own, say, which goes on to hold. Every file
    is held against its digest before the first is written. Broken off, it goes on when called again. Raises
    Conflict for a store that holds anything else, Corrupt for a backup that is not whole.
    """
    index = shelf.index()
    entries = list(entries_in(index, INDEX))
    for entry in entries:
        _check(shelf, entry)
    mine = json.dumps({"index": hashlib.sha256(index).hexdigest()}).encode()
    store.ensure_bucket()
    if not _goes_on(store, mine):
        others = (info for info in store.list("") if not info.key.startswith(OF_EVERY_SERVICE))
        if (other := next(others, None)) is not None:
            raise Conflict(f"the store is not empty ({other.key}); restore into an empty bucket")
        store.put(RESTORING, mine, "application/json")
    there = {info.key: info.size for info in store.list("")}
    size = 0
    for number, entry in enumerate(entries, 1):
        if there.get(entry.key) != entry.size or entry.key.startswith(OF_EVERY_SERVICE):
            stream = io.BufferedReader(Hashed(shelf.read(entry.key)), CHUNK)
            store.put_stream(entry.key, cast("BinaryIO", stream), _type_of(entry.key))
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


def _check(shelf: Shelf, entry: Entry) -> None:
    digest = hashlib.sha256()
    for chunk in shelf.read(entry.key):
        digest.update(chunk)
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
