"""Crossed comparison: against every pair computed by itself, at any block size, in little memory."""

import tracemalloc
from collections.abc import Callable
from itertools import pairwise

import numpy as np
import pytest

from app.errors import Cancelled
from workers.biometrics import bootstrap, crossed, rates
from workers.biometrics.bootstrap import Bootstrap
from workers.biometrics.crossed import compare_crossed
from workers.biometrics.eer import eer
from workers.biometrics.errors import ScoresRefused, Unresolvable
from workers.biometrics.scores import Failures, ScoreSet
from workers.biometrics.tails import look_alikes, tail_points
from workers.biometrics.templates import Metric, TemplateTable

MakeTable = Callable[..., TemplateTable]


def one_by_one(references: TemplateTable, probes: TemplateTable | None, metric: Metric) -> ScoreSet:
    """Every pair in float64, without blocks."""
    other = references if probes is None else probes
    rows, columns = np.indices((len(references), len(other))).reshape(2, -1)
    if probes is None:
        rows, columns = rows[rows < columns], columns[rows < columns]
    left, right = references.templates[rows].astype(float), other.templates[columns].astype(float)
    if metric == "cosine":
        scores = (left * right).sum(1) / np.linalg.norm(left, axis=1) / np.linalg.norm(right, axis=1)
    else:
        scores = -np.linalg.norm(left - right, axis=1)
    return ScoreSet.from_comparisons(scores, references.subjects[rows], other.subjects[columns])


@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
@pytest.mark.parametrize("block", [7, 1_024])
@pytest.mark.parametrize("within", [True, False])
def test_as_every_pair_by_itself(
    table: MakeTable, monkeypatch: pytest.MonkeyPatch, metric: Metric, block: int, within: bool
) -> None:
    monkeypatch.setattr(crossed, "BLOCK", block)
    references = table(25, 3)
    probes = None if within else table(30, 2, seed=0)
    mixed = references.take(np.random.default_rng(0).permutation(len(references)))
    found = compare_crossed(mixed, probes, metric=metric, keep_tail=200)
    plain = one_by_one(references, probes, metric)
    assert np.allclose(found.mated_sorted, plain.mated_sorted, atol=1e-5)
    assert found.non_mated_total == plain.non_mated_total == found.histogram.total
    assert np.allclose(found.tail.scores, np.sort(plain.non_mated)[::-1][:200], atol=1e-5)
    for target in (0.5, 0.1, 0.01, 0.0):
        ours, theirs = rates.fnmr_at_fmr(found, target), rates.fnmr_at_fmr(plain, target)
        # In the tail exact up to float32; below it too high by at most a bin.
        exact, kept = (one.threshold_allowing(rates.allowed(target, one.non_mated_total)) for one in (plain, found))
        assert exact - 1e-5 <= kept <= exact + found.histogram.width + 1e-5
        assert ours.fmr.value <= target
        assert ours.fnmr.value >= theirs.fnmr.value - 1e-12
    assert eer(found).value == pytest.approx(eer(plain).value, abs=eer(found).rounding + 1e-9)


def test_rates_say_how_far_binning_may_be_off(table: MakeTable) -> None:
    found = compare_crossed(table(40, 2), keep_tail=100)
    in_tail = rates.fmr(found, float(found.tail.scores[50]))
    assert (in_tail.rounding, in_tail.errors) == (0.0, 51)
    plain = one_by_one(table(40, 2), None, "cosine")
    threshold = 0.0731
    below = rates.fmr(found, threshold)
    exact = rates.fmr(plain, threshold).value
    assert below.value - below.rounding <= exact <= below.value


def test_failed_extractions_are_counted_with_their_comparisons(table: MakeTable) -> None:
    references, probes = table(5, 1), table(4, 3)
    references.templates[4] = np.nan
    probes.templates[[0, 1, 11]] = np.nan
    found = compare_crossed(references, probes)
    # 5 × 12 pairs, of which 4 × 9 were made: 24 failed. Mated: 12 tried; of subject 0 one and of 3 two are left.
    assert found.failures == Failures(
        mated=3, non_mated=21, enrolments=5, enrolments_failed=1, extractions=12, extractions_failed=3
    )
    assert (len(found.mated), found.non_mated_total) == (9, 27)
    within = compare_crossed(probes)
    # 12 · 11 / 2 = 66 pairs, 4 · 3 mated; made 9 · 8 / 2 = 36, of them 0 + 3 + 3 + 1 mated.
    assert within.failures == Failures(mated=5, non_mated=25, extractions=12, extractions_failed=3)
    assert (len(within.mated), within.non_mated_total) == (7, 29)


