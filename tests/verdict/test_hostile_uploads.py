"""Small files that ask for much memory: refused by what they declare; and where they lie, by a child's limits."""

import io
import resource
import struct
import time
import tracemalloc
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from app.dataset.names import sample_name
from app.jobs.attempts import Ending, ending_of
from workers.biometrics.errors import ScoresRefused
from workers.verdict import apart, candidates
from workers.verdict.apart import read_apart
from workers.verdict.candidate_files import ListBlock, read_list_blocks
from workers.verdict.candidates import gather_lists
from workers.verdict.compared import compare
from workers.verdict.frames import CutOff, read_part
from workers.verdict.gallery_files import named_of
from workers.verdict.reading_child import read_columns
from workers.verdict.sources import read_blocks

ROWS = 1_000_000
NAME = "S0000000_0000"
MEMORY = 64 * 2**20
"""Bytes that refusing such a file may take, beside what a block of rows is given."""


def npy(descr: str, shape: str, data: bytes = b"") -> bytes:
    header = f"{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}".ljust(117) + "\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header.encode() + data


def zipped(**members: bytes) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(f"{name}.npy", data)
    return file.getvalue()


def lying_npz() -> bytes:
    """Less than 3 kB that are said to be 3 GB of scores, and as much of names."""
    names = npy("|S13", "(250000000,)", b"x" * 1000)
    return zipped(reference=names, probe=names, score=npy("<f8", "(375000000,)", b"x" * 1000))


def deflated_npz() -> bytes:
    """49 kB that do unpack to what is said: names of three million letters each."""
    row = npy("<U3000000", "(4,)", bytes(48_000_000))
    return zipped(reference=row, probe=npy("|S13", "(4,)", bytes(52)), score=npy("<f8", "(4,)", bytes(32)))


def table(columns: dict[str, Any], **options: Any) -> bytes:
    import pyarrow as pa
    import pyarrow.parquet as pq

    file = io.BytesIO()
    pq.write_table(pa.table(columns), file, compression="zstd", **options)
    return file.getvalue()


def long_name_parquet() -> bytes:
    """One name of 30 kB, in a dictionary, a quarter of a million times: 7.5 GiB as text."""
    import pyarrow as pa

    count = 262_144
    long = pa.DictionaryArray.from_arrays(pa.array(np.zeros(count, np.int32)), pa.array(["S" * 30_000]))
    short = pa.DictionaryArray.from_arrays(pa.array(np.zeros(count, np.int32)), pa.array([NAME]))
    return table({"reference": long, "probe": short, "score": pa.array(np.zeros(count))})


