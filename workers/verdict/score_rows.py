"""Score files and comparison lists as CSV, read in blocks: most rows without touching them one by one.

Forms: `reference,probe,score`, or Bob's `probe_template_id,probe_subject_id,bio_ref_template_id,bio_ref_subject_id,
score`, columns in any order and further ones skipped. Samples are called as the dataset calls them. An empty score,
or `nan`, is a comparison that failed. Rows of the usual shape are read as arrays (about two million a second);
a block that holds anything else is read row by row, and there everything odd is an error with its line.
"""

import csv
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from app.dataset.names import subject_name
from workers.biometrics.errors import ScoresRefused
from workers.biometrics.score_files import BOB, LARGEST, SIMPLE, parse_score
from workers.verdict.blocks import (
    NAME_BYTES,
    NOWHERE,
    SAMPLES,
    SUBJECT_BYTES,
    Block,
    Bytes,
    place_of,
    places_of,
)

BLOCK_BYTES = 4 * 2**20
"""Text of one block."""

LONGEST = 65_536
"""Bytes; a file with longer lines is no score file, and must not fill the memory."""

TOO_LONG = f"longer than {LONGEST:,} bytes; is this a score file?"

NAMED = 10
"""So many strange names of a block are remembered."""


@dataclass(frozen=True, kw_only=True)
class Form:
    """What the columns mean."""

    header: tuple[str, ...]
    reference: int
    probe: int
    value: int
    reference_subject: int | None = None
    probe_subject: int | None = None

    @property
    def width(self) -> int:
        """Bytes of a usual row before its value; 0 if rows have no usual shape."""
        known = {self.reference, self.probe, self.reference_subject, self.probe_subject}
        if self.value != len(self.header) - 1 or known - {None} != set(range(self.value)):
            return 0
        return sum(self.bytes_of(column) + 1 for column in range(self.value))

    def bytes_of(self, column: int) -> int:
        """Bytes of a usual field."""
        return NAME_BYTES if column in (self.reference, self.probe) else SUBJECT_BYTES

    def start_of(self, column: int) -> int:
        """Where a usual field begins in its row."""
        return sum(self.bytes_of(before) + 1 for before in range(column))


def form_of(header: list[str], value: str = "score") -> Form:
    """Recognise a header; raises ScoresRefused. `value` names the column beside the two samples."""
    if twice := sorted(name for name, count in Counter(header).items() if count > 1):
        raise ScoresRefused(f"the header names {', '.join(twice)[:200]} twice; name each column once", 1)
    if value == "score" and set(BOB) <= set(header):
        probe, other, reference, subject, score = (header.index(name) for name in BOB)
        return Form(
            header=tuple(header),
            reference=reference,
            probe=probe,
            value=score,
            reference_subject=subject,
            probe_subject=other,
        )
    simple = (*SIMPLE[:2], value)
    if set(header) != set(simple):
        wanted = ",".join(simple) + (f" or {','.join(BOB)}" if value == "score" else "")
        text = f"the header is {','.join(header)[:200]!r}; it must be {wanted}, with commas and without blanks"
        raise ScoresRefused(text, 1)
    reference, probe, at = (header.index(name) for name in simple)
    return Form(header=tuple(header), reference=reference, probe=probe, value=at)


def read_csv(chunks: Iterable[bytes], value: str = "score") -> Iterator[Block]:
    """Yield a file's rows in blocks; raises ScoresRefused, naming the line and what to do.

    `value` is the third column's name: `score` or, of a list of comparisons, `mated`.
    """
    form: Form | None = None
    line = 1
    for text in _whole_lines(chunks):
        if form is None:
            head, _, rest = text.removeprefix(b"\xef\xbb\xbf").partition(b"\n")
            form = form_of(next(_rows(head + b"\n", 1), []), value)
            line = 2
        else:
            rest = text
        if rest:
            block = _usual(rest, form, line) or _unusual(rest, form, line)
            yield block
            line += len(block.values)
    if form is None:
        raise ScoresRefused(f"the file is empty; begin it with a header such as reference,probe,{value}")


