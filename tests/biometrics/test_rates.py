"""Rates: every number worked out by hand, and the tie rules for any scores."""

import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from workers.biometrics import rates
from workers.biometrics.eer import eer
from workers.biometrics.errors import Unresolvable
from workers.biometrics.scores import Failures, ScoreSet

# Non-mated: 1 2 2 3 5; mated: 2 3 4 5 5 6. One mated and two non-mated comparisons failed.
HAND = ScoreSet(
    mated=np.array([5, 2, 4, 6, 3, 5]),
    non_mated=np.array([2, 5, 1, 3, 2]),
    failures=Failures(mated=1, non_mated=2, enrolments=20, enrolments_failed=1, extractions=50, extractions_failed=0),
)


@pytest.mark.parametrize(
    ("threshold", "matches", "misses"),
    [
        (-math.inf, 5, 0),
        (1.0, 5, 0),  # all non-mated are >= 1
        (2.0, 4, 0),  # 2 2 3 5 match, ties included; mated 2 is not below 2
        (2.5, 2, 1),  # 3 5; mated 2
        (3.0, 2, 1),
        (5.0, 1, 3),  # 5 matches itself; 2 3 4 are below
        (math.nextafter(5.0, 9), 0, 5),
        (6.0, 0, 5),
        (math.inf, 0, 6),
    ],
)
def test_fmr_and_fnmr(threshold: float, matches: int, misses: int) -> None:
    false_match, false_non_match = rates.fmr(HAND, threshold), rates.fnmr(HAND, threshold)
    assert (false_match.errors, false_match.trials, false_match.value) == (matches, 5, matches / 5)
    assert (false_non_match.errors, false_non_match.trials, false_non_match.value) == (misses, 6, misses / 6)


def test_a_rate_says_its_side_failures_and_interval() -> None:
    false_match, false_non_match = rates.fmr(HAND, 3.0), rates.fnmr(HAND, 3.0)
    assert false_match.side == "non-mated scores >= threshold"
    assert false_non_match.side == "mated scores < threshold"
    assert (false_match.failed, false_non_match.failed) == (2, 1)
    assert false_match.value in false_match.exact
    assert "5 comparisons" in false_match.exact.method


@pytest.mark.parametrize(
    ("target", "above", "fmr", "fnmr"),
    [
        (0.0, 5, 0.0, 5 / 6),  # none may match: just above 5, the highest; mated 2 3 4 5 5 are below
        (0.19, 5, 0.0, 5 / 6),  # less than one of five
        (0.2, 3, 0.2, 2 / 6),  # 5 may match: just above 3
        (0.39, 3, 0.2, 2 / 6),
        (0.4, 2, 0.4, 1 / 6),  # 3 and 5 may: just above 2
        (0.6, 2, 0.4, 1 / 6),  # a third would bring its tie along, and be four: so still above 2
        (0.79, 2, 0.4, 1 / 6),
        (0.8, 1, 0.8, 0.0),  # both 2s may: just above 1
    ],
)
def test_threshold_at_most_with_ties(target: float, above: float, fmr: float, fnmr: float) -> None:
    point = rates.fnmr_at_fmr(HAND, target)
    # Scores are whole numbers up to 6: above 5 comes 6, above 3 comes 4 …
    assert point.threshold == above + 1
    assert (point.fmr.value, point.fnmr.value) == (fmr, fnmr)


def test_everything_may_match_at_fmr_1() -> None:
    point = rates.fnmr_at_fmr(HAND, 1.0)
    assert (point.threshold, point.fmr.value, point.fnmr.value) == (-math.inf, 1.0, 0.0)


def test_eer_by_hand() -> None:
    # Corners (t: FMR, FNMR): 2: .8, 0 · 3: .4, 1/6 · 4: .2, 2/6 · … The first with FNMR >= FMR is at 4.
    # Line from (.4, 1/6) to (.2, 1/3): FMR − FNMR falls from 7/30 to −4/30; zero after 7/11: .4 − .2 · 7/11 = 3/11.
    found = eer(HAND)
    assert found.value == pytest.approx(3 / 11)
    assert found.threshold == 4  # FMR 0.2, FNMR 1/3


