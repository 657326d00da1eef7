"""Exact intervals against published values and against the binomial's own tails."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom

from workers.biometrics.intervals import corrected_interval, exact_interval, exact_limits, percentile_interval


@pytest.mark.parametrize(
    ("errors", "trials", "low", "high"),
    [
        (0, 10, 0.0, 0.30849710781876083),  # 1 - 0.025 ** (1 / 10)
        (10, 10, 0.6915028921812392, 1.0),  # 0.025 ** (1 / 10)
        (0, 1, 0.0, 0.975),  # 1 - 0.025
        (1, 10, 0.0025285785, 0.4450161170),  # low: 1 - 0.975 ** (1 / 10)
        (5, 10, 0.1870860284, 0.8129139716),
        (0, 0, 0.0, 1.0),  # nothing was tried, nothing is known
    ],
)
def test_clopper_pearson(errors: int, trials: int, low: float, high: float) -> None:
    found = exact_interval(errors, trials)
    assert (found.low, found.high) == pytest.approx((low, high), abs=1e-9)


@given(trials=st.integers(1, 5000), share=st.floats(0, 1), confidence=st.sampled_from([0.5, 0.9, 0.95, 0.999]))
def test_each_end_leaves_its_half_outside(trials: int, share: float, confidence: float) -> None:
    errors = int(share * trials)
    low, high = (float(limit) for limit in exact_limits(errors, trials, confidence))
    assert low <= errors / trials <= high
    outside = (1 - confidence) / 2
    if errors > 0:
        assert binom.sf(errors - 1, trials, low) == pytest.approx(outside, rel=1e-6)
    if errors < trials:
        assert binom.cdf(errors, trials, high) == pytest.approx(outside, rel=1e-6)


def test_limits_of_many_rates_at_once() -> None:
    low, high = exact_limits([0, 1, 10], 10)
    assert low.tolist() == [exact_interval(errors, 10).low for errors in (0, 1, 10)]
    assert high.tolist() == [exact_interval(errors, 10).high for errors in (0, 1, 10)]


@pytest.mark.parametrize(("errors", "trials"), [(-1, 10), (11, 10)])
def test_impossible_counts_are_refused(errors: int, trials: int) -> None:
    with pytest.raises(ValueError, match="between 0 and trials"):
        exact_interval(errors, trials)


def test_impossible_confidence_is_refused() -> None:
    with pytest.raises(ValueError, match="confidence"):
        exact_interval(1, 10, 1.0)


def test_percentiles_are_values_that_occurred() -> None:
    # 1 … 100: the 2.5% point is the 3rd value (2 of 100 lie below it), the 97.5% point the 98th.
    found = percentile_interval(np.arange(1, 101), "bootstrap")
    assert (found.low, found.high) == (3, 98)


def test_replicates_without_a_value_are_left_out_and_counted() -> None:
    found = percentile_interval([np.nan] * 5 + [1.0] * 95, "bootstrap")
    assert (found.low, found.high) == (1, 1)
    assert found.method == "bootstrap, 100 replicates, 5 without a value"


def test_an_infinite_replicate_spoils_nothing() -> None:
    found = percentile_interval([np.inf, *range(99)], "bootstrap")
    assert (found.low, found.high) == (2, 97)


def test_too_few_replicates_are_refused() -> None:
    with pytest.raises(ValueError, match="at least 20"):
        percentile_interval([1.0] * 19 + [np.nan], "bootstrap")


def test_correction_of_a_symmetric_case_is_students_t() -> None:
    # Replicates −500 … 500 around 0 and no skew. 25 units: t(24) at 97.5% is 2.0639, times √(25/24) = 2.1064;
    # Φ(−2.1064) = 0.01758: the 18th of 1,001 values, −483.
    found = corrected_interval(np.arange(-500, 501), 0.0, [-1.0, 1.0, *[0.0] * 23], "bootstrap")
    assert (found.low, found.high) == (-483, 483)
    assert found.method == "bootstrap (BCa), 1,001 replicates"


def test_correction_moves_towards_where_few_units_pull() -> None:
    # One unit of 25 pulls upward by 24, the others down by 1 each: skew (24³ − 24) / (6 · 600^1.5) = 0.156.
    plain = percentile_interval(np.arange(-500, 501), "bootstrap")
    found = corrected_interval(np.arange(-500, 501), 0.0, [24.0, *[-1.0] * 24], "bootstrap")
    assert found.low > plain.low
    assert found.high > plain.high
    # Upper end: Φ(2.1064 / (1 − 0.1565 · 2.1064)) = Φ(3.142) = 0.99916: the 1,001st value.
    assert found.high == 500


def test_correction_past_its_pole_is_the_outermost_replicate() -> None:
    found = corrected_interval(np.arange(100), 98.5, [1.0, *[0.0] * 2], "bootstrap")
    assert found.high == 99
    with pytest.raises(ValueError, match=r"1 unit\(s\)"):
        corrected_interval(np.arange(100), 50, [0.0], "bootstrap")
