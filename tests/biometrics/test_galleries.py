"""Searches of a pool: against searches made one by one, with faiss and without; what lies beyond it."""

import numpy as np
import pytest

from app.errors import Cancelled
from workers.biometrics import galleries
from workers.biometrics import nearest_k as module
from workers.biometrics.bootstrap import Bootstrap
from workers.biometrics.errors import ScoresRefused, Unresolvable
from workers.biometrics.extremes import Excesses, beyond, drift
from workers.biometrics.galleries import Found, Pool, largest_gallery, search_pool
from workers.biometrics.identification import fnir_at_fpir
from workers.biometrics.nearest_k import nearest_k
from workers.biometrics.templates import Metric, TemplateTable


def table(seed: int, subjects: list[int], around: np.ndarray | None = None, spread: float = 0.5) -> TemplateTable:
    rng = np.random.default_rng(seed)
    rows = rng.normal(size=(len(subjects), 12))
    if around is not None:
        rows = around[subjects] + spread * rows
    return TemplateTable(templates=rows.astype(np.float32), subjects=np.array(subjects))


@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
def test_candidates_are_the_same_with_faiss_and_without(metric: Metric, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("faiss", reason="the extra `search` is not installed")
    queries, others = table(1, list(range(300))), table(2, list(range(1_000)))
    monkeypatch.setattr(module, "COLUMNS", 64)
    fast = nearest_k(queries, others, 20, metric=metric)
    monkeypatch.setattr(module, "find_spec", lambda name: None)
    plain = nearest_k(queries, others, 20, metric=metric)
    assert np.array_equal(fast.rows, plain.rows)
    assert np.array_equal(fast.scores, plain.scores)


def test_candidates_without_faiss_are_those_of_a_sort(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "find_spec", lambda name: None)
    monkeypatch.setattr(module, "COLUMNS", 64)
    queries, others = table(1, list(range(40))), table(2, list(range(300)))
    left, right = (rows / np.linalg.norm(rows, axis=1, keepdims=True) for rows in (queries.templates, others.templates))
    found = nearest_k(queries, others, 7)
    assert np.array_equal(found.rows, np.argsort(-(left @ right.T), axis=1)[:, :7])
    with pytest.raises(Cancelled):
        nearest_k(queries, others, 7, should_cancel=lambda: True)


@pytest.mark.parametrize("own_pool", [True, False])
def test_searches_are_as_made_one_by_one(own_pool: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(galleries, "DEPTH", 16)  # so that mates stand behind all that are looked at
    monkeypatch.setattr(galleries, "COLUMNS", 48)
    around = np.random.default_rng(0).normal(size=(60, 12))
    references = table(1, list(range(60)), around)
    probes = table(2, [subject for subject in range(60) for _ in range(2)] + [0], around, spread=2.0)
    synthetic = np.zeros(60, bool) if own_pool else np.arange(400) % 3 > 0
    pool = Pool(table=references if own_pool else table(3, list(range(100, 500))), synthetic=synthetic)
    sizes = [2, 30, 59] if own_pool else [2, 150, 400]  # beyond, and within, the candidates that are looked at
    found = search_pool(references, probes, pool, sizes, draws=2, seed=7)
    mine = probes.templates / np.linalg.norm(probes.templates, axis=1, keepdims=True)
    theirs = pool.table.templates / np.linalg.norm(pool.table.templates, axis=1, keepdims=True)
    scores = mine @ theirs.T
    for draw in range(2):
        order = pool.order(7, draw)
        for number, size in enumerate(sizes):
            for probe, subject in enumerate(probes.subjects):
                others = [row for row in order if pool.table.subjects[row] != subject]
                best, fewer = scores[probe, others[:size]].max(), scores[probe, others[: size - 1]]
                assert found.searches.best_non_mated[draw, number, probe] == pytest.approx(best, abs=1e-6)
                assert found.searches.best_mated[draw, number, probe] == pytest.approx(fewer.max(), abs=1e-6)
                assert found.ranks[draw, number, probe] == 1 + (fewer >= found.searches.mates[probe]).sum()


def test_mixed_galleries_hold_both_kinds_by_turns() -> None:
    pool = Pool(table=table(1, list(range(50))), synthetic=np.arange(50) >= 10)
    kinds = pool.synthetic[pool.order(0, 0)]
    assert [int(kinds[:size].sum()) for size in (2, 10, 20, 30)] == [1, 5, 10, 20]
    assert sorted(pool.order(0, 1)) == list(range(50))


def test_a_pool_has_one_template_a_subject_and_sizes_that_it_allows() -> None:
    with pytest.raises(ScoresRefused, match="several templates"):
        Pool(table=table(1, [0, 0]), synthetic=np.zeros(2, bool))
    pool = Pool(table=table(1, list(range(9))), synthetic=np.zeros(9, bool))
    assert largest_gallery(pool, table(2, [3])) == 8
    assert largest_gallery(pool, table(2, [30])) == 9
    for sizes in ([], [1], [9]):
        with pytest.raises(Unresolvable, match="between 2 and 8"):
            search_pool(pool.table, table(2, [3]), pool, sizes)


def test_the_tail_of_exponential_excesses_is_found() -> None:
    # Probability-weighted moments of a large exponential sample: no end of scores (shape 0), scale 2.
    rng = np.random.default_rng(4)
    excesses = Excesses(
        k=10,
        levels=np.zeros(4_000),
        rising=np.sort(rng.exponential(2.0, 40_000)),
        order=np.arange(40_000),
        rows=np.arange(40_000).reshape(4_000, 10),
        largest=1_000,
    )
    tails = excesses.fit(np.ones(4_000), np.ones(40_000))
    assert tails.shape == pytest.approx(0, abs=0.03)
    assert tails.scale == pytest.approx(2, rel=0.03)
    # A probe returns somebody of N at t with 1 − exp(−N · k/n · e^(−t/2)).
    threshold = tails.threshold(5_000, 0.1, np.ones(4_000))
    assert threshold == pytest.approx(-2 * np.log(-np.log(0.9) / (5_000 * 0.01)), rel=0.05)


def whole(references: TemplateTable, probes: TemplateTable, others: TemplateTable, size: int) -> Found:
    pool = Pool(table=others.take(np.arange(size)), synthetic=np.ones(size, bool))
    return search_pool(references, probes, pool, [size], draws=1)


def test_ten_times_the_gallery_is_foretold_within_the_interval() -> None:
    around = np.random.default_rng(8).normal(size=(400, 12))
    references = table(9, list(range(400)), around, spread=0.3)
    probes = table(10, list(range(400)), around, spread=0.3)
    others = table(11, list(range(1_000, 21_000)))
    how = Bootstrap(replicates=40)
    small, middle = (whole(references, probes, others, size) for size in (200, 2_000))
    thresholds = {0.1: fnir_at_fpir(middle.searches, 0.1, bootstrap=how)[0].threshold}
    drifts = drift(small, 2_000, thresholds)
    near, far = beyond(middle, [2_000, 20_000], [0.1], drifts=drifts, bootstrap=how)
    # What is extrapolated goes on from what was measured.
    assert near.threshold == pytest.approx(thresholds[0.1], abs=1e-5)
    measured = fnir_at_fpir(whole(references, probes, others, 20_000).searches, 0.1, bootstrap=how)[0]
    assert far.fnir == pytest.approx(measured.fnir, abs=0.05)
    assert measured.fnir in far.by_subject
    assert far.by_subject.high - far.by_subject.low > near.by_subject.high - near.by_subject.low
    assert far.extrapolated
    assert not far.resolved


def test_what_cannot_be_extrapolated_is_refused() -> None:
    around = np.random.default_rng(8).normal(size=(50, 12))
    references, probes = table(9, list(range(50)), around), table(10, list(range(50)), around)
    others = table(11, list(range(1_000, 1_400)))
    found = whole(references, probes, others, 400)
    with pytest.raises(Unresolvable, match="more than 100 times"):
        beyond(found, [40_001], [0.7])
    with pytest.raises(Unresolvable, match="needs 300 searches and there are 50"):
        beyond(found, [1_000], [0.1])
    with pytest.raises(Unresolvable, match="need a gallery of 160"):
        beyond(whole(references, probes, others, 100), [1_000], [0.7])
    same = TemplateTable(templates=np.ones((400, 12), np.float32), subjects=others.subjects)
    with pytest.raises(Unresolvable, match="no tail"):
        beyond(whole(references, probes, same, 400), [1_000], [0.7])
