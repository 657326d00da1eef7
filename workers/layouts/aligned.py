"""Aligned faces of 112×112 pixels as an ImageFolder, for matchers that bring no detector."""

from collections.abc import Iterator

from workers.images import encode
from workers.layouts.archive import Entry, Spool, whole
from workers.layouts.contents import Contents
from workers.layouts.faces import Unaligned, chips
from workers.layouts.imagefolder import METADATA, comparisons_csv
from workers.layouts.notes import readme
from workers.layouts.tables import described


def aligned(contents: Contents) -> Iterator[Entry]:
    """Yield a PNG a face, with their metadata, the comparisons, and the samples without a face."""
    about = contents.about
    unaligned = Unaligned()
    metadata = Spool()
    for row, pixels in chips(contents, unaligned):
        file = f"{row.subject}/{row.id}.png"
        metadata.write(described(row, landmarks=False, file_name=file).encode())
        yield whole(file, encode(pixels, about.mark(row), quality=None))
    yield metadata.entry(METADATA)
    yield comparisons_csv(contents)
    yield unaligned.entry()
    yield readme(
        about,
        "Faces of 112×112 pixels, aligned by a similarity transform to the five points (38.29, 51.70) (73.53, 51.50) "
        "(56.03, 71.74) (41.55, 92.37) (70.73, 92.20), a folder a subject, and metadata.jsonl with label, subject, "
        "role and attributes of each, and what it shows (shown_glasses, shown_yaw …).",
        unaligned.note(),
        "comparisons.csv lists the set's comparisons, those of samples without a face among them: they are failures "
        "to enrol or extract, not to be left out of the rates.",
    )
