"""How a gallery's folders and files are called: a pattern of fields, without a letter of any name.

    {word}_{word}/{subject}_{number:04}.jpg      Labeled Faces in the Wild
    {number:06}/{word}{number:03}.png            a folder called by number, files as img001

`{word}` is a run of letters, `{number}` of digits (`:04`: four, with zeros before), `{subject}` what the subject is
called; between them stand `_`, `.`, `-` and spaces. Nothing else can stand in a pattern.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from typing import Annotated, Literal, NamedTuple, get_args

from pydantic import BaseModel, ConfigDict, Field

Suffix = Literal[
    ".jpg", ".jpeg", ".png", ".bmp", ".ppm", ".webp", ".tif", ".tiff", ".JPG", ".JPEG", ".PNG", ".BMP", ".TIF"
]

SUFFIXES: tuple[Suffix, ...] = get_args(Suffix)
JPEG = (".jpg", ".jpeg", ".JPG", ".JPEG")
PNG = (".png", ".PNG")

_FIELD = r"\{word\}|\{number(?::0[2-9])?\}"
_BETWEEN = "[_. -]{0,2}"
SUBJECT = rf"^(?:{_FIELD})(?:{_BETWEEN}(?:{_FIELD})){{0,5}}$"
FILE = rf"^(?:{_FIELD}|\{{subject\}})(?:{_BETWEEN}(?:{_FIELD})){{0,5}}$"

_FIELDS = re.compile(r"\{(word|number|subject)(?::0([2-9]))?\}")
_RUNS = re.compile(r"(?P<number>[0-9]+)|(?P<between>[_. -]+)|(?P<word>[^0-9_. -]+)")

NOBODY, SOMEBODY, IMAGE = "Nobody", "Subject", "image"
"""What stands for words: in a subject's name without a number, in one with a number, in a file's name."""


class Naming(BaseModel):
    """The pattern that most of a gallery's subjects follow."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    folders: bool
    """Whether each subject has a folder, which is called as the subject is."""
    subject: Annotated[str, Field(pattern=SUBJECT, max_length=100)]
    file: Annotated[str, Field(pattern=FILE, max_length=100)]
    """Without its ending."""
    first: Literal[0, 1]
    """Number of a subject's first file; 1 also where it begins with another."""
    suffix: Suffix

    def __str__(self) -> str:
        return f"{self.subject}/{self.file}{self.suffix}" if self.folders else f"{self.file}{self.suffix}"

    def subject_name(self, number: int) -> str:
        """What the subject of this number, from 0, is called: nobody's name."""
        places = [found[1] for found in _FIELDS.finditer(self.subject)]
        numbered = "number" in places
        last = max(place for place, kind in enumerate(places) if kind == ("number" if numbered else "word"))

        def fill(place: int, kind: str, width: int) -> str:
            if kind == "number":
                return f"{number + 1 if place == last else 1:0{width}d}"
            return SOMEBODY if numbered else letters(number) if place == last else NOBODY

        return _filled(self.subject, fill)

    def file_name(self, subject: str, rank: int, suffix: str) -> str:
        """Path of a subject's file of this rank, from 0, in forward slashes."""
        places = [found[1] for found in _FIELDS.finditer(self.file)]
        last = max(place for place, kind in enumerate(places) if kind == "number")

        def fill(place: int, kind: str, width: int) -> str:
            if kind == "number":
                return f"{self.first + rank if place == last else 1:0{width}d}"
            return subject if kind == "subject" else IMAGE

        name = _filled(self.file, fill) + suffix
        return f"{subject}/{name}" if self.folders else name


class Called(NamedTuple):
    """One file of a gallery, as it is called."""

    folder: str
    """Of the folder that it lies in."""
    stem: str
    """Without its ending."""
    suffix: str


def naming_of(subject: str, files: Sequence[Called]) -> Naming | None:
    """The pattern that one subject's files follow; None where they follow none of these, or several."""
    folders = all(file.folder == subject for file in files)
    called = pattern_of(subject)
    suffixes = {suffix for suffix in SUFFIXES for file in files if file.suffix == suffix}
    names = [_of_file(subject, file.stem) for file in files]
    if called is None or len(suffixes) != 1 or any(file.suffix not in SUFFIXES for file in files) or None in names:
        return None
    shapes = {shape for shape, _ in filter(None, names)}
    numbers = [number for _, number in filter(None, names)]
    if len(shapes) > 1:
        return None
    (suffix,), (shape,) = suffixes, shapes
    if not folders and not shape.startswith("{subject}"):
        return None  # who is on a file would not be told by its name
    lengths = {len(number) for number in numbers}
    padded = len(lengths) == 1 or any(number.startswith("0") and len(number) > 1 for number in numbers)
    width = min(lengths) if padded else 1
    file = shape.replace("{last}", _number(width))
    if width > 9 or not re.match(FILE, file):
        return None
    first: Literal[0, 1] = 0 if min(map(int, numbers)) == 0 else 1
    return Naming(folders=folders, subject=called, file=file, first=first, suffix=suffix)


def pattern_of(name: str) -> str | None:
    """A subject's name as a pattern; None for one that is none."""
    found = "".join(
        "{word}" if run["word"] else run["between"] or _number(len(run["number"])) for run in _RUNS.finditer(name)
    )
    return found if re.match(SUBJECT, found) else None


def _of_file(subject: str, stem: str) -> tuple[str, str] | None:
    """A file's name as a pattern with {last} for its last number, and that number; None where it has none."""
    found, rest = "", stem
    if stem.startswith(subject) and re.match(r"[_. -]", stem[len(subject) :]):
        found, rest = "{subject}", stem[len(subject) :]
    runs = list(_RUNS.finditer(rest))
    if not runs or not runs[-1]["number"]:
        return None
    for run in runs[:-1]:
        found += "{word}" if run["word"] else run["between"] or _number(len(run["number"]))
    return found + "{last}", runs[-1]["number"]


def letters(number: int) -> str:
    """A number from 0 as four letters or more: Aaaa, Aaab …"""
    found = ""
    while number or len(found) < 4:
        number, place = divmod(number, 26)
        found = chr(ord("a") + place) + found
    return found.capitalize()


def _number(width: int) -> str:
    return f"{{number:0{width}}}" if width > 1 else "{number}"


def _filled(pattern: str, fill: Callable[[int, str, int], str]) -> str:
    def parts() -> Iterator[str]:
        at = 0
        for place, found in enumerate(_FIELDS.finditer(pattern)):
            yield pattern[at : found.start()]
            yield fill(place, found[1], int(found[2] or 1))
            at = found.end()
        yield pattern[at:]

    return "".join(parts())
