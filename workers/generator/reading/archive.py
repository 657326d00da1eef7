"""torch's archives: a zip of stored members whose every byte is accounted for, read by our own parser.

`zipfile` takes the last of two members of one name where torch takes the first; here there may be no two. What is
believed is the central directory, and the local headers must agree with it.
"""

import re
import struct
import zlib
from dataclasses import dataclass
from typing import Any

from workers.generator.reading.interpreter import read_pickle
from workers.generator.reading.limits import Budget, Limits
from workers.generator.reading.nodes import Storage
from workers.generator.reading.opcodes import Cursor
from workers.generator.reading.refusals import FileRefused, shown
from workers.generator.reading.storages import ITEM, storage_of_id

LOCAL, CENTRAL, END, END_64, LOCATOR_64 = (b"PK\x03\x04", b"PK\x01\x02", b"PK\x05\x06", b"PK\x06\x06", b"PK\x06\x07")
DESCRIPTOR = b"PK\x07\x08"

BESIDE = {"version", "byteorder", ".format_version", ".storage_alignment", ".data/serialization_id", "data.pkl"}
"""Members of torch's archives besides storages."""

ALIGNED = 4096
"""At the most so many bytes of a local header's padding: torch aligns storages with it."""


@dataclass(frozen=True, kw_only=True)
class Member:
    """One file of an archive."""

    name: str
    at: int
    """Of its first byte."""
    size: int
    header: int
    """Offset of its local header."""
    crc: int


def read_archive(data: memoryview, budget: Budget) -> Any:
    """Root node of a torch archive; raises FileRefused."""
    members = _named(list_members(data, budget.limits))
    byteorder = members.get("byteorder")
    if byteorder and _bytes(data, byteorder, 16) != b"little":
        raise FileRefused(f"byte order `{shown(_bytes(data, byteorder, 16).decode('latin-1'))}`", byteorder.at)
    storages: dict[str, Storage] = {}

    def persistent(node: Any, at: int) -> Storage:
        storage = storage_of_id(node, at)
        if storage.key in storages:
            known = storages[storage.key]
            if (known.code, known.count) != (storage.code, storage.count):
                raise FileRefused(f"storage `{storage.key}` is described twice, and differently", at)
            return known
        member = members.get(f"data/{storage.key}")
        size = storage.count * ITEM[storage.code]
        if member is None:
            raise FileRefused(f"storage `{storage.key}` has no member in the archive", at)
        if member.size != size:
            raise FileRefused(
                f"storage `{storage.key}` says {storage.count} elements ({size} bytes), member has {member.size}", at
            )
        storage.data = _checked(data, member)
        storages[storage.key] = storage
        return storage

    pickle = members["data.pkl"]
    cursor = Cursor(_checked(data, pickle), budget.limits, pickle.at)
    root = read_pickle(cursor, budget, persistent)
    if cursor.left:
        raise FileRefused(f"bytes after STOP ({cursor.left:,} bytes) in data.pkl", cursor.at)
    return root


def list_members(data: memoryview, limits: Limits) -> list[Member]:
    """The members of a zip that begins at the file's first byte and ends at its last; raises FileRefused."""
    start, size, count = _directory(data)
    if count > limits.members:
        raise FileRefused(f"archive of {count:,} members; at most {limits.members:,} are taken", start)
    members: list[Member] = []
    place = start
    for _ in range(count):
        member, place = _central(data, place, start + size)
        members.append(member)
    if place != start + size:
        raise FileRefused("the archive's directory is longer than its members", place)
    end = 0
    for member in sorted(members, key=lambda one: one.header):
        _check_gap(data, end, member.header, f"member `{shown(member.name)}`")
        end = member.at + member.size
    _check_gap(data, end, start, "the archive's directory")
    return members