def many_rows_parquet() -> bytes:
    """A row said four million times."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    one = pa.DictionaryArray.from_arrays(pa.array(np.zeros(2**20, np.int32)), pa.array([NAME]))
    rows = pa.table({"reference": one, "probe": one, "score": pa.array(np.zeros(2**20))})
    file = io.BytesIO()
    with pq.ParquetWriter(file, rows.schema, compression="zstd") as writer:
        for _ in range(4):
            writer.write_table(rows)
    return file.getvalue()


def long_template_parquet() -> bytes:
    """One template of three million numbers."""
    import pyarrow as pa

    values = pa.array(np.zeros(3_000_000, np.float32))
    return table({"id": [NAME], "template": pa.ListArray.from_arrays(pa.array([0, 3_000_000], pa.int32()), values)})


HOSTILE: dict[str, tuple[Callable[[], bytes], str, str]] = {
    "lying npz": (lying_npz, "scores", "is said to be"),
    "deflated npz": (deflated_npz, "scores", "names in reference have 12,000,000 bytes each"),
    "long name": (long_name_parquet, "scores", "has 30,000 bytes"),
    "many rows": (many_rows_parquet, "scores", "4,194,304 rows; at most 1,000,000"),
    "long template": (long_template_parquet, "templates", "no template is so large"),
}


@pytest.mark.parametrize("what", HOSTILE)
def test_small_files_that_ask_for_much_are_refused_by_what_they_declare(what: str, tmp_path: Path) -> None:
    if "npz" not in what:
        pytest.importorskip("pyarrow")
    make, kind, why = HOSTILE[what]
    path = tmp_path / "upload"
    path.write_bytes(make())
    assert path.stat().st_size < 600_000
    tracemalloc.start()
    try:
        with pytest.raises(ScoresRefused, match=why):
            list(read_columns(path, kind, ROWS))  # type: ignore[arg-type]
        assert tracemalloc.get_traced_memory()[1] < MEMORY
    finally:
        tracemalloc.stop()


def test_a_footer_that_lies_meets_the_childs_limit_and_is_refused_not_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("pyarrow")
    path = tmp_path / "upload"
    path.write_bytes(long_name_parquet())
    monkeypatch.setattr(apart, "MEMORY", 300 * 2**20)  # less than pyarrow itself wants
    with pytest.raises(ScoresRefused) as refused:
        list(read_apart(path, "scores", ROWS))
    assert ending_of(refused.value) is Ending.REFUSED


def test_every_byte_wrong_is_a_refusal(tmp_path: Path) -> None:
    """Damaged files in every place end in one error of ours, whatever numpy, zipfile or pyarrow make of them."""
    whole = zipped(
        reference=npy("|S13", "(2,)", NAME.encode() * 2),
        probe=npy("|S13", "(2,)", b"S0000000_0001" * 2),
        score=npy("<f8", "(2,)", bytes(16)),
    )
    pytest.importorskip("pyarrow")
    files = [whole, table({"reference": [NAME] * 2, "probe": [NAME] * 2, "score": [1.0, 2.0]})]
    path = tmp_path / "upload"
    chance = np.random.default_rng(7)
    refused = 0
    for data in files:
        for place in chance.integers(4, len(data), 150):
            damaged = bytearray(data)
            damaged[place] ^= 1 << int(chance.integers(8))
            path.write_bytes(damaged)
            try:
                list(read_columns(path, "scores", ROWS))
            except ScoresRefused:
                refused += 1
    assert refused > 100


def test_apart_or_not_a_file_reads_the_same(make_set: Callable[..., Any]) -> None:
    pytest.importorskip("pyarrow")
    made = make_set(15, 4)
    rows = made.rows(made.scores(1))
    scores = np.array([float(row[2]) for row in rows])
    forms: list[tuple[bytes, Any]] = [
        (table({"reference": [r[0] for r in rows], "probe": [r[1] for r in rows], "score": scores}), None)
    ]
    names = sorted({sample_name(*place) for pair in made.pairs for place in pair})
    file = io.BytesIO()
    np.savez(file, ids=np.array(names), templates=np.random.default_rng(1).normal(size=(len(names), 8)))
    forms.append((file.getvalue(), "cosine"))
    before = resource.getrlimit(resource.RLIMIT_AS)
    for data, metric in forms:
        digests = {
            compare(made.listed, read_blocks([data], made.listed, metric, stranger=apart)).digest
            for apart in (False, True)
        }
        assert len(digests) == 1
    assert resource.getrlimit(resource.RLIMIT_AS) == before


def test_what_a_file_has_wrong_is_told_from_apart_too(tmp_path: Path, make_set: Callable[..., Any]) -> None:
    made = make_set(15, 4)
    for data, why in (
        (zipped(reference=npy("|S13", "(2,)", b"x" * 26)), "there are columns reference"),
        (b"PK\x03\x04 cut", "cannot be read"),
        (b"PAR1 cut", "cannot be read"),
    ):
        with pytest.raises(ScoresRefused, match=why):
            list(read_blocks([data], made.listed, None, stranger=True))


def test_a_header_of_very_many_columns_costs_no_time(make_set: Callable[..., Any]) -> None:
    began = time.process_time()
    with pytest.raises(ScoresRefused, match="twice"):
        list(read_blocks([b"a," * 32_000 + b"b\n"], make_set(15, 4).listed, None))
    assert time.process_time() - began < 1.0


def lists_of(rows: int, probe: str = "S0000000_0001") -> bytes:
    return b"probe,rank,reference,score\n" + b"".join(
        f"{probe},{rank},S{rank:07d}_0000,{1 / rank}\n".encode() for rank in range(1, rows + 1)
    )


def test_candidate_lists_and_named_templates_read_the_same_apart(tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    path = tmp_path / "upload"
    frte = (
        b"searchId candidateRank searchRetCode isAssigned templateId score decision\n2 0 0 1 3 0.9 1\n4 0 0 0 0 -1 0\n"
    )
    numbered = tmp_path / "numbered"
    np.array([1, 10_001], "<i8").tofile(numbered)
    for data in (lists_of(3), frte, b"probe,rank,reference,score\nS0000000_0001,,,\n"):
        path.write_bytes(data)
        here, apart = (list(read(path, "candidates", 0, numbered)) for read in (read_columns, read_apart))
        assert len(here) == len(apart) == 1
        for column in fields(ListBlock):
            assert np.array_equal(getattr(here[0], column.name), getattr(apart[0], column.name)), column.name
    names = [f"é{number}" for number in range(1_500)]
    np.savez(path, ids=names, subjects=names, templates=np.full((1_500, 3), np.nan))
    path.with_suffix(".npz").rename(path)
    one, two = (named_of(iter(list(read(path, "named", ROWS))), "cosine", "x") for read in (read_columns, read_apart))
    assert (one.ids, one.subjects, one.roles) == (two.ids, two.subjects, two.roles)
    assert np.array_equal(one.templates, two.templates, equal_nan=True)


def test_a_list_longer_than_any_gallery_is_not_read_to_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of rows that are all one probe's nothing could be let go of."""
    monkeypatch.setattr(candidates, "LONGEST_SPARE", 10)
    count = 0

    def blocks() -> Iterator[ListBlock]:
        nonlocal count
        while count < 100:
            count += 1
            yield from read_list_blocks(io.BytesIO(lists_of(8)))

    with pytest.raises(ScoresRefused, match="a reference stands twice") as refused:
        gather_lists(blocks(), np.array([1]), np.arange(9) * 10_000, what="the lists")
    assert count == 3
    assert "have no list" not in str(refused.value)


def test_lists_that_ask_for_much_meet_the_childs_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("pyarrow")
    path = tmp_path / "upload"
    path.write_bytes(b",".join(b"%d" % number for number in range(400_000)) + b"\n")  # a header of so many columns
    with pytest.raises(ScoresRefused) as refused:
        list(read_apart(path, "candidates", 0))
    assert ending_of(refused.value) is Ending.REFUSED
    assert len(str(refused.value)) < 1_000


def test_what_a_child_says_is_not_taken_on_trust() -> None:
    for kind, said in (
        ("named", {"rows": 2**40, "width": 1, "texts": {}}),
        ("named", {"rows": 1, "width": 2**40, "texts": {}}),
        ("named", {"rows": 1, "width": 1, "texts": {"ids": 2**40}}),
        ("candidates", {"rows": -1}),
        ("candidates", {"rows": 3}),  # and nothing follows
    ):
        with pytest.raises(CutOff):
            read_part(io.BytesIO(), said, kind)  # type: ignore[arg-type]
