"""Bob: the CSV lists of `bob.bio.base.database.CSVDatabase`, protocol `facsimile`, group `dev`.

`for_enrolling.csv` and `for_probing.csv` (path, subject_id, template_id, metadata), `for_matching.csv`
(enroll_template_id, probe_template_id). https://www.idiap.ch/software/bob/docs/bob/bob.bio.base/
"""

from collections.abc import Iterator
from itertools import chain

from app.dataset.shard import SampleRow
from workers.layouts.archive import Entry, text, whole
from workers.layouts.contents import Contents, Sides
from workers.layouts.notes import counted, readme
from workers.layouts.tables import line

LISTS = "facsimile/dev"


def bob(contents: Contents) -> Iterator[Entry]:
    """Yield the lists, then the images, unchanged; a template is one sample, called by its label."""
    sides = Sides(contents)
    compared = bool(sides.mated or sides.non_mated)
    yield readme(
        contents.about,
        "Lists for Bob's bob.bio.base.database.CSVDatabase(name='facsimile', dataset_protocols_path=THIS FOLDER, "
        "protocol='facsimile', transformer=FileSampleLoader(…, dataset_original_directory=THIS FOLDER)), in the group "
        "'dev'. The images are the set's own files; each template is one sample, called by its label.",
        f"for_matching.csv lists {counted(sides.mated, 'mated comparison')} and {sides.non_mated:,} non-mated."
        if compared
        else "The set lists no comparisons, so there is no for_matching.csv, and Bob compares every probe with every "
        "reference.",
    )
    enrolled = (row for row in contents.rows() if (sides.is_reference(row.id) if compared else row.role != "probe"))
    probing = (row for row in contents.rows() if (sides.is_probe(row.id) if compared else row.role == "probe"))
    yield _samples("for_enrolling", enrolled)
    yield _samples("for_probing", probing)
    if compared:
        lines = (line(reference, probe) for reference, probe, _ in contents.comparisons())
        yield text(f"{LISTS}/for_matching.csv", chain((line("enroll_template_id", "probe_template_id"),), lines))
    for row, data in contents.files():
        yield whole(row.file, data)


def _samples(name: str, rows: Iterator[SampleRow]) -> Entry:
    def lines() -> Iterator[str]:
        attributes: list[str] | None = None
        for row in rows:
            if attributes is None:
                attributes = sorted(row.labels())
                yield line("path", "subject_id", "template_id", "role", *attributes)
            yield line(row.file, row.subject, row.id, row.role, *(row.labels().get(key, "") for key in attributes))

    return text(f"{LISTS}/{name}.csv", lines())
