"""The rule of 30."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from app.dataset.comparisons import Selection, count_comparisons, default_selection
from app.dataset.evaluation import Rule
from app.dataset.request import Target
from app.dataset.resolution import can_resolve, comparisons_needed, shortcomings, subjects_needed


@pytest.mark.parametrize(
    ("fmr", "subjects"),
    [
        (1e-2, 78),  # 78 · 77 / 2 = 3,003 >= 3,000
        (1e-3, 246),  # 246 · 245 / 2 = 30,135 >= 30,000; 245 · 244 / 2 = 29,890
        (1e-4, 776),  # 300,700 >= 300,000; 775: 299,925
        (1e-5, 2_450),  # 3,000,025 >= 3,000,000; 2,449: 2,997,576
        (1e-6, 7_747),  # 30,004,131 >= 30,000,000; 7,746: 29,996,385
    ],
)
def test_subjects_fully_crossed_with_one_image_each(fmr: float, subjects: int) -> None:
    assert subjects_needed(fmr) == subjects


@given(fmr=st.floats(1e-9, 1), samples=st.integers(1, 20))
def test_subjects_needed_are_enough_and_one_fewer_are_not(fmr: float, samples: int) -> None:
    subjects = subjects_needed(fmr, samples)
    pairs = comparisons_needed(fmr)
    assert subjects * (subjects - 1) // 2 * samples**2 >= pairs
    assert subjects == 2 or (subjects - 1) * (subjects - 2) // 2 * samples**2 < pairs


def test_a_decimal_rate_means_itself() -> None:
    assert comparisons_needed(1e-3) == 30_000
    assert comparisons_needed(0.3) == 100
    assert comparisons_needed(0.7) == 43  # 30 / 0.7 = 42.86


def test_enough_resolves() -> None:
    found = can_resolve(fmr=1e-3, non_mated=30_000, fnmr=0.05, mated=600)
    assert found.resolved
    assert (found.non_mated_needed, found.mated_needed) == (30_000, 600)


def test_too_few_say_how_many_are_needed() -> None:
    found = can_resolve(fmr=1e-3, non_mated=29_999, fnmr=0.05, mated=599)
    assert not found.resolved
    assert "246 subjects" in found.problems[0]
    assert "600 mated" in found.problems[1]


def test_a_high_fnmr_needs_matches_to_be_seen() -> None:
    assert can_resolve(fmr=0.1, non_mated=300, fnmr=0.99, mated=3_000).resolved
    assert not can_resolve(fmr=0.1, non_mated=300, fnmr=0.99, mated=2_999).resolved


@pytest.mark.parametrize("rate", [0.0, -1e-3, 1.1, float("nan")])
def test_impossible_rates_are_refused(rate: float) -> None:
    with pytest.raises(ValueError, match="rate"):
        comparisons_needed(rate)


def test_impossible_samples_and_fnmr_are_refused() -> None:
    with pytest.raises(ValueError, match="samples"):
        subjects_needed(1e-3, 0)
    with pytest.raises(ValueError, match="FNMR"):
        can_resolve(fmr=1e-3, non_mated=10, fnmr=1.0)


def test_a_rate_next_to_nothing_needs_a_great_number() -> None:
    assert comparisons_needed(1e-12) == 30 * 10**12
    with pytest.raises(ValueError, match="between 1e-12 and 1"):
        comparisons_needed(5e-324)


def test_a_balanced_list_says_what_it_cannot_resolve_and_what_would() -> None:
    (told,) = shortcomings("balanced", 200, 5, 50)
    assert "the set lists 2,000 non-mated comparisons" in told
    assert "they resolve FMR 1.5% and above" in told
    assert "at FMR 1% you need 3,000 (comparisons.selection 'crossed' lists 199,200)" in told
    assert "at FMR 0.1% you need 30,000 (comparisons.selection 'crossed' lists 199,200)" in told
    assert shortcomings("crossed", 200, 5, 50) == ()


def test_a_set_too_small_for_any_list_says_how_many_subjects_would_do() -> None:
    first, second = shortcomings("complete", 20, 3, 0)
    assert "at FMR 1% you need 3,000 ('complete' of 27 subjects with 3 samples each)" in first
    assert "at FMR 0.1% you need 30,000 ('complete' of 83 subjects with 3 samples each)" in first
    assert "It has 20 subjects" in second


@pytest.mark.parametrize(
    ("subjects", "listed", "able"),
    [
        (4, 24, "they resolve no FMR, and a verdict would be UNDECIDED. Of"),
        (5, 40, "they resolve FMR 75% and above"),
        (20, 760, "they resolve FMR 4% and above"),  # 3.947%: what is named is resolved, so no 3.9%
    ],
)
def test_the_fmr_that_is_named_is_resolved(subjects: int, listed: int, able: str) -> None:
    told = shortcomings("complete", subjects, 2, 0)[0]
    assert f"lists {listed} non-mated" in told
    assert able in told


@pytest.mark.parametrize(
    ("selection", "samples", "why"), [("none", 3, "selection is 'none'"), ("complete", 1, "one sample of each")]
)
def test_without_mated_comparisons_there_is_no_rate(selection: Selection, samples: int, why: str) -> None:
    (told,) = shortcomings(selection, 200, samples, 0)
    assert why in told


@given(subjects=st.integers(2, 3_000), samples=st.integers(2, 10), distractors=st.integers(0, 500))
def test_the_default_selection_is_affordable_and_resolves_most(subjects: int, samples: int, distractors: int) -> None:
    chosen = default_selection(subjects, samples, distractors, most=10**9)
    listed = sum(count_comparisons(chosen, subjects, samples, distractors))
    assert listed <= 2_000_000 or chosen == "balanced"
    if sum(count_comparisons("complete", subjects, samples, distractors)) <= 100_000:
        assert chosen == "complete"
    if subjects >= 30 and chosen != "balanced":
        assert not any("FMR 1% you need" in text for text in shortcomings(chosen, subjects, samples, distractors)) or (
            count_comparisons("complete", subjects, samples, distractors).non_mated < 3_000
        )


@pytest.mark.parametrize("rate", [1e-308, 1e-13, 0.0, 1.5])
def test_a_rate_that_no_set_can_be_of_is_refused(rate: float) -> None:
    with pytest.raises(ValueError, match="between 1e-12 and 1"):
        comparisons_needed(rate)
    with pytest.raises(ValidationError):
        Rule(at_fmr=rate)
    with pytest.raises(ValidationError):
        Target(matcher="sface", fmr=rate, fnmr=0.1)
