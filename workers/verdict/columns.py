"""Score files as columns: Parquet and npz with `reference`, `probe`, `score`, or with Bob's names of them."""

import zipfile
from collections.abc import Iterator
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from workers.biometrics.errors import ScoresRefused
from workers.biometrics.score_files import BOB, SIMPLE
from workers.verdict.blocks import NAME_BYTES, NOWHERE, Block, place_of, places_of
from workers.verdict.score_rows import LARGEST, NAMED

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
    if any(array.dtype.kind not in "US" for array in names[:2]) or names[2].dtype.kind not in "fiu":
        raise ScoresRefused(f"{reference} and {probe} must hold text, and score numbers")
    for start in range(0, len(names[0]), ROWS):
        left, right, scores = (array[start : start + ROWS] for array in names)
        yield _block(left.astype(str).tolist(), right.astype(str).tolist(), scores.astype(np.float64), start + 1)


def read_parquet(file: BinaryIO) -> Iterator[Block]:
    """Yield rows of a Parquet file, a batch at a time."""
    table = open_parquet(file)
    reference, probe = columns_of(table.schema_arrow.names)
    row = 1
    for batch in table.iter_batches(ROWS, columns=[reference, probe, "score"]):
        try:
            scores = batch.column("score").cast("float64").to_numpy(zero_copy_only=False)
        except (ValueError, NotImplementedError) as exc:
            raise ScoresRefused(f"the column score holds no numbers: {exc}") from exc
        left, right = (batch.column(name).to_pylist() for name in (reference, probe))
        if not all(isinstance(name, str) for name in (*left, *right)):
            raise ScoresRefused(f"{reference} and {probe} must hold text in every row", row)
        yield _block(left, right, np.asarray(scores, np.float64), row)
        row += len(left)


def columns_of(names: list[str]) -> tuple[str, str]:
    """Names of the columns with references and probes; raises ScoresRefused."""
    for reference, probe in (SIMPLE[:2], (BOB[2], BOB[0])):
        if {reference, probe, "score"} <= set(names):
            return reference, probe
    raise ScoresRefused(f"there are columns {', '.join(names)[:200]}; there must be {', '.join(SIMPLE)}")


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


def _block(references: list[str], probes: list[str], scores: NDArray[np.float64], first: int) -> Block:
    if (wrong := np.flatnonzero(np.abs(scores) > LARGEST)).size:
        raise ScoresRefused(
            f"the score is {scores[wrong[0]]}; scores must be finite, NaN if the comparison failed",
            first + int(wrong[0]),
        )
    left, right = places_of_names(references), places_of_names(probes)
    strange = np.flatnonzero((left == NOWHERE) | (right == NOWHERE))[:NAMED].tolist()
    return Block(
        references=left,
        probes=right,
        values=scores,
        first=first,
        strange={row: (references[row][:100], probes[row][:100]) for row in strange},
    )
