"""Shares to whole numbers, and which subject gets which value."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.dataset.apportion import apportion, cell_of

weights = st.dictionaries(st.sampled_from("abcdefgh"), st.floats(0, 1), min_size=1).filter(
    lambda found: sum(found.values()) > 0.01
)


@given(weights=weights, total=st.integers(0, 2_000_000), wrong=st.floats(-9e-7, 9e-7))
def test_counts_sum_to_the_total_and_lie_within_one_of_exact(
    weights: dict[str, float], total: int, wrong: float
) -> None:
    # A request's shares may miss 1 by a millionth, which is two subjects in two million.
    whole = sum(weights.values()) / (1 + wrong)
    shares = {name: weight / whole for name, weight in weights.items()}
    counts = apportion(shares, total)
    assert list(counts) == list(shares)
    assert sum(counts.values()) == total
    exact = {name: total * share / sum(shares.values()) for name, share in shares.items()}
    assert all(abs(counts[name] - exact[name]) < 1 + 1e-6 for name in shares)
    assert all(counts[name] == 0 for name, share in shares.items() if share == 0)


@pytest.mark.parametrize(
    ("shares", "total", "expected"),
    [
        ({"a": 0.5, "b": 0.5}, 5, {"a": 3, "b": 2}),  # a tie goes to the first named
        ({"b": 0.5, "a": 0.5}, 5, {"b": 3, "a": 2}),
        ({"a": 0.29, "b": 0.71}, 100, {"a": 29, "b": 71}),  # 0.29 * 100 is 28.999999999999996
        ({"a": 0.6, "b": 0.3, "c": 0.1}, 7, {"a": 4, "b": 2, "c": 1}),  # 4.2, 2.1, 0.7
        ({"a": 1.0, "b": 0.0}, 3, {"a": 3, "b": 0}),
        ({"a": 1 / 3, "b": 1 / 3, "c": 1 / 3}, 100, {"a": 34, "b": 33, "c": 33}),
        ({"a": 0.5, "b": 0.500001}, 2_000_000, {"a": 999_999, "b": 1_000_001}),  # sums to 1.000001
        ({"a": 0.5, "b": 0.499999}, 4_000_000, {"a": 2_000_002, "b": 1_999_998}),
    ],
)
def test_largest_remainder(shares: dict[str, float], total: int, expected: dict[str, int]) -> None:
    assert apportion(shares, total) == expected


@given(counts=st.lists(st.integers(1, 60), min_size=1, max_size=5), key=st.integers(0, 2**66))
def test_every_value_is_given_exactly_as_often_as_counted(counts: list[int], key: int) -> None:
    given_out = Counter(cell_of(subject, tuple(counts), key) for subject in range(sum(counts)))
    assert [given_out[cell] for cell in range(len(counts))] == counts


def test_two_attributes_are_independent() -> None:
    # Halves and halves over 4000 subjects: 1000 in each corner, standard deviation 16.
    corners = Counter(
        (cell_of(subject, (2000, 2000), key=448), cell_of(subject, (2000, 2000), key=449)) for subject in range(4000)
    )
    assert all(abs(corners[corner] - 1000) < 5 * 16 for corner in [(0, 0), (0, 1), (1, 0), (1, 1)])


def test_values_do_not_follow_the_order_of_subjects() -> None:
    first_half = sum(cell_of(subject, (2000, 2000), key=7) for subject in range(2000))
    assert abs(first_half - 1000) < 5 * 16
