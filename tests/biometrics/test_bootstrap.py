"""Bootstrap by subject: weights by hand, ties, determinism, coverage."""

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workers.biometrics import bootstrap, rates
from workers.biometrics.bootstrap import Bootstrap
from workers.biometrics.eer import eer, eer_by_subject
from workers.biometrics.errors import Unresolvable
from workers.biometrics.intervals import exact_limits
from workers.biometrics.scores import ScoreSet

MakeScores = Callable[..., ScoreSet]


def all_weights(subjects: int, how: Bootstrap) -> np.ndarray:
    return np.concatenate([weights for _, weights in how.multiplicities(subjects)])


def test_every_replicate_draws_as_many_as_there_are() -> None:
    weights = all_weights(7, Bootstrap(replicates=4_000, seed=3))
    assert weights.shape == (4_000, 7)
    assert (weights.sum(1) == 7).all()
    # Binomial(7, 1/7): mean 1, variance 6/7; 28,000 draws give the mean to 0.006 and the variance to about 0.01.
    assert weights.mean() == 1
    assert weights.var() == pytest.approx(6 / 7, abs=0.03)


def test_draws_are_these_for_ever() -> None:
    # From raw Philox bits; another numpy must give the same.
    first = all_weights(5, Bootstrap(replicates=20, seed=1))[:3]
    assert first.tolist() == [[0, 1, 0, 3, 1], [1, 1, 1, 1, 1], [1, 1, 1, 1, 1]]


def test_chunks_change_nothing(monkeypatch: pytest.MonkeyPatch, clustered: MakeScores) -> None:
    scores, how = clustered(30), Bootstrap(replicates=200, seed=5)
    whole = bootstrap.at_fmr(scores, 0.01, how)
    monkeypatch.setattr(bootstrap, "CHUNK_BYTES", 10_000)
    assert bootstrap.at_fmr(scores, 0.01, how) == whole


def test_another_seed_gives_other_replicates(clustered: MakeScores) -> None:
    scores = clustered(30)
    one, other = (bootstrap.at_fmr(scores, 0.05, Bootstrap(replicates=200, seed=seed)) for seed in (1, 2))
    assert one.fnmr.value == other.fnmr.value
    assert one.fnmr.by_subject != other.fnmr.by_subject


def expanded(scores: ScoreSet, counts: np.ndarray) -> ScoreSet:
    """The scores written out as often as the counts say, subjects forgotten."""
    assert scores.mated_subjects is not None
    assert scores.non_mated_references is not None
    assert scores.non_mated_probes is not None
    pairs = counts[scores.non_mated_references] * counts[scores.non_mated_probes]
    return ScoreSet(
        mated=np.repeat(scores.mated, counts[scores.mated_subjects]), non_mated=np.repeat(scores.non_mated, pairs)
    )


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10_000), target=st.sampled_from([0.0, 0.01, 0.1, 0.29, 0.5, 1.0]), tied=st.booleans())
def test_a_replicate_is_what_its_comparisons_written_out_would_give(seed: int, target: float, tied: bool) -> None:
    rng = np.random.default_rng(seed)
    references, probes = np.triu_indices(8, 1)
    scores = ScoreSet(
        mated=np.round(rng.normal(1, 1, 16), 1 if tied else 9),
        mated_subjects=np.repeat(np.arange(8), 2),
        non_mated=np.round(rng.normal(0, 1, 28), 1 if tied else 9),
        non_mated_references=references,
        non_mated_probes=probes,
        subjects=8,
    )
    how = Bootstrap(replicates=20, seed=seed)
    weights = all_weights(8, how).astype(int)
    thresholds, misses = bootstrap.replicate_fnmr_at_fmrs(scores, [target], how)
    false_match, false_non_match = bootstrap.replicate_at_threshold(scores, 0.5, how)
    for number, counts in enumerate(weights):
        plain = expanded(scores, counts)
        if not len(plain.non_mated):
            assert np.isnan(misses[number, 0])
            continue
        point = rates.fnmr_at_fmr(plain, target)
        assert rates.fmr(plain, thresholds[number, 0]).errors == point.fmr.errors
        assert misses[number, 0] == pytest.approx(point.fnmr.value)
        assert false_match[number] == pytest.approx(rates.fmr(plain, 0.5).value)
        assert false_non_match[number] == pytest.approx(rates.fnmr(plain, 0.5).value)


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10_000), tied=st.booleans(), shift=st.sampled_from([-1.0, 1.0, 4.0]))
def test_a_replicates_eer_is_that_of_its_comparisons_written_out(seed: int, tied: bool, shift: float) -> None:
    rng = np.random.default_rng(seed)
    references, probes = np.triu_indices(8, 1)
    scores = ScoreSet(
        mated=np.round(rng.normal(shift, 1, 16), 1 if tied else 9),
        mated_subjects=np.repeat(np.arange(8), 2),
        non_mated=np.round(rng.normal(0, 1, 28), 1 if tied else 9),
        non_mated_references=references,
        non_mated_probes=probes,
        subjects=8,
    )
    how = Bootstrap(replicates=21, seed=seed, confidence=0.999)
    values = [
        eer(plain).value
        for plain in (expanded(scores, row.astype(int)) for row in all_weights(8, how))
        if len(plain.non_mated)
    ]
    found = eer_by_subject(scores, how)
    assert found.value == eer(scores).value
    assert found.by_subject is not None
    if set(values) == {found.value} and found.value in (0, 1):  # nothing erred in any: then it is one over subjects
        limits = exact_limits(8 * found.value, 8, 0.999)
        assert (found.by_subject.low, found.by_subject.high) == pytest.approx(tuple(map(float, limits)))
        return
    # At 99.9% of 21 replicates the interval runs from the least to the greatest.
    assert (found.by_subject.low, found.by_subject.high) == pytest.approx((min(values), max(values)), abs=1e-12)