@pytest.mark.parametrize(
    ("mated", "non_mated", "value"),
    [
        ([3.0, 4.0], [1.0, 2.0], 0.0),  # apart: at 3 both rates are 0
        ([1.0, 2.0], [3.0, 4.0], 1.0),  # the wrong way round: at 3 FMR is 1 and FNMR 1
        ([1.0, 1.0], [1.0, 1.0], 0.5),  # all alike: a line from (1, 0) to (0, 1)
        ([1.0, 3.0], [1.0, 3.0], 0.5),  # at 3 both are 1/2
    ],
)
def test_eer_at_the_extremes(mated: list[float], non_mated: list[float], value: float) -> None:
    found = eer(ScoreSet(mated=np.array(mated), non_mated=np.array(non_mated)))
    assert found.value == pytest.approx(value)


def test_det_runs_from_one_to_below_one_comparison() -> None:
    points = rates.det(HAND)
    assert points[0].target_fmr == 1.0
    assert points[-1].target_fmr <= 1 / 5
    assert [point.target_fmr for point in rates.det(HAND, [0.2, 0.8])] == [0.8, 0.2]


def test_resolution_goes_with_an_operating_point() -> None:
    many = ScoreSet(mated=np.arange(10.0), non_mated=np.arange(300.0))
    assert rates.fnmr_at_fmr(many, 0.1).resolved
    assert not rates.fnmr_at_fmr(many, 0.09).resolved
    assert not rates.fnmr_at_fmr(many, 0.0).resolved


def test_failures_to_enrol_and_to_extract() -> None:
    enrol, extract = rates.failure_to_enrol(HAND.failures), rates.failure_to_extract(HAND.failures)
    assert enrol is not None
    assert extract is not None
    assert (enrol.name, enrol.value, enrol.trials) == ("FTE", 0.05, 20)
    assert (extract.value, extract.errors) == (0.0, 0)
    assert "attempts" in extract.exact.method
    assert rates.failure_to_enrol(Failures()) is None


def test_a_side_without_scores_says_so() -> None:
    none = np.zeros(0)
    with pytest.raises(Unresolvable, match="no mated comparisons"):
        rates.fnmr(ScoreSet(mated=none, non_mated=np.ones(1)), 0)
    for measure in (lambda scores: rates.fmr(scores, 0), lambda scores: rates.threshold_at_fmr(scores, 0.1)):
        with pytest.raises(Unresolvable, match="no non-mated comparisons"):
            measure(ScoreSet(mated=np.ones(1), non_mated=none))
    with pytest.raises(Unresolvable, match="1 mated and 0 non-mated"):
        eer(ScoreSet(mated=np.ones(1), non_mated=none))


@pytest.mark.parametrize("wrong", [-0.1, math.nan])
def test_impossible_targets_are_refused(wrong: float) -> None:
    with pytest.raises(ValueError, match="at least 0"):
        rates.threshold_at_fmr(HAND, wrong)


def test_a_threshold_must_be_a_number() -> None:
    with pytest.raises(ValueError, match="NaN"):
        rates.fmr(HAND, math.nan)


@given(rate=st.floats(0, 1), trials=st.integers(0, 10**12))
def test_allowed_errors_are_the_most_there_are(rate: float, trials: int) -> None:
    count = rates.allowed(rate, trials)
    if trials:
        assert count / trials <= rate
        assert count == trials or (count + 1) / trials > rate


# Few distinct values, so that ties abound.
tied = st.lists(st.integers(-3, 3).map(float) | st.floats(-5, 5), min_size=1, max_size=40)


@given(mated=tied, non_mated=tied, target=st.floats(0, 1))
def test_threshold_at_fmr_is_the_lowest_that_is_at_most(
    mated: list[float], non_mated: list[float], target: float
) -> None:
    scores = ScoreSet(mated=np.array(mated), non_mated=np.array(non_mated))
    threshold = rates.threshold_at_fmr(scores, target)
    assert sum(score >= threshold for score in non_mated) / len(non_mated) <= target
    if threshold > -math.inf:
        # The next score below, and everything down to it, would let too many through.
        below = max(score for score in non_mated if score < threshold)
        assert sum(score >= below for score in non_mated) / len(non_mated) > target
        assert not [score for score in mated if below < score < threshold]


