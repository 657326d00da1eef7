"""Binned scores: every score in its bin, counts exact at edges and bounded between."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from workers.biometrics.histogram import ScoreHistogram


def test_bins_by_hand() -> None:
    # At most 8 bins over 2 units: 1/4 wide. Scores 0.25 and 0.26 lie in [0.25, 0.5), −0.01 in [−0.25, 0).
    histogram = ScoreHistogram.over(-1, 1, bins=8)
    assert histogram.width == 0.25
    histogram.add(np.array([0.25, 0.26, -0.01, 1.0, -1.0]))
    assert histogram.total == 5
    assert histogram.reaching(0.25) == (3, 3)  # 0.25, 0.26, 1
    assert histogram.reaching(0.3) == (1, 3)  # between 0.25 and 0.5: the bin may lie on either side
    assert histogram.reaching(-0.25) == (4, 4)
    assert histogram.reaching(-9) == (5, 5)
    assert histogram.reaching(9) == (0, 0)
    assert histogram.edge_allowing(3) == pytest.approx(0.0)  # −0.01 is below 0, so three reach it
    assert histogram.edge_allowing(0) == 1.25  # 1.0 is in [1, 1.25)
    assert histogram.edge_allowing(5) == histogram.edges[0]


scores = st.lists(st.floats(-1, 1, width=32), min_size=1, max_size=50)


@given(found=scores, threshold=st.floats(-1.5, 1.5), exponent=st.integers(0, 16))
def test_counts_are_bounds_and_exact_at_edges(found: list[float], threshold: float, exponent: int) -> None:
    histogram = ScoreHistogram.over(-1, 1, bins=2 ** (exponent + 1))
    histogram.add(np.array(found, np.float32))
    least, most = histogram.reaching(threshold)
    assert least <= sum(score >= threshold for score in found) <= most
    edge = np.floor(threshold / histogram.width) * histogram.width
    exact = sum(score >= edge for score in found)
    assert histogram.reaching(edge) == (exact, exact)


@given(found=scores, matches=st.integers(0, 60))
def test_an_edge_lets_at_most_so_many_through_and_the_edge_below_more(found: list[float], matches: int) -> None:
    histogram = ScoreHistogram.over(-1, 1, bins=64)
    histogram.add(np.array(found, np.float32))
    edge = histogram.edge_allowing(matches)
    assert sum(score >= edge for score in found) <= matches
    if edge > histogram.edges[0]:
        assert sum(score >= edge - histogram.width for score in found) > matches


def test_merging_counts_both() -> None:
    one, other = ScoreHistogram.over(-1, 1), ScoreHistogram.over(-1, 1)
    one.add(np.array([0.5]))
    other.add(np.array([0.5, -0.5]))
    assert one.merge(other).reaching(0.5) == (2, 2)
    with pytest.raises(ValueError, match="different bins"):
        one.merge(ScoreHistogram.over(-2, 1))


@pytest.mark.parametrize("score", [np.nan, 1.5, -1.5, np.inf])
def test_scores_outside_are_refused(score: float) -> None:
    with pytest.raises(ValueError, match="NaN or outside"), np.errstate(invalid="ignore"):
        ScoreHistogram.over(-1, 1).add(np.array([score]))


def test_an_empty_range_is_refused() -> None:
    with pytest.raises(ValueError, match="low must be below high"):
        ScoreHistogram.over(1, 1)
