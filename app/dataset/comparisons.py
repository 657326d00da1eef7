"""Comparison lists as formulas: which pairs of samples are compared, mated and non-mated, each once.

Legend: S subjects with K samples each, D distractors with one; sample 0 of every subject is its reference,
the others are probes. A distractor has a reference only. And comparisons.csv, which lists them: the one reader of it.
"""

import hashlib
import re
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import accumulate, combinations
from typing import Literal, NamedTuple

from app.dataset.permutation import permuted
from app.errors import Corrupt

Selection = Literal["balanced", "crossed", "complete", "none"]


class Comparison(NamedTuple):
    """One comparison: (subject, sample) of the reference and of the probe."""

    reference: tuple[int, int]
    probe: tuple[int, int]

    @property
    def mated(self) -> bool:
        """Whether both sides are of one subject."""
        return self.reference[0] == self.probe[0]


class ComparisonCounts(NamedTuple):
    """How many comparisons a selection lists."""

    mated: int
    non_mated: int


Groups = tuple[tuple[int, int], ...]
"""(samples, subjects) …: the first so many subjects have so many samples each, then come the next. Empty where all have
K; else K is the largest number."""


def count_comparisons(
    selection: Selection, subjects: int, samples: int, distractors: int, groups: Groups = ()
) -> ComparisonCounts:
    """Count a selection by formula, S, K, D as in the legend.

    Raises ValueError for a balanced selection of subjects with different numbers of samples: it has no formula.
    """
    if groups and selection != "none":
        return _count_groups(selection, groups, subjects, distractors)
    pairs = samples * (samples - 1) // 2
    if selection == "none":
        return ComparisonCounts(0, 0)
    if selection == "balanced":
        return ComparisonCounts(subjects * pairs, subjects * pairs)
    if selection == "crossed":
        probes = subjects * (samples - 1)
        return ComparisonCounts(probes, probes * (subjects + distractors - 1))
    mine = subjects * samples
    mated = subjects * pairs
    return ComparisonCounts(mated, mine * (mine - 1) // 2 - mated + mine * distractors)


def _count_groups(selection: Selection, groups: Groups, subjects: int, distractors: int) -> ComparisonCounts:
    if selection == "balanced":
        raise ValueError("a balanced selection wants as many samples of every subject")
    mine = sum(samples * count for samples, count in groups)
    if selection == "crossed":
        probes = mine - subjects
        return ComparisonCounts(probes, probes * (subjects + distractors - 1))
    mated = sum(samples * (samples - 1) // 2 * count for samples, count in groups)
    return ComparisonCounts(mated, mine * (mine - 1) // 2 - mated + mine * distractors)


COMPLETE_UP_TO = 100_000
"""So many comparisons any matcher makes while somebody waits: up to here every two samples are compared."""

CROSSED_UP_TO = 2_000_000
"""Up to here every reference is compared with every probe; beyond, a set lists as many non-mated pairs as mated."""


def default_selection(subjects: int, samples: int, distractors: int, most: int, groups: Groups = ()) -> Selection:
    """The selection that resolves most of those that are affordable, and that list at most `most` comparisons.

    Rates at a low FMR rest on non-mated comparisons: a balanced list of 200 subjects of 5 samples has 2,000 of them and
    resolves FMR 1.5%, a crossed one 199,000 without any further image.
    """
    if samples < 2 or subjects < 2:
        return "none"
    affordable: tuple[tuple[Selection, int], ...] = (("complete", COMPLETE_UP_TO), ("crossed", CROSSED_UP_TO))
    for selection, limit in affordable:
        if sum(count_comparisons(selection, subjects, samples, distractors, groups)) <= min(limit, most):
            return selection
    return "crossed" if groups else "balanced"


def list_comparisons(
    selection: Selection, subjects: int, samples: int, distractors: int, seed: int, groups: Groups = ()
) -> Iterator[Comparison]:
    """Yield every comparison of a selection in a fixed order; memory does not grow with the set."""
    if groups:
        last = list(accumulate(count for _, count in groups))

        def there(side: tuple[int, int]) -> bool:
            return side[0] >= subjects or side[1] < groups[bisect_right(last, side[0])][0]

        for comparison in list_comparisons(selection, subjects, samples, distractors, seed):
            if there(comparison.reference) and there(comparison.probe):
                yield comparison
        return
    if selection == "balanced":
        yield from _balanced(subjects, samples, seed)
    elif selection == "crossed":
        yield from _crossed(subjects, samples, distractors)
    elif selection == "complete":
        yield from _complete(subjects, samples, distractors)


def _balanced(subjects: int, samples: int, seed: int) -> Iterator[Comparison]:
    """Every mated pair (i, j), and beside it reference i with probe j of another subject.

    The other subject is a fixed number of places further on (around the end), one number for each (i, j), drawn
    by the seed. So every probe is used equally often; and no pair comes twice, for i < j tells which side is the
    reference, and (i, j) tells the distance.
    """
    pairs = list(combinations(range(samples), 2))
    shifts = subjects - 1
    for subject in range(subjects):
        for number, (first, second) in enumerate(pairs):
            yield Comparison((subject, first), (subject, second))
            shift = 1 + permuted(number % shifts, shifts, key=seed)
            yield Comparison((subject, first), ((subject + shift) % subjects, second))


def _crossed(subjects: int, samples: int, distractors: int) -> Iterator[Comparison]:
    """Every reference, distractors' too, with every probe."""
    for reference in range(subjects + distractors):
        for subject in range(subjects):
            for sample in range(1, samples):
                yield Comparison((reference, 0), (subject, sample))


def _complete(subjects: int, samples: int, distractors: int) -> Iterator[Comparison]:
    """Every unordered pair of samples but those of two distractors; a distractor's sample is on the reference
    side of its pairs, so that it is never presented."""
    for subject in range(subjects):
        for sample in range(samples):
            first = (subject, sample)
            for later in range(sample + 1, samples):
                yield Comparison(first, (subject, later))
            for other in range(subject + 1, subjects):
                for later in range(samples):
                    yield Comparison(first, (other, later))
    for distractor in range(subjects, subjects + distractors):
        for subject in range(subjects):
            for sample in range(samples):
                yield Comparison((distractor, 0), (subject, sample))


COLUMNS = ("reference", "probe", "mated")
"""Of comparisons.csv."""

_LINE = re.compile(rb"(S[0-9]{7})_[0-9]{4},(S[0-9]{7})_[0-9]{4},([01])")

_LONGEST = 4_096
"""Bytes of a line; what goes on for longer is no such file, and must not fill the memory."""


class ListedPair(NamedTuple):
    """A line of comparisons.csv: the samples' labels."""

    reference: str
    probe: str
    mated: bool
    """Whether both are of one subject."""


@dataclass(frozen=True, kw_only=True)
class ComparisonsFile:
    """A finished set's comparisons.csv, wherever it lies. Every reader goes through it here, and to its end: a file
    that was cut short or altered is Corrupt, never a shorter list."""

    open: Callable[[], Iterable[bytes]]
    """Its bytes from the beginning, as often as they are asked for."""
    sha256: str | None
    """As the manifest has it; None in manifests of before it did."""

    def chunks(self) -> Iterator[bytes]:
        """Yield its bytes; raises Corrupt behind the last unless they are the manifest's."""
        digest, last = hashlib.sha256(), b"\n"
        for chunk in self.open():
            digest.update(chunk)
            last = chunk[-1:] or last
            yield chunk
        if self.sha256 is not None and digest.hexdigest() != self.sha256:
            raise Corrupt("comparisons.csv has another digest than the manifest says; fetch the dataset anew")
        if last != b"\n":
            raise Corrupt("comparisons.csv breaks off within a line; fetch the dataset anew")

    def check(self) -> str:
        """Read to the end and return the SHA-256 found; raises Corrupt."""
        digest = hashlib.sha256()
        for chunk in self.chunks():
            digest.update(chunk)
        return digest.hexdigest()

    def pairs(self) -> Iterator[ListedPair]:
        """Yield what it lists, in its order; raises Corrupt with the line that is wrong, or as `chunks` does."""
        lines = enumerate(self._lines(), 1)
        if next(lines, (1, b""))[1] != ",".join(COLUMNS).encode():
            raise Corrupt(f"comparisons.csv does not begin with {','.join(COLUMNS)}")
        for number, line in lines:
            match = _LINE.fullmatch(line)
            if match is None or (match[1] == match[2]) != (match[3] == b"1"):
                raise Corrupt(f"line {number} of comparisons.csv is no comparison: {line[:80]!r}")
            reference, probe, mated = line.decode().split(",")
            yield ListedPair(reference, probe, mated == "1")

    def _lines(self) -> Iterator[bytes]:
        rest = b""
        for chunk in self.chunks():
            *whole, rest = (rest + chunk).split(b"\n")
            if len(rest) > _LONGEST:
                raise Corrupt("comparisons.csv is no list of comparisons; fetch the dataset anew")
            yield from whole
