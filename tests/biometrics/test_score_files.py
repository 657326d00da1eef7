"""Score files: what is taken for a score, and that what is written reads back."""

from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from workers.biometrics.errors import ScoresRefused
from workers.biometrics.score_files import ScoredPair, parse_score, write_scores
from workers.verdict.blocks import name_of, place_of
from workers.verdict.score_rows import read_csv


@pytest.mark.parametrize(
    ("text", "score"),
    [("0.5", 0.5), ("-1e-3", -0.001), (" 7 ", 7.0), ("+.5", 0.5), ("3.", 3.0), ("1E+2", 100.0), ("-0", 0.0)],
)
def test_numbers_in_plain_digits_are_scores(text: str, score: float) -> None:
    assert parse_score(text, 1) == score


@pytest.mark.parametrize("text", ["", "  ", "nan", "NaN", "-nan"])
def test_an_empty_field_or_nan_is_a_failure(text: str) -> None:
    assert np.isnan(parse_score(text, 1))


@pytest.mark.parametrize(
    "text",
    [
        "1_0",
        "\uff11\uff10",
        "\u0661",
        "0,5",
        "0x1p3",
        "one",
        "1 2",
        "inf",
        "-Infinity",
        "1e999",
        "-1e200",
        "\xa01",
        "NA",
        "null",
    ],
)
def test_what_python_would_read_and_no_matcher_writes_is_refused(text: str) -> None:
    with pytest.raises(ScoresRefused, match="line 7: the score is") as refused:
        parse_score(text, 7)
    assert refused.value.line == 7


@given(
    scores=st.lists(st.none() | st.floats(-1e150, 1e150), min_size=1, max_size=20),
    form=st.sampled_from(["bob", "simple"]),
)
def test_what_is_written_reads_back_bit_for_bit(scores: list[float | None], form: str) -> None:
    def rows() -> Iterator[ScoredPair]:
        for number, score in enumerate(scores):
            yield ScoredPair(f"S0000001_{number:04d}", "S0000001", "S0000002_0000", "S0000002", score)

    blocks = list(read_csv(write_scores(rows(), form)))  # type: ignore[arg-type]
    values = np.concatenate([block.values for block in blocks])
    assert values.tobytes() == np.array([np.nan if score is None else score for score in scores]).tobytes()
    places = [place for block in blocks for place in block.references.tolist()]
    assert [name_of(place) for place in places] == [f"S0000001_{number:04d}" for number in range(len(scores))]
    assert {place for block in blocks for place in block.probes.tolist()} == {place_of("S0000002_0000")}


def test_what_could_not_be_read_back_is_not_written() -> None:
    with pytest.raises(ScoresRefused, match="line 2: the score is inf"):
        list(write_scores([ScoredPair("a", "A", "b", "B", np.inf)]))
    with pytest.raises(ScoresRefused, match="holds a line break"):
        list(write_scores([ScoredPair("a\n", "A", "b", "B", 1.0)]))
