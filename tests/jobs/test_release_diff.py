"""What changed between two releases, set side by side subject by subject."""

import hashlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.dataset.differences import SampleCount, changes
from app.dataset.shard import SampleRow
from app.errors import Corrupt


def row(subject: int, sample: int, what: str = "", **fields: Any) -> SampleRow:
    name = f"S{subject:07d}_{sample:04d}"
    digest = hashlib.sha256((name + what).encode()).hexdigest()
    text = {
        "id": name,
        "subject": name[:8],
        "role": "probe",
        "width": 8,
        "height": 8,
        "bytes": 9,
        "file": f"{name}.png",
        "pixel_sha256": digest,
        "file_sha256": digest,
        "identity_attempt": 0,
        "attempt": 0,
        "attributes": {"age": 40.0},
    }
    return SampleRow.model_validate(text | fields)


def compared(before: list[SampleRow], after: list[SampleRow]) -> SampleCount:
    count = SampleCount()
    count.compare(iter(before), iter(after))
    return count


def test_every_kind_of_difference_is_told_apart() -> None:
    before = [row(0, 0), row(0, 1), row(1, 0), row(2, 0), row(2, 1), row(4, 0), row(6, 0)]
    after = [
        row(0, 0),
        row(0, 1),
        row(2, 0, "other"),
        row(2, 2),
        row(4, 0, attributes={"age": 41.0}),
        row(5, 0),
        row(6, 0, file_sha256="0" * 64),
    ]
    count = compared(before, after)
    samples, subjects = count.samples(), count.subjects()
    assert samples.changed.first == ("S0000002_0000",)
    assert samples.added.first == ("S0000002_0002", "S0000005_0000")
    assert samples.removed.first == ("S0000001_0000", "S0000002_0001")
    assert samples.relabelled.first == ("S0000004_0000",)
    assert samples.rewritten.first == ("S0000006_0000",)
    assert samples.unchanged == 2
    assert subjects.added.first == ("S0000005",)
    assert subjects.removed.first == ("S0000001",)
    assert subjects.changed.first == ("S0000002", "S0000004")
    assert subjects.unchanged == 2  # other bytes with the same pixels make no other subject


def test_all_are_counted_and_ten_are_named() -> None:
    count = compared([], [row(subject, 0) for subject in range(25)])
    assert count.samples().added.count == count.subjects().added.count == 25
    assert count.subjects().added.first == tuple(f"S{subject:07d}" for subject in range(10))


places = st.dictionaries(st.tuples(st.integers(0, 8), st.integers(0, 3)), st.sampled_from(["a", "b"]), max_size=20)


@given(places, places)
def test_every_sample_is_counted_once(old: dict[tuple[int, int], str], new: dict[tuple[int, int], str]) -> None:
    before, after = ([row(*place, what) for place, what in sorted(side.items())] for side in (old, new))
    count = compared(before, after)
    found = count.samples()
    assert found.added.count == len(new.keys() - old.keys())
    assert found.removed.count == len(old.keys() - new.keys())
    both = old.keys() & new.keys()
    assert found.changed.count == sum(old[place] != new[place] for place in both)
    assert found.unchanged == sum(old[place] == new[place] for place in both)
    subjects = count.subjects()
    whole = {subject for subject, _ in old | new}
    told = subjects.added.count + subjects.removed.count + subjects.changed.count + subjects.unchanged
    assert told == len(whole)


def test_a_list_out_of_order_is_refused_and_not_misread() -> None:
    with pytest.raises(Corrupt, match="S0000001 after S0000002"):
        compared([row(2, 0), row(1, 0)], [])


def test_changes_of_nested_objects() -> None:
    before = {"a": 1, "b": {"c": 2, "d": {"e": 3}}, "same": [1, 2]}
    after = {"a": 1, "b": {"c": 5}, "same": [1, 2], "f": None}
    found = [json.loads(change.model_dump_json()) for change in changes(before, after)]
    assert found == [
        {"field": "b.c", "before": 2, "after": 5},
        {"field": "b.d.e", "before": 3, "after": None},
    ]
