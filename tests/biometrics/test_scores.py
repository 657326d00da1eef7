"""Scores as data: sides, subjects, failures, and what is refused."""

import numpy as np
import pytest

from workers.biometrics.errors import ScoresRefused, Unresolvable
from workers.biometrics.scores import Failures, ScoreSet


def test_comparisons_are_sorted_into_sides() -> None:
    found = ScoreSet.from_comparisons(
        [0.9, 0.1, np.nan, 0.8, np.nan], ["b", "a", "a", "a", "a"], ["b", "b", "c", "a", "a"]
    )
    assert found.mated.tolist() == [0.9, 0.8]
    assert found.mated_subjects is not None
    assert found.mated_subjects.tolist() == [1, 0]
    assert found.non_mated.tolist() == [0.1]
    assert found.subjects == 3
    assert found.failures == Failures(mated=1, non_mated=1)


def test_codes_follow_the_subjects_named_and_not_those_seen() -> None:
    found = ScoreSet.from_comparisons([1.0], ["c"], ["c"], subjects=["a", "b", "c"])
    assert found.mated_subjects is not None
    assert (found.subjects, found.mated_subjects.tolist()) == (3, [2])


def test_order_of_comparisons_changes_nothing() -> None:
    rng = np.random.default_rng(0)
    scores, left, right = rng.normal(size=200), rng.integers(0, 9, 200), rng.integers(0, 9, 200)
    order = rng.permutation(200)
    one = ScoreSet.from_comparisons(scores, left, right)
    other = ScoreSet.from_comparisons(scores[order], left[order], right[order])
    assert one.tail.scores.tolist() == other.tail.scores.tolist()
    assert one.tail.references.tolist() == other.tail.references.tolist()
    assert one.mated_sorted.tolist() == other.mated_sorted.tolist()


def test_strange_subject_is_refused() -> None:
    with pytest.raises(ScoresRefused, match="subject z is not among the 2 named"):
        ScoreSet.from_comparisons([1.0], ["a"], ["z"], subjects=["a", "b"])


@pytest.mark.parametrize("score", [np.inf, -np.inf, np.nan])
def test_scores_must_be_finite(score: float) -> None:
    with pytest.raises(ScoresRefused, match="mated score 1 is"):
        ScoreSet(mated=np.array([0.0, score]), non_mated=np.zeros(1))


def test_infinite_score_of_a_comparison_is_refused() -> None:
    with pytest.raises(ScoresRefused, match="inf"):
        ScoreSet.from_comparisons([np.inf], ["a"], ["a"])


def test_half_known_subjects_are_refused() -> None:
    with pytest.raises(ScoresRefused, match="of all comparisons or of none"):
        ScoreSet(mated=np.zeros(1), non_mated=np.zeros(1), mated_subjects=np.zeros(1, np.int64), subjects=1)


def test_wrong_codes_are_refused() -> None:
    codes = np.array([0]), np.array([1])
    with pytest.raises(ScoresRefused, match=r"outside 0 … 0"):
        ScoreSet(
            mated=np.zeros(1),
            non_mated=np.zeros(1),
            mated_subjects=codes[0],
            non_mated_references=codes[0],
            non_mated_probes=codes[1],
            subjects=1,
        )
    with pytest.raises(ScoresRefused, match="one subject on both sides"):
        ScoreSet(
            mated=np.zeros(1),
            non_mated=np.zeros(1),
            mated_subjects=codes[0],
            non_mated_references=codes[0],
            non_mated_probes=codes[0],
            subjects=2,
        )
    with pytest.raises(ScoresRefused, match="2 entries for 1 scores"):
        ScoreSet(
            mated=np.zeros(1),
            non_mated=np.zeros(1),
            mated_subjects=np.zeros(2),
            non_mated_references=codes[0],
            non_mated_probes=codes[1],
            subjects=2,
        )


def test_unknown_subjects_have_no_tail() -> None:
    with pytest.raises(Unresolvable, match="not known"):
        _ = ScoreSet(mated=np.zeros(1), non_mated=np.zeros(1)).tail


def test_failures_add_up_and_are_checked() -> None:
    one = Failures(mated=1, enrolments=10, enrolments_failed=2)
    assert one + one == Failures(mated=2, enrolments=20, enrolments_failed=4)
    with pytest.raises(ValueError, match="more failed than was tried"):
        Failures(enrolments_failed=1)
    with pytest.raises(ValueError, match="negative"):
        Failures(mated=-1)
