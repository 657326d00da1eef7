"""The decision: hand-made cases, what is sure and what is not, and both sides of every limit."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError
from scipy.stats import beta

from app.dataset.evaluation import EvaluatedSet, Evaluation, Increase, Rule, Verdict
from app.errors import RequestRefused
from workers.biometrics.bootstrap import Bootstrap
from workers.biometrics.errors import Unresolvable
from workers.verdict.bounds import bootstrap_for, fnmr_bounds, increase_bounds
from workers.verdict.compared import ComparedScores, compare
from workers.verdict.evaluate import evaluate
from workers.verdict.outcomes import Outcome, outcome_at, outcome_at_fmr
from workers.verdict.rule import decide, subjects_to_settle
from workers.verdict.score_rows import read_csv
from workers.verdict.sources import chunks_of

NONE = np.zeros(0)


def outcome(below: list[float], tried: float = 10.0, failed: list[float] | None = None) -> Outcome:
    """An outcome at a threshold that was given."""
    missed = np.array(below, np.float64)
    lost = np.zeros(len(below)) if failed is None else np.array(failed, np.float64)
    return Outcome(
        threshold=0.5,
        below=missed,
        completed=np.full(len(below), tried) - lost,
        failed=lost,
        pull=np.zeros(len(below)),
        pairs=np.zeros(0, np.int64),
        pair_pull=NONE,
    )


def evaluated(made: Any, folder: Path, new: Any, old: Any = None, **rule: Any) -> Evaluation:
    sets = [scored(made, folder, scores) for scores in (new, old) if scores is not None]
    of = EvaluatedSet(dataset="ds", release=None, name="x", comparisons=made.listed.count, comparisons_sha256=None)
    return evaluate(of, Rule(**rule), made.listed, sets[0], sets[1] if old is not None else None)


def scored(made: Any, folder: Path, scores: Any) -> ComparedScores:
    return compare(made.listed, read_csv(chunks_of(made.write(folder / "scores.csv", scores))))


def test_a_case_by_hand(make_set: Callable[..., Any], tmp_path: Path) -> None:
    """3 subjects, 2 samples: 3 mated comparisons, 6 others. At FMR 1/3 two of the six may match."""
    made = make_set(3, 2)
    scores = np.where(made.mated, 0.0, 0.0)
    scores[made.mated] = [0.9, 0.5, 0.3]
    scores[~made.mated] = [0.8, 0.4, 0.35, 0.2, 0.1, 0.0]
    found = evaluated(made, tmp_path, scores, at_fmr=1 / 3)
    point = found.scores.points[0]
    assert point.threshold == 0.4  # a score that occurs, the next above 0.35
    assert (point.fmr.errors, point.fmr.trials) == (2, 6)
    assert (point.fnmr.errors, point.fnmr.trials, point.fnmr.value) == (1, 3, pytest.approx(1 / 3))
    low, high = beta.ppf(0.025, 1, 3), beta.ppf(0.975, 2, 2)
    assert (point.fnmr.exact.low, point.fnmr.exact.high) == (pytest.approx(low), pytest.approx(high))
    assert found.verdict is None
    assert not point.resolved
    # A failed mated comparison leaves FNMR alone and raises the generalised one.
    scores[np.flatnonzero(made.mated)[0]] = np.nan
    point = evaluated(made, tmp_path, scores, at_fmr=1 / 3).scores.points[0]
    assert (point.fnmr.errors, point.fnmr.trials) == (1, 2)
    assert (point.generalised_fnmr.errors, point.generalised_fnmr.trials) == (2, 3)


def test_the_same_scores_pass_whatever_the_limit(make_set: Callable[..., Any], tmp_path: Path) -> None:
    made = make_set(20, 4)
    found = evaluated(made, tmp_path, made.scores(1), made.scores(1), max_fnmr_increase="0", at_fmr=0.1)
    assert found.verdict is Verdict.PASS
    assert found.difference is not None
    assert found.difference.same_scores
    assert found.reason == "every score is the baseline's, so FNMR has not risen"


def test_own_thresholds_make_scales_comparable(make_set: Callable[..., Any], tmp_path: Path) -> None:
    made = make_set(20, 4)
    old = made.scores(1)
    new = 100 * old + 7  # another scale altogether
    found = evaluated(made, tmp_path, new, old, max_fnmr_increase="0.2", at_fmr=0.1)
    assert found.difference is not None
    assert (found.difference.increase, found.difference.subjects_worse) == (0, 0)
    assert found.verdict is Verdict.PASS
    fixed = evaluated(made, tmp_path, new, old, max_fnmr_increase="0.2", threshold=1.0, baseline_threshold=1.0)
    assert fixed.scores.points[0].fmr.value > 0.5
    assert any("FMR is 51.1% and the baseline" in note for note in fixed.notes)


def test_a_great_loss_fails_and_a_small_set_cannot_tell(make_set: Callable[..., Any], tmp_path: Path) -> None:
    made = make_set(40, 4)
    old = made.scores(1)
    worse = old - 1.5 * made.mated
    found = evaluated(made, tmp_path, worse, old, max_fnmr_increase="10%", at_fmr=0.02)
    assert found.verdict is Verdict.FAIL
    assert found.reason.startswith(
        "FNMR rose by 44.2 percentage points, from 20.0% to 64.2%; a rise by 2 points, 10% of"
    )
    assert "That is 42.2 points too many, and with 99% confidence at least 30.2 points" in found.reason
    assert found.limits[0].low > 0
    slightly = made.scores(2, alike=made.scores(1, shift=0.0), correlation=0.97)
    found = evaluated(made, tmp_path, slightly, old, max_fnmr_increase="0", at_fmr=0.02)
    assert found.verdict is Verdict.UNDECIDED
    assert "These scores cannot tell" in found.reason
    assert "a limit that allows" in found.reason
    assert found.limits[0].low <= 0 < found.limits[0].high


def test_failing_on_what_is_hard_is_no_improvement(make_set: Callable[..., Any], tmp_path: Path) -> None:
    made = make_set(40, 4)
    old = made.scores(1, shift=2.5)
    new = old.copy()
    new[made.mated & (old < 2.0)] = np.nan
    found = evaluated(made, tmp_path, new, old, max_fnmr_increase="0.01", at_fmr=0.02)
    assert found.scores.points[0].fnmr.value < found.baseline.points[0].fnmr.value  # type: ignore[union-attr]
    assert found.verdict is not Verdict.PASS
    assert found.difference is not None
    assert found.difference.increase >= 0
    assert any("count as non-matches" in note for note in found.notes)


def test_an_fmr_that_the_set_does_not_resolve_is_undecided(make_set: Callable[..., Any], tmp_path: Path) -> None:
    made = make_set(20, 4)
    old = made.scores(1)
    found = evaluated(made, tmp_path, old - made.mated, old, max_fnmr_increase="0.01", max_fnmr=0.9, at_fmr=1e-4)
    assert found.verdict is Verdict.UNDECIDED
    assert [limit.verdict for limit in found.limits] == [Verdict.UNDECIDED] * 2
    assert "needs 300,000 completed non-mated comparisons (rule of 30) and there are 1,140" in found.reason
    # With a threshold given, no FMR has to be resolved.
    assert evaluated(made, tmp_path, old, None, max_fnmr=0.9, threshold=0.0).verdict is Verdict.PASS


@pytest.mark.parametrize(("limit", "verdict"), [(0.02, "FAIL"), (0.12, "UNDECIDED"), (0.4, "PASS")])
def test_an_absolute_limit(limit: float, verdict: str, make_set: Callable[..., Any], tmp_path: Path) -> None:
    made = make_set(40, 4)
    found = evaluated(made, tmp_path, made.scores(1, shift=3.2), None, max_fnmr=limit, at_fmr=0.02)
    assert 0.08 < found.scores.points[0].fnmr.value < 0.16
    assert found.verdict == verdict, found.reason


def test_without_a_miss_the_bound_is_over_subjects() -> None:
    bounds = fnmr_bounds(outcome([0.0] * 60), bootstrap_for(0.01))
    assert (bounds.low, bounds.high) == (0.0, pytest.approx(1 - 0.01 ** (1 / 60)))
    assert bounds.method == "Clopper–Pearson over 60 subjects, of whom 0 differ"
    assert decide(bounds, limit="max_fnmr", allowed="0.1", told="").verdict is Verdict.UNDECIDED  # 0 is not yet above 0


def test_few_that_differ_never_fail_and_never_pass_a_tight_limit() -> None:
    """Four subjects worse of 300 and none better: a sign test's p is 1/16."""
    old = outcome([0.0] * 300)
    new = outcome([1.0] * 4 + [0.0] * 296)
    bounds = increase_bounds(new, old, bootstrap_for(0.01))
    assert bounds.differing == 4
    assert bounds.low <= 0 < bounds.high
    assert bounds.value == pytest.approx(4 / 3000)
    many = increase_bounds(outcome([1.0] * 40 + [0.0] * 260), old, bootstrap_for(0.01))
    assert many.low > 0


