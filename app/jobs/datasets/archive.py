"""A dataset's archive, laid together from what is stored: no bytes are copied before somebody reads them.

The archive is one uncompressed tar: manifest, comparisons, contact sheet, report and documents, then the shards' own
tars without their ends, all in one top folder called as the dataset is. Its size is known and any range of it can be
read, so a broken download goes on where it stopped.
"""

import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from app.dataset.keys import DatasetKeys
from app.dataset.products import there
from app.storage import ObjectStore

BLOCK = tarfile.BLOCKSIZE
END = bytes(2 * BLOCK)
"""Two zero blocks end a tar; every shard's tar ends in exactly these."""


class Segment(NamedTuple):
    """A run of bytes: given here, or to be read from an object."""

    length: int
    literal: bytes | None = None
    key: str = ""
    offset: int = 0
    """Where in the object the run begins."""


@dataclass(frozen=True, kw_only=True)
class Archive:
    """The segments of an archive and their sum."""

    segments: tuple[Segment, ...]
    size: int


def lay_out_archive(store: ObjectStore, at: DatasetKeys, folder: str) -> Archive:
    """Look up the sizes of all that belongs to a succeeded dataset's archive; `folder` is its plan's."""
    segments: list[Segment] = []
    for product in there(lambda file: store.exists(f"{at.prefix}{file}")):
        key = at.product(product)
        size = store.stat(key).size
        segments.append(Segment(BLOCK, literal=member_header(below(folder, product.file), size)))
        segments.append(Segment(size, key=key))
        if padding := -size % BLOCK:
            segments.append(Segment(padding, literal=bytes(padding)))
    segments.extend(
        Segment(found.size - len(END), key=found.key)
        for found in store.list(at.shards)
        if found.key.endswith("/samples.tar")
    )
    segments.append(Segment(len(END), literal=END))
    return Archive(segments=tuple(segments), size=sum(segment.length for segment in segments))


def read_segments(store: ObjectStore, segments: tuple[Segment, ...], start: int, stop: int) -> Iterator[bytes]:
    """Yield the bytes [start, stop) of the segments laid end to end."""
    position = 0
    for segment in segments:
        first = max(start - position, 0)
        last = min(stop - position, segment.length)
        position += segment.length
        if first >= last:
            continue
        if segment.literal is not None:
            yield segment.literal[first:last]
        else:
            yield from store.read(segment.key, segment.offset + first, last - first)


def below(folder: str, name: str) -> str:
    """A file's name in an archive whose top folder this is; "" for none."""
    return f"{folder}/{name}" if folder else name


def member_header(name: str, size: int) -> bytes:
    """The block that stands before a file in a tar: always the same for the same name and size."""
    info = tarfile.TarInfo(name)
    info.size = size
    info.mode = 0o644
    return info.tobuf(format=tarfile.USTAR_FORMAT)
