"""Candidate lists of 1:N searches, read as a stream: what each search returned, and everything that is odd named.

A file is CSV with the columns probe, rank, reference, score: lists one after another, each from rank 1 on by falling
score. A search that returned nobody has one row with its probe alone. The logs that NIST's FRTE 1:N test driver writes
are read too, told by their header (https://github.com/usnistgov/frvt, 1N/src/testdriver/validate1N.cpp): ranks from 0,
rows without an assigned candidate, and ids that are the samples' labels or the numbers of the layout `frte`.
Memory grows with the searches, not with their lists; tests/bench/bench_candidates.py says how fast it is.
Legend: n rows of a block, P probes, R references.
"""

import hashlib
import io
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from app.errors import Cancelled
from workers.biometrics.errors import ScoresRefused
from workers.biometrics.score_files import check_scores
from workers.verdict.blocks import NAME_BYTES, NOWHERE, SAMPLES, Places, name_of, place_of, places_of

COLUMNS = ("probe", "rank", "reference", "score")

FRTE = ("searchId", "candidateRank", "searchRetCode", "isAssigned", "templateId", "score", "decision")
"""Columns of FRTE's candidate lists, with spaces between."""

BLOCK_BYTES = 4 * 2**20

NAMED = 10
"""Rows named of each kind of oddity."""

Floats = NDArray[np.float64]

_KINDS = {
    "gap": "ranks do not go on by one: give every list from rank 1 on, without gaps",
    "rank": "ranks contradict scores: the score rises from one rank to the next; rank by falling score",
    "duplicate": "a reference stands twice in a list; leave each once",
    "again": "a probe's list comes again further on; give each probe one list, its rows together",
    "probe": "no probe of the set; use the dataset's own labels",
    "reference": "no reference of the gallery; use the dataset's own labels, and --gallery if only some were enrolled",
    "half": "a row has no rank, reference or score: leave all three empty where a search returned nobody",
}


@dataclass(frozen=True, kw_only=True, eq=False)
class Searched:
    """What every search came to."""

    probes: Places
    """[P]"""
    has_mate: NDArray[np.bool_]
    """[P] whether the probe's subject is in the gallery."""
    mate_scores: Floats
    """[P] −inf where the mate is not in the list, or there is none."""
    mate_ranks: NDArray[np.int64]
    """[P] 0 where it is not in the list; a tie with another counts against it."""
    best_others: Floats
    """[P] highest score of another subject's reference; −inf where nobody else is in the list."""
    gallery: int
    gallery_digest: str
    """SHA-256 over the references' places: which gallery it was."""
    candidates: int
    lengths: NDArray[np.int64]
    """[P]"""
    ties: tuple[str, ...]
    """The first few lists with equal scores, as they are told."""
    tied: int
    """Rows whose score is that of the row before."""


