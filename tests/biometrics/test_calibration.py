"""Calibration on a population whose curve is known: FNMR rises with σ, non-mated scores stay."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import norm

from app.errors import Cancelled
from workers.biometrics.bootstrap import Bootstrap
from workers.biometrics.calibration import Target, calibrate, check_target
from workers.biometrics.errors import ScoresRefused, Unresolvable
from workers.biometrics.scores import ScoreSet

HOW = Bootstrap(replicates=100)
SUBJECTS, SAMPLES = 200, 10


def population(seed: int = 0, ceiling: float = 9.0) -> Callable[[float], ScoreSet]:
    """Mated N(5 − min(σ, ceiling), 1), non-mated N(0, 1), the same draws at every σ."""
    rng = np.random.default_rng(seed)
    mated_subjects = np.repeat(np.arange(SUBJECTS), SAMPLES)
    noise = rng.normal(size=len(mated_subjects))
    references, probes = np.triu_indices(SUBJECTS, 1)
    non_mated = rng.normal(size=len(references))

    def evaluate(sigma: float) -> ScoreSet:
        return ScoreSet(
            mated=5 - min(sigma, ceiling) + noise, mated_subjects=mated_subjects, non_mated=non_mated,
            non_mated_references=references, non_mated_probes=probes, subjects=SUBJECTS,
        )  # fmt: skip

    return evaluate


def test_the_sigma_sought_is_found() -> None:
    # Threshold at FMR 0.01 is z(0.99) = 2.326; FNMR 0.05 where 2.326 − (5 − σ) = z(0.05) = −1.645: σ = 1.029.
    target = Target(fmr=0.01, fnmr=0.05)
    found = calibrate(population(), target, bootstrap=HOW)
    assert found.outcome == "met"
    assert found.sigma is not None
    assert found.fnmr is not None
    assert found.sigma_interval is not None
    assert found.fnmr_interval is not None
    assert abs(found.fnmr - 0.05) <= target.tolerance
    true = norm.ppf(0.05) - norm.ppf(0.99) + 5
    assert found.sigma == pytest.approx(true, abs=0.12)
    assert true in found.sigma_interval
    assert found.fnmr in found.fnmr_interval
    assert found.evaluations == len(found.curve) <= 8
    assert found.comparisons == found.evaluations * (2_000 + 19_900)
    assert [point.sigma for point in found.curve] == sorted(point.sigma for point in found.curve)
    smooth = [point.smoothed for point in found.curve]
    assert smooth == sorted(smooth)


def test_it_is_proven_only_if_the_whole_interval_is_within() -> None:
    loose = calibrate(population(), Target(fmr=0.01, fnmr=0.2, tolerance=0.1), bootstrap=HOW)
    tight = calibrate(population(), Target(fmr=0.01, fnmr=0.2, tolerance=0.002), bootstrap=HOW)
    assert (loose.outcome, loose.proven) == ("met", True)
    assert (tight.outcome, tight.proven) == ("met", False)


def test_a_start_near_the_answer_saves_evaluations() -> None:
    seen: list[float] = []
    evaluate = population()

    def watched(sigma: float) -> ScoreSet:
        seen.append(sigma)
        return evaluate(sigma)

    found = calibrate(watched, Target(fmr=0.01, fnmr=0.05, tolerance=0.01), start=1.03, bootstrap=HOW)
    assert seen == [0.0, 4.0, 1.03]
    assert (found.outcome, found.sigma) == ("met", 1.03)


@pytest.mark.parametrize(("fnmr", "outside"), [(0.9, "above"), (0.03, "below")])
def test_what_lies_outside_is_unreachable_and_the_range_is_told(fnmr: float, outside: str) -> None:
    # σ from 1 to 4, but nothing changes from 2 on: FNMR runs from Φ(2.326 − 4) = 0.047 to Φ(2.326 − 3) = 0.25.
    found = calibrate(population(ceiling=2.0), Target(fmr=0.01, fnmr=fnmr), low=1.0, bootstrap=HOW)
    assert (found.outcome, found.sigma, found.fnmr, found.evaluations) == ("unreachable", None, None, 2)
    assert found.reachable == pytest.approx((0.047, 0.25), abs=0.03)
    assert "ask for one within" in found.note
    assert found.sigma_interval is None


def test_a_spent_budget_says_what_was_missed() -> None:
    found = calibrate(population(), Target(fmr=0.01, fnmr=0.05, tolerance=1e-6), budget=5, bootstrap=HOW)
    assert (found.outcome, found.evaluations) == ("not met", 5)
    assert found.sigma is not None
    assert "allow more evaluations" in found.note


def test_a_jump_ends_the_search_at_the_narrowest_bracket() -> None:
    evaluate = population()
    found = calibrate(
        lambda sigma: evaluate(0.0 if sigma < 1.7 else 4.0), Target(fmr=0.01, fnmr=0.5), budget=60, bootstrap=HOW
    )
    assert found.outcome == "not met"
    assert found.evaluations < 40
    assert "1.7" in found.note or "1.699" in found.note


def test_noise_against_the_trend_is_smoothed() -> None:
    # Without common random numbers the curve wavers; the smoothed one does not.
    found = calibrate(
        lambda sigma: population(seed=int(sigma * 1e6))(sigma),
        Target(fmr=0.01, fnmr=0.3, tolerance=1e-5),
        bootstrap=HOW,
    )
    smooth = [point.smoothed for point in found.curve]
    assert smooth == sorted(smooth)


def test_the_same_search_gives_the_same_answer() -> None:
    one, other = (calibrate(population(), Target(fmr=0.01, fnmr=0.1), bootstrap=HOW) for _ in range(2))
    assert one == other


def test_scores_without_subjects_give_no_interval() -> None:
    evaluate = population()

    def nameless(sigma: float) -> ScoreSet:
        scores = evaluate(sigma)
        return ScoreSet(mated=scores.mated, non_mated=scores.non_mated)

    found = calibrate(nameless, Target(fmr=0.01, fnmr=0.1), bootstrap=HOW)
    assert (found.outcome, found.fnmr_interval, found.proven) == ("met", None, False)


def test_scores_that_cannot_resolve_the_target_are_refused() -> None:
    with pytest.raises(Unresolvable, match=r"at σ = 0: FMR 1e-05 needs 3,000,000 non-mated"):
        calibrate(population(), Target(fmr=1e-5, fnmr=0.05))
    evaluate = population()
    with pytest.raises(ScoresRefused, match="must name the same ones"):
        calibrate(
            lambda sigma: evaluate(sigma) if sigma < 4 else replace(evaluate(sigma), subjects=SUBJECTS + 1),
            Target(fmr=0.01, fnmr=0.05),
        )
    with pytest.raises(Cancelled):
        calibrate(population(), Target(fmr=0.01, fnmr=0.05), should_cancel=lambda: True)
    with pytest.raises(ValueError, match="budget"):
        calibrate(population(), Target(fmr=0.01, fnmr=0.05), budget=2)
    with pytest.raises(ValueError, match="between 0 and 1"):
        Target(fmr=0.0, fnmr=0.05)


def test_the_rules_name_the_subjects_needed() -> None:
    target = Target(fmr=1e-3, fnmr=0.05)
    # 30 / 0.05 = 600 mated: 150 subjects of 5; 30,000 non-mated: S · 4 · (S − 1) >= 30,000 from S = 88 on.
    assert check_target(target, subjects=150, samples=5).resolved
    with pytest.raises(Unresolvable, match="Take 150 subjects"):
        check_target(target, subjects=149, samples=5)
    # FMR 1e-4: S · 4 · (S − 1) >= 300,000: S = 275 gives 301,400, 274 gives 299,208.
    with pytest.raises(Unresolvable, match="Take 275 subjects"):
        check_target(Target(fmr=1e-4, fnmr=0.05), subjects=274, samples=5)
    assert check_target(Target(fmr=1e-4, fnmr=0.05), subjects=275, samples=5).resolved
    # With 1,000 distractors 150 subjects do: 150 · 4 · 1,149 = 689,400.
    assert check_target(Target(fmr=1e-4, fnmr=0.05), subjects=150, samples=5, distractors=1_000).resolved
    with pytest.raises(Unresolvable, match="make no mated"):
        check_target(target, subjects=100, samples=1)
