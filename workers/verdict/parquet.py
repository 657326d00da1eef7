"""Parquet read batch by batch; what the footer declares is held against what scores or templates can be, first.

Kilobytes of Parquet can stand for gigabytes, by dictionaries and runs. Names are therefore read as dictionaries, and
row groups whose declared sizes do not go with their rows are refused. A footer can lie: who reads a stranger's file
does it in a process of its own (`workers.verdict.apart`).
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, BinaryIO

from workers.biometrics.errors import ScoresRefused

LONGEST_NAME = 256
"""Bytes of a name; a sample's has 13."""

MOST_DIMENSIONS = 4_096
"""Of a template."""

NAME, SCORE, TEMPLATE = "name", "score", "template"
"""What a column is to hold."""

_VALUE_BYTES = {NAME: LONGEST_NAME + 16, SCORE: 40, TEMPLATE: 16}
"""Of one value in a page at the most, with its levels."""

_SPARE_BYTES = 2**20
"""Of a column in a row group, whatever it holds: page headers, statistics, an empty dictionary."""


def open_parquet(file: BinaryIO) -> Any:
    """Open a Parquet file; raises ScoresRefused."""
    try:
        import pyarrow  # noqa: F401
        import pyarrow.parquet as pq
    except ImportError as exc:
        raise ScoresRefused("reading Parquet needs pyarrow, which is not installed; send CSV or npz") from exc
    with _refusing():
        return pq.ParquetFile(file)


def batches(file: BinaryIO, columns: dict[str, str], *, rows: int, most: int) -> Iterator[Any]:
    """Yield batches of `rows` rows; `columns` is what each holds by its name. Raises ScoresRefused.

    A file of more than `most` rows is not read.
    """
    import pyarrow.parquet as pq

    table = open_parquet(file)
    if table.metadata.num_rows > most:
        raise ScoresRefused(f"there are {table.metadata.num_rows:,} rows; at most {most:,} are read for this set")
    for name, holds in columns.items():
        _check_type(table.schema_arrow.field(name).type, name, holds)
        _check_sizes(table.metadata, name, holds)
    names = [name for name, holds in columns.items() if holds == NAME]
    with _refusing():
        file.seek(0)
        dictionaries = pq.ParquetFile(file, read_dictionary=names, buffer_size=2**20, pre_buffer=False)
        for batch in dictionaries.iter_batches(rows, columns=list(columns), use_threads=False):
            for name in names:
                _check_lengths(batch.column(name), name)
            yield batch


def _check_type(kind: Any, name: str, holds: str) -> None:
    from pyarrow import types

    if holds == NAME:
        text = kind.value_type if types.is_dictionary(kind) else kind
        if not (types.is_string(text) or types.is_large_string(text) or types.is_string_view(text)):
            raise ScoresRefused(f"{name} must hold text in every row, not {str(kind)[:100]}")
    elif holds == SCORE:
        if not (types.is_integer(kind) or types.is_floating(kind) or types.is_decimal(kind)):
            raise ScoresRefused(f"the column score holds no numbers but {str(kind)[:100]}")
    else:
        listed = types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind)
        if not listed or not (types.is_floating(kind.value_type) or types.is_integer(kind.value_type)):
            raise ScoresRefused(f"{name} must hold a list of numbers in every row, not {str(kind)[:100]}")
        if types.is_fixed_size_list(kind) and kind.list_size > MOST_DIMENSIONS:
            raise ScoresRefused(f"templates have {kind.list_size:,} dimensions; at most {MOST_DIMENSIONS:,} are read")


def _check_sizes(metadata: Any, name: str, holds: str) -> None:
    """Hold the column's declared values and bytes against its rows, in every row group."""
    for number in range(metadata.num_row_groups):
        group = metadata.row_group(number)
        for place in range(group.num_columns):
            chunk = group.column(place)
            if chunk.path_in_schema.partition(".")[0] != name:
                continue
            values = group.num_rows * (MOST_DIMENSIONS if holds == TEMPLATE else 1)
            if (
                not 0 <= chunk.num_values <= values
                or chunk.total_uncompressed_size > chunk.num_values * _VALUE_BYTES[holds] + _SPARE_BYTES
            ):
                raise ScoresRefused(
                    f"the column {name} has {chunk.num_values:,} values of {chunk.total_uncompressed_size:,} bytes in "
                    f"{group.num_rows:,} rows; no {holds} is so large"
                )


def _check_lengths(column: Any, name: str) -> None:
    import pyarrow.compute as pc
    from pyarrow import types

    names = column.dictionary if types.is_dictionary(column.type) else column
    longest = pc.max(pc.binary_length(names)).as_py() or 0
    if longest > LONGEST_NAME:
        raise ScoresRefused(f"a name in {name} has {longest:,} bytes; at most {LONGEST_NAME} are read")


@contextmanager
def _refusing() -> Iterator[None]:
    """Whatever a damaged file raises in pyarrow is a refusal; its own lack of memory stays a MemoryError."""
    import pyarrow

    try:
        yield
    except MemoryError:
        raise
    except (pyarrow.ArrowException, OSError, ValueError, OverflowError) as exc:
        raise ScoresRefused(f"this Parquet file cannot be read: {str(exc)[:300]}") from exc
