"""Faces for layouts that have them aligned: found by YuNet, cut to the five points, and none left out in silence."""

from collections.abc import Iterator
from typing import NamedTuple

from app.dataset.layout import CHIP
from app.dataset.shard import SampleRow
from workers.images import Pixels, decode
from workers.layouts.archive import Entry, Spool
from workers.layouts.contents import Contents
from workers.layouts.notes import counted
from workers.matchers.alignment import align
from workers.matchers.extraction import NO_FACE

NAME = "unaligned.csv"


class Chip(NamedTuple):
    """A sample's aligned face."""

    row: SampleRow
    pixels: Pixels
    """[112, 112, 3]"""


class Unaligned:
    """The samples in which no face was found."""

    def __init__(self) -> None:
        self.samples: set[str] = set()
        self._spool = Spool()
        self._spool.write(b"id,reason\n")

    def add(self, sample: str) -> None:
        """Note one."""
        self.samples.add(sample)
        self._spool.write(f"{sample},{NO_FACE}\n".encode())

    def entry(self) -> Entry:
        """The list as a file."""
        return self._spool.entry(NAME)

    def note(self) -> str:
        """What README.txt says of them."""
        if not self.samples:
            return "The face detector YuNet found a face in every sample; unaligned.csv is empty."
        return (
            f"The face detector YuNet found no face in {counted(len(self.samples), 'sample')}, which therefore "
            f"{'is' if len(self.samples) == 1 else 'are'} not here; unaligned.csv lists them."
        )


def chips(contents: Contents, unaligned: Unaligned) -> Iterator[Chip]:
    """Yield the aligned face of every sample; those without one go to `unaligned`."""
    for row, data, face in contents.located():
        if face is None:
            unaligned.add(row.id)
        else:
            yield Chip(row, align(decode(data, row.file), face.points, CHIP))