def test_bounds_without_a_threshold_of_its_own_agree_with_a_plain_bootstrap() -> None:
    rng = np.random.default_rng(0)
    missed = rng.binomial(10, rng.beta(0.5, 4, 200)).astype(float)
    bounds = fnmr_bounds(outcome(missed.tolist()), Bootstrap(replicates=4_000, confidence=0.9))
    draws = missed[rng.integers(0, 200, (20_000, 200))].mean(1) / 10
    assert bounds.value == pytest.approx(missed.mean() / 10)
    assert bounds.sd == pytest.approx(draws.std(), rel=0.03)
    assert bounds.low == pytest.approx(np.quantile(draws, 0.05), abs=0.004)
    assert bounds.high == pytest.approx(np.quantile(draws, 0.95), abs=0.006)


def test_the_pull_of_the_threshold_is_counted(make_set: Callable[..., Any], tmp_path: Path) -> None:
    """Without subjects' own parts, the sd of FNMR at an FMR over fresh sets is what one set says it is."""
    made = make_set(40, 4)
    found = [outcome_at_fmr(scored(made, tmp_path, made.scores(seed, shift=2.5)), 0.02) for seed in range(60)]
    bounds = [fnmr_bounds(one, Bootstrap(replicates=200)) for one in found if one is not None]
    truth = np.std([one.value for one in bounds])
    said = np.mean([one.sd for one in bounds])
    fixed = np.mean(
        [fnmr_bounds(outcome_at(scored(made, tmp_path, made.scores(1, shift=2.5)), 2.05), Bootstrap(replicates=200)).sd]
    )
    assert 0.8 < said / truth < 1.25
    assert said > fixed


