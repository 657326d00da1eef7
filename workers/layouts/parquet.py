"""Parquet files with the images inside, as Hugging Face `datasets` reads them and its hub takes them.

`load_dataset(FOLDER, "samples", split="test")` gives the samples, and with "comparisons" the comparisons. An image is a
struct of bytes and path, and the schema says so under the key `huggingface`.
"""

import json
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import PurePosixPath
from typing import Any, TypeVar

import pyarrow as pa
import pyarrow.parquet as pq

from app.dataset.shard import SampleRow
from app.errors import Corrupt
from workers.layouts.archive import Entry, Spool, whole
from workers.layouts.contents import Contents
from workers.layouts.notes import readme
from workers.layouts.shards import shard_sizes, sharded

Item = TypeVar("Item")

GROUP_ROWS = 50
"""Samples in a row group: what a reader must load to show one of them."""

COMPARISONS_ROWS = 100_000

IMAGE = pa.struct([("bytes", pa.binary()), ("path", pa.string())])

CARD = """\
---
license: other
configs:
- config_name: samples
  default: true
  data_files:
  - split: test
    path: samples/*.parquet
- config_name: comparisons
  data_files:
  - split: test
    path: comparisons/*.parquet
---
Synthetic faces of people who do not exist; README.txt says more.
"""
"""Without the second configuration where there are no comparisons."""


def parquet(contents: Contents) -> Iterator[Entry]:
    """Yield the samples' files, the comparisons' file, and the card by which both are found."""
    count = len(shard_sizes(contents.rows()))
    schema: pa.Schema | None = None
    for number, shard in enumerate(sharded(contents)):
        spool = Spool()
        writer: pq.ParquetWriter | None = None
        for group in _batched(shard, GROUP_ROWS):
            schema = schema or _schema(group[0][0])
            writer = writer or _writer(spool, schema)
            writer.write_table(pa.Table.from_pylist([_record(row, data, schema) for row, data in group], schema))
        if writer:
            writer.close()
            yield spool.entry(f"samples/test-{number:05d}-of-{count:05d}.parquet")
    comparisons = _comparisons(contents)
    if comparisons:
        yield comparisons
    card = CARD if comparisons else CARD.replace(CARD[CARD.index("- config_name: c") : CARD.rindex("---")], "")
    yield whole("README.md", card.encode())
    yield readme(
        contents.about,
        "Parquet with the images inside, for Hugging Face datasets: the configuration 'samples' has image, label, "
        "subject, role and attributes of each sample, what it shows (shown_glasses, shown_yaw …) and its landmarks, "
        "'comparisons' the set's comparisons by their labels; all is test data, so the one split is 'test'. The images "
        "are the set's own files.",
    )


def _comparisons(contents: Contents) -> Entry | None:
    schema = pa.schema([("reference", pa.string()), ("probe", pa.string()), ("mated", pa.bool_())])
    spool = Spool()
    writer: pq.ParquetWriter | None = None
    for group in _batched(contents.comparisons(), COMPARISONS_ROWS):
        writer = writer or _writer(spool, schema)
        columns = [pa.array(column) for column in zip(*group, strict=True)]
        writer.write_table(pa.Table.from_arrays(columns, schema=schema))
    if writer is None:
        return None
    writer.close()
    return spool.entry("comparisons/test-00000-of-00001.parquet")


def _writer(spool: Spool, schema: pa.Schema) -> pq.ParquetWriter:
    # Images are compressed already. The Arrow schema is stored for the key `huggingface` in its metadata.
    return pq.ParquetWriter(_Sink(spool), schema, compression="none", use_dictionary=False, write_statistics=False)


class _Sink:
    """A spool as pyarrow wants a file to be."""

    closed = False

    def __init__(self, spool: Spool) -> None:
        self._spool = spool

    def write(self, data: Any) -> int:
        return self._spool.write(bytes(data))

    def tell(self) -> int:
        return self._spool.size

    def flush(self) -> None:
        pass

    def close(self) -> None:
        pass


def _schema(first: SampleRow) -> pa.Schema:
    kinds = {bool: ("bool", pa.bool_()), float: ("float64", pa.float64()), str: ("string", pa.string())}
    features: dict[str, Any] = {"image": {"_type": "Image"}}
    fields: list[tuple[str, pa.DataType]] = [("image", IMAGE)]
    for name, value in {"id": "", "subject": "", "role": "", **first.labels()}.items():
        dtype, arrow = kinds[type(value)]
        features[name] = {"dtype": dtype, "_type": "Value"}
        fields.append((name, arrow))
    if first.landmarks is not None:
        features["landmarks"] = _list_of(_list_of({"dtype": "float64", "_type": "Value"}))
        fields.append(("landmarks", pa.list_(pa.list_(pa.float64()))))
    return pa.schema(fields, metadata={"huggingface": json.dumps({"info": {"features": features}})})


def _list_of(feature: dict[str, Any]) -> dict[str, Any]:
    return {"feature": feature, "_type": "List"}


def _record(row: SampleRow, data: bytes, schema: pa.Schema) -> dict[str, Any]:
    record: dict[str, Any] = {
        "image": {"bytes": data, "path": PurePosixPath(row.file).name},
        "id": row.id,
        "subject": row.subject,
        "role": row.role,
        **row.labels(),
    }
    if row.landmarks is not None:
        record["landmarks"] = row.landmarks
    if list(record) != schema.names:
        raise Corrupt(f"sample {row.id} has other labels than the samples before it: {', '.join(list(record)[4:])}")
    return record


def _batched(items: Iterable[Item], size: int) -> Iterator[list[Item]]:
    rest = iter(items)
    while batch := list(islice(rest, size)):
        yield batch
