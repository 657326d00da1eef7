"""Score files as streams: Bob's CSV, and a simple one with `reference,probe,score`.

Bob's columns are probe_template_id, probe_subject_id, bio_ref_template_id, bio_ref_subject_id, score, in any order;
further columns (Bob's metadata) are skipped. The simple file names samples, whose subjects the caller knows.
A score that is empty or NaN is a comparison that failed: it is counted. Everything else that is odd is an error with
its line. The text is never held whole: a comparison takes 24 bytes, a template its name.
"""

import csv
from array import array
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

import numpy as np

from workers.biometrics.errors import ScoresRefused
from workers.biometrics.lines import Lines
from workers.biometrics.scores import ScoreSet

BOB = ("probe_template_id", "probe_subject_id", "bio_ref_template_id", "bio_ref_subject_id", "score")
SIMPLE = ("reference", "probe", "score")


class Comparison(NamedTuple):
    """One line of a score file."""

    reference: str
    reference_subject: str
    probe: str
    probe_subject: str
    score: float | None
    """None if the comparison failed."""


def read_scores(
    chunks: Iterable[bytes],
    *,
    subject_of: Mapping[str, str] | None = None,
    expected: int | None = None,
    one_sided: bool = False,
) -> ScoreSet:
    """Read a score file of either form from chunks of bytes (an open file, an object's chunks, a request's body).

    `subject_of` tells each sample's subject: needed for the simple form; with Bob's form the file must agree with it.
    `expected` is how many comparisons there must be. `one_sided` accepts a file with mated or non-mated scores only.
    Raises ScoresRefused, naming the line and what to do, for: an unknown header; a line with too few or too many
    fields, or without an end (cut off); a score that is no number or infinite; an unknown sample; a template with
    two subjects; a simple line that compares a sample with itself; a comparison that comes twice; text that is not
    UTF-8; a side without a score; another number of comparisons than expected.
    """
    lines = Lines(chunks)
    rows = csv.reader(lines, strict=True)
    try:
        header = _check_header(next(rows, None), subject_of is not None)
        table = _read(lines, rows, header, subject_of)
    except csv.Error as exc:
        text = f"this is not CSV: {exc}; quote a field that holds a comma, and double every quote inside"
        raise ScoresRefused(text, lines.number) from exc
    _refuse_duplicates(table)
    if expected is not None and len(table.scores) != expected:
        what = "was it cut off?" if len(table.scores) < expected else "take out what does not belong to this set"
        raise ScoresRefused(
            f"there are {len(table.scores):,} comparisons and {expected:,} were expected; {what}", lines.number
        )
    scores = table.as_scores()
    if not one_sided:
        for side, count, failed in (
            ("mated", len(scores.mated), scores.failures.mated),
            ("non-mated", len(scores.non_mated), scores.failures.non_mated),
        ):
            if not count:
                raise ScoresRefused(
                    f"there is no {side} comparison with a score ({failed:,} failed); error rates need both sides: "
                    "add some, or check that both columns of subjects are right"
                )
    return scores


def write_scores(comparisons: Iterable[Comparison], form: Literal["bob", "simple"] = "bob") -> Iterator[bytes]:
    """Write a score file, chunk by chunk; what is written reads back to the same scores, bit for bit.

    Raises ScoresRefused for an infinite score.
    """
    yield (",".join(BOB if form == "bob" else SIMPLE) + "\n").encode()
    for number, row in enumerate(comparisons, 2):
        if row.score in (np.inf, -np.inf):
            raise ScoresRefused(f"the score is {row.score}; scores must be finite, None is a failure", number)
        score = "nan" if row.score is None else repr(float(row.score))
        names = [row.reference, row.probe]
        if form == "bob":
            names = [row.probe, row.probe_subject, row.reference, row.reference_subject]
        yield (",".join([*map(_quoted, names), score]) + "\n").encode()


@dataclass
class _Side:
    """Templates of one side, numbered in order of appearance."""

    numbers: dict[str, int] = field(default_factory=dict)
    subjects: list[str] = field(default_factory=list)
    """By number."""
    column: "array[int]" = field(default_factory=lambda: array("q"))
    """[n] the number of every comparison's template."""

    def introduce(self, template: str, subject: str) -> int:
        """Give a template its number."""
        number = self.numbers[template] = len(self.subjects)
        self.subjects.append(subject)
        return number


@dataclass
class _Table:
    """What was read of n comparisons."""

    scores: "array[float]" = field(default_factory=lambda: array("d"))
    references: _Side = field(default_factory=_Side)
    probes: _Side = field(default_factory=_Side)

    def as_scores(self) -> ScoreSet:
        names = sorted({*self.references.subjects, *self.probes.subjects})
        codes = {name: code for code, name in enumerate(names)}
        sides = [
            np.array([codes[name] for name in side.subjects], np.int64)[np.frombuffer(side.column, np.int64)]
            for side in (self.references, self.probes)
        ]
        return ScoreSet.from_comparisons(np.frombuffer(self.scores), *sides, subjects=range(len(names)))


