"""WebDataset: tar shards in which a sample is KEY.png (or .jpg) and KEY.json, in one outer tar.

https://github.com/webdataset/webdataset. The outer tar is for download: unpacked, the shards are files of their own.
"""

from collections.abc import Iterator
from pathlib import PurePosixPath

from app.dataset.shard import SampleRow
from workers.layouts.archive import Entry, Spool, tar_of, whole
from workers.layouts.contents import Contents
from workers.layouts.imagefolder import comparisons_csv
from workers.layouts.notes import counted, readme
from workers.layouts.shards import sharded
from workers.layouts.tables import described


def webdataset(contents: Contents) -> Iterator[Entry]:
    """Yield the shards, then the comparisons."""
    number = 0
    for shard in sharded(contents):
        spool = Spool()
        for chunk in tar_of(_members(shard)):
            spool.write(chunk)
        yield spool.entry(f"shard-{number:06d}.tar")
        number += 1
    yield comparisons_csv(contents)
    yield readme(
        contents.about,
        f"WebDataset: {counted(number, 'shard')}, shard-000000.tar and so on, in which each sample is an image, the "
        "set's own file, and a JSON file with label, subject, role and attributes, what the image shows "
        "(shown_glasses, shown_yaw …), and its landmarks. comparisons.csv lists the "
        "comparisons by the samples' labels, which are the keys.",
    )


def _members(shard: Iterator[tuple[SampleRow, bytes]]) -> Iterator[Entry]:
    for row, data in shard:
        yield whole(f"{row.id}{PurePosixPath(row.file).suffix}", data)
        yield whole(f"{row.id}.json", described(row).encode())
