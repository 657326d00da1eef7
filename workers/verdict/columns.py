"""Score files as columns: Parquet and npz with `reference`, `probe`, `score`, or with Bob's names of them."""

import zipfile
from collections.abc import Iterator
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from workers.biometrics.errors import ScoresRefused
from workers.biometrics.score_files import BOB, SIMPLE, check_scores
from workers.verdict.blocks import NAME_BYTES, NOWHERE, Block, place_of, places_of
from workers.verdict.score_rows import NAMED

ROWS = 262_144
"""Rows of a block."""

NPZ_MAGIC = b"PK\x03\x04"
PARQUET_MAGIC = b"PAR1"


def read_npz(file: BinaryIO) -> Iterator[Block]:
    """Yield rows of an .npz with one array a column; nothing is unpickled. It is held whole, 34 bytes a row."""
    columns = npz_arrays(file)
    reference, probe = columns_of(list(columns))
    names = [columns[reference], columns[probe], columns["score"]]
    if len({array.shape for array in names}) != 1 or names[0].ndim != 1:
        raise ScoresRefused(f"{reference}, {probe} and score must be lists of one length")
    if names[2].dtype.kind not in "fiu":
        raise ScoresRefused(f"{reference} and {probe} must hold text, and score numbers")
    for start in range(0, len(names[0]), ROWS):
        left, right = (texts_of(array[start : start + ROWS], start + 1) for array in names[:2])
        yield _block(left, right, names[2][start : start + ROWS], start + 1)


def read_parquet(file: BinaryIO) -> Iterator[Block]:
    """Yield rows of a Parquet file, a batch at a time."""
    table = open_parquet(file)
    reference, probe = columns_of(table.schema_arrow.names)
    row = 1
    for batch in table.iter_batches(ROWS, columns=[reference, probe, "score"]):
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


def _numbers_of(column: Any) -> NDArray[np.float64]:
    """A column of numbers, NaN where it is empty; text is not read as numbers, nor is true or false."""
    from pyarrow import types

    kind = column.type
    if not (types.is_integer(kind) or types.is_floating(kind) or types.is_decimal(kind)):
        raise ScoresRefused(f"the column score holds no numbers but {kind}")
    return np.asarray(column.cast("float64").to_numpy(zero_copy_only=False), np.float64)


def npz_arrays(file: BinaryIO) -> dict[str, NDArray[Any]]:
    """All arrays of an .npz; raises ScoresRefused for one that would have to be unpickled."""
    try:
        with np.load(file, allow_pickle=False) as found:
            return {name: found[name] for name in found.files}
    except (ValueError, OSError, zipfile.BadZipFile, EOFError, KeyError) as exc:
        raise ScoresRefused(f"this .npz cannot be read: {exc}; save plain arrays with numpy.savez") from exc


def open_parquet(file: BinaryIO) -> Any:
    """Open a Parquet file; raises ScoresRefused."""
    try:
        import pyarrow
        import pyarrow.parquet as pq
    except ImportError as exc:
        raise ScoresRefused("reading Parquet needs pyarrow, which is not installed; send CSV or npz") from exc
    try:
        return pq.ParquetFile(file)
    except (pyarrow.ArrowException, OSError) as exc:
        raise ScoresRefused(f"this Parquet file cannot be read: {exc}") from exc


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
