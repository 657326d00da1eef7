"""LFW: `lfw/NAME/NAME_0001.png`, `lfw_funneled/NAME/NAME_0001.jpg`, `pairs.txt` with ten folds, `people.txt`.

Read by scikit-learn's fetch_lfw_people and fetch_lfw_pairs where it is unpacked in their folder `lfw_home`, and by
whatever else reads Labeled Faces in the Wild. https://vis-www.cs.umass.edu/lfw/README.txt

scikit-learn takes `lfw_funneled` unless told otherwise, fetches LFW's photographs of real people where that is not
there, and looks at rows 70 to 195 and columns 78 to 172 of what it takes for pictures of 250 × 250 pixels: so there
is such a folder, with such pictures, and a face in each where LFW's are.

A fold is a run of subjects. A mated comparison is in its subject's fold, a non-mated one in that of one of its two
subjects, whichever has fewer: so no subject has mated comparisons in two folds, but one side of a non-mated one may
come from another fold, for the comparisons are the set's and no others. All folds have equally many, so some may be
left over: they are listed, never padded.
"""

from collections.abc import Iterator
from itertools import chain
from pathlib import PurePosixPath
from typing import NamedTuple

import numpy as np

from app.dataset.layout import FOLDS, is_funneled
from app.dataset.plan import Place
from app.dataset.shard import SampleRow
from workers.images import Pixels, contact_sheet, decode, encode
from workers.layouts.archive import Entry, Spool, text, whole
from workers.layouts.contents import About, Contents, place_of
from workers.layouts.faces import Unaligned
from workers.layouts.notes import readme
from workers.layouts.tables import line, samples_csv
from workers.matchers.alignment import TEMPLATE_112, align
from workers.matchers.detector import Face

DEVELOPMENT_FOLDS = 7
"""pairsDevTrain.txt holds the comparisons of so many folds, pairsDevTest.txt those of the others."""


def lfw(contents: Contents) -> Iterator[Entry]:
    """Yield the lists, then the images, unchanged; their numbers run from 1 without gaps, subject by subject."""
    about = contents.about
    folds = Folds(contents)
    yield readme(
        about,
        "Labeled Faces in the Wild's layout: lfw/NAME/NAME_0001 and so on, pairs.txt with ten folds, people.txt. The "
        "images in lfw are the set's own files. Subject_0000012 is the subject S0000012. LFW counts a subject's images "
        "from 1 and leaves no gaps; samples.csv says which sample each is.",
        *([FUNNELED_NOTE] if is_funneled(about.planned) else []),
        *folds.notes(),
        "No subject has mated comparisons in two folds. A non-mated comparison is in the fold of one of its subjects, "
        "and the other may be of another: the comparisons are those of the set. pairsDevTrain.txt and "
        "pairsDevTest.txt, which "
        f"LFW has for development, repeat those of folds 1 to {DEVELOPMENT_FOLDS} and "
        f"{DEVELOPMENT_FOLDS + 1} to {FOLDS}.",
    )
    yield folds.pairs("pairs.txt", range(FOLDS), f"{FOLDS}\t{folds.size}\n")
    yield folds.development("pairsDevTrain.txt", range(DEVELOPMENT_FOLDS))
    yield folds.development("pairsDevTest.txt", range(DEVELOPMENT_FOLDS, FOLDS))
    yield folds.left_over()
    yield _people(contents)
    yield samples_csv((_file(about, row), row) for row in contents.rows())
    if not is_funneled(about.planned):
        for row, data in contents.files():
            yield whole(_file(about, row), data)
        return
    unaligned = Unaligned()
    for row, data, face in contents.located():
        file = _file(about, row)
        yield whole(file, data)
        if face is None:
            unaligned.add(row.id)
        small = str(PurePosixPath("lfw_funneled", *PurePosixPath(file).parts[1:]).with_suffix(".jpg"))
        yield whole(small, encode(funneled(decode(data, row.file), face), about.mark(row), quality=QUALITY))
    yield unaligned.entry()


def funneled(pixels: Pixels, face: Face | None) -> Pixels:
    """An image [H, W, 3] as LFW has it, [250, 250, 3]: by the five points of its face, or whole where there is none."""
    if face is not None:
        return align(pixels, face.points, FUNNELED, POINTS)
    return contact_sheet([[pixels]], FUNNELED)


FUNNELED = 250
"""Pixels of a side of LFW's pictures."""

POINTS = (TEMPLATE_112 - TEMPLATE_112[:2].mean(0)) * (43 / np.ptp(TEMPLATE_112[:2, 0])) + (125, 112)
"""Where eyes, nose and corners of the mouth are in LFW's funneled pictures, pixels [5, 2]."""

QUALITY = 90
"""Of the JPEG files."""

FUNNELED_NOTE = (
    f"lfw_funneled has the same images anew as JPEG of {FUNNELED}×{FUNNELED} pixels, the face upright and where it is "
    "in LFW's own (eyes on row 112, 43 pixels apart), for readers that cut it out of there: scikit-learn does unless "
    "it is told funneled=False and another slice_. Where the face detector YuNet finds no face, the whole image is "
    "there, as large as it fits; unaligned.csv lists those."
)


class Numbers(NamedTuple):
    """How many comparisons of each kind a fold has."""

    mated: int
    non_mated: int