@dataclass
class _Lists:
    """Takes blocks in."""

    probes: Places
    """[P] ascending: all that are to be searched."""
    gallery: Places
    """[R] ascending."""
    what: str
    candidates: int = 0
    tied: int = 0
    ties: list[str] = field(default_factory=list)
    odd: dict[str, int] = field(default_factory=dict)
    named: dict[str, list[str]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        count = len(self.probes)
        self.lines = np.zeros(0, np.int64)
        self.seen = np.zeros(count, bool)
        self.mate_scores = np.full(count, -np.inf)
        self.mate_ranks = np.zeros(count, np.int64)
        self.best_others = np.full(count, -np.inf)
        self.lengths = np.zeros(count, np.int64)

    def take(
        self, probes: Places, ranks: NDArray[np.int64], references: Places, scores: Floats, lines: NDArray[np.int64]
    ) -> None:
        """Take in whole lists [n] from these lines of the file; a search that returned nobody has rank 0."""
        self.lines = lines
        count = len(probes)
        starts = np.flatnonzero(np.append(True, probes[1:] != probes[:-1]))
        sizes = np.diff(np.append(starts, count))
        group = np.repeat(np.arange(len(starts)), sizes)
        place = np.arange(count) - starts[group]
        empty = ranks == 0
        first = np.zeros(count, bool)
        first[starts] = True
        same = ~first
        self._note("gap", np.flatnonzero((ranks != place + 1) & ~(empty & first & (sizes[group] == 1))), probes)
        rise = np.zeros(count, bool)
        tie = np.zeros(count, bool)
        rise[1:] = same[1:] & (scores[1:] > scores[:-1])
        tie[1:] = same[1:] & (scores[1:] == scores[:-1])
        self._note("rank", np.flatnonzero(rise), probes)
        number = _number(self.gallery, references)
        self._note("reference", np.flatnonzero((number < 0) & ~empty), probes, references)
        keys = np.sort(group * (len(self.gallery) + 1) + np.where(number < 0, len(self.gallery), number))
        twice = keys[1:][(keys[1:] == keys[:-1]) & (keys[1:] % (len(self.gallery) + 1) < len(self.gallery))]
        self._note("duplicate", starts[np.unique(twice // (len(self.gallery) + 1))], probes)
        at = _number(self.probes, probes[starts])
        self._note("probe", starts[at < 0], probes)
        known = at >= 0
        again = known & self.seen[np.where(known, at, 0)]
        order = np.argsort(at, kind="stable")
        later = np.zeros(len(at), bool)
        later[order[1:]] = (np.diff(at[order]) == 0) & (at[order[1:]] >= 0)
        self._note("again", starts[again | later], probes)
        self.candidates += int((~empty).sum())
        self.tied += int(tie.sum())
        for row in np.flatnonzero(tie)[: NAMED - len(self.ties)].tolist():
            self.ties.append(f"line {self.lines[row]}: {name_of(probes[row])}, ranks {ranks[row] - 1} and {ranks[row]}")
        keep = known & ~again & ~later
        self._measure(at, keep, starts, sizes, group, probes, ranks, references, scores, empty)

    def _measure(
        self,
        at: NDArray[np.int64],
        keep: NDArray[np.bool_],
        starts: NDArray[np.int64],
        sizes: NDArray[np.int64],
        group: NDArray[np.int64],
        probes: Places,
        ranks: NDArray[np.int64],
        references: Places,
        scores: Floats,
        empty: NDArray[np.bool_],
    ) -> None:
        targets = at[keep]
        self.seen[targets] = True
        self.lengths[targets] = np.where(empty[starts[keep]], 0, sizes[keep])
        mate = (references // SAMPLES == probes // SAMPLES) & ~empty
        others = ~mate & ~empty & keep[group]
        # Lists fall in score, so the first row of a kind is its best.
        np.maximum.at(self.best_others, at[group[others]], scores[others])
        rows = np.flatnonzero(mate & keep[group])
        rows = rows[np.unique(group[rows], return_index=True)[1]]
        owner = at[group[rows]]
        self.mate_scores[owner], self.mate_ranks[owner] = scores[rows], ranks[rows]
        # All that tie with the mate stand before it.
        tied = np.flatnonzero(others)
        tied = tied[scores[tied] == self.mate_scores[at[group[tied]]]]
        behind = tied[ranks[tied] > self.mate_ranks[at[group[tied]]]]
        np.add.at(self.mate_ranks, at[group[behind]], 1)

    def _note(self, kind: str, rows: NDArray[Any], probes: Places, references: Places | None = None) -> None:
        if not len(rows):
            return
        self.odd[kind] = self.odd.get(kind, 0) + len(rows)
        named = self.named.setdefault(kind, [])
        for row in rows[: NAMED - len(named)].tolist():
            text = name_of(probes[row]) if references is None else f"{name_of(probes[row])}: {name_of(references[row])}"
            named.append(f"line {self.lines[row]}: {text}")

    def note_half(self, rows: NDArray[Any], probes: Places, lines: NDArray[np.int64]) -> None:
        """Rows that lack some of rank, reference and score."""
        self.lines = lines
        self._note("half", rows, probes)

    def refuse(self) -> None:
        """Raise ScoresRefused if anything does not fit."""
        texts = []
        for kind, count in self.odd.items():
            more = f" and {count - len(self.named[kind]):,} more" if count > len(self.named[kind]) else ""
            texts.append(f"{count:,} × {_KINDS[kind]} ({', '.join(self.named[kind])}{more})")
        missing = np.flatnonzero(~self.seen)
        if len(missing):
            names = ", ".join(name_of(place) for place in self.probes[missing[:NAMED]])
            more = f" and {len(missing) - NAMED:,} more" if len(missing) > NAMED else ""
            texts.append(
                f"{len(missing):,} probes have no list ({names}{more}): a search that returned nobody has one row with "
                "its probe alone"
            )
        if texts:
            raise ScoresRefused(f"{self.what} do not fit the set: " + "; ".join(texts))


def read_candidates(
    file: BinaryIO,
    probes: Places,
    gallery: Places,
    *,
    what: str = "the candidate lists",
    numbered: Places | None = None,
    should_cancel: Callable[[], bool] = lambda: False,
) -> Searched:
    """Read lists for all `probes` [P] searched in a `gallery` [R], both ascending.

    `numbered` are all samples in the set's order, by which the layout `frte` numbers them; None: no number is known.

    Raises ScoresRefused, with counts and the first ten of each kind; Cancelled when told to stop.
    """
    lists = _Lists(probes=probes, gallery=gallery, what=what)
    held: tuple[NDArray[Any], ...] | None = None
    for block in _blocks(file, numbered):
        if should_cancel():
            raise Cancelled("the evaluation was called off")
        found = block if held is None else tuple(np.concatenate(pair) for pair in zip(held, block, strict=True))
        last = found[0][-1]
        # The last list may go on in the next block.
        cut = int(np.flatnonzero(found[0] != last)[-1]) + 1 if (found[0] != last).any() else 0
        held = tuple(column[cut:] for column in found)
        if cut:
            _take(lists, tuple(column[:cut] for column in found))
    if held is not None:
        _take(lists, held)
    lists.refuse()
    subjects = np.unique(gallery // SAMPLES)
    return Searched(
        probes=probes,
        has_mate=np.isin(probes // SAMPLES, subjects),
        mate_scores=lists.mate_scores,
        mate_ranks=lists.mate_ranks,
        best_others=lists.best_others,
        gallery=len(gallery),
        gallery_digest=hashlib.sha256(gallery.astype("<i8").tobytes()).hexdigest(),
        candidates=lists.candidates,
        lengths=lists.lengths,
        ties=tuple(lists.ties),
        tied=lists.tied,
    )


def _take(lists: _Lists, columns: tuple[NDArray[Any], ...]) -> None:
    probes, ranks, references, scores, blank, lines = columns
    lists.note_half(np.flatnonzero(blank == 1), probes, lines)
    lists.take(probes, ranks, references, scores, lines)


def _blocks(file: BinaryIO, numbered: Places | None) -> Iterator[tuple[NDArray[Any], ...]]:
    """Yield probes, ranks (0: nobody), references, scores, whether a row lacks something, and lines, by block."""
    try:
        import pyarrow
        from pyarrow import csv
    except ImportError as exc:
        raise ScoresRefused("reading candidate lists needs pyarrow, which is not installed") from exc
    first = file.readline(1_000)
    frte = tuple(first.decode("utf-8", "replace").split()) == FRTE
    checked = _Ending(file, first)
    text, whole = pyarrow.string(), pyarrow.int64()
    kinds = dict(zip(COLUMNS, (text, whole, text, pyarrow.float64()), strict=True))
    if frte:
        kinds = dict(zip(FRTE, (text, whole, whole, whole, text, pyarrow.float64(), text), strict=True))
    try:
        reader = csv.open_csv(
            pyarrow.PythonFile(checked, mode="r"),
            read_options=csv.ReadOptions(block_size=BLOCK_BYTES),
            parse_options=csv.ParseOptions(delimiter=" " if frte else ","),
            convert_options=csv.ConvertOptions(column_types=kinds, strings_can_be_null=True, null_values=[""]),
        )
        if set(reader.schema.names) != set(kinds):
            raise ScoresRefused(
                f"the header is {','.join(reader.schema.names)[:200]!r}; it must be {','.join(COLUMNS)}", 1
            )
        row = 2
        for batch in reader:
            if len(batch):
                yield _frte_columns(batch, row, numbered) if frte else _columns(batch, row)
                row += len(batch)
    except (pyarrow.ArrowException, UnicodeDecodeError) as exc:
        raise ScoresRefused(f"this is no candidate list: {exc}; write {','.join(COLUMNS)} as CSV in UTF-8") from exc
    if checked.last not in (b"\n", b""):
        raise ScoresRefused("the file ends within its last line: it may have been cut off; end it with a newline")


def _columns(batch: Any, row: int) -> tuple[NDArray[Any], ...]:
    blank = [np.asarray(batch.column(name).is_null()) for name in ("rank", "reference", "score")]
    empty = blank[0] & blank[1] & blank[2]
    half = (blank[0] | blank[1] | blank[2]) & ~empty
    numbers = np.array(batch.column("rank").fill_null(0), np.int64)
    numbers[~blank[0] & (numbers < 1)] = -1  # a rank is 1 or more; 0 stands for nobody
    return (
        _places(batch.column("probe")),
        np.where(empty, 0, numbers),
        _places(batch.column("reference")),
        np.where(blank[2], -np.inf, _scores(batch, row)),
        half.astype(np.int8),
        np.arange(row, row + len(batch)),
    )


def _frte_columns(batch: Any, row: int, numbered: Places | None) -> tuple[NDArray[Any], ...]:
    """The same of FRTE's rows: those that name no candidate are left out, but for a list's first."""
    ranks = np.array(batch.column("candidateRank").fill_null(-2), np.int64) + 1
    empty = np.array(batch.column("isAssigned").fill_null(0), np.int64) == 0
    lacks = [np.asarray(batch.column(name).is_null()) for name in ("templateId", "score")]
    half = ~empty & (lacks[0] | lacks[1])
    scores = np.where(empty | half, -np.inf, _scores(batch, row, ~empty))
    columns = (
        _numbered(batch.column("searchId"), numbered, 1),
        np.where(empty, 0, np.where(ranks < 1, -1, ranks)),
        _numbered(batch.column("templateId"), numbered, 0),
        scores,
        half.astype(np.int8),
        np.arange(row, row + len(batch)),
    )
    kept = ~empty | (ranks <= 1)
    return tuple(column[kept] for column in columns)


def _scores(batch: Any, row: int, asked: NDArray[np.bool_] | None = None) -> Floats:
    """Scores of a batch, 0 where there is none; only those that are `asked` are checked."""
    values = np.array(batch.column("score").fill_null(0.0), np.float64)
    if asked is not None:
        values[~asked] = 0
    values = check_scores(values, row)
    if np.isnan(values).any():
        raise ScoresRefused(
            "a candidate's score is NaN; leave out who was not compared", row + int(np.isnan(values).argmax())
        )
    return values


def _numbered(column: Any, numbered: Places | None, presented: int) -> Places:
    """Places [n] of ids that may be the numbers of the layout `frte`: odd where enrolled, even where presented."""
    import pyarrow

    if numbered is None:
        return _places(column)
    try:
        numbers = np.array(column.cast(pyarrow.int64()).fill_null(0), np.int64) - 1
    except pyarrow.ArrowInvalid:
        return _places(column)
    index = numbers // 2
    known = (numbers >= 0) & (numbers % 2 == presented) & (index < len(numbered))
    return np.where(known, numbered[np.where(known, index, 0)], NOWHERE)


def _places(column: Any) -> Places:
    """Places [n] of a column of names; NOWHERE for what is called like no sample."""
    filled = column.fill_null("")
    offsets = np.frombuffer(filled.buffers()[1], np.int32)[filled.offset : filled.offset + len(filled) + 1]
    if len(offsets) and (np.diff(offsets) == NAME_BYTES).all():
        data = np.frombuffer(filled.buffers()[2], np.uint8)[offsets[0] : offsets[-1]]
        found = places_of(data.reshape(-1, NAME_BYTES))
        if found is not None:
            return found
    return np.array([place_of(name) if name else NOWHERE for name in filled.to_pylist()], np.int64)


class _Ending(io.RawIOBase):
    """Gives what was read already, then the rest, and remembers the last byte."""

    def __init__(self, file: BinaryIO, first: bytes) -> None:
        self._file = file
        self._first = first
        self.last = b""

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        first, self._first = self._first, b""
        data = first + self._file.read(size if size < 0 else max(size - len(first), 0))
        self.last = data[-1:] or self.last
        return data


def _number(known: Places, wanted: Places) -> NDArray[np.int64]:
    """Where each of `wanted` is in `known`, ascending; −1 where it is not."""
    if not len(known):
        return np.full(len(wanted), -1, np.int64)
    at = np.minimum(np.searchsorted(known, wanted), len(known) - 1)
    return np.where(known[at] == wanted, at, -1)


def gallery_of(names: Iterable[str]) -> Places:
    """Places of a gallery's references, ascending; raises ScoresRefused for a name that is none, or comes twice."""
    places = []
    for line, name in enumerate(names, 1):
        if (place := place_of(name)) == NOWHERE:
            raise ScoresRefused(f"{ascii(name)[:100]} is no sample's label", line)
        places.append(place)
    found = np.unique(np.array(places, np.int64))
    if len(found) != len(places):
        raise ScoresRefused("a reference stands twice in the gallery; leave each once")
    return found
