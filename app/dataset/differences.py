"""What changed from one set to another: read side by side, subject by subject, so that size is no matter."""

import json
from collections.abc import Iterator
from itertools import groupby
from typing import Any

from app.dataset.release import FIRST, Change, Names, SamplesDiff, SubjectsDiff
from app.dataset.shard import SampleRow
from app.errors import Corrupt

SHORT_LIST = 4
"""A list of figures up to this length is an interval or a row, and compared as one; longer ones are curves."""


class _Names:
    """Counts labels, and keeps the first ones."""

    def __init__(self) -> None:
        self.count = 0
        self._first: list[str] = []

    def add(self, name: str) -> None:
        self.count += 1
        if len(self._first) < FIRST:
            self._first.append(name)

    def names(self) -> Names:
        return Names(count=self.count, first=tuple(self._first))


class SampleCount:
    """Subjects and samples of two sets, by what became of them."""

    def __init__(self) -> None:
        self._subjects = {kind: _Names() for kind in ("added", "removed", "changed")}
        self._samples = {kind: _Names() for kind in ("added", "removed", "changed", "relabelled", "rewritten")}
        self._unchanged_subjects = 0
        self._unchanged_samples = 0

    def same(self, counts: dict[str, int]) -> None:
        """Take two sets as equal; `counts` are those of either."""
        self._unchanged_subjects = counts["subjects"] + counts["distractors"]
        self._unchanged_samples = counts["samples"]

    def compare(self, before: Iterator[SampleRow], after: Iterator[SampleRow]) -> None:
        """Take in two sets, each in the order of its subjects."""
        olds, news = _by_subject(before), _by_subject(after)
        old, new = next(olds, None), next(news, None)
        while old and new:
            if old[0] < new[0]:
                self._whole(old, "removed")
                old = next(olds, None)
            elif new[0] < old[0]:
                self._whole(new, "added")
                new = next(news, None)
            else:
                self._both(old[0], old[1], new[1])
                old, new = next(olds, None), next(news, None)
        while old:
            self._whole(old, "removed")
            old = next(olds, None)
        while new:
            self._whole(new, "added")
            new = next(news, None)

    def subjects(self) -> SubjectsDiff:
        """What became of the subjects."""
        named = {kind: names.names() for kind, names in self._subjects.items()}
        return SubjectsDiff(**named, unchanged=self._unchanged_subjects)

    def samples(self) -> SamplesDiff:
        """What became of the samples."""
        named = {kind: names.names() for kind, names in self._samples.items()}
        return SamplesDiff(**named, unchanged=self._unchanged_samples)

    def _whole(self, subject: tuple[str, dict[str, SampleRow]], kind: str) -> None:
        name, rows = subject
        self._subjects[kind].add(name)
        for row in rows:
            self._samples[kind].add(row)

    def _both(self, subject: str, old: dict[str, SampleRow], new: dict[str, SampleRow]) -> None:
        changed = False
        for name in sorted(old.keys() | new.keys()):
            kind = _difference(old.get(name), new.get(name))
            if kind is None:
                self._unchanged_samples += 1
            else:
                self._samples[kind].add(name)
                changed = changed or kind != "rewritten"
        if changed:
            self._subjects["changed"].add(subject)
        else:
            self._unchanged_subjects += 1


def _difference(old: SampleRow | None, new: SampleRow | None) -> str | None:
    if old is None:
        return "added"
    if new is None:
        return "removed"
    if old.pixel_sha256 != new.pixel_sha256:
        return "changed"
    if (old.role, old.attributes) != (new.role, new.attributes):
        return "relabelled"
    return None if (old.file, old.file_sha256) == (new.file, new.file_sha256) else "rewritten"


def _by_subject(rows: Iterator[SampleRow]) -> Iterator[tuple[str, dict[str, SampleRow]]]:
    last = ""
    for subject, group in groupby(rows, key=lambda row: row.subject):
        if subject <= last:
            raise Corrupt(f"the manifest lists subject {subject} after {last}")
        last = subject
        yield subject, {row.id: row for row in group}


def changes(before: dict[str, Any], after: dict[str, Any]) -> tuple[Change, ...]:
    """The leaves that differ between two JSON objects, by dotted path; what is not there is null."""
    old, new = dict(_leaves(before)), dict(_leaves(after))
    return tuple(
        Change(field=field, before=old.get(field), after=new.get(field))
        for field in sorted(old.keys() | new.keys())
        if old.get(field) != new.get(field)
    )


def _leaves(value: dict[str, Any], path: str = "") -> Iterator[tuple[str, Any]]:
    for name, inner in value.items():
        here = f"{path}.{name}" if path else name
        if isinstance(inner, dict):
            yield from _leaves(inner, here)
        else:
            yield here, inner


def figures(report: bytes | None) -> dict[str, Any]:
    """A report without its curves; empty for none."""
    read: dict[str, Any] = json.loads(report) if report else {}
    return {name: value for name, value in _leaves(read) if not isinstance(value, list) or len(value) <= SHORT_LIST}