@given(
    mated=tied | st.lists(st.floats(-1, 1, width=32), min_size=1, max_size=20),
    non_mated=tied | st.lists(st.floats(-1, 1, width=32), min_size=1, max_size=20),
    target=st.just(0.0) | st.floats(1e-9, 1),
)
def test_the_threshold_as_it_is_printed_has_the_rates_that_are_printed(
    mated: list[float], non_mated: list[float], target: float
) -> None:
    scores = ScoreSet(mated=np.array(mated), non_mated=np.array(non_mated))
    point = rates.fnmr_at_fmr(scores, target)
    printed = float(repr(point.threshold))
    assert rates.fmr(scores, printed).errors == point.fmr.errors
    assert rates.fnmr(scores, printed).errors == point.fnmr.errors


@pytest.mark.parametrize(
    ("below", "at", "short"),
    [(0.362999, 0.363012, 0.363), (57.0, 58.0, 58.0), (0.1, 0.7, 0.7), (-0.53, -0.501, -0.51), (-1.0, 0.0, 0.0)],
)
def test_a_threshold_has_as_few_digits_as_may_be(below: float, at: float, short: float) -> None:
    scores = ScoreSet(mated=np.array([at]), non_mated=np.array([below]))
    assert rates.threshold_at_fmr(scores, 0.0) == short


def test_above_the_highest_score_of_all_every_digit_is_told() -> None:
    constant = ScoreSet(mated=np.full(3, 5.0), non_mated=np.full(3, 5.0))
    point = rates.fnmr_at_fmr(constant, 0.1)
    assert (point.threshold, point.fmr.value, point.fnmr.value) == (math.nextafter(5.0, 9), 0.0, 1.0)


@given(mated=tied, non_mated=tied, thresholds=st.lists(st.floats(-6, 6), min_size=2, max_size=10))
def test_rates_are_counts_and_monotone(mated: list[float], non_mated: list[float], thresholds: list[float]) -> None:
    scores = ScoreSet(mated=np.array(mated), non_mated=np.array(non_mated))
    rising = sorted([*thresholds, *mated, *non_mated])
    matches = [rates.fmr(scores, threshold) for threshold in rising]
    misses = [rates.fnmr(scores, threshold) for threshold in rising]
    for threshold, match, miss in zip(rising, matches, misses, strict=True):
        assert match.errors == sum(score >= threshold for score in non_mated)
        assert miss.errors == sum(score < threshold for score in mated)
    assert all(one.value >= other.value for one, other in pairwise(matches))
    assert all(one.value <= other.value for one, other in pairwise(misses))


@given(mated=tied, non_mated=tied)
def test_eer_follows_its_definition(mated: list[float], non_mated: list[float]) -> None:
    found = eer(ScoreSet(mated=np.array(mated), non_mated=np.array(non_mated)))
    steps = sorted({*mated, *non_mated})
    corners = [
        (sum(n >= t for n in non_mated) / len(non_mated), sum(m < t for m in mated) / len(mated))
        for t in [*steps, math.nextafter(steps[-1], math.inf)]
    ]
    after = next(number for number, (fmr, fnmr) in enumerate(corners) if fnmr >= fmr)
    (high_fmr, high_fnmr), (low_fmr, low_fnmr) = corners[after - 1], corners[after]
    # On the line between the two corners, and on the diagonal.
    share = (high_fmr - found.value) / (high_fmr - low_fmr) if high_fmr > low_fmr else None
    if share is not None:
        assert -1e-9 <= share <= 1 + 1e-9
        assert high_fnmr + share * (low_fnmr - high_fnmr) == pytest.approx(found.value, abs=1e-9)
    else:
        assert found.value == pytest.approx(high_fmr)