def test_bootstrap_needs_the_tail_only(table: MakeTable) -> None:
    how = Bootstrap(replicates=200, seed=4)
    plain = one_by_one(table(40, 3), None, "cosine")
    short = compare_crossed(table(40, 3), keep_tail=1_000)
    ours, theirs = bootstrap.at_fmr(short, 0.01, how), bootstrap.at_fmr(plain, 0.01, how)
    assert ours.fnmr.by_subject == theirs.fnmr.by_subject
    at = bootstrap.at_threshold(short, 0.5, how)[0].by_subject
    assert at is not None
    expected = bootstrap.at_threshold(plain, 0.5, how)[0].by_subject
    assert expected is not None
    assert (at.low, at.high) == pytest.approx((expected.low, expected.high))
    with pytest.raises(Unresolvable, match="keep at least"):
        bootstrap.at_fmr(compare_crossed(table(40, 3), keep_tail=50), 0.05, how)
    with pytest.raises(Unresolvable, match="keep a longer tail"):
        bootstrap.at_threshold(short, -0.9, how)


def test_tables_of_two_kinds_weigh_their_pairs_right(table: MakeTable) -> None:
    how = Bootstrap(replicates=50)
    references, probes = table(12, 1), table(10, 3)
    found = compare_crossed(references, probes)
    plain = one_by_one(references, probes, "cosine")
    for (_, left), (_, right) in zip(how.multiplicities(12), how.multiplicities(12), strict=True):
        assert np.array_equal(found.tail.pairs.weigh(left), plain.tail.pairs.weigh(right))


def test_progress_and_calling_off(table: MakeTable, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(crossed, "BLOCK", 10)
    seen: list[tuple[int, int]] = []
    compare_crossed(table(10, 3), on_progress=lambda done, total: seen.append((done, total)))
    assert seen[-1][0] == seen[-1][1] == len(seen)
    with pytest.raises(Cancelled):
        compare_crossed(table(10, 3), should_cancel=lambda: len(seen) > 0)


def test_what_cannot_be_compared_is_refused(table: MakeTable) -> None:
    with pytest.raises(ScoresRefused, match="32 and of 16 dimensions"):
        compare_crossed(table(3, 1), table(3, 1, dimensions=16))
    with pytest.raises(ScoresRefused, match="only 2 subjects were announced"):
        compare_crossed(table(3, 1), subjects=2)
    nothing = TemplateTable(templates=np.zeros((2, 4), np.float32), subjects=np.arange(2))
    with pytest.raises(ScoresRefused, match="all zeros"):
        compare_crossed(nothing)
    with pytest.raises(ScoresRefused, match="template 1 holds NaN or infinity among numbers"):
        TemplateTable(templates=np.array([[1, 1], [np.nan, 1]], np.float32), subjects=np.arange(2))
    with pytest.raises(ScoresRefused, match="one subject each"):
        TemplateTable(templates=np.zeros((2, 4), np.float32), subjects=np.arange(3))


def test_empty_tables_give_no_scores() -> None:
    none = TemplateTable(templates=np.full((3, 4), np.nan, np.float32), subjects=np.arange(3))
    found = compare_crossed(none)
    assert (found.non_mated_total, len(found.mated), found.failures.non_mated) == (0, 0, 3)
    with pytest.raises(Unresolvable):
        rates.fmr(found, 0.5)


def test_memory_does_not_grow_with_the_comparisons(table: MakeTable) -> None:
    # 6,000 templates: 18 million scores, 72 MB at float32; a block with all that is made of it takes some 60 MB.
    many = table(6_000, 1)
    tracemalloc.start()
    try:
        found = compare_crossed(many, keep_tail=10_000)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert found.non_mated_total == 6_000 * 5_999 // 2
    assert peak < 70 * 2**20


def test_the_tail_as_points_and_pairs(table: MakeTable) -> None:
    found = compare_crossed(table(30, 2), keep_tail=500)
    points = tail_points(found.tail)
    assert [points[0].rank, points[-1].rank] == [1, 500]
    assert points[0].fmr == 1 / found.non_mated_total
    assert all(one.score >= other.score for one, other in pairwise(points))
    alike = look_alikes(found.tail, 10)
    assert len({frozenset((pair.reference, pair.probe)) for pair in alike}) == 10
    assert alike[0].score == found.tail.scores[0]
    with pytest.raises(Unresolvable, match="no tail"):
        tail_points(compare_crossed(table(1, 2)).tail)