def _whole_lines(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """The text in pieces that end with a line each."""
    parts: list[bytes] = []
    held = number = 0
    for chunk in chunks:
        parts.append(chunk)
        held += len(chunk)
        if held < BLOCK_BYTES:
            continue
        text = b"".join(parts)
        end = text.rfind(b"\n") + 1
        if not end and held > LONGEST:
            raise ScoresRefused(TOO_LONG, number + 1)
        if end:
            yield text[:end]
            number += text.count(b"\n", 0, end)
        parts = [text[end:]]
        held = len(parts[0])
    text = b"".join(parts)
    end = text.rfind(b"\n") + 1
    if end:
        yield text[:end]
        number += text.count(b"\n", 0, end)
    if end < len(text):
        what = "the file ends within this line: it may have been cut off; if it is whole, end it with a newline"
        raise ScoresRefused(what, number + 1)


def _usual(text: bytes, form: Form, line: int) -> Block | None:
    """All rows at once; None if any has another shape than the dataset's own names and a number give it."""
    width = form.width
    if not width:
        return None
    raw = np.frombuffer(text, np.uint8)
    ends = np.flatnonzero(raw == ord("\n"))
    starts = np.concatenate([[0], ends[:-1] + 1])
    lengths = ends - starts
    if lengths.min() < width or lengths.max() > LONGEST:
        return None
    rows = np.lib.stride_tricks.sliding_window_view(raw, width)[starts]
    commas = [form.start_of(column) - 1 for column in range(1, form.value + 1)]
    if (rows[:, commas] != ord(",")).any():
        return None
    found = []
    for column, subject in ((form.reference, form.reference_subject), (form.probe, form.probe_subject)):
        at = form.start_of(column)
        places = places_of(rows[:, at : at + NAME_BYTES])
        if places is None:
            return None
        if subject is not None:
            other = form.start_of(subject)
            if (rows[:, other : other + SUBJECT_BYTES] != rows[:, at : at + SUBJECT_BYTES]).any():
                return None
        found.append(places)
    values = _numbers(raw, starts, width, form.header[form.value])
    if values is None:
        return None
    return Block(references=found[0], probes=found[1], values=values, first=line)


def _numbers(raw: Bytes, starts: NDArray[np.intp], width: int, name: str) -> NDArray[np.float64] | None:
    """What stands behind the first `width` bytes of every row, as numbers; None if any is not one."""
    keep = np.ones(len(raw), bool)
    np.lib.stride_tricks.sliding_window_view(keep, width, writeable=True)[starts] = False
    joined = raw[keep].tobytes()
    if b"_" in joined:  # Python reads 1_0 as a number
        return None
    texts = joined.split(b"\n")[:-1]
    if name == "score":
        texts = [text if text.strip() else b"nan" for text in texts]
    try:
        values = np.fromiter(map(float, texts), np.float64, len(texts))
    except ValueError:
        return None
    return None if (np.abs(values) > LARGEST).any() else values


def _unusual(text: bytes, form: Form, first: int) -> Block:
    """Row by row."""
    references: list[int] = []
    probes: list[int] = []
    values: list[float] = []
    strange: dict[int, tuple[str, str]] = {}
    named = form.header[form.value]
    for line, row in enumerate(_rows(text, first), first):
        if len(row) != len(form.header):
            raise _wrong_shape(row, len(form.header), line)
        reference, probe = row[form.reference], row[form.probe]
        if not (reference and probe):
            raise ScoresRefused("a sample has no name; fill in both", line)
        left, right = place_of(reference), place_of(probe)
        _check_subject(row, form.reference_subject, left, line)
        _check_subject(row, form.probe_subject, right, line)
        if NOWHERE in (left, right) and len(strange) < NAMED:
            strange[len(values)] = (reference[:100], probe[:100])
        references.append(left)
        probes.append(right)
        values.append(_value(row[form.value], named, line))
    return Block(
        references=np.array(references, np.int64),
        probes=np.array(probes, np.int64),
        values=np.array(values),
        first=first,
        strange=strange,
    )


def _value(text: str, named: str, line: int) -> float:
    if named != "score":
        if text not in ("0", "1"):
            raise ScoresRefused(f"{named} is {text[:50]!r}; it must be 0 or 1", line)
        return float(text)
    return parse_score(text, line)


def _wrong_shape(row: list[str], width: int, line: int) -> ScoresRefused:
    """Say what is wrong with a row that has another number of fields than the header."""
    if not row:
        return ScoresRefused("this line is empty; take it out", line)
    return ScoresRefused(f"there are {len(row)} fields and the header has {width}; was the line cut off?", line)


def _check_subject(row: list[str], column: int | None, place: int, line: int) -> None:
    if column is not None and place != NOWHERE and row[column] != subject_name(place // SAMPLES):
        text = f"a template of subject {subject_name(place // SAMPLES)} is said to be of {row[column][:100]!r}"
        raise ScoresRefused(f"{text}; use the dataset's own names", line)


def _rows(text: bytes, first: int) -> Iterator[list[str]]:
    """A block's rows; each must be on a line of its own."""
    try:
        lines = text.decode()[:-1].split("\n")
    except UnicodeDecodeError as exc:
        line = first + text[: exc.start].count(b"\n")
        raise ScoresRefused("this is not UTF-8; save the file as UTF-8", line) from exc
    for number, line_text in enumerate(lines, first):
        if len(line_text) > LONGEST:
            raise ScoresRefused(TOO_LONG, number)
        try:
            row = next(csv.reader([line_text.removesuffix("\r")], strict=True), [])
        except csv.Error as exc:
            what = f"this is not CSV: {exc}; quote a field that holds a comma, and double every quote inside"
            raise ScoresRefused(what, number) from exc
        yield row
