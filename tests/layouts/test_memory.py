"""A layout of a large set is made within the memory of a small one."""

import tracemalloc
from collections.abc import Iterator

import numpy as np
import pytest

from app.dataset.comparisons import ListedPair, list_comparisons
from app.dataset.layout import Layout
from app.dataset.names import sample_name, subject_name
from app.dataset.plan import Place
from app.dataset.shard import SampleRow
from workers.layouts import shards
from workers.layouts.archive import Entry, whole
from workers.layouts.contents import About, Located
from workers.layouts.registry import archive_of
from workers.png import write_png

SUBJECTS, SAMPLES, BYTES = 200, 5, 100_000
FILE = write_png(np.zeros((8, 8, 3), np.uint8), {}).ljust(BYTES, b"\0")
"""A small image in a large file: what is behind its end, readers leave alone."""


class Large:
    """1,000 files of 100 kB that come out of nowhere."""

    about = About(
        dataset="ds_1",
        name="n",
        model="m 1",
        model_digest="d",
        source_type="trainedAlgorithmicMedia",
        subjects=SUBJECTS,
        samples_per_subject=SAMPLES,
        distractors=0,
        selection="balanced",
        left_out=0,
        missing=frozenset(),
    )

    def rows(self) -> Iterator[SampleRow]:
        for subject, sample in (Place(*divmod(number, SAMPLES)) for number in range(SUBJECTS * SAMPLES)):
            name = sample_name(subject, sample)
            yield SampleRow(
                id=name,
                subject=subject_name(subject),
                role="probe" if sample else "reference",
                file=f"samples/{name[:8]}/{name}.png",
                width=128,
                height=128,
                bytes=BYTES,
                pixel_sha256="0" * 64,
                file_sha256="0" * 64,
                identity_attempt=0,
                attempt=0,
                attributes={"age": 30.0, "sex": "female"},
            )

    def files(self) -> Iterator[tuple[SampleRow, bytes]]:
        return ((row, FILE) for row in self.rows())

    def located(self) -> Iterator[Located]:
        return (Located(row, data, None) for row, data in self.files())

    def comparisons(self) -> Iterator[ListedPair]:
        for pair in list_comparisons("balanced", SUBJECTS, SAMPLES, 0, 1):
            yield ListedPair(sample_name(*pair.reference), sample_name(*pair.probe), pair.mated)

    def products(self) -> Iterator[Entry]:
        yield whole("manifest.json", b"{}")


@pytest.mark.parametrize("layout", ["zip", "imagefolder", "lfw", "webdataset", "parquet", "bob"])
def test_memory_stays_small(layout: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if layout == "parquet":
        pytest.importorskip("pyarrow.parquet")  # its modules are not to be counted
    most = 15_000_000
    monkeypatch.setattr(shards.shard_sizes, "__defaults__", (most,))
    monkeypatch.setattr(shards.sharded, "__defaults__", (most,))
    tracemalloc.start()
    try:
        size = sum(len(chunk) for chunk in archive_of(Layout(layout), Large()))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert size > SUBJECTS * SAMPLES * BYTES
    assert peak < 40_000_000
