"""InsightFace's evaluation folders: `0001__NAME/gallery.jpg`, `img002.jpg` …, aligned faces of 112×112 pixels.

The reference is the gallery's image, the others are probes; a subject is known by its folder.
"""

from collections.abc import Iterator

from app.dataset.shard import SampleRow
from workers.images import encode
from workers.layouts.archive import Entry, whole
from workers.layouts.contents import Contents, place_of
from workers.layouts.faces import Unaligned, chips
from workers.layouts.imagefolder import comparisons_csv
from workers.layouts.notes import readme
from workers.layouts.tables import samples_csv

QUALITY = 95
"""The layout's files are JPEGs by name; the chroma is not subsampled."""


def insightface(contents: Contents) -> Iterator[Entry]:
    """Yield a JPEG a face; numbers are those of subject and sample, from 1, so a gap is a sample without a face."""
    about = contents.about
    unaligned = Unaligned()
    for row, pixels in chips(contents, unaligned):
        yield whole(_file(row), encode(pixels, about.mark(row), quality=QUALITY))
    yield samples_csv((_file(row), row) for row in contents.rows() if row.id not in unaligned.samples)
    yield comparisons_csv(contents)
    yield unaligned.entry()
    yield readme(
        about,
        "InsightFace's evaluation folders: a folder a subject, in it gallery.jpg, which is the reference, and "
        "img002.jpg and so on, the probes; distractors have a gallery.jpg only. Faces of 112×112 pixels, aligned "
        f"to InsightFace's five points, JPEG of quality {QUALITY}. samples.csv says which sample each file is.",
        unaligned.note(),
        "comparisons.csv lists the set's comparisons by the samples' labels, those of samples without a face among "
        "them: they are failures to enrol or extract, not to be left out of the rates.",
    )


def _file(row: SampleRow) -> str:
    subject, sample = place_of(row.id)
    return f"{subject + 1:04d}__{row.subject}/" + (f"img{sample + 1:03d}.jpg" if sample else "gallery.jpg")
