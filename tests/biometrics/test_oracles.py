"""Our rates against scikit-learn's ROC curve and pyeer's, on scores with and without ties.

They agree on every rate at every threshold. They differ on what follows from rates:
- scikit-learn knows no EER and no threshold at an FMR; its thresholds are scores that occurred, ours lie one step above
  one. Its curve is `score >= threshold`, as ours.
- pyeer takes the threshold whose FMR is *nearest* a target, and so may land over it (see the test); ours never does.
- pyeer's EER is the mean of FMR and FNMR at one of the two corners beside the crossing (FVC2000); ours is where
  the line between these corners crosses. Both lie between the corners' rates.
"""

import numpy as np
import pytest

from workers.biometrics import rates
from workers.biometrics.eer import eer
from workers.biometrics.scores import ScoreSet


def drawn(tied: bool) -> ScoreSet:
    rng = np.random.default_rng(11)
    mated, non_mated = rng.normal(2, 1, 2_000), rng.normal(0, 1, 30_000)
    if tied:
        mated, non_mated = np.round(mated, 1), np.round(non_mated, 1)
    return ScoreSet(mated=mated, non_mated=non_mated)


@pytest.mark.parametrize("tied", [False, True])
def test_rates_agree_with_scikit_learn(tied: bool) -> None:
    metrics = pytest.importorskip("sklearn.metrics", reason="scikit-learn is an oracle; it comes with the extra test")
    scores = drawn(tied)
    labels = np.concatenate([np.ones(len(scores.mated)), np.zeros(len(scores.non_mated))])
    fmr, matched, thresholds = metrics.roc_curve(
        labels, np.concatenate([scores.mated, scores.non_mated]), drop_intermediate=False
    )
    for at in range(1, len(thresholds), 97 if not tied else 1):
        assert rates.fmr(scores, thresholds[at]).value == pytest.approx(fmr[at], abs=1e-15)
        assert rates.fnmr(scores, thresholds[at]).value == pytest.approx(1 - matched[at], abs=1e-12)


@pytest.mark.parametrize("tied", [False, True])
@pytest.mark.parametrize("target", [1e-1, 1e-2, 1e-3])
def test_fnmr_at_fmr_agrees_with_scikit_learns_curve(tied: bool, target: float) -> None:
    metrics = pytest.importorskip("sklearn.metrics", reason="scikit-learn is an oracle; it comes with the extra test")
    scores = drawn(tied)
    labels = np.concatenate([np.ones(len(scores.mated)), np.zeros(len(scores.non_mated))])
    fmr, matched, _ = metrics.roc_curve(
        labels, np.concatenate([scores.mated, scores.non_mated]), drop_intermediate=False
    )
    # The curve's last corner whose FMR is at most the target is the most that can be matched there.
    last = np.flatnonzero(fmr <= target)[-1]
    point = rates.fnmr_at_fmr(scores, target)
    assert point.fmr.value == pytest.approx(fmr[last], abs=1e-15)
    assert point.fnmr.value == pytest.approx(1 - matched[last], abs=1e-12)


@pytest.mark.parametrize("tied", [False, True])
def test_rates_agree_with_pyeer_and_operating_points_are_safer(tied: bool) -> None:
    pyeer = pytest.importorskip(
        "pyeer.eer_info",
        reason="pyeer 0.5.6 is an oracle that wants setuptools < 81, so no extra installs it",
        exc_type=ImportError,
    )
    scores = drawn(tied)
    theirs = pyeer.get_eer_stats(scores.mated, scores.non_mated)
    for at in range(0, len(theirs.thrs), 97 if not tied else 1):
        assert rates.fmr(scores, theirs.thrs[at]).value == pytest.approx(theirs.fmr[at], abs=1e-15)
        assert rates.fnmr(scores, theirs.thrs[at]).value == pytest.approx(theirs.fnmr[at], abs=1e-15)
    ours = eer(scores)
    low, high = sorted([theirs.eer_low, theirs.eer_high])
    step = abs(ours.fmr - ours.fnmr) + (high - low)
    assert ours.value == pytest.approx(theirs.eer, abs=step + 1e-12)
    for target, threshold, fnmr in (
        (1e-2, theirs.fmr100_th, theirs.fmr100),
        (1e-3, theirs.fmr1000_th, theirs.fmr1000),
    ):
        point = rates.fnmr_at_fmr(scores, target)
        assert point.fmr.value <= target
        landed = rates.fmr(scores, threshold).value
        if landed <= target:
            assert point.fnmr.value == pytest.approx(fnmr, abs=1e-12)
        else:
            # "Nearest" went over the target, and looks better for it.
            assert point.fnmr.value >= fnmr


def test_pyeer_lands_over_the_target_where_scores_tie() -> None:
    pyeer = pytest.importorskip(
        "pyeer.eer_info",
        reason="pyeer 0.5.6 is an oracle that wants setuptools < 81, so no extra installs it",
        exc_type=ImportError,
    )
    # 1,000 non-mated: 12 at 1.0 and the others below: FMR is 0.012 or 0. The nearest to 0.01 is 0.012.
    scores = ScoreSet(
        mated=np.array([0.95, 1.0, 1.1, 2.0]), non_mated=np.concatenate([np.ones(12), np.linspace(0, 0.9, 988)])
    )
    theirs = pyeer.get_eer_stats(scores.mated, scores.non_mated)
    assert rates.fmr(scores, theirs.fmr100_th).value == 0.012
    point = rates.fnmr_at_fmr(scores, 0.01)
    assert (point.fmr.value, point.fnmr.value) == (0.0, 0.5)  # just above 1.0: 0.95 and 1.0 are missed
