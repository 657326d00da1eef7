"""comparisons.csv has one reader, and it goes to the end: altered, cut or endless, no shorter list comes of it."""

import hashlib
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.dataset.comparisons import ComparisonsFile, ListedPair
from app.errors import Corrupt

ROWS = "S0000000_0000,S0000000_0001,1\nS0000000_0000,S0000019_0001,0\n"
WHOLE = ("reference,probe,mated\n" + ROWS).encode()
SHA256 = hashlib.sha256(WHOLE).hexdigest()


def file_of(data: bytes, sha256: str | None = SHA256, step: int = 1_000) -> ComparisonsFile:
    def chunks() -> Iterable[bytes]:
        return (data[at : at + step] for at in range(0, len(data), step))

    return ComparisonsFile(open=chunks, sha256=sha256)


@given(step=st.integers(1, 100))
def test_it_lists_pairs_and_may_be_read_again(step: int) -> None:
    file = file_of(WHOLE, step=step)
    pairs = list(file.pairs())
    assert pairs == list(file.pairs())
    assert pairs == [
        ListedPair("S0000000_0000", "S0000000_0001", True),
        ListedPair("S0000000_0000", "S0000019_0001", False),
    ]
    assert file.check() == SHA256


@pytest.mark.parametrize(
    "read", [lambda file: list(file.pairs()), lambda file: list(file.chunks()), ComparisonsFile.check]
)
@pytest.mark.parametrize(
    "data",
    [
        WHOLE[:-31],  # a line fewer
        WHOLE[:-1],
        WHOLE[:30],
        WHOLE + b"S0000000_0000,S0000001_0000,0\n",
        WHOLE.replace(b"S0000019", b"S0000018"),
        b"",
    ],
)
def test_what_is_not_the_manifests_is_refused(data: bytes, read: Callable[[ComparisonsFile], object]) -> None:
    with pytest.raises(Corrupt):
        read(file_of(data))


@pytest.mark.parametrize(
    ("rows", "what"),
    [
        ("", "does not begin with reference,probe,mated"),
        ("probe,reference,mated\n", "does not begin with"),
        ("reference,probe,mated\nS0000000_0000,S0000000_0001\n", "line 2 of comparisons.csv is no comparison"),
        ("reference,probe,mated\n" + ROWS + "S0000000_0000,S0000000_0001,0\n", "line 4"),
        ("reference,probe,mated\nS0000000_0000,S0000001_0001,1\n", "line 2"),
        ("reference,probe,mated\n../../etc,S0000001_0001,0\n", "line 2"),
        ("reference,probe,mated\nS0000000_0000,S0000001_0001,yes\n", "line 2"),
        ("reference,probe,mated\nS0000000_0000,S0000001_0001,0", "breaks off within a line"),
        ("reference,probe,mated\n" + "x" * 1_000_000, "no list of comparisons"),
    ],
)
def test_without_a_digest_every_line_must_be_one(rows: str, what: str) -> None:
    with pytest.raises(Corrupt, match=what):
        list(file_of(rows.encode(), sha256=None).pairs())


def test_a_list_of_another_set_is_refused() -> None:
    path = Path(__file__).parents[3] / "shared" / "cases" / "truncated_comparisons.csv"
    if not path.exists():
        pytest.skip("the cases that users tried are not here")
    with pytest.raises(Corrupt, match="another digest"):
        list(file_of(path.read_bytes()).pairs())
