"""LFW's folds: equally many of each kind, nothing twice, nothing lost, nothing padded."""

import csv
import io
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.dataset.comparisons import ListedPair, list_comparisons
from app.dataset.names import sample_name
from app.dataset.plan import Place
from workers.layouts.contents import About
from workers.layouts.lfw import Folds, fold_of


class Listing:
    """Contents of which only the comparisons matter."""

    def __init__(self, about: About, seed: int) -> None:
        self.about = about
        self._seed = seed

    def comparisons(self) -> Iterator[ListedPair]:
        about = self.about
        for pair in list_comparisons(
            about.selection, about.subjects, about.samples_per_subject, about.distractors, self._seed
        ):
            if not {Place(*pair.reference), Place(*pair.probe)} & about.missing:
                yield ListedPair(sample_name(*pair.reference), sample_name(*pair.probe), pair.mated)


def about(**fields: Any) -> About:
    return About(
        **{
            "dataset": "ds_1",
            "name": "n",
            "model": "m 1",
            "model_digest": "d",
            "source_type": "algorithmicMedia",
            "subjects": 20,
            "samples_per_subject": 3,
            "distractors": 0,
            "selection": "balanced",
            "left_out": 0,
            "missing": frozenset(),
            **fields,
        }
    )


def read(entry: Any) -> str:
    data = b"".join(entry.chunks)
    assert len(data) == entry.size
    return data.decode()


@settings(deadline=None)
@given(
    subjects=st.integers(10, 34),
    samples=st.integers(2, 4),
    distractors=st.integers(0, 12),
    selection=st.sampled_from(["balanced", "crossed", "complete"]),
    missing=st.lists(st.tuples(st.integers(0, 33), st.integers(0, 3)), max_size=6),
)
def test_ten_equal_folds_and_the_rest_listed(
    subjects: int, samples: int, distractors: int, selection: Any, missing: list[tuple[int, int]]
) -> None:
    gone = frozenset(Place(*place) for place in missing if place[0] < subjects and place[1] < samples)
    facts = about(
        subjects=subjects, samples_per_subject=samples, distractors=distractors, selection=selection, missing=gone
    )
    contents: Any = Listing(facts, 5)
    folds = Folds(contents)
    head, *lines = read(folds.pairs("pairs.txt", range(10), f"10\t{folds.size}\n")).splitlines()
    assert head == f"10\t{folds.size}"
    assert len(lines) == 20 * folds.size
    taken = set()
    for number, line in enumerate(lines):
        fold, mated = number // (2 * folds.size), number % (2 * folds.size) < folds.size
        parts = line.split("\t")
        assert len(parts) == (3 if mated else 4)
        name, first = parts[0], int(parts[1])
        other, second = (name, int(parts[2])) if mated else (parts[2], int(parts[3]))
        reference, probe = sample_of(facts, name, first), sample_of(facts, other, second)
        assert fold in ({fold_of(facts, reference)} | (set() if mated else {fold_of(facts, probe)}))
        taken.add(ListedPair(sample_name(*reference), sample_name(*probe), mated))
    assert len(taken) == len(lines)
    left = {
        ListedPair(row["reference"], row["probe"], row["mated"] == "1")
        for row in csv.DictReader(io.StringIO(read(folds.left_over())))
    }
    assert not taken & left
    assert taken | left == set(contents.comparisons())
    # As many as the mated ones let there be, or half of an equal share of the others.
    mated = [0] * 10
    for item in contents.comparisons():
        mated[fold_of(facts, Place(int(item.reference[1:8]), 0))] += item.mated
    others = sum(not item.mated for item in contents.comparisons())
    assert folds.size <= min(*mated, others // 10)
    if not gone:
        assert folds.size >= max(1, min(*mated, others // 20))


def sample_of(facts: About, name: str, number: int) -> Place:
    """The place of an LFW image: the number counts the samples that there are."""
    subject = int(name.removeprefix("Subject_"))
    there = [sample for sample in range(facts.samples_per_subject) if Place(subject, sample) not in facts.missing]
    return Place(subject, there[number - 1])


def test_every_subject_is_in_one_fold_and_folds_are_runs() -> None:
    folds = [fold_of(about(subjects=23), Place(subject, 0)) for subject in range(23)]
    assert folds == sorted(folds)
    assert set(folds) == set(range(10))
    assert {folds.count(fold) for fold in range(10)} <= {2, 3}


def test_a_fold_without_comparisons_empties_the_list_and_says_so() -> None:
    gone = frozenset({Place(4, 1), Place(4, 2), Place(5, 1), Place(5, 2)})  # fold 2 has no mated comparison left
    folds = Folds(Listing(about(missing=gone), 1))  # type: ignore[arg-type]
    assert folds.size == 0
    assert read(folds.pairs("pairs.txt", range(10), "10\t0\n")) == "10\t0\n"
    assert "pairs.txt is empty" in folds.notes()[-1]
    assert len(read(folds.left_over()).splitlines()) == 1 + len(list(Listing(about(missing=gone), 1).comparisons()))


@pytest.mark.parametrize(("missing", "ranks"), [((), [0, 1, 2, 3]), ((1,), [0, 1, 2]), ((0, 2), [0, 1])])
def test_numbers_leave_no_gaps(missing: tuple[int, ...], ranks: list[int]) -> None:
    facts = about(samples_per_subject=4, missing=frozenset(Place(3, sample) for sample in missing))
    assert [facts.rank(Place(3, sample)) for sample in range(4) if sample not in missing] == ranks
    assert facts.rank(Place(2, 3)) == 3
