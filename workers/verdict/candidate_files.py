"""Files of candidate lists as blocks of numbers, whatever is odd in them: CSV, and the logs of FRTE's test driver.

A file is CSV with the columns probe, rank, reference, score: lists one after another, each from rank 1 on by falling
score. A search that returned nobody has one row with its probe alone. The logs that NIST's FRTE 1:N test driver writes
are told by their header (https://github.com/usnistgov/frvt, 1N/src/testdriver/validate1N.cpp): ranks from 0, rows
without an assigned candidate, and ids that are the samples' labels or the numbers of the layout `frte`.
Legend: n rows of a block.
"""

import io
from collections.abc import Iterator
from dataclasses import dataclass, fields
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from workers.biometrics.errors import ScoresRefused
from workers.biometrics.score_files import check_scores
from workers.verdict.blocks import NAME_BYTES, NOWHERE, Places, place_of, places_of

COLUMNS = ("probe", "rank", "reference", "score")

FRTE = ("searchId", "candidateRank", "searchRetCode", "isAssigned", "templateId", "score", "decision")
"""Columns of FRTE's candidate lists, with spaces between."""

BLOCK_BYTES = 4 * 2**20


@dataclass(frozen=True, kw_only=True, eq=False)
class ListBlock:
    """Some rows of a file, one after another."""

    probes: Places
    """[n]; NOWHERE for what is called like no sample."""
    ranks: NDArray[np.int64]
    """[n] from 1 on; 0 where the search returned nobody, −1 for what is no rank."""
    references: Places
    """[n]"""
    scores: NDArray[np.float64]
    """[n] −inf where there is none."""
    half: NDArray[np.bool_]
    """[n] rows that lack some of rank, reference and score."""
    lines: NDArray[np.int64]
    """[n] of the file, counted from 1."""

    def __len__(self) -> int:
        return len(self.probes)

    def take(self, rows: slice | NDArray[np.bool_]) -> "ListBlock":
        """Some of them."""
        return ListBlock(**{column.name: getattr(self, column.name)[rows] for column in fields(self)})

    def then(self, other: "ListBlock") -> "ListBlock":
        """These, and the others after them."""
        both = {column.name: (getattr(self, column.name), getattr(other, column.name)) for column in fields(self)}
        return ListBlock(**{name: np.concatenate(pair) for name, pair in both.items()})


def get_ready() -> None:
    """Have pyarrow start the one thread that reads files: a process that may start none calls this before."""
    import pyarrow
    from pyarrow import csv

    pyarrow.set_io_thread_count(1)
    pyarrow.set_cpu_count(1)
    for _ in csv.open_csv(pyarrow.BufferReader(b"a\n1\n"), read_options=csv.ReadOptions(use_threads=False)):
        pass


def read_list_blocks(file: BinaryIO, numbered: Places | None = None, *, threads: bool = True) -> Iterator[ListBlock]:
    """Yield the rows of a file; `numbered` are all samples of the set in the order in which `frte` numbers them.

    Raises ScoresRefused for a file that is none.
    """
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
            read_options=csv.ReadOptions(block_size=BLOCK_BYTES, use_threads=threads),
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


def _columns(batch: Any, row: int) -> ListBlock:
    blank = [np.asarray(batch.column(name).is_null()) for name in ("rank", "reference", "score")]
    empty = blank[0] & blank[1] & blank[2]
    half = (blank[0] | blank[1] | blank[2]) & ~empty
    numbers = np.array(batch.column("rank").fill_null(0), np.int64)
    numbers[~blank[0] & (numbers < 1)] = -1  # a rank is 1 or more; 0 stands for nobody
    return ListBlock(
        probes=_places(batch.column("probe")),
        ranks=np.where(empty, 0, numbers),
        references=_places(batch.column("reference")),
        scores=np.where(blank[2], -np.inf, _scores(batch, row)),
        half=half,
        lines=np.arange(row, row + len(batch)),
    )


def _frte_columns(batch: Any, row: int, numbered: Places | None) -> ListBlock:
    """The same of FRTE's rows: those that name no candidate are left out, but for a list's first."""
    ranks = np.array(batch.column("candidateRank").fill_null(-2), np.int64) + 1
    empty = np.array(batch.column("isAssigned").fill_null(0), np.int64) == 0
    lacks = [np.asarray(batch.column(name).is_null()) for name in ("templateId", "score")]
    half = ~empty & (lacks[0] | lacks[1])
    scores = np.where(empty | half, -np.inf, _scores(batch, row, ~empty))
    found = ListBlock(
        probes=_numbered(batch.column("searchId"), numbered, 1),
        ranks=np.where(empty, 0, np.where(ranks < 1, -1, ranks)),
        references=_numbered(batch.column("templateId"), numbered, 0),
        scores=scores,
        half=half,
        lines=np.arange(row, row + len(batch)),
    )
    return found.take(~empty | (ranks <= 1))


def _scores(batch: Any, row: int, asked: NDArray[np.bool_] | None = None) -> NDArray[np.float64]:
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
