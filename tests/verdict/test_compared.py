"""Scores held against the list: order is no matter, little memory gives the same, and nothing strange is let by."""

import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from numpy.typing import NDArray

from app.dataset.comparisons import ComparisonsFile
from app.dataset.names import sample_name
from app.errors import Corrupt
from workers.biometrics.errors import ScoresRefused
from workers.biometrics.rates import fmr, fnmr_at_fmr
from workers.biometrics.scores import ScoreSet
from workers.verdict import score_rows
from workers.verdict.compared import ComparedScores, compare
from workers.verdict.highest import Highest, WideningHistogram
from workers.verdict.listed import read_comparisons
from workers.verdict.metrics import measure
from workers.verdict.outcomes import outcome_at_fmr
from workers.verdict.score_rows import read_csv
from workers.verdict.sources import chunks_of


def compared(made: Any, scores: Iterable[float | None], folder: Path, **options: Any) -> ComparedScores:
    order = options.pop("order", None)
    return compare(made.listed, read_csv(chunks_of(made.write(folder / "scores.csv", scores, order))), **options)


@pytest.mark.parametrize(
    ("selection", "distractors"), [("crossed", 0), ("crossed", 7), ("balanced", 0), ("complete", 3)]
)
def test_every_selection_is_read_as_it_was_written(
    make_set: Callable[..., Any], selection: str, distractors: int
) -> None:
    made = make_set(15, 4, selection, distractors)
    listed = made.listed
    assert (listed.count, len(listed.mated_cells)) == (len(made.pairs), int(made.mated.sum()))
    assert (listed.keys is None) == (selection != "balanced")
    references = np.array([pair.reference[0] * 10_000 + pair.reference[1] for pair in made.pairs])
    probes = np.array([pair.probe[0] * 10_000 + pair.probe[1] for pair in made.pairs])
    cells = listed.cells_of(references, probes)
    assert len(np.unique(cells)) == len(made.pairs)
    back = listed.pairs_at(cells)
    np.testing.assert_array_equal(back, [references, probes])
    np.testing.assert_array_equal(listed.codes_of(references), np.searchsorted(listed.subjects, references // 10_000))
    if selection != "complete":
        assert (listed.cells_of(probes[made.mated], references[made.mated]) == -1).all()
    assert listed.cells_of(np.array([10**10, -1]), probes[:2]).tolist() == [-1, -1]


def test_rates_are_those_of_the_scores(make_set: Callable[..., Any], tmp_path: Path) -> None:
    made = make_set(20, 4)
    scores = made.scores(1)
    scores[::11] = np.nan
    found = compared(made, scores, tmp_path)
    done = ~np.isnan(scores)
    plain = ScoreSet(mated=scores[made.mated & done], non_mated=scores[~made.mated & done])
    assert (found.failures.mated, found.failures.non_mated) == (
        int((made.mated & ~done).sum()),
        int((~made.mated & ~done).sum()),
    )
    for target in (0.5, 0.1, 0.01, 1e-4):
        ours, theirs = fnmr_at_fmr(found, target), fnmr_at_fmr(plain, target)
        assert (ours.threshold, ours.fmr.errors, ours.fnmr.errors) == (
            theirs.threshold,
            theirs.fmr.errors,
            theirs.fnmr.errors,
        )


@given(seed=st.integers(0, 10**6), block=st.integers(1, 3_000))
def test_the_order_of_rows_is_no_matter(
    seed: int, block: int, make_set: Callable[..., Any], tmp_path_factory: Any
) -> None:
    made = make_set(8, 3)
    scores = np.round(made.scores(3), 1)  # with ties
    scores[5] = np.nan
    folder = tmp_path_factory.mktemp("order")
    first = compared(made, scores, folder, keep=40)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(score_rows, "BLOCK_BYTES", block)
        second = compared(
            made, scores, folder, keep=40, order=np.random.default_rng(seed).permutation(len(scores)).tolist()
        )
    assert first.digest == second.digest
    for name in ("mated", "mated_subjects", "compared"):
        np.testing.assert_array_equal(getattr(first, name), getattr(second, name))
    for name in ("scores", "references", "probes", "cells"):
        np.testing.assert_array_equal(getattr(first.tail, name), getattr(second.tail, name))
    assert (first.histogram.first, first.histogram.exponent) == (second.histogram.first, second.histogram.exponent)
    np.testing.assert_array_equal(first.histogram.counts, second.histogram.counts)


def test_the_digest_tells_one_changed_score(make_set: Callable[..., Any], tmp_path: Path) -> None:
    made = make_set(8, 3)
    scores = made.scores(3)
    changed = scores.copy()
    changed[7] = np.nextafter(changed[7], 9)
    swapped = scores.copy()
    swapped[[3, 4]] = swapped[[4, 3]]
    digests = {compared(made, values, tmp_path).digest for values in (scores, changed, swapped)}
    assert len(digests) == 3


def test_with_little_kept_the_points_are_the_same(make_set: Callable[..., Any], tmp_path: Path) -> None:
    made = make_set(40, 4)
    scores = made.scores(5)
    whole = compared(made, scores, tmp_path)
    little = compared(made, scores, tmp_path, keep=400)
    assert (whole.binned, little.binned) == (False, True)
    all_of, some_of = measure(whole, at_fmr=0.03), measure(little, at_fmr=0.03)
    assert all_of.points[0] == some_of.points[0]
    assert some_of.points[0].generalised_fnmr.by_subject is not None
    assert abs(all_of.eer.value - some_of.eer.value) <= some_of.eer.rounding + 1e-9
    assert some_of.eer.rounding <= 1 / 120  # one mated score
    assert some_of.points[1].target_fmr == 0.1
    assert some_of.points[1].fnmr.by_subject is None  # its threshold is below what was kept
    assert fmr(little, 0.0).value >= fmr(whole, 0.0).value
    one, other = outcome_at_fmr(whole, 0.01), outcome_at_fmr(little, 0.01)
    assert one is not None
    assert other is not None
    np.testing.assert_allclose(one.pull, other.pull, atol=1e-12)


def test_misfits_are_counted_and_the_first_ten_named(make_set: Callable[..., Any], tmp_path: Path) -> None:
    made = make_set(8, 3)
    rows = made.rows(made.scores(0))
    kept = [*rows[:-15], rows[3], rows[3], rows[8], ("nobody", "S0000001_0001", "1")]
    kept += [(probe, reference, score) for reference, probe, score in rows[:2]]
    text = "reference,probe,score\n" + "".join(",".join(row) + "\n" for row in kept)
    with pytest.raises(ScoresRefused) as refused:
        compare(made.listed, read_csv([text.encode()]), what="new.csv")
    told = str(refused.value)
    assert "new.csv do not fit the dataset: 128 comparisons are listed; " in told
    assert re.search(r"3 that the dataset does not list \(line 118: nobody with S0000001_0001, line 119", told)
    assert "2 of them are listed the other way round: exchange reference and probe" in told
    assert f"15 missing ({rows[-15][0]} with {rows[-15][1]}, " in told
    assert "and 5 more)" in told
    assert f"3 given again (line 115: {rows[3][0]} with {rows[3][1]}, line 116" in told


def test_twice_within_and_across_blocks(make_set: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    made = make_set(8, 3, "balanced")
    rows = made.rows(made.scores(0))
    text = "reference,probe,score\n" + "".join(",".join(row) + "\n" for row in [*rows, rows[0]])
    for block in (100, 10**6):
        monkeypatch.setattr(score_rows, "BLOCK_BYTES", block)
        with pytest.raises(ScoresRefused, match=rf"1 given again \(line {len(rows) + 2}:"):
            compare(made.listed, read_csv([text.encode()[at : at + 90] for at in range(0, len(text), 90)]))


def test_one_side_failed_throughout(make_set: Callable[..., Any], tmp_path: Path) -> None:
    made = make_set(8, 3)
    for side, name in ((made.mated, "mated"), (~made.mated, "non-mated")):
        scores = made.scores(0)
        scores[side] = np.nan
        with pytest.raises(ScoresRefused, match=rf"no {name} comparison with a score \({side.sum()} failed\)"):
            compared(made, scores, tmp_path)


def listing(text: str) -> ComparisonsFile:
    return ComparisonsFile(open=lambda: [text.encode()], sha256=None)


@pytest.mark.parametrize(
    ("lines", "what"),
    [
        ("", "lists no comparison"),
        ("S0000001_0000,S0000001_0001,0\n", "said to be mated, or not, wrongly"),
        ("S0000001_0000,S0000001_0001,1\n" * 2, "lists a comparison twice"),
        ("S0000001_0000,bob,1\n", "no samples of a dataset"),
        ("S0000001_0000,S0000001_0001,yes\n", "must be 0 or 1"),
    ],
)
def test_a_list_that_is_none(lines: str, what: str) -> None:
    with pytest.raises(Corrupt, match=what):
        read_comparisons(listing("reference,probe,mated\n" + lines))


def test_a_sparse_list_that_names_a_pair_twice() -> None:
    names = [sample_name(subject, 0) for subject in range(40)]
    lines = [f"{names[at]},{names[at + 1]},0\n" for at in range(0, 40, 2)]
    with pytest.raises(Corrupt, match="twice"):
        read_comparisons(listing("reference,probe,mated\n" + "".join([*lines, lines[0]])))


@given(
    scores=st.lists(st.integers(-5, 5), min_size=1, max_size=60),
    keep=st.integers(1, 20),
    cut=st.integers(1, 60),
)
def test_the_highest_are_the_highest(scores: list[int], keep: int, cut: int) -> None:
    values = np.array(scores, np.float64)
    codes = np.arange(len(values))
    highest = Highest(keep)
    for start in range(0, len(values), cut):
        part = slice(start, start + cut)
        highest.add(values[part], codes[part], codes[part] * 2, codes[part] * 3)
    tail = highest.tail()
    order = np.lexsort((codes, -values))[:keep]
    np.testing.assert_array_equal(tail.scores, values[order])
    np.testing.assert_array_equal(tail.references, codes[order])
    np.testing.assert_array_equal(tail.probes, codes[order] * 2)
    assert tail.cells is not None
    np.testing.assert_array_equal(tail.cells, codes[order] * 3)


@given(
    parts=st.lists(st.lists(st.floats(-1e9, 1e9) | st.sampled_from([0.5, 1e-300, -1e12, 1e12]), max_size=6), max_size=6)
)
@example(parts=[[0.0, 1e-300]])
@example(parts=[[0.0], [5e-324]])
@example(parts=[[1.0], [1.0 + 2**-52, 1.0]])
@example(parts=[[-1e12, np.nextafter(-1e12, 0)], [3.0]])
def test_a_histogram_that_widens_counts_as_one_that_was_wide(parts: list[list[float]]) -> None:
    def counted(pieces: list[list[float]]) -> WideningHistogram:
        histogram = WideningHistogram()
        for piece in pieces:
            histogram.add(np.array(piece, np.float64))
        return histogram

    scores: NDArray[np.float64] = np.array([score for part in parts for score in part], np.float64)
    stepwise, at_once = counted(parts).counted(), counted([scores.tolist()]).counted()
    assert (stepwise.first, stepwise.exponent, stepwise.total) == (at_once.first, at_once.exponent, len(scores))
    np.testing.assert_array_equal(stepwise.counts, at_once.counts)
    for edge in stepwise.edges[:: 2**15]:
        assert stepwise.reaching(edge) == ((scores >= edge).sum(),) * 2