def _check_gap(data: memoryview, end: int, next_at: int, what: str) -> None:
    """Raise FileRefused unless what follows `end` begins there, or after the descriptor of the member before."""
    if next_at < end:
        raise FileRefused(f"{what} overlaps another member", next_at)
    if next_at != end and (next_at - end not in (16, 24) or bytes(data[end : end + 4]) != DESCRIPTOR):
        raise FileRefused(f"bytes before {what} that belong to no member", end)


def _directory(data: memoryview) -> tuple[int, int, int]:
    """Offset, size and number of entries of the central directory."""
    at = len(data) - 22
    if at < 0 or bytes(data[at : at + 4]) != END:
        found = bytes(data[-65_557:]).rfind(END)
        if found < 0:
            raise FileRefused("archive has no end: the file ends in the middle", len(data))
        raise FileRefused("bytes after the end of the archive, or a comment in it", max(0, len(data) - 65_557) + found)
    _, disk, first, here, count, size, start, comment = struct.unpack("<4s4H2IH", data[at:])
    if disk or first or here != count or comment:
        raise FileRefused("archive in several parts, or with a comment", at)
    wide = at - 20
    if wide >= 56 and bytes(data[wide : wide + 4]) == LOCATOR_64:
        _, disk, record, disks = struct.unpack("<4sIQI", data[wide : wide + 20])
        if disk or disks != 1 or record + 56 != wide or bytes(data[record : record + 4]) != END_64:
            raise FileRefused("archive's 64-bit end record is not where it should be", wide)
        _, length, _, _, disk, first, here, total, long_size, long_start = struct.unpack(
            "<4sQ2H2I4Q", data[record : record + 56]
        )
        narrow = ((here, count, 0xFFFF), (total, count, 0xFFFF), (long_size, size, 2**32 - 1))
        pairs = (*narrow, (long_start, start, 2**32 - 1))
        if length != 44 or disk or first or any(b not in (a, most) for a, b, most in pairs):
            raise FileRefused("archive's two end records differ", record)
        start, size, count, at = long_start, long_size, total, record
    if start + size != at:
        raise FileRefused("bytes before the archive, or its directory is not where it should be", at)
    return start, size, count


def _central(data: memoryview, place: int, end: int) -> tuple[Member, int]:
    if place + 46 > end or bytes(data[place : place + 4]) != CENTRAL:
        raise FileRefused("archive's directory is damaged", place)
    made, _, flags, method, _, _, crc, packed, size, names, extras, comments, disk, _, outer, header = struct.unpack(
        "<4x6H3I5H2I", data[place : place + 46]
    )
    after = place + 46 + names + extras + comments
    if after > end or comments or disk:
        raise FileRefused("archive's directory is damaged", place)
    name = _name(bytes(data[place + 46 : place + 46 + names]), place)
    told = f"member `{shown(name)}`"
    if flags & 1 or flags & 0x40 or flags & 0x2000:
        raise FileRefused(f"{told} is encrypted", place)
    extra = data[place + 46 + names : place + 46 + names + extras]
    size, packed, header = _wide(extra, size, packed, header, told, place)
    if method != 0:
        raise FileRefused(f"{told} is compressed", place)
    if packed != size:
        raise FileRefused(f"{told} has two sizes", place)
    if made >> 8 == 3 and (outer >> 16) & 0xF000 not in (0, 0x8000):
        raise FileRefused(f"{told} is a link, or no regular file", place)
    if name.endswith("/") or outer & 0x10:
        raise FileRefused(f"{told} is a folder", place)
    return _located(data, name, size, header, crc, method, told), after