def test_one_subject_tells_nothing_of_others() -> None:
    with pytest.raises(Unresolvable, match=r"1 subject\(s\) have mated comparisons"):
        fnmr_bounds(outcome([1.0]), bootstrap_for(0.01))


def test_how_many_subjects_would_settle_it_does() -> None:
    rng = np.random.default_rng(4)
    missed = rng.binomial(10, 0.1, 60).astype(float)
    old = np.clip(missed - (rng.random(60) < 0.15), 0, 10)
    bounds = increase_bounds(outcome(missed.tolist()), outcome(old.tolist()), bootstrap_for(0.01))
    needed = subjects_to_settle(bounds)
    assert needed is not None
    times = -(-needed // 60)
    again = increase_bounds(outcome(missed.tolist() * times), outcome(old.tolist() * times), bootstrap_for(0.01))
    verdict = decide(again, limit="max_fnmr_increase", allowed="0", told="").verdict
    assert verdict in (Verdict.FAIL, Verdict.PASS)


def test_limits_are_read() -> None:
    assert Increase.parse("10%") == Increase(relative=0.1)
    assert Increase.parse("0.01") == Increase(absolute=0.01)
    assert Increase.parse("1e-2") == Increase(absolute=0.01)
    for text in ("ten", "-1", "1.5", "0.1 %", "2000%", "nan", ""):
        with pytest.raises(ValidationError):
            Rule(max_fnmr_increase=text)
    with pytest.raises(ValidationError, match="baseline_threshold needs threshold"):
        Rule(baseline_threshold=1.0)


def test_an_increase_needs_a_baseline(make_set: Callable[..., Any], tmp_path: Path) -> None:
    made = make_set(20, 4)
    with pytest.raises(RequestRefused, match="an increase is over a baseline"):
        evaluated(made, tmp_path, made.scores(1), None, max_fnmr_increase="0.1", at_fmr=0.1)


def test_eer_beside_scikit_learn(make_set: Callable[..., Any], tmp_path: Path) -> None:
    metrics = pytest.importorskip("sklearn.metrics")
    made = make_set(40, 4)
    scores = made.scores(9, shift=1.5)
    found = evaluated(made, tmp_path, scores, at_fmr=0.05).scores
    false, true, thresholds = metrics.roc_curve(made.mated, scores, drop_intermediate=False)
    assert abs(found.eer.value - false[np.argmin(np.abs(1 - true - false))]) < 0.01
    at = np.flatnonzero(false <= 0.05)[-1]
    assert found.points[0].fnmr.value == pytest.approx(1 - true[at])
    assert found.points[0].fmr.value == pytest.approx(false[at])
    assert thresholds[at] >= found.points[0].threshold
    assert found.eer.by_subject is not None
    assert found.eer.by_subject.low < found.eer.value < found.eer.by_subject.high
