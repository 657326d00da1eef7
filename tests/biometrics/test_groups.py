"""Differentials between groups: by hand, and where there is none."""

from collections.abc import Callable

import numpy as np
import pytest

from workers.biometrics.bootstrap import Bootstrap
from workers.biometrics.errors import ScoresRefused, Unresolvable
from workers.biometrics.groups import age_bands, differential
from workers.biometrics.scores import ScoreSet

MakeScores = Callable[..., ScoreSet]
HOW = Bootstrap(replicates=200)


def hand() -> ScoreSet:
    """Subjects a b (group f), c d (group m), e (no label); threshold 0.5.

    Mated: f .9 .4 .9 .9 (one miss of four), m .4 .4 .9 .9 (two of four), e .1.
    Non-mated: f a–b .6 .6 .1 .1 (two of four), m c–d .6 .1 .1 .1 (one), f–m .6 .1, with e .9.
    """
    rows = [
        *[("a", "a", 0.9), ("a", "a", 0.4), ("b", "b", 0.9), ("b", "b", 0.9)],
        *[("c", "c", 0.4), ("c", "c", 0.4), ("d", "d", 0.9), ("d", "d", 0.9), ("e", "e", 0.1)],
        *[("a", "b", 0.6), ("a", "b", 0.6), ("b", "a", 0.1), ("b", "a", 0.1)],
        *[("c", "d", 0.6), ("c", "d", 0.1), ("d", "c", 0.1), ("d", "c", 0.1)],
        *[("a", "c", 0.6), ("d", "b", 0.1), ("a", "e", 0.9)],
    ]
    return ScoreSet.from_comparisons([row[2] for row in rows], [row[0] for row in rows], [row[1] for row in rows])


def test_by_hand() -> None:
    found = differential(hand(), ["f", "f", "m", "m", None], 0.5, attribute="sex", bootstrap=HOW)
    female, male = found.groups
    assert female.fmr is not None
    assert female.fnmr is not None
    assert male.fmr is not None
    assert male.fnmr is not None
    assert (female.fmr.value, male.fmr.value) == (2 / 4, 1 / 4)
    assert (female.fnmr.value, male.fnmr.value) == (1 / 4, 2 / 4)
    assert (found.fmr_max_min.value, found.fmr_max_min.worst) == (2.0, "f")
    # Geometric mean of 1/2 and 1/4 is 1/√8; 1/2 over it is √2.
    assert found.fmr_max_mean.value == pytest.approx(np.sqrt(2))
    assert (found.fnmr_max_min.value, found.fnmr_max_min.worst) == (2.0, "m")
    assert found.unlabelled == 1
    assert [(cross.groups, cross.errors, cross.trials) for cross in found.cross] == [
        (("f", "f"), 2, 4),
        (("f", "m"), 1, 2),
        (("m", "m"), 1, 4),
    ]
    assert any("2 subjects" in flag for flag in female.flags)
    assert any("FMR rests on 2 errors" in flag for flag in female.flags)


def test_equal_groups_differ_by_chance_alone(clustered: MakeScores) -> None:
    scores = clustered(200)
    found = differential(scores, ["f", "m"] * 100, 1.5, attribute="sex", bootstrap=HOW)
    for ratio in (found.fmr_max_min, found.fnmr_max_min):
        assert ratio.value is not None
        assert ratio.chance is not None
        assert 1 <= ratio.value <= ratio.chance
    assert not found.groups[0].flags


def test_a_real_difference_exceeds_chance(clustered: MakeScores) -> None:
    scores = clustered(200)
    assert scores.mated_subjects is not None
    harder = np.where(scores.mated_subjects % 2, scores.mated - 1.5, scores.mated)
    unequal = ScoreSet(
        mated=harder,
        mated_subjects=scores.mated_subjects,
        non_mated=scores.non_mated,
        non_mated_references=scores.non_mated_references,
        non_mated_probes=scores.non_mated_probes,
        subjects=200,
    )
    found = differential(unequal, ["f", "m"] * 100, 1.5, attribute="sex", bootstrap=HOW)
    assert found.fnmr_max_min.worst == "m"
    assert found.fnmr_max_min.value is not None
    assert found.fnmr_max_min.chance is not None
    assert found.fnmr_max_min.interval is not None
    assert found.fnmr_max_min.value > found.fnmr_max_min.chance
    assert found.fnmr_max_min.interval.low > 1
    assert found.fnmr_max_min.value in found.fnmr_max_min.interval


def test_a_group_without_errors_has_no_ratio_but_a_bound(clustered: MakeScores) -> None:
    found = differential(clustered(60), ["f", "m"] * 30, 9.0, attribute="sex", bootstrap=HOW)
    assert found.fmr_max_min.value is None
    assert "no error in 435 comparisons" in found.fmr_max_min.note
    labels = ["f", "f", "m", "m", None]
    apart = differential(hand(), labels, 0.5, attribute="sex", bootstrap=HOW)
    assert apart.fmr_max_min.value == 2


def test_groups_too_small_to_compare_are_flagged(clustered: MakeScores) -> None:
    found = differential(clustered(41), ["f"] * 40 + ["m"], 1.5, attribute="sex", bootstrap=HOW)
    assert found.groups[1].fmr is None
    assert "no comparison to take FMR of" in found.groups[1].flags
    assert found.fmr_max_min.value is None
    assert found.groups[1].fnmr is not None
    assert found.groups[1].fnmr.by_subject is None


def test_age_bands() -> None:
    assert age_bands([17.9, 18, 29.9, 30, 59, 60, 90, None]) == [
        "<18",
        "18–29",
        "18–29",
        "30–44",
        "45–59",
        "60+",
        "60+",
        None,
    ]
    with pytest.raises(ValueError, match="ascend"):
        age_bands([20], [30, 20])
    with pytest.raises(ValueError, match="no age"):
        age_bands([float("nan")])


def test_labels_must_fit_and_differ(clustered: MakeScores) -> None:
    with pytest.raises(ScoresRefused, match="3 labels for 10 subjects"):
        differential(clustered(10), ["f"] * 3, 1.0, attribute="sex")
    with pytest.raises(Unresolvable, match=r"into 1 group\(s\)"):
        differential(clustered(10), ["f"] * 10, 1.0, attribute="sex")
    unknown = ScoreSet(mated=np.ones(2), non_mated=np.ones(2), subjects=2)
    with pytest.raises(Unresolvable, match="belong to no group"):
        differential(unknown, ["f", "m"], 1.0, attribute="sex")
