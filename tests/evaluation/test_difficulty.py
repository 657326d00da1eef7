"""Scores at a σ, and the σ that meets a target."""

from typing import Any

import numpy as np
import pytest

from workers.biometrics.calibration import Target, calibrate
from workers.evaluation.difficulty import scores_at
from workers.matchers.comparison import COSINE


def test_references_meet_every_probe_once(writing: Any, reading: Any) -> None:
    scores = scores_at(writing, reading("m", COSINE), subjects=6, samples=4)(1.0)
    assert len(scores.mated) == 6 * 3
    assert len(scores.non_mated) == 6 * 5 * 3
    assert np.bincount(scores.mated_subjects).tolist() == [3] * 6
    assert scores.subjects == 6
    assert (scores.failures.enrolments, scores.failures.extractions) == (6, 18)


def test_at_sigma_zero_every_mated_score_is_one(writing: Any, reading: Any) -> None:
    scores = scores_at(writing, reading("m", COSINE), subjects=5, samples=2)(0.0)
    assert np.allclose(scores.mated, 1, atol=1e-5)
    assert scores.non_mated.max() < 0.9


def test_what_gives_no_template_is_counted(writing: Any, reading: Any) -> None:
    scores = scores_at(writing, reading("m", COSINE, blind_above=1.0), subjects=30, samples=3)(2.0)
    failures = scores.failures
    assert 0 < failures.enrolments_failed < 30
    assert 0 < failures.extractions_failed < 60
    assert len(scores.mated) + failures.mated == 60
    assert len(scores.non_mated) + failures.non_mated == 30 * 29 * 2


def test_a_calibrated_sigma_meets_its_target_on_the_same_draws(writing: Any, reading: Any) -> None:
    evaluate = scores_at(writing, reading("m", COSINE), subjects=60, samples=4)
    found = calibrate(evaluate, Target(fmr=0.01, fnmr=0.2, tolerance=0.02), high=3.0)
    assert found.outcome == "met"
    assert found.sigma is not None
    assert found.fnmr == pytest.approx(0.2, abs=0.02)
    assert 0 < found.sigma < 3
    assert found.reachable[0] < 0.2 < found.reachable[1]


def test_a_target_out_of_reach_is_told_with_what_is_in_reach(writing: Any, reading: Any) -> None:
    evaluate = scores_at(writing, reading("m", COSINE), subjects=60, samples=4)
    found = calibrate(evaluate, Target(fmr=0.01, fnmr=0.6, tolerance=0.01), high=0.05)
    assert found.outcome == "unreachable"
    assert found.sigma is None
    assert found.reachable[1] < 0.1
