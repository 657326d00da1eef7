"""Calibration on a population whose curve is known: FNMR rises with σ, non-mated scores stay."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import norm

from app.dataset.calibration import Calibration
from app.dataset.plan import PlannedMatcher, PlannedTarget
from app.errors import Cancelled
from workers.biometrics.bootstrap import Bootstrap
from workers.biometrics.calibration import Limits, calibrate, measure, next_scale
from workers.biometrics.crossed import compare_crossed
from workers.biometrics.errors import ScoresRefused, Unresolvable
from workers.biometrics.rates import fnmr_at_fmr
from workers.biometrics.scores import ScoreSet
from workers.biometrics.templates import TemplateTable

HOW = Bootstrap(replicates=100)
SUBJECTS, SAMPLES = 200, 10


def target(fmr: float, fnmr: float, tolerance: float = 0.1) -> PlannedTarget:
    matcher = PlannedMatcher(name="m", digest="00")
    return PlannedTarget(matcher=matcher, fmr=fmr, fnmr=fnmr, tolerance=tolerance)


def search(evaluate: Callable[[float], ScoreSet], wanted: PlannedTarget, **limits: float) -> Calibration:
    return calibrate(evaluate, wanted, samples=100, limits=Limits(**limits), bootstrap=HOW)  # type: ignore[arg-type]


def population(seed: int = 0, ceiling: float = 9.0) -> Callable[[float], ScoreSet]:
    """Mated N(5 − min(σ, ceiling), 1), non-mated N(0, 1), the same draws at every σ."""
    rng = np.random.default_rng(seed)
    mated_subjects = np.repeat(np.arange(SUBJECTS), SAMPLES)
    noise = rng.normal(size=len(mated_subjects))
    references, probes = np.triu_indices(SUBJECTS, 1)
    non_mated = rng.normal(size=len(references))

    def evaluate(sigma: float) -> ScoreSet:
        return ScoreSet(
            mated=5 - min(sigma, ceiling) + noise,
            mated_subjects=mated_subjects,
            non_mated=non_mated,
            non_mated_references=references,
            non_mated_probes=probes,
            subjects=SUBJECTS,
        )

    return evaluate


def test_the_scale_sought_is_found() -> None:
    # Threshold at FMR 0.01 is z(0.99) = 2.326; FNMR 0.05 where 2.326 − (5 − σ) = z(0.05) = −1.645: σ = 1.029.
    wanted = target(0.01, 0.05)
    found = search(population(), wanted, start=2.0)
    assert found.outcome == "met"
    assert found.scale is not None
    assert found.measured is not None
    assert found.scale_interval is not None
    assert found.measured.fnmr.by_subject is not None
    fnmr = found.measured.fnmr.value
    assert abs(fnmr - 0.05) <= wanted.tolerance / 2 * 0.05
    true = norm.ppf(0.05) - norm.ppf(0.99) + 5
    assert found.scale == pytest.approx(true, abs=0.12)
    assert found.scale_interval[0] <= true <= found.scale_interval[1]
    assert fnmr in found.measured.fnmr.by_subject
    assert found.evaluations == len(found.curve) <= 6
    assert found.samples == 100 * found.evaluations
    assert found.comparisons == found.evaluations * (2_000 + 19_900)
    assert [point.scale for point in found.curve] == sorted(point.scale for point in found.curve)
    smooth = [point.smoothed for point in found.curve]
    assert smooth == sorted(smooth)


@pytest.mark.parametrize("fnmr", [0.02, 0.05, 0.2, 0.5])
@pytest.mark.parametrize("start", [0.3, 1.0, 4.0])
def test_from_wherever_it_starts_it_needs_few_evaluations(fnmr: float, start: float) -> None:
    found = search(population(seed=3), target(0.01, fnmr), start=start)
    assert found.outcome == "met"
    assert found.evaluations <= 9


def test_it_is_proven_only_if_the_whole_interval_is_within() -> None:
    loose = search(population(), target(0.01, 0.2, 0.5))
    tight = search(population(), target(0.01, 0.2, 0.02))
    assert (loose.outcome, loose.proven) == ("met", True)
    assert (tight.outcome, tight.proven) == ("met", False)


def test_a_start_at_the_answer_is_all_it_takes() -> None:
    found = search(population(), target(0.01, 0.05, 0.4), start=1.03)
    assert (found.outcome, found.scale, found.evaluations) == ("met", 1.03, 1)


def test_the_search_goes_on_from_whatever_was_measured_before() -> None:
    wanted, evaluate = target(0.01, 0.05), population()
    whole: list[float] = []
    points = {}
    while not isinstance(step := next_scale(points, wanted, Limits(start=2.0)), str):
        whole.append(step)
        points[step] = fnmr_at_fmr(evaluate(step), 0.01)
    # The order in which points are known is no matter, nor who measured them.
    for known in range(1, len(whole)):
        some = {scale: points[scale] for scale in reversed(whole[:known])}
        assert next_scale(some, wanted, Limits(start=2.0)) == whole[known]


@pytest.mark.parametrize("fnmr", [0.9, 0.03])
def test_what_lies_outside_is_unreachable_and_the_range_is_told(fnmr: float) -> None:
    # σ from 1 to 4, but nothing changes from 2 on: FNMR runs from Φ(2.326 − 4) = 0.047 to Φ(2.326 − 3) = 0.25.
    found = search(population(ceiling=2.0), target(0.01, fnmr), low=1.0)
    assert (found.outcome, found.scale, found.measured) == ("unreachable", None, None)
    assert found.searched == (1.0, 4.0)
    assert found.reachable == pytest.approx((0.047, 0.25), abs=0.03)
    assert "ask for one within" in found.note
    assert f"reach FNMR {found.reachable[0]:.4g} to {found.reachable[1]:.4g}" in found.note
    assert found.scale_interval is None


@pytest.mark.parametrize(
    ("errors", "trials", "over"),
    [
        (11, 1_200, True),  # 12 were asked for: half the tolerance is 0.6 errors, the nearest counts are 11 and 13
        (10, 1_200, False),
        (31, 3_000, True),
        (32, 3_000, False),  # half the tolerance is 1.5 errors
        (5, 600, False),  # one error is more than all of the tolerance
    ],
)
def test_it_does_not_aim_finer_than_one_error(errors: int, trials: int, over: bool) -> None:
    nothing = fnmr_at_fmr(population()(1.0), 0.01)
    point = replace(
        nothing, fnmr=nothing.fnmr.model_copy(update={"value": errors / trials, "errors": errors, "trials": trials})
    )
    step = next_scale({1.0: point}, target(0.01, 0.01), Limits())
    assert (step == "met") == over


def test_a_spent_budget_says_what_was_missed() -> None:
    found = search(population(), target(0.01, 0.0501, 0.0001), budget=4, start=3.0)
    assert (found.outcome, found.evaluations) == ("not met", 4)
    assert found.scale is not None
    assert "take more subjects" in found.note


def test_what_is_within_the_tolerance_at_the_last_is_met() -> None:
    """Half the tolerance is aimed at, so that the set keeps all of it; but all of it is what was asked."""
    first = fnmr_at_fmr(population()(1.0), 0.01).fnmr.value
    found = search(population(), target(0.01, first / 1.08, 0.1), budget=3, low=0.9999, high=1.0001)
    assert found.outcome == "met"


def test_a_jump_ends_the_search_where_no_scale_is_left_between() -> None:
    evaluate = population()
    found = search(lambda scale: evaluate(0.0 if scale < 1.7 else 4.0), target(0.01, 0.5), budget=60)
    assert found.outcome == "not met"
    assert found.evaluations < 40
    assert "between scales 1.6999 and 1.7" in found.note


def test_noise_against_the_trend_is_smoothed() -> None:
    # Without common random numbers the curve wavers; the smoothed one does not.
    found = search(lambda scale: population(seed=int(scale * 1e6))(scale), target(0.01, 0.3, 1e-5))
    smooth = [point.smoothed for point in found.curve]
    assert smooth == sorted(smooth)


def test_the_same_search_gives_the_same_answer() -> None:
    one, other = (search(population(), target(0.01, 0.1)) for _ in range(2))
    assert one == other


def test_scores_without_subjects_give_no_interval() -> None:
    evaluate = population()

    def nameless(scale: float) -> ScoreSet:
        scores = evaluate(scale)
        return ScoreSet(mated=scores.mated, non_mated=scores.non_mated)

    found = search(nameless, target(0.01, 0.1))
    assert (found.outcome, found.proven) == ("met", False)
    assert found.measured is not None
    assert found.measured.fnmr.by_subject is None
    assert measure(nameless(1.0), 0.01, HOW).fnmr.by_subject is None


def test_a_tail_that_was_cut_short_still_gives_an_interval_at_a_fixed_threshold() -> None:
    rng = np.random.default_rng(0)
    subjects = np.repeat(np.arange(60), 6)
    templates = rng.normal(size=(60, 8)).repeat(6, 0) + rng.normal(size=(360, 8))
    table = TemplateTable(templates=templates.astype(np.float32), subjects=subjects)
    whole, cut = (compare_crossed(table, keep_tail=kept) for kept in (100_000, 2_000))
    # 0.02 of 63,720 is 1,274: enough for the threshold, too little for most replicates.
    exact, held = measure(whole, 0.02, HOW), measure(cut, 0.02, HOW)
    assert exact.fnmr.value == held.fnmr.value
    assert exact.fnmr.by_subject is not None
    assert held.fnmr.by_subject is not None
    assert held.fnmr.by_subject.low == pytest.approx(exact.fnmr.by_subject.low, abs=0.05)
    assert held.fnmr.by_subject.high == pytest.approx(exact.fnmr.by_subject.high, abs=0.05)


def test_scores_that_cannot_resolve_the_target_are_refused() -> None:
    with pytest.raises(Unresolvable, match=r"at scale 1: FMR 1e-05 needs 3,000,000 non-mated"):
        search(population(), target(1e-5, 0.05))
    evaluate = population()
    with pytest.raises(ScoresRefused, match="must name the same"):
        search(
            lambda scale: evaluate(scale) if scale < 2 else replace(evaluate(scale), subjects=SUBJECTS + 1),
            target(0.01, 0.3),
        )
    with pytest.raises(Cancelled):
        calibrate(population(), target(0.01, 0.05), samples=1, should_cancel=lambda: True)
    with pytest.raises(ValueError, match="budget"):
        Limits(budget=2)
