"""The shape of a profiled gallery: its folders and file names by their pattern, and nobody's name.

Read by whatever reads that gallery. The files lie in `gallery/`; what is ours beside them.
"""

from collections.abc import Iterator
from pathlib import PurePosixPath

from app.dataset.naming import JPEG, PNG, Naming
from app.dataset.shard import SampleRow
from app.errors import Corrupt
from workers.layouts.archive import Entry, whole
from workers.layouts.contents import About, Contents, place_of
from workers.layouts.imagefolder import comparisons_csv
from workers.layouts.notes import readme
from workers.layouts.tables import samples_csv

FOLDER = "gallery"


def gallery(contents: Contents) -> Iterator[Entry]:
    """Yield the images, unchanged, called by the gallery's pattern; samples.csv says which sample each is."""
    about = contents.about
    naming = about.naming
    if naming is None:
        raise Corrupt("the set does not say how a gallery's folders and files are called")
    yield readme(
        about,
        f"As the profiled gallery is laid out: {naming} below {FOLDER}/, by the pattern alone. Words and numbers are "
        "made up, and no name of the gallery is in a profile. Subjects are numbered from 1, files of a subject without "
        "gaps; samples.csv says which sample each is.",
    )
    yield comparisons_csv(contents)
    yield samples_csv((file_of(about, naming, row), row) for row in contents.rows())
    for row, data in contents.files():
        yield whole(file_of(about, naming, row), data)


def file_of(about: About, naming: Naming, row: SampleRow) -> str:
    """Where a sample's file lies; it ends as the gallery's do, if it is of that form."""
    place = place_of(row.id)
    own = PurePosixPath(row.file).suffix
    alike = naming.suffix in (JPEG if own == ".jpg" else PNG)
    subject = naming.subject_name(place.subject)
    return f"{FOLDER}/{naming.file_name(subject, about.rank(place), naming.suffix if alike else own)}"
