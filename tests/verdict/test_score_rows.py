"""Reading score files in blocks: both ways of reading agree, and whatever is odd is told with its line."""

import io
from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from workers.biometrics.errors import ScoresRefused
from workers.verdict import score_rows
from workers.verdict.blocks import NOWHERE, Block, name_of, place_of
from workers.verdict.columns import read_npz, read_parquet
from workers.verdict.score_rows import read_csv
from workers.verdict.template_files import read_template_npz

A, B, C = "S0000001_0000", "S0000001_0003", "S0000020_0012"
HEAD = "reference,probe,score\n"
BOB = "probe_template_id,probe_subject_id,bio_ref_template_id,bio_ref_subject_id,score\n"


def read(text: str | bytes, step: int = 1_000) -> tuple[list[tuple[str, str]], list[float]]:
    raw = text if isinstance(text, bytes) else text.encode()
    return joined(read_csv(raw[at : at + step] for at in range(0, len(raw), step)))


def joined(blocks: Iterator[Block]) -> tuple[list[tuple[str, str]], list[float]]:
    pairs: list[tuple[str, str]] = []
    values: list[float] = []
    for block in blocks:
        pairs += [(name_of(left), name_of(right)) for left, right in zip(block.references, block.probes, strict=True)]
        values += block.values.tolist()
    return pairs, values


def test_places_are_names() -> None:
    assert place_of(C) == 200_012
    assert name_of(200_012) == C
    assert [place_of(name) for name in ("S1_1", "s0000001_0000", "S0000001-0000", "", "S000000١_0000")] == [NOWHERE] * 5


def test_the_simple_form_and_bobs() -> None:
    expected = [(A, B), (A, C), (C, B)]
    pairs, values = read(f"{HEAD}{A},{B},0.75\n{A},{C},-1e-3\n{C},{B},\n")
    assert pairs == expected
    assert values[:2] == [0.75, -0.001]
    assert np.isnan(values[2])
    bob = f"{BOB}{B},S0000001,{A},S0000001,0.75\n{C},S0000020,{A},S0000001,-1e-3\n{B},S0000001,{C},S0000020,nan\n"
    assert read(bob)[0] == expected
    assert read(bob)[1][:2] == values[:2]
    moved = f"score,age,probe,x\n0.75,30,{B},1\n"
    with pytest.raises(ScoresRefused, match="the header is 'score,age,probe,x'"):
        read(moved)


def test_columns_moved_windows_ends_and_quotes() -> None:
    assert read(f"score,probe,reference\r\n0.5,{B},{A}\r\n")[0] == [(A, B)]
    assert read(f'\ufeff{HEAD}"{A}",{B},0.5\r\n{A},"{C}",1\r\n')[0] == [(A, B), (A, C)]
    moved = "score,probe_age,bio_ref_subject_id,bio_ref_template_id,probe_subject_id,probe_template_id\n"
    assert read(f"{moved}0.5,30,S0000001,{A},S0000020,{C}\n")[0] == [(A, C)]


rows = st.lists(
    st.tuples(st.integers(0, 10**11 - 1), st.integers(0, 10**11 - 1), st.floats(-1e6, 1e6) | st.just("")), max_size=30
)


@given(rows=rows, step=st.integers(1, 200), block=st.integers(1, 200), end=st.sampled_from(["\n", "\r\n"]))
def test_read_as_arrays_or_row_by_row_a_file_is_the_same(
    rows: list[tuple[int, int, float | str]], step: int, block: int, end: str
) -> None:
    text = "".join(f"{name_of(left)},{name_of(right)},{score!r}{end}" for left, right, score in rows).replace("''", "")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(score_rows, "BLOCK_BYTES", block)
        fast = read(HEAD + text, step)
        patch.setattr(score_rows, "_usual", lambda text, form, line: None)
        slow = read(HEAD + text, step)
    assert fast[0] == slow[0] == [(name_of(left), name_of(right)) for left, right, _ in rows]
    np.testing.assert_array_equal(fast[1], slow[1])
    np.testing.assert_array_equal(fast[1], [np.nan if score == "" else score for *_, score in rows])


GOOD = f"{HEAD}{A},{B},0.75\n"


