"""Which writer makes which layout, and the archive that it becomes."""

from collections.abc import Callable, Iterator

from app.dataset.layout import Layout
from app.jobs.datasets.archive import below
from workers.layouts.aligned import aligned
from workers.layouts.archive import Entry, tar_of, zip_of
from workers.layouts.bob import bob
from workers.layouts.contents import Contents
from workers.layouts.frte import frte
from workers.layouts.gallery import gallery
from workers.layouts.ijb import ijb
from workers.layouts.imagefolder import imagefolder
from workers.layouts.insightface import insightface
from workers.layouts.insightface_bin import insightface_bin
from workers.layouts.lfw import lfw
from workers.layouts.plain import plain
from workers.layouts.webdataset import webdataset

Writer = Callable[[Contents], Iterator[Entry]]


def _parquet(contents: Contents) -> Iterator[Entry]:
    from workers.layouts.parquet import parquet  # pyarrow is large, and few workers ever need it

    return parquet(contents)


WRITERS: dict[Layout, Writer] = {
    Layout.PLAIN: plain,
    Layout.ZIP: plain,
    Layout.IMAGEFOLDER: imagefolder,
    Layout.LFW: lfw,
    Layout.INSIGHTFACE: insightface,
    Layout.INSIGHTFACE_BIN: insightface_bin,
    Layout.ALIGNED: aligned,
    Layout.FRTE: frte,
    Layout.IJB: ijb,
    Layout.WEBDATASET: webdataset,
    Layout.PARQUET: _parquet,
    Layout.BOB: bob,
    Layout.GALLERY: gallery,
}


def archive_of(layout: Layout, contents: Contents) -> Iterator[bytes]:
    """Yield the archive of a set in a layout."""
    return zip_of(entries_of(layout, contents)) if layout is Layout.ZIP else tar_of(entries_of(layout, contents))


def entries_of(layout: Layout, contents: Contents) -> Iterator[Entry]:
    """Yield the files of a set's archive in a layout, all in one top folder called as the dataset is."""
    for entry in WRITERS[layout](contents):
        yield entry._replace(name=below(contents.about.dataset, entry.name))
