"""IJB's meta files as InsightFace's evaluation of IJB-B and IJB-C reads them, for 1:1 and 1:N.

`meta/facsimile_face_tid_mid.txt` (image, template, medium) and `…_name_5pts_score.txt` (image, five points, detector's
score) have a line for the same images in `loose_crop/`, in the same order; `…_template_pair_label.txt`;
`…_1N_gallery_S1.csv`, `…_1N_gallery_S2.csv` and `…_1N_probe_mixed.csv`.
https://github.com/deepinsight/insightface, recognition/_evaluation_/ijb

A template is one sample here, for the set compares samples; its number is the sample's, from 1.
"""

from collections.abc import Iterator
from itertools import chain
from pathlib import PurePosixPath

from app.dataset.shard import SampleRow
from workers.layouts.archive import Entry, Spool, text, whole
from workers.layouts.contents import About, Contents, place_of
from workers.layouts.faces import Unaligned
from workers.layouts.notes import counted, readme
from workers.layouts.tables import line, samples_csv
from workers.matchers.detector import Face

HEAD = line("TEMPLATE_ID", "SUBJECT_ID", "FILENAME")


def ijb(contents: Contents) -> Iterator[Entry]:
    """Yield the images, unchanged, then the lists."""
    about = contents.about
    media, points, unaligned = Spool(), Spool(), Unaligned()
    for row, data, face in contents.located():
        if face is None:
            unaligned.add(row.id)
        else:
            number = _number(about, row.id)
            media.write(f"{_image(row)} {number} {number}\n".encode())
            points.write(_points(row, face).encode())
            yield whole(f"loose_crop/{_image(row)}", data)
    yield media.entry("meta/facsimile_face_tid_mid.txt")
    yield points.entry("meta/facsimile_name_5pts_score.txt")
    pairs, left_out = Spool(), Spool()
    left_out.write(line("reference", "probe", "mated").encode())
    numbers = [0, 0]
    for reference, probe, mated in contents.comparisons():
        if unaligned.samples & {reference, probe}:
            left_out.write(line(reference, probe, int(mated)).encode())
        else:
            pairs.write(f"{_number(about, reference)} {_number(about, probe)} {int(mated)}\n".encode())
            numbers[mated] += 1
    yield pairs.entry("meta/facsimile_template_pair_label.txt")
    yield left_out.entry("left-out.csv")
    without_reference = _without_reference(about, unaligned)
    half = about.subjects // 2
    for name, role, first, last in (
        ("gallery_S1", ("reference",), 0, half),
        ("gallery_S2", ("reference", "distractor"), half, about.subjects + about.distractors),
        ("probe_mixed", ("probe",), 0, about.subjects),
    ):
        chosen = (
            row
            for row in contents.rows()
            if row.role in role
            and first <= place_of(row.id).subject < last
            and row.id not in unaligned.samples
            and not (row.role == "probe" and place_of(row.id).subject in without_reference)
        )
        yield text(f"meta/facsimile_1N_{name}.csv", chain((HEAD,), (_template(about, row) for row in chosen)))
    yield unaligned.entry()
    yield samples_csv((f"loose_crop/{_image(row)}", row) for row in contents.rows() if row.id not in unaligned.samples)
    yield readme(
        about,
        "IJB's meta files as InsightFace's evaluation of IJB-B reads them, with 'facsimile' for 'ijbb'; the images are "
        "the set's own, in loose_crop. Each template is one sample, its number the sample's in the set's order from 1; "
        "a subject's number is that of its label.",
        f"1:1: {counted(numbers[1], 'mated comparison')} and {numbers[0]:,} non-mated. 1:N: the first half of the "
        "references is gallery S1, the others and the distractors gallery S2, and all probes are searched in both.",
        unaligned.note(),
        "Comparisons of such samples are in left-out.csv: failures to enrol or extract, not to be left out of rates."
        + (
            f" The probes of {counted(len(without_reference), 'subject')} whose reference is not here are not searched."
            if without_reference
            else ""
        ),
    )


def _without_reference(about: About, unaligned: Unaligned) -> set[int]:
    """Subjects whose reference is missing or has no face: the readers want each probe's subject enrolled."""
    places = chain(about.missing, map(place_of, unaligned.samples))
    return {place.subject for place in places if place.sample == 0 and place.subject < about.subjects}


def _points(row: SampleRow, face: Face) -> str:
    numbers = " ".join(f"{value:.3f}" for value in face.points.ravel())
    return f"{_image(row)} {numbers} {face.score:.4f}\n"


def _template(about: About, row: SampleRow) -> str:
    return line(_number(about, row.id), place_of(row.id).subject, _image(row))


def _number(about: About, sample: str) -> int:
    return about.index(place_of(sample)) + 1


def _image(row: SampleRow) -> str:
    return PurePosixPath(row.file).name
