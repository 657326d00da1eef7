"""NIST FRTE's validation packages: PPM images, and lists of what to enrol, search and match.

A line is `ID PATH LABEL`, a match `ENROL-ID.template VERIFY-ID.template`; names and forms are those that the packages'
test drivers read (https://github.com/usnistgov/frvt, 11/ and 1N/). As there, an image has an odd number where it is
enrolled and the even one after it where it is presented, so that neither template overwrites the other.
"""

from collections.abc import Iterator

from app.dataset.shard import SampleRow
from workers.images import Pixels, decode
from workers.layouts.archive import Entry, text, whole
from workers.layouts.contents import About, Contents, Sides, place_of
from workers.layouts.notes import counted, readme
from workers.layouts.tables import sample_lines

LABEL = "UNKNOWN"
"""FRTE's word for images of no certain kind: these are neither mug shots nor visa photographs."""


def frte(contents: Contents) -> Iterator[Entry]:
    """Yield the lists below input/, then the images."""
    about = contents.about
    sides = Sides(contents)
    yield readme(
        about,
        "Lists and images as the test drivers of NIST's FRTE validation packages read them, paths from this folder. "
        f"1:1: input/enroll.txt and input/verif.txt for templates, input/match.txt for "
        f"{counted(sides.mated, 'mated comparison')} and {sides.non_mated:,} non-mated. 1:N: input/enroll_1N.txt, the "
        "references and distractors, and input/search_1N.txt, the probes.",
        "An image has an odd number where it is enrolled and the even one after it where it is presented. samples.csv "
        f"says which sample has which, and what it shows. Every image is labelled {LABEL}.",
        "PPM files have no room for metadata that those drivers would read over, so that the images are synthetic "
        "is said here and in the set's manifest, not in each file.",
    )
    for name, lines in (
        ("enroll", (_image(about, row, 0) for row in contents.rows() if sides.is_reference(row.id))),
        ("verif", (_image(about, row, 1) for row in contents.rows() if sides.is_probe(row.id))),
        ("match", _matches(contents)),
        ("enroll_1N", (_image(about, row, 0) for row in contents.rows() if row.role != "probe")),
        ("search_1N", (_image(about, row, 1) for row in contents.rows() if row.role == "probe")),
    ):
        yield text(f"input/{name}.txt", lines)
    named = (((_number(about, row.id, 0), _number(about, row.id, 1), _file(row)), row) for row in contents.rows())
    yield text("samples.csv", sample_lines(("enrol_id", "presented_id", "file"), named))
    for row, data in contents.files():
        yield whole(_file(row), ppm(decode(data, row.file)))


def ppm(pixels: Pixels) -> bytes:
    """Write pixels [H, W, 3] as a binary PPM file, with no comment, for some readers know none."""
    height, width = pixels.shape[:2]
    return f"P6\n{width} {height}\n255\n".encode() + pixels.tobytes()


def _matches(contents: Contents) -> Iterator[str]:
    for reference, probe, _ in contents.comparisons():
        enrolled, presented = _number(contents.about, reference, 0), _number(contents.about, probe, 1)
        yield f"{enrolled}.template {presented}.template\n"


def _number(about: About, sample: str, presented: int) -> int:
    return 2 * about.index(place_of(sample)) + 1 + presented


def _image(about: About, row: SampleRow, presented: int) -> str:
    return f"{_number(about, row.id, presented)} {_file(row)} {LABEL}\n"


def _file(row: SampleRow) -> str:
    return f"images/{row.id}.ppm"
