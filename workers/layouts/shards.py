"""Shards of a layout: runs of samples of about equal size on disk."""

from collections.abc import Iterable, Iterator
from itertools import islice

from app.dataset.shard import SampleRow
from workers.layouts.contents import Contents

SHARD_BYTES = 256 * 1024 * 1024
"""Images in a shard, about; a shard is laid down on disk before it goes into the archive."""


def shard_sizes(rows: Iterable[SampleRow], most: int = SHARD_BYTES) -> list[int]:
    """How many samples each shard has: the next one begins before it would be larger than `most` bytes."""
    sizes: list[int] = []
    filled = 0
    for row in rows:
        if not sizes or filled + row.bytes > most:
            sizes.append(0)
            filled = 0
        sizes[-1] += 1
        filled += row.bytes
    return sizes


def sharded(contents: Contents, most: int = SHARD_BYTES) -> Iterator[Iterator[tuple[SampleRow, bytes]]]:
    """Yield each shard's samples; a shard must be read to its end before the next."""
    files = contents.files()
    for size in shard_sizes(contents.rows(), most):
        yield islice(files, size)