def _located(data: memoryview, name: str, size: int, header: int, crc: int, method: int, told: str) -> Member:
    if size > len(data):
        raise FileRefused(f"{told} is larger than the file ({size:,} bytes)", header if header < len(data) else None)
    if header + 30 > len(data) or bytes(data[header : header + 4]) != LOCAL:
        raise FileRefused(f"{told} has no header where the directory says", min(header, len(data)))
    flags, own_method, own_crc, own_packed, own_size, names, extras = struct.unpack(
        "<6x2H4x3I2H", data[header : header + 30]
    )
    if own_method != method or flags & 1 or bytes(data[header + 30 : header + 30 + names]) != name.encode():
        raise FileRefused(f"{told} has another name or method in its own header", header)
    if not flags & 8 and ((own_crc != crc) or any(s not in (size, 2**32 - 1) for s in (own_packed, own_size))):
        raise FileRefused(f"{told} has another size or CRC in its own header", header)
    if extras > ALIGNED:
        raise FileRefused(f"{told} has a header that is too long", header)
    at = header + 30 + names + extras
    if at + size > len(data):
        raise FileRefused(f"{told} is larger than the file", header)
    return Member(name=name, at=at, size=size, header=header, crc=crc)


def _wide(extra: memoryview, size: int, packed: int, header: int, told: str, at: int) -> tuple[int, int, int]:
    """Sizes and offset with what a 64-bit extra field says instead."""
    values = [size, packed, header]
    place = 0
    while place + 4 <= len(extra):
        kind, length = struct.unpack("<2H", extra[place : place + 4])
        body = extra[place + 4 : place + 4 + length]
        place += 4 + length
        if kind != 1:
            continue
        for number, value in enumerate(values):
            if value == 2**32 - 1:
                if len(body) < 8:
                    raise FileRefused(f"{told} has a damaged 64-bit field", at)
                (values[number],) = struct.unpack("<Q", body[:8])
                body = body[8:]
    if place != len(extra):
        raise FileRefused(f"{told} has a damaged extra field", at)
    return values[0], values[1], values[2]


def _name(raw: bytes, at: int) -> str:
    try:
        name = raw.decode("utf-8")
    except UnicodeDecodeError:
        raise FileRefused("a member name is not UTF-8", at) from None
    if name.startswith("/") or re.match(r"[A-Za-z]:", name):
        raise FileRefused(f"member name `{shown(name)}` is absolute", at)
    if "\\" in name or not name or not name.isprintable() or {"", ".", ".."} & set(name.removesuffix("/").split("/")):
        raise FileRefused(f"member name `{shown(name)}` is none that torch writes", at)
    return name


def _named(members: list[Member]) -> dict[str, Member]:
    """Members by their name below the archive's one top folder."""
    whole: dict[str, Member] = {}
    for member in members:
        if member.name in whole:
            raise FileRefused(f"member `{shown(member.name)}` occurs twice", member.header)
        whole[member.name] = member
    tops = sorted({name.partition("/")[0] for name in whole if "/" in name})
    pickles = [name for name in whole if name.partition("/")[2] == "data.pkl"]
    if not pickles:
        raise FileRefused(
            "no data.pkl: not a torch checkpoint" + (" (TorchScript?)" if "constants.pkl" in whole else "")
        )
    if len(pickles) > 1 or len(tops) > 1:
        raise FileRefused(f"more than one data.pkl / top folder: {', '.join(shown(top) for top in tops[:4])}")
    found = {name.partition("/")[2]: member for name, member in whole.items()}
    for name, member in found.items():
        if name not in BESIDE and not re.fullmatch(r"data/[0-9]{1,24}", name):
            raise FileRefused(f"member `{shown(member.name)}` is none that a torch checkpoint has", member.header)
    for name, member in found.items():
        if name in BESIDE and name != "data.pkl" and member.size > 64:
            raise FileRefused(f"member `{shown(member.name)}` has {member.size:,} bytes", member.header)
    return found


def _bytes(data: memoryview, member: Member, most: int) -> bytes:
    return bytes(_checked(data, member)[:most])


def _checked(data: memoryview, member: Member) -> memoryview:
    """A member's bytes; raises FileRefused where they do not match their CRC."""
    part = data[member.at : member.at + member.size]
    if zlib.crc32(part) != member.crc:
        raise FileRefused(f"CRC of `{shown(member.name)}` does not match its bytes", member.at)
    return part