@pytest.mark.parametrize(
    ("text", "line", "what"),
    [
        ("", None, "the file is empty"),
        ("a,b\n", 1, "the header is 'a,b'; it must be reference,probe,score"),
        ("reference,probe,score,score\n", 1, "names score twice"),
        ("reference;probe;score\n", 1, "with commas"),
        (GOOD + f"{A},{C},0.1", 3, "may have been cut off"),
        (GOOD + f"{A},{C}\n", 3, "2 fields and the header has 3; was the line cut off"),
        (GOOD + f"{A},{C},0.1,1\n", 3, "4 fields"),
        (GOOD + "\n", 3, "this line is empty"),
        (GOOD + f"{A},{C},zero\n", 3, "'zero'; it must be a finite number"),
        (GOOD + f'{A},{C},"0,5"\n', 3, "decimal point"),
        (GOOD + f"{A},{C},inf\n", 3, "must be a finite number"),
        (GOOD + f"{A},{C},1e999\n", 3, "must be finite"),
        (GOOD + f"{A},{C},-1e200\n", 3, "must be finite and within"),
        (GOOD + f"{A},{C},1_0\n", 3, "'1_0'; it must be a finite number in plain digits"),
        (GOOD + f"{A},{C},\uff11\uff10\n", 3, "plain digits"),
        (GOOD + f"{A},{C},\u0661\n", 3, "plain digits"),
        (f"{BOB}{C},S0000020,{A},S0000001,1_0\n", 2, "plain digits"),
        (GOOD + f",{C},0.1\n", 3, "has no name"),
        (GOOD + f'{A},"{C},0.1\n', 3, "not CSV"),
        (f"{BOB}{C},S0000001,{A},S0000001,0.5\n", 2, "of subject S0000020 is said to be of 'S0000001'"),
        (GOOD.encode() + b"\xff,b,1\n", 3, "not UTF-8"),
        (b"x" * 5_000_000, 1, "longer than"),
    ],
)
def test_what_is_odd_is_told_with_its_line(text: str | bytes, line: int | None, what: str) -> None:
    with pytest.raises(ScoresRefused, match=what) as refused:
        read(text)
    assert refused.value.line == line


def test_what_is_called_like_no_sample_keeps_its_name() -> None:
    block = next(read_csv([f"{HEAD}{A},{B},1\nalice,{B},1\n".encode()]))
    assert block.references.tolist() == [place_of(A), NOWHERE]
    assert block.names(1) == ("alice", B)
    assert block.first + 1 == 3


def test_columns_of_npz_and_parquet() -> None:
    columns = {"reference": [A, A], "probe": [B, C], "score": [0.5, np.nan]}
    file = io.BytesIO()
    np.savez(file, **{name: np.array(values) for name, values in columns.items()})
    file.seek(0)
    pairs, values = joined(read_npz(file))
    assert pairs == [(A, B), (A, C)]
    np.testing.assert_array_equal(values, [0.5, np.nan])
    pa = pytest.importorskip("pyarrow")
    import pyarrow.parquet as pq

    file = io.BytesIO()
    bob = {"bio_ref_template_id": [A, "alice"], "probe_template_id": [B, C], "score": pa.array([0.5, None])}
    pq.write_table(pa.table(bob), file)
    block = next(read_parquet(file))
    assert block.names(1) == ("alice", C)
    np.testing.assert_array_equal(block.values, [0.5, np.nan])
    for broken, what in (
        (pa.table({"reference": [A], "probe": [1], "score": [0.5]}), "must hold text"),
        (pa.table({"reference": [A], "probe": [B], "score": ["x"]}), "no numbers but string"),
        (pa.table({"reference": [A], "probe": [B], "score": ["0.5"]}), "no numbers but string"),
        (pa.table({"reference": [A], "probe": [B], "score": [True]}), "no numbers but bool"),
        (pa.table({"reference": [A], "probe": pa.array([b"\xff"]).cast("string", safe=False), "score": [1]}), "UTF-8"),
        (pa.table({"reference": [A], "probe": [B], "score": [np.inf]}), "must be finite"),
        (pa.table({"a": [A]}), "there must be reference, probe, score"),
    ):
        file = io.BytesIO()
        pq.write_table(broken, file)
        with pytest.raises(ScoresRefused, match=what):
            list(read_parquet(file))


@pytest.mark.parametrize("name", [b"S000000\xff_0000", "S000000\ud800_0000"])
def test_a_name_in_an_npz_that_is_not_utf8_is_refused_with_its_row(name: bytes | str) -> None:
    good = B.encode() if isinstance(name, bytes) else B
    columns = {"reference": np.array([good, good]), "probe": np.array([good, name]), "score": np.array([1.0, 2.0])}
    file = io.BytesIO()
    np.savez(file, **columns)
    file.seek(0)
    with pytest.raises(ScoresRefused, match="is not UTF-8") as refused:
        list(read_npz(file))
    assert refused.value.line == 2
    assert str(refused.value).isascii()
    file = io.BytesIO()
    np.savez(file, ids=columns["probe"], templates=np.ones((2, 4)))
    file.seek(0)
    with pytest.raises(ScoresRefused, match="is not UTF-8"):
        list(read_template_npz(file))


def test_nothing_is_unpickled() -> None:
    file = io.BytesIO()
    np.savez(file, reference=np.array([A], object), probe=np.array([B], object), score=np.array([1.0]))
    file.seek(0)
    with pytest.raises(ScoresRefused, match="cannot be read"):
        next(read_npz(file))
    with pytest.raises(ScoresRefused, match="cannot be read"):
        next(read_npz(io.BytesIO(b"PK\x03\x04 cut")))