class Folds:
    """Which comparisons are in which fold: equally many mated and non-mated ones in each, spread over all there are."""

    def __init__(self, contents: Contents) -> None:
        self._contents = contents
        there = [[0, 0] for _ in range(FOLDS)]
        for fold, _, _, mated in self._folded():
            there[fold][not mated] += 1
        self._there = [Numbers(*counts) for counts in there]
        self.size = min(min(counts) for counts in self._there)
        """Mated comparisons of each fold, and as many non-mated."""

    def notes(self) -> list[str]:
        """What README.txt says of them."""
        mated = sum(counts.mated for counts in self._there)
        non_mated = sum(counts.non_mated for counts in self._there)
        taken = self.size * FOLDS
        notes = [
            f"Of the set's {mated:,} mated and {non_mated:,} non-mated comparisons, pairs.txt has {taken:,} and "
            f"{taken:,}: {self.size:,} of each kind in every fold, the most that all ten folds can have. "
            f"{mated - taken:,} mated and {non_mated - taken:,} non-mated ones are left over; left-over.csv lists them."
        ]
        if not self.size:
            notes.append("Some fold has no comparison of one kind, so pairs.txt is empty.")
        return notes

    def pairs(self, name: str, folds: range, head: str) -> Entry:
        """A list of pairs, fold by fold: the mated ones, then the non-mated."""
        mated = [Spool() for _ in range(FOLDS)]
        non_mated = [Spool() for _ in range(FOLDS)]
        for fold, taken, reference, probe, is_mated in self._dealt():
            if taken and fold in folds:
                (mated if is_mated else non_mated)[fold].write(self._line(reference, probe).encode())
        return _joined(name, head, [spool for fold in folds for spool in (mated[fold], non_mated[fold])])

    def development(self, name: str, folds: range) -> Entry:
        """A list of pairs as LFW has for development: all mated ones, then all non-mated."""
        mated, non_mated = Spool(), Spool()
        for fold, taken, reference, probe, is_mated in self._dealt():
            if taken and fold in folds:
                (mated if is_mated else non_mated).write(self._line(reference, probe).encode())
        return _joined(name, f"{self.size * len(folds)}\n", [mated, non_mated])

    def left_over(self) -> Entry:
        """The comparisons that are in no fold."""
        lines = (line(reference, probe, int(mated)) for _, taken, reference, probe, mated in self._dealt() if not taken)
        return text("left-over.csv", chain((line("reference", "probe", "mated"),), lines))

    def _dealt(self) -> Iterator[tuple[int, bool, str, str, bool]]:
        """Yield (fold, whether it is taken, reference, probe, mated) of every comparison."""
        seen = [[0, 0] for _ in range(FOLDS)]
        for fold, reference, probe, mated in self._folded():
            number, there = seen[fold][not mated], self._there[fold][not mated]
            seen[fold][not mated] += 1
            # Evenly over the fold's comparisons, so that none of its subjects is preferred.
            taken = (number + 1) * self.size // there > number * self.size // there
            yield fold, taken, reference, probe, mated

    def _folded(self) -> Iterator[tuple[int, str, str, bool]]:
        """Yield (fold, reference, probe, mated) of every comparison; the same whenever it is asked."""
        about, non_mated = self._contents.about, [0] * FOLDS
        for reference, probe, mated in self._contents.comparisons():
            fold = fold_of(about, place_of(reference))
            if not mated:
                # Lists of every pair once have later subjects on the probes' side alone.
                fold = min(fold, fold_of(about, place_of(probe)), key=lambda one: (non_mated[one], one != fold))
                non_mated[fold] += 1
            yield fold, reference, probe, mated

    def _line(self, reference: str, probe: str) -> str:
        about = self._contents.about
        one, other = place_of(reference), place_of(probe)
        first, second = about.rank(one) + 1, about.rank(other) + 1
        if one.subject == other.subject:
            return f"{_name(one)}\t{first}\t{second}\n"
        return f"{_name(one)}\t{first}\t{_name(other)}\t{second}\n"


def fold_of(about: About, place: Place) -> int:
    """Fold of a subject, from 0: runs of subjects as equal as can be, and the same for distractors."""
    if place.subject < about.subjects:
        return place.subject * FOLDS // about.subjects
    return (place.subject - about.subjects) * FOLDS // about.distractors


def _people(contents: Contents) -> Entry:
    """people.txt: of each fold, how many subjects, then each with how many images it has."""
    about = contents.about
    folds = [Spool() for _ in range(FOLDS)]
    subjects = [0] * FOLDS
    current: Place | None = None
    images = 0
    for place in chain((place_of(row.id) for row in contents.rows()), (None,)):
        if current is not None and (place is None or place.subject != current.subject):
            fold = fold_of(about, current)
            folds[fold].write(f"{_name(current)}\t{images}\n".encode())
            subjects[fold] += 1
            images = 0
        current = place
        images += 1
    counts = [Spool() for _ in range(FOLDS)]
    for spool, number in zip(counts, subjects, strict=True):
        spool.write(f"{number}\n".encode())
    return _joined("people.txt", f"{FOLDS}\n", [spool for pair in zip(counts, folds, strict=True) for spool in pair])


def _joined(name: str, head: str, spools: list[Spool]) -> Entry:
    size = len(head) + sum(spool.size for spool in spools)
    return Entry(name, size, chain((head.encode(),), *(spool.chunks() for spool in spools)))


def _name(place: Place) -> str:
    """A name of two words, as LFW has; not the subject's label, for `S0000012_0003` would be another sample there."""
    return f"Subject_{place.subject:07d}"


def _file(about: About, row: SampleRow) -> str:
    place = place_of(row.id)
    name = _name(place)
    return f"lfw/{name}/{name}_{about.rank(place) + 1:04d}{PurePosixPath(row.file).suffix}"
