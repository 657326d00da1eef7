"""What a writer of a layout is given: a finished set, whichever place it lies in, read over and over in one order."""

from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple, Protocol

from app.dataset.comparisons import ListedPair, Selection
from app.dataset.names import parse_sample_name
from app.dataset.naming import Naming
from app.dataset.plan import Place
from app.dataset.shard import SampleRow
from app.dataset.source_type import SourceType
from app.errors import Corrupt
from workers.images import Mark
from workers.layouts.archive import Entry
from workers.matchers.detector import Face


class Located(NamedTuple):
    """A sample and where its face is."""

    row: SampleRow
    data: bytes
    """Its file."""
    face: Face | None


@dataclass(frozen=True, kw_only=True)
class About:
    """What is known of a set beside its samples."""

    dataset: str
    name: str
    model: str
    """Name and version."""
    model_digest: str
    source_type: SourceType
    """How its images came about, in the words of the IPTC."""
    subjects: int
    samples_per_subject: int
    distractors: int
    selection: Selection
    left_out: int
    """Comparisons that the set does not list because a sample of theirs is missing."""
    missing: frozenset[Place]
    """Planned samples that could not be made."""
    naming: Naming | None = None
    """How the gallery of a profile calls folders and files."""

    @property
    def planned(self) -> int:
        """How many samples were planned: one more than the highest index."""
        return self.subjects * self.samples_per_subject + self.distractors

    def index(self, place: Place) -> int:
        """Number of a sample from 0 in the plan's order, as `Plan.index` has it."""
        if place.subject < self.subjects:
            return place.subject * self.samples_per_subject + place.sample
        return self.subjects * self.samples_per_subject + place.subject - self.subjects

    def rank(self, place: Place) -> int:
        """Which of its subject's samples a sample is, from 0, those that are missing not counted."""
        return place.sample - bisect_left(self._missing_of.get(place.subject, ()), place.sample)

    @cached_property
    def _missing_of(self) -> dict[int, list[int]]:
        """Subject to its missing samples, in order."""
        found: dict[int, list[int]] = {}
        for subject, sample in sorted(self.missing):
            found.setdefault(subject, []).append(sample)
        return found

    def mark(self, row: SampleRow) -> Mark:
        """What an image that is made out of a sample says of itself."""
        return Mark(
            dataset=self.dataset,
            sample=row.id,
            model=self.model,
            model_digest=self.model_digest,
            source_type=self.source_type,
        )


class Contents(Protocol):
    """A finished set. Every call begins anew; memory does not grow with the set."""

    @property
    def about(self) -> About:
        """What is known of it."""

    def rows(self) -> Iterator[SampleRow]:
        """Yield every sample's line of the manifest, in the plan's order."""

    def files(self) -> Iterator[tuple[SampleRow, bytes]]:
        """Yield every sample and its file, in the plan's order."""

    def beside(self, row: SampleRow) -> bytes:
        """The C2PA manifest that lies beside a sample, for rows that have one."""

    def located(self) -> Iterator[Located]:
        """Yield every sample, its file and the face in it, in the plan's order."""

    def comparisons(self) -> Iterator[ListedPair]:
        """Yield every comparison that the set lists."""

    def products(self) -> Iterator[Entry]:
        """Yield the files beside the samples, as the plain layout has them."""


def place_of(sample: str) -> Place:
    """The place that a sample's label speaks of; raises Corrupt."""
    place = parse_sample_name(sample)
    if place is None:
        raise Corrupt(f"{sample!r} is no sample's label; samples are called like S0000012_0003")
    return place


class Sides:
    """Which samples stand on which side of the listed comparisons, and how many comparisons there are.

    A byte a sample and side, so a few megabytes for a million samples.
    """

    def __init__(self, contents: Contents) -> None:
        about = contents.about
        self._about = about
        self._references = bytearray(about.planned)
        self._probes = bytearray(about.planned)
        self.mated = self.non_mated = 0
        for comparison in contents.comparisons():
            self._references[about.index(place_of(comparison.reference))] = 1
            self._probes[about.index(place_of(comparison.probe))] = 1
            if comparison.mated:
                self.mated += 1
            else:
                self.non_mated += 1

    def is_reference(self, sample: str) -> bool:
        """Whether a sample is the reference of some comparison."""
        return bool(self._references[self._about.index(place_of(sample))])

    def is_probe(self, sample: str) -> bool:
        """Whether a sample is the probe of some comparison."""
        return bool(self._probes[self._about.index(place_of(sample))])
