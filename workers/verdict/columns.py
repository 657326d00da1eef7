"""Score files as columns: Parquet and npz with `reference`, `probe`, `score`, or with Bob's names of them."""

from collections.abc import Iterator
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from workers.biometrics.errors import ScoresRefused
from workers.biometrics.score_files import BOB, SIMPLE, check_scores
from workers.verdict.blocks import NAME_BYTES, NOWHERE, Block, place_of, places_of
from workers.verdict.npz import Array, open_npz
from workers.verdict.parquet import LONGEST_NAME, NAME, SCORE, batches, open_parquet
from workers.verdict.score_rows import NAMED

ROWS = 65_536
"""Rows of a block."""

MOST_ROWS = 2**40
"""Of a file that its owner reads; the service knows how many comparisons the set lists."""

NPZ_MAGIC = b"PK\x03\x04"
PARQUET_MAGIC = b"PAR1"


def read_npz(file: BinaryIO, most: int = MOST_ROWS) -> Iterator[Block]:
    """Yield rows of an .npz with one array a column, a piece at a time; nothing is unpickled."""
    arrays = open_npz(file)
    reference, probe = columns_of(list(arrays))
    columns = [arrays[reference], arrays[probe], arrays["score"]]
    if len({array.shape for array in columns}) != 1 or len(columns[0].shape) != 1:
        raise ScoresRefused(f"{reference}, {probe} and score must be lists of one length")
    if columns[2].dtype.kind not in "fiu":
        raise ScoresRefused(f"{reference} and {probe} must hold text, and score numbers")
    for array in columns[:2]:
        check_names(array)
    if columns[0].shape[0] > most:
        raise ScoresRefused(f"there are {columns[0].shape[0]:,} rows; at most {most:,} are read for this set")
    first = 1
    for left, right, scores in zip(*(array.pieces(ROWS) for array in columns), strict=True):
        yield _block(texts_of(left, first), texts_of(right, first), scores, first)
        first += len(scores)


def read_parquet(file: BinaryIO, most: int = MOST_ROWS) -> Iterator[Block]:
    """Yield rows of a Parquet file, a batch at a time."""
    reference, probe = columns_of(open_parquet(file).schema_arrow.names)
    row = 1
    for batch in batches(file, {reference: NAME, probe: NAME, "score": SCORE}, rows=ROWS, most=most):
        scores = _numbers_of(batch.column("score"))
        left, right = (texts_of_column(batch.column(name), name, row) for name in (reference, probe))
        yield _block(left, right, scores, row)
        row += len(left)


def columns_of(names: list[str]) -> tuple[str, str]:
    """Names of the columns with references and probes; raises ScoresRefused."""
    for reference, probe in (SIMPLE[:2], (BOB[2], BOB[0])):
        if {reference, probe, "score"} <= set(names):
            return reference, probe
    raise ScoresRefused(f"there are columns {', '.join(names)[:200]}; there must be {', '.join(SIMPLE)}")


def texts_of(names: NDArray[Any], first: int) -> list[str]:
    """Names out of an array of text; raises ScoresRefused for one that is none, with its row counted from `first`."""
    if names.dtype.kind not in "US":
        raise ScoresRefused(f"names must be text, not {names.dtype}")
    if names.dtype.kind == "S":
        try:
            return [name.decode() for name in names.tolist()]
        except UnicodeDecodeError:
            pass
    texts = [name.decode("utf-8", "surrogateescape") if isinstance(name, bytes) else name for name in names.tolist()]
    for row, text in enumerate(texts, first):
        if any("\ud800" <= letter <= "\udfff" for letter in text):
            raise ScoresRefused(f"the name {ascii(text)[:100]} is not UTF-8; use the dataset's own names", row)
    return texts


def texts_of_column(column: Any, name: str, first: int) -> list[str]:
    """The same out of a column of a Parquet file."""
    try:
        texts: list[Any] = column.to_pylist()
    except UnicodeDecodeError as exc:
        raise ScoresRefused(f"a name in {name} is not UTF-8: {exc}; use the dataset's own names", first) from exc
    for row, text in enumerate(texts, first):
        if not isinstance(text, str):
            raise ScoresRefused(f"{name} must hold text in every row", row)
    return texts


def check_names(array: Array) -> None:
    """Raise ScoresRefused for an array that holds no names."""
    if array.dtype.kind not in "US":
        raise ScoresRefused(f"names must be text, not {array.dtype}")
    if array.row_bytes > 4 * LONGEST_NAME:
        raise ScoresRefused(f"names in {array.name} have {array.row_bytes:,} bytes each; at most {4 * LONGEST_NAME:,}")


def _numbers_of(column: Any) -> NDArray[np.float64]:
    """A column of numbers, NaN where it is empty."""
    return np.asarray(column.cast("float64").to_numpy(zero_copy_only=False), np.float64)


def places_of_names(names: list[str]) -> NDArray[np.int64]:
    """Places [n] of names; NOWHERE for what is called like no sample."""
    joined = "".join(names)
    if joined.isascii() and all(len(name) == NAME_BYTES for name in names):
        found = places_of(np.frombuffer(joined.encode(), np.uint8).reshape(-1, NAME_BYTES))
        if found is not None:
            return found
    return np.array([place_of(name) for name in names], np.int64)


def _block(references: list[str], probes: list[str], scores: NDArray[Any], first: int) -> Block:
    values = check_scores(scores, first)
    left, right = places_of_names(references), places_of_names(probes)
    strange = np.flatnonzero((left == NOWHERE) | (right == NOWHERE))[:NAMED].tolist()
    return Block(
        references=left,
        probes=right,
        values=values,
        first=first,
        strange={row: (references[row][:100], probes[row][:100]) for row in strange},
    )
