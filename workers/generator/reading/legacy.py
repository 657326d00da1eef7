"""torch's format before its archives: five pickles in a row, then every storage's count and little-endian numbers.

It is also what `_load_from_bytes` is handed for a single storage, whose real function would load anything.
"""

from collections.abc import Callable
from typing import Any

from workers.generator.reading.limits import Budget
from workers.generator.reading.nodes import Items, Mapping, Storage
from workers.generator.reading.opcodes import Cursor
from workers.generator.reading.refusals import FileRefused, shown
from workers.generator.reading.storages import ITEM, storage_of_id

ReadPickle = Callable[..., Any]
"""The interpreter's `read_pickle`: handed in, for a pickle may hold a storage in this format, which holds pickles."""

MAGIC = 0x1950A86A20F9469CFC6C
PROTOCOL = 1001

SIGNATURE = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."
"""The first pickle, as every version of torch wrote it."""


def read_storage(data: memoryview, at: int, budget: Budget, read_pickle: ReadPickle) -> Storage:
    """The one storage that bytes in this format hold, `at` being their place in the file; raises FileRefused."""
    try:
        root = read_legacy(data, at, budget, read_pickle)
    except FileRefused as exc:
        inside = "" if "storage" in exc.problem else " inside the storage bytes"
        raise FileRefused(f"{exc.problem}{inside}", exc.at) from None
    if not isinstance(root, Storage):
        raise FileRefused("the bytes are not a legacy torch storage", at)
    return root


def read_legacy(data: memoryview, at: int, budget: Budget, read_pickle: ReadPickle) -> Any:
    """Root node of a whole file (or of a storage's bytes) in this format; raises FileRefused."""
    cursor = Cursor(data, budget.limits, at)
    if bytes(data[: len(SIGNATURE)]) != SIGNATURE:
        raise FileRefused("the bytes are not a legacy torch storage (first pickle is not the magic number)", at)
    if read_pickle(cursor, budget) != MAGIC:
        raise FileRefused("not a torch storage (magic number)", at)
    where = cursor.at
    protocol = read_pickle(cursor, budget)
    if type(protocol) is not int or protocol != PROTOCOL:
        raise FileRefused(f"torch legacy protocol {shown(protocol)} is not known ({PROTOCOL})", where)
    where = cursor.at
    system = read_pickle(cursor, budget)
    if not isinstance(system, Mapping) or system.pairs.get("little_endian") is not True:
        raise FileRefused(
            "big-endian storage, or system information that is not known: its numbers are not read", where
        )
    storages: dict[str, Storage] = {}

    def persistent(node: Any, place: int) -> Storage:
        storage = storage_of_id(node, place)
        known = storages.setdefault(storage.key, storage)
        if (known.code, known.count) != (storage.code, storage.count):
            raise FileRefused(f"storage `{storage.key}` is described twice, and differently", place)
        return known

    root = read_pickle(cursor, budget, persistent)
    where = cursor.at
    keys = read_pickle(cursor, budget)
    if not isinstance(keys, Items) or keys.kind != "list" or not all(isinstance(key, str) for key in keys.items):
        raise FileRefused("the list of storage keys is no list of texts", where)
    for key in storages:
        if keys.items.count(key) != 1:
            raise FileRefused(f"storage `{key}` is not in the list of keys, or twice", where)
    for key in keys.items:
        if key not in storages:
            raise FileRefused(f"the list of keys has `{shown(key)}`, which is no storage's", where)
        _fill(storages[key], cursor)
    if cursor.left:
        raise FileRefused(f"{cursor.left} bytes after the storage", cursor.at)
    return root


def _fill(storage: Storage, cursor: Cursor) -> None:
    at = cursor.at
    count = cursor.number("<q", f"storage `{storage.key}`")
    if count < 0:
        raise FileRefused(f"storage `{storage.key}` has a negative element count ({count})", at)
    if count != storage.count:
        raise FileRefused(f"storage `{storage.key}` says {storage.count} elements, and {count} before its numbers", at)
    size = count * ITEM[storage.code]
    if size > cursor.left:
        raise FileRefused(
            f"storage `{storage.key}` says {count} elements ({size} bytes), {cursor.left} bytes follow: the file ends "
            "in the middle",
            at,
        )
    storage.data = cursor.take(size, f"storage `{storage.key}`")