def _check_header(header: list[str] | None, subjects_known: bool) -> list[str]:
    if header is None:
        raise ScoresRefused("the file is empty; begin it with a header such as reference,probe,score")
    if twice := {name for name in header if header.count(name) > 1}:
        raise ScoresRefused(f"the header names {', '.join(sorted(twice))} twice; name each column once", 1)
    if set(BOB) <= set(header):
        return header
    if set(SIMPLE) != set(header):
        text = f"the header is {','.join(header)[:200]!r}; it must be {','.join(SIMPLE)} or {','.join(BOB)}"
        raise ScoresRefused(f"{text}, with commas and without blanks", 1)
    if not subjects_known:
        text = "this form names samples only, and their subjects are not known here; send Bob's form"
        raise ScoresRefused(f"{text}, {','.join(BOB)}", 1)
    return header


def _read(lines: Lines, rows: Iterator[list[str]], header: list[str], subject_of: Mapping[str, str] | None) -> _Table:
    """Read all lines after the header; `lines` tells where a row ends."""
    bob, width, table = header != list(SIMPLE) and set(BOB) <= set(header), len(header), _Table()
    at_reference, at_probe = header.index(BOB[2] if bob else SIMPLE[0]), header.index(BOB[0] if bob else SIMPLE[1])
    at_subject, at_other = (header.index(BOB[3]), header.index(BOB[1])) if bob else (0, 0)
    at_score = header.index("score")
    references, probes = table.references, table.probes
    for line, row in enumerate(rows, 2):
        if len(row) != width or lines.number != line:
            raise wrong_shape(row, width, line)
        reference, probe = row[at_reference], row[at_probe]
        subject, other = (row[at_subject], row[at_other]) if bob else (None, None)
        if reference == probe and not bob:
            raise ScoresRefused(f"sample {reference!r} is compared with itself; leave such comparisons out", line)
        left = references.numbers.get(reference)
        if left is None:
            left = references.introduce(reference, _subject(reference, subject, subject_of, line))
        elif bob and references.subjects[left] != subject:
            raise _two_subjects(reference, references.subjects[left], subject, line)
        right = probes.numbers.get(probe)
        if right is None:
            right = probes.introduce(probe, _subject(probe, other, subject_of, line))
        elif bob and probes.subjects[right] != other:
            raise _two_subjects(probe, probes.subjects[right], other, line)
        table.scores.append(parse_score(row[at_score], line))
        references.column.append(left)
        probes.column.append(right)
    return table


def parse_score(text: str, line: int) -> float:
    """The score in a field; NaN for a comparison that failed. Raises ScoresRefused for what is no finite number."""
    if not text.strip():
        return np.nan
    try:
        score = float(text)
    except ValueError:
        raise ScoresRefused(
            f"the score is {text[:50]!r}; it must be a number with a decimal point, or empty if the comparison failed",
            line,
        ) from None
    if score in (np.inf, -np.inf):
        raise ScoresRefused(f"the score is {text}; scores must be finite, empty if the comparison failed", line)
    return score


def wrong_shape(row: list[str], width: int, line: int) -> ScoresRefused:
    """Say what is wrong with a row that has another number of fields than the header."""
    if not row:
        return ScoresRefused("this line is empty; take it out", line)
    if len(row) == width:
        return ScoresRefused("a quoted field goes on in the next line; a name must be on one line", line)
    return ScoresRefused(f"there are {len(row)} fields and the header has {width}; was the line cut off?", line)


def _subject(template: str, subject: str | None, subject_of: Mapping[str, str] | None, line: int) -> str:
    """The subject of a template that appears for the first time; `subject` is what the file says, if it does."""
    if not template or subject == "":
        raise ScoresRefused("a template or its subject has no name; fill in both", line)
    if subject_of is None:
        return str(subject)
    known = subject_of.get(template)
    if known is None:
        raise ScoresRefused(f"there is no sample {template[:100]!r} in this set; use the manifest's ids", line)
    if subject not in (None, known):
        text = f"{template!r} is of subject {known!r}, and the file says {subject!r}"
        raise ScoresRefused(f"{text}; use the manifest's ids", line)
    return known


def _two_subjects(template: str, before: str, now: str | None, line: int) -> ScoresRefused:
    return ScoresRefused(
        f"template {template!r} is of subject {now!r} here and of {before!r} in an earlier line; it can have one only",
        line,
    )


def _refuse_duplicates(table: _Table) -> None:
    references, probes = (np.frombuffer(side.column, np.int64) for side in (table.references, table.probes))
    keys = references * len(table.probes.numbers) + probes
    order = np.argsort(keys, kind="stable")
    again = np.flatnonzero(np.diff(keys[order]) == 0)
    if again.size:
        # Of all repeated lines the one that stands highest in the file.
        at = again[order[again + 1].argmin()]
        text = f"this comparison stood in line {order[at] + 2} already ({again.size:,} such lines in all)"
        raise ScoresRefused(f"{text}; leave each comparison once", int(order[at + 1]) + 2)


def _quoted(text: str) -> str:
    if "\n" in text or "\r" in text:
        raise ScoresRefused(f"{text[:50]!r} holds a line break; a name must be on one line")
    if '"' in text or "," in text:
        return '"' + text.replace('"', '""') + '"'
    return text