def test_eer_of_many_scores_needs_a_part_of_the_tail(clustered: MakeScores) -> None:
    found = eer_by_subject(clustered(120, shift=5.0), Bootstrap(replicates=100))
    assert found.by_subject is not None
    assert found.value in found.by_subject
    assert 0 < found.by_subject.low < found.by_subject.high < 0.2


def test_coverage_where_scores_of_a_subject_hang_together(clustered: MakeScores) -> None:
    # 120 tests of 60 subjects with 8 mated scores each, whose ease varies between subjects. The true FNMR at 1.5 is
    # P(N(3, 1 + 1) < 1.5) = Φ(−1.5 / √2) = 0.14442. By subject about 95% of intervals must hold it (500 tests gave
    # 94%); 120 tests at 94% give 113 ± 2.6. Clopper–Pearson takes all 480 scores for independent, and is far too sure.
    true = 0.144422
    by_subject = exact = 0
    for seed in range(120):
        _, missed = bootstrap.at_threshold(
            clustered(60, samples=8, seed=seed), 1.5, Bootstrap(replicates=300, seed=seed)
        )
        assert missed.by_subject is not None
        by_subject += true in missed.by_subject
        exact += true in missed.exact
    assert by_subject >= 108
    assert exact <= 102


def test_coverage_of_fmr_where_subjects_are_alike_on_both_sides(clustered: MakeScores) -> None:
    # Non-mated scores are N(a_i + a_j, 1) with a ~ N(0, 0.3²): over subjects N(0, 1.18). True FMR at 2 is
    # P(N(0, 1.18) >= 2) = 1 − Φ(2 / √1.18) = 0.03280.
    true = 0.032804
    by_subject = exact = 0
    for seed in range(100):
        matched, _ = bootstrap.at_threshold(clustered(60, seed=seed), 2.0, Bootstrap(replicates=300, seed=seed))
        assert matched.by_subject is not None
        by_subject += true in matched.by_subject
        exact += true in matched.exact
    assert by_subject >= 88
    assert exact < by_subject


def test_without_errors_the_interval_is_exact_and_not_a_point(clustered: MakeScores) -> None:
    matched, missed = bootstrap.at_threshold(clustered(40), -50.0)
    assert (matched.value, missed.value) == (1.0, 0.0)
    assert missed.by_subject is not None
    # Nothing missed of 40 subjects: 1 − 0.025^(1/40).
    assert missed.by_subject.high == pytest.approx(1 - 0.025 ** (1 / 40))
    assert "40 subjects" in missed.by_subject.method
    matched, _ = bootstrap.at_threshold(clustered(40), 50.0)
    assert matched.by_subject is not None
    # None matched of 40 · 39 / 2 = 780 comparisons.
    assert matched.by_subject.high == pytest.approx(1 - 0.025 ** (1 / 780))


def test_one_subjects_misses_tell_nothing_of_others() -> None:
    scores = ScoreSet.from_comparisons([0.1, 0.9, 0.2], ["a", "a", "a"], ["a", "a", "b"])
    _, missed = bootstrap.at_threshold(scores, 0.5, Bootstrap(replicates=100))
    assert missed.by_subject is not None
    assert (missed.by_subject.low, missed.by_subject.high) == (0, 1)


def test_rare_misses_of_few_subjects_are_covered(clustered: MakeScores) -> None:
    # As above with ease N(5, 1): true FNMR Φ(−3.5 / √2) = 0.00666, about three misses a test, of one or two subjects.
    true = 0.006664
    held = 0
    for seed in range(100):
        scores = clustered(60, samples=8, seed=seed, shift=5.0)
        _, missed = bootstrap.at_threshold(scores, 1.5, Bootstrap(replicates=300, seed=seed))
        assert missed.by_subject is not None
        held += true in missed.by_subject
    assert held >= 92


def test_several_targets_share_their_replicates(clustered: MakeScores) -> None:
    scores, how = clustered(40), Bootstrap(replicates=200)
    points = bootstrap.at_fmrs(scores, [0.1, 0.01], how)
    assert points == [bootstrap.at_fmr(scores, 0.1, how), bootstrap.at_fmr(scores, 0.01, how)]
    assert points[0].fnmr.value <= points[1].fnmr.value


def test_subjects_must_be_known_and_several() -> None:
    unknown = ScoreSet(mated=np.ones(3), non_mated=np.zeros(3))
    with pytest.raises(Unresolvable, match="not known"):
        bootstrap.at_fmr(unknown, 0.1)
    with pytest.raises(Unresolvable, match=r"1 subject\(s\) cannot be resampled"):
        all_weights(1, Bootstrap())
    with pytest.raises(ValueError, match="at least 20"):
        Bootstrap(replicates=19)


def test_one_side_alone_cannot_be_resampled() -> None:
    scores = ScoreSet.from_comparisons([1.0, 2.0], ["a", "b"], ["a", "b"])
    with pytest.raises(Unresolvable, match="one side has none"):
        bootstrap.at_fmr(scores, 0.1)
