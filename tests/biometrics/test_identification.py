"""1:N search: against searches made one by one, and what is said beyond them."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from app.errors import Cancelled
from workers.biometrics.bootstrap import Bootstrap
from workers.biometrics.crossed import compare_crossed
from workers.biometrics.errors import ScoresRefused, Unresolvable
from workers.biometrics.extrapolation import extrapolate, independent_fnir
from workers.biometrics.identification import Searches, fnir_at_fpir, search
from workers.biometrics.templates import TemplateTable

MakeTable = Callable[..., TemplateTable]
HOW = Bootstrap(replicates=100)


def split(table: TemplateTable, distractors: int) -> tuple[TemplateTable, TemplateTable]:
    """Sample 0 of every subject into the gallery; the other samples are probes, those of distractors are dropped."""
    first = np.append(True, table.subjects[1:] != table.subjects[:-1])
    mated = table.subjects < table.subjects.max() + 1 - distractors
    return table.take(first), table.take(~first & mated)


def hand() -> Searches:
    """Five probes of five subjects, one draw, one size, scores by hand; the last has no mate in the gallery."""
    return Searches(
        sizes=(10,),
        mates=np.array([0.9, 0.6, 0.4, 0.5, np.nan], np.float32),
        best_mated=np.array([[[0.2, 0.7, 0.3, 0.5, 0.1]]], np.float32),
        best_non_mated=np.array([[[0.2, 0.7, 0.3, 0.5, 0.1]]], np.float32),
        subjects=np.arange(5),
        probes_failed=0,
        references_failed=0,
    )


@pytest.mark.parametrize(
    ("fpir", "rank_one", "above", "fpir_found", "fnir"),
    [
        (0.0, False, 0.7, 0.0, 3 / 4),  # above 0.7: only the mate at 0.9 is returned
        (0.2, False, 0.5, 0.2, 2 / 4),  # above 0.5: 0.4 and 0.5 are missed
        (0.4, False, 0.3, 0.4, 0.0),  # above 0.3: all four
        (0.4, True, 0.3, 0.4, 2 / 4),  # of these, 0.6 is outranked by 0.7, and 0.5 ties with 0.5
        (0.0, True, 0.7, 0.0, 3 / 4),
        (0.39, False, 0.5, 0.2, 2 / 4),
    ],
)
def test_fnir_at_fpir_by_hand(fpir: float, rank_one: bool, above: float, fpir_found: float, fnir: float) -> None:
    (point,) = fnir_at_fpir(hand(), fpir, rank_one=rank_one, bootstrap=HOW)
    assert point.threshold == np.nextafter(np.float32(above), np.float32(1))
    assert (point.fpir, point.fnir) == (pytest.approx(fpir_found), fnir)
    assert (point.mated, point.non_mated) == (4, 5)


def test_searches_are_as_made_one_by_one(table: MakeTable) -> None:
    gallery, probes = split(table(40, 3), distractors=10)
    found = search(gallery, probes, [5, 20, 39], draws=3, seed=8, block=7)
    scores = probes.templates.astype(float) @ gallery.templates.astype(float).T
    orders = [np.random.Generator(np.random.Philox(key=[8, draw])).permutation(40) for draw in range(3)]
    for draw, order in enumerate(orders):
        for number, size in enumerate(found.sizes):
            for probe, subject in enumerate(probes.subjects):
                others = [column for column in order if column != subject]
                assert found.best_non_mated[draw, number, probe] == pytest.approx(
                    scores[probe, others[:size]].max(), abs=1e-5
                )
                assert found.best_mated[draw, number, probe] == pytest.approx(
                    scores[probe, others[: size - 1]].max(), abs=1e-5
                )
                assert found.mates[probe] == pytest.approx(scores[probe, subject], abs=1e-5)


def test_misses_grow_with_the_gallery_and_the_interval_holds_them(table: MakeTable) -> None:
    gallery, probes = split(table(300, 3, spread=1.0), distractors=100)
    points = fnir_at_fpir(search(gallery, probes, [10, 50, 250]), 0.1, bootstrap=HOW)
    assert points[0].fnir < points[1].fnir < points[2].fnir
    assert all(point.fnir in point.by_subject and point.fpir <= 0.1 and point.resolved for point in points)
    ranked = fnir_at_fpir(search(gallery, probes, [10, 50, 250]), 0.1, rank_one=True, bootstrap=HOW)
    assert all(one.fnir >= any_.fnir for one, any_ in zip(ranked, points, strict=True))


def test_missing_templates_are_counted(table: MakeTable) -> None:
    gallery, probes = split(table(20, 3), distractors=0)
    gallery.templates[3] = np.nan
    probes.templates[0] = np.nan
    found = search(gallery, probes, [5])
    assert (found.references_failed, found.probes_failed) == (1, 1)
    assert np.isnan(found.mates).sum() == 2  # both probes of subject 3
    (point,) = fnir_at_fpir(found, 0.1, bootstrap=HOW)
    assert (point.mated, point.non_mated) == (37, 39)


def test_searches_that_cannot_be_made_are_refused(table: MakeTable) -> None:
    gallery, probes = split(table(20, 3), distractors=0)
    with pytest.raises(Unresolvable, match="between 2 and 19"):
        search(gallery, probes, [20])
    with pytest.raises(ScoresRefused, match="several templates of a subject"):
        search(table(20, 2), probes, [5])
    with pytest.raises(Cancelled):
        search(gallery, probes, [5], should_cancel=lambda: True)
    nobody = replace(hand(), mates=np.full(5, np.nan, np.float32))
    with pytest.raises(Unresolvable, match="no probe has its mate"):
        fnir_at_fpir(nobody, 0.1)


def test_independent_comparisons_agree_where_they_are_independent(table: MakeTable) -> None:
    # Templates drawn alike at random have no probe that resembles everybody, so the model should hold.
    gallery, probes = split(table(400, 3, spread=1.0), distractors=200)
    (measured,) = fnir_at_fpir(search(gallery, probes, [200]), 0.2, bootstrap=HOW)
    modelled = independent_fnir(compare_crossed(gallery, probes), 200, 0.2)
    # FMR = 1 − 0.8^(1/200) = 0.001115
    assert modelled.target_fmr == pytest.approx(0.0011151, rel=1e-4)
    assert modelled.threshold == pytest.approx(measured.threshold, abs=0.02)
    assert modelled.fnmr.value in measured.by_subject
    with pytest.raises(ValueError, match="makes no sense"):
        independent_fnir(compare_crossed(gallery, probes), 200, 0.0)


def test_extrapolation_holds_against_a_gallery_kept_aside(table: MakeTable) -> None:
    gallery, probes = split(table(3_000, 2, spread=1.0, dimensions=24), distractors=2_500)
    small = search(gallery, probes, [25, 50, 100, 200, 400])
    (measured,) = fnir_at_fpir(search(gallery, probes, [2_900]), 0.1, bootstrap=HOW)
    (guess,) = extrapolate(small, [2_900], 0.1, bootstrap=HOW)
    assert guess.extrapolated
    assert "uncertain" in guess.note
    # The tail of bounded scores falls faster than exponentially, so the guess is on the side of misses.
    assert measured.fnir - 0.03 <= guess.fnir <= measured.fnir + 0.15
    assert guess.by_subject.low < guess.fnir < guess.by_subject.high


def test_a_straight_line_in_ln_n_is_read_off_exactly() -> None:
    # Thresholds 0.1·ln N exactly (just above best non-mated scores that are equal for all probes).
    sizes = (10, 100, 1_000)
    mates = np.linspace(0, 1, 101, dtype=np.float32)
    best = np.broadcast_to(np.float32(0.1) * np.log(np.array(sizes, np.float32))[None, :, None], (1, 3, 101)).copy()
    searches = Searches(
        sizes=sizes,
        mates=mates,
        best_mated=best,
        best_non_mated=best,
        subjects=np.arange(101),
        probes_failed=0,
        references_failed=0,
    )
    (point,) = extrapolate(searches, [5_000], 0.5, bootstrap=HOW)
    # 0.1 · ln 5000 = 0.8517: 0.00 … 0.85 are below, 86 of 101.
    assert point.threshold == pytest.approx(0.85172, abs=1e-4)
    assert point.fnir == pytest.approx(86 / 101)


def test_extrapolation_refuses_what_it_cannot_found(table: MakeTable) -> None:
    gallery, probes = split(table(60, 3), distractors=0)
    wide, narrow = search(gallery, probes, [5, 10, 50]), search(gallery, probes, [30, 40, 50])
    with pytest.raises(Unresolvable, match="at least three gallery sizes"):
        extrapolate(narrow, [100], 0.5)
    with pytest.raises(Unresolvable, match="more than 100 times"):
        extrapolate(wide, [5_001], 0.5)
    with pytest.raises(Unresolvable, match="needs 300 searches and there are 120"):
        extrapolate(wide, [100], 0.1)
