"""The files as the manifest lists them, manifest and comparisons beside them: for the ZIP file."""

from collections.abc import Iterator

from workers.layouts.archive import Entry, whole
from workers.layouts.contents import Contents


def plain(contents: Contents) -> Iterator[Entry]:
    """Yield manifest, comparisons and all else that is beside the samples, then these and what lies beside each."""
    yield from contents.products()
    for row, data in contents.files():
        yield whole(row.file, data)
        if row.c2pa is not None:
            yield whole(row.c2pa.file, contents.beside(row))
