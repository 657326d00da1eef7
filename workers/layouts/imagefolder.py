"""ImageFolder: a folder a subject, and metadata.jsonl with a line a sample.

Read by `datasets.load_dataset("imagefolder", data_dir=…)` and by torchvision's ImageFolder, to whom a folder is a
class.
https://huggingface.co/docs/datasets/image_dataset#imagefolder
"""

from collections.abc import Iterator
from itertools import chain
from pathlib import PurePosixPath

from app.dataset.shard import SampleRow
from workers.layouts.archive import Entry, text, whole
from workers.layouts.contents import Contents, Sides
from workers.layouts.notes import counted, readme
from workers.layouts.tables import described, line

METADATA = "metadata.jsonl"


def imagefolder(contents: Contents) -> Iterator[Entry]:
    """Yield the images, unchanged, with their metadata and the comparisons."""
    sides = Sides(contents)
    yield readme(
        contents.about,
        "ImageFolder: the images of each subject in a folder of its own, as the set has them, and metadata.jsonl with "
        "label, subject, role and attributes of each, what it shows (shown_glasses, shown_yaw …), and its landmarks.",
        f"comparisons.csv lists {counted(sides.mated, 'mated comparison')} and {sides.non_mated:,} non-mated.",
    )
    yield comparisons_csv(contents)
    yield text(METADATA, (described(row, file_name=_file(row)) for row in contents.rows()))
    for row, data in contents.files():
        yield whole(_file(row), data)


def comparisons_csv(contents: Contents) -> Entry:
    """The set's comparisons by their samples' labels."""
    lines = (line(reference, probe, int(mated)) for reference, probe, mated in contents.comparisons())
    return text("comparisons.csv", chain((line("reference", "probe", "mated"),), lines))


def _file(row: SampleRow) -> str:
    return f"{row.subject}/{PurePosixPath(row.file).name}"
