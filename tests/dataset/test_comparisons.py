"""Comparison lists: every pair once, counted by formula."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.dataset.comparisons import Comparison, Selection, count_comparisons, list_comparisons

SELECTIONS: tuple[Selection, ...] = ("balanced", "crossed", "complete", "none")

subjects_ = st.integers(2, 9)
samples_ = st.integers(1, 6)
distractors_ = st.integers(0, 5)
seeds = st.integers(0, 2**63 - 1)


def listed(selection: Selection, subjects: int, samples: int, distractors: int, seed: int) -> list[Comparison]:
    return list(list_comparisons(selection, subjects, samples, distractors, seed))


@given(st.sampled_from(SELECTIONS), subjects_, samples_, distractors_, seeds)
def test_a_list_is_as_long_as_its_formula_says_and_has_each_pair_once(
    selection: Selection, subjects: int, samples: int, distractors: int, seed: int
) -> None:
    pairs = listed(selection, subjects, samples, distractors, seed)
    mated = sum(pair.reference[0] == pair.probe[0] for pair in pairs)
    assert (mated, len(pairs) - mated) == count_comparisons(selection, subjects, samples, distractors)
    unordered = {frozenset((pair.reference, pair.probe)) for pair in pairs}
    assert len(unordered) == len(pairs)
    assert all(len(pair) == 2 for pair in unordered)  # no sample is compared with itself


@given(st.sampled_from(SELECTIONS), subjects_, samples_, distractors_, seeds)
def test_only_samples_that_exist_are_compared_and_distractors_never_probe(
    selection: Selection, subjects: int, samples: int, distractors: int, seed: int
) -> None:
    mine = {(subject, sample) for subject in range(subjects) for sample in range(samples)}
    others = {(subject, 0) for subject in range(subjects, subjects + distractors)}
    for pair in listed(selection, subjects, samples, distractors, seed):
        assert pair.reference in mine | others
        assert pair.probe in mine
        assert pair.mated == (pair.reference[0] == pair.probe[0])


@given(subjects_, samples_, distractors_)
def test_complete_leaves_out_only_pairs_of_distractors(subjects: int, samples: int, distractors: int) -> None:
    everything = [(subject, sample) for subject in range(subjects) for sample in range(samples)]
    everything += [(subject, 0) for subject in range(subjects, subjects + distractors)]
    expected = {
        frozenset((first, second))
        for first in everything
        for second in everything
        if first != second and min(first[0], second[0]) < subjects
    }
    pairs = listed("complete", subjects, samples, distractors, 0)
    assert {frozenset((pair.reference, pair.probe)) for pair in pairs} == expected


@given(subjects_, samples_, distractors_)
def test_crossed_is_every_reference_with_every_probe(subjects: int, samples: int, distractors: int) -> None:
    pairs = listed("crossed", subjects, samples, distractors, 0)
    assert set(pairs) == {
        Comparison((reference, 0), (subject, sample))
        for reference in range(subjects + distractors)
        for subject in range(subjects)
        for sample in range(1, samples)
    }


@given(subjects_, samples_, distractors_, seeds)
def test_balanced_has_every_mated_pair_and_uses_every_probe_equally(
    subjects: int, samples: int, distractors: int, seed: int
) -> None:
    pairs = listed("balanced", subjects, samples, distractors, seed)
    mated = [pair for pair in pairs if pair.mated]
    assert set(mated) == {
        Comparison((subject, first), (subject, second))
        for subject in range(subjects)
        for second in range(samples)
        for first in range(second)
    }
    # Sample number j is a probe j times in mated and j times in non-mated comparisons, whoever's it is.
    for half in (mated, [pair for pair in pairs if not pair.mated]):
        assert Counter(pair.probe for pair in half) == Counter(
            {(subject, sample): sample for subject in range(subjects) for sample in range(1, samples)}
        )
        assert Counter(pair.reference for pair in half) == Counter(
            {(subject, sample): samples - 1 - sample for subject in range(subjects) for sample in range(samples - 1)}
        )


def test_the_seed_draws_the_non_mated_pairs_of_balanced() -> None:
    one, again, other = (listed("balanced", 50, 4, 0, seed) for seed in (1, 1, 2))
    assert one == again
    assert one != other
    assert [pair for pair in one if pair.mated] == [pair for pair in other if pair.mated]


@pytest.mark.parametrize(
    ("selection", "expected"),
    [
        # 10 subjects with 4 samples and 5 distractors: 60 mated pairs; 40 * 39 / 2 + 40 * 5 pairs in all.
        ("balanced", (60, 60)),
        ("crossed", (30, 30 * 14)),
        ("complete", (60, 780 + 200 - 60)),
        ("none", (0, 0)),
    ],
)
def test_counts_worked_by_hand(selection: Selection, expected: tuple[int, int]) -> None:
    assert count_comparisons(selection, 10, 4, 5) == expected


def test_a_huge_list_is_begun_at_once() -> None:
    first = next(iter(list_comparisons("complete", 1_000_000, 2, 1_000_000, seed=0)))
    assert first == Comparison((0, 0), (0, 1))
