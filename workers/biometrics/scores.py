"""Comparison scores as data: mated and non-mated, whose they are, and what failed beside them.

Legend: M mated and N non-mated *completed* comparisons over S subjects; a subject is a code in 0 … S−1.
Scores are float64 and finite, higher is more alike. The order of comparisons carries no meaning.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from workers.biometrics.errors import ScoresRefused, Unresolvable
from workers.biometrics.tails import ListedPairs, NonMatedTail

Scores = NDArray[np.float64]
Codes = NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class Failures:
    """What was tried and gave no score or no template; reported beside the rates, which count completed tries only."""

    mated: int = 0
    """Mated comparisons without a score."""
    non_mated: int = 0
    """Non-mated comparisons without a score."""
    enrolments: int = 0
    """References that were to be enrolled; 0 if the source does not tell."""
    enrolments_failed: int = 0
    extractions: int = 0
    """Probes from which a template was to be extracted; 0 if the source does not tell."""
    extractions_failed: int = 0

    def __post_init__(self) -> None:
        if min(self.mated, self.non_mated, self.enrolments_failed, self.extractions_failed) < 0:
            raise ValueError("failures cannot be negative")
        if self.enrolments_failed > self.enrolments or self.extractions_failed > self.extractions:
            raise ValueError("more failed than was tried")

    def __add__(self, other: "Failures") -> "Failures":
        return Failures(**{name: getattr(self, name) + getattr(other, name) for name in self.__dataclass_fields__})


@dataclass(frozen=True, kw_only=True, eq=False)
class ScoreSet:
    """Scores held one by one; measures on them are exact."""

    binned: ClassVar[bool] = False

    mated: Scores
    """[M]"""
    non_mated: Scores
    """[N]"""
    mated_subjects: Codes | None = None
    """[M] whose comparison it is; None if not known: then nothing can be bootstrapped."""
    non_mated_references: Codes | None = None
    """[N] subject of the reference."""
    non_mated_probes: Codes | None = None
    """[N] subject of the probe."""
    subjects: int = 0
    """S; 0 if not known."""
    failures: Failures = Failures()

    def __post_init__(self) -> None:
        for name in ("mated", "non_mated"):
            scores = np.ascontiguousarray(getattr(self, name), np.float64)
            if scores.ndim != 1:
                raise ScoresRefused(f"{name} scores must be a list, not an array of shape {scores.shape}")
            if wrong := np.flatnonzero(~np.isfinite(scores)).tolist():
                raise ScoresRefused(
                    f"{name} score {wrong[0]} is {scores[wrong[0]]}; leave out comparisons that gave no score and "
                    "count them in failures"
                )
            object.__setattr__(self, name, scores)
        codes = (self.mated_subjects, self.non_mated_references, self.non_mated_probes)
        if all(code is None for code in codes):
            return
        for name, scores in zip(
            ("mated_subjects", "non_mated_references", "non_mated_probes"),
            (self.mated, self.non_mated, self.non_mated),
            strict=True,
        ):
            given = getattr(self, name)
            if given is None:
                raise ScoresRefused(f"{name} is missing; give the subjects of all comparisons or of none")
            labels = np.ascontiguousarray(given, np.int64)
            if labels.shape != scores.shape:
                raise ScoresRefused(f"{name} has {labels.size} entries for {scores.size} scores; give one a score")
            if labels.size and not (labels.min() >= 0 and labels.max() < self.subjects):
                raise ScoresRefused(f"{name} holds a code outside 0 … {self.subjects - 1}")
            object.__setattr__(self, name, labels)
        if np.any(self.non_mated_references == self.non_mated_probes):
            raise ScoresRefused("a non-mated comparison has one subject on both sides")

    @classmethod
    def from_comparisons(
        cls,
        scores: ArrayLike,
        references: ArrayLike,
        probes: ArrayLike,
        *,
        subjects: Sequence[object] | None = None,
        failures: Failures = Failures(),
    ) -> Self:
        """Sort comparisons into mated and non-mated by the subjects of both sides, each [M + N].

        A NaN score is a comparison that failed: it is counted in the failures, on its side. Codes follow the sorted
        subjects, so that the order of comparisons changes nothing; name all `subjects` where several sets must
        share their codes. Raises ScoresRefused for infinite scores and for a subject that is not among those named.
        """
        values = np.asarray(scores, np.float64)
        left, right = np.asarray(references), np.asarray(probes)
        if not values.shape == left.shape == right.shape:
            raise ScoresRefused("scores, references and probes must be lists of one length")
        named = np.unique(np.concatenate([left, right]) if subjects is None else np.asarray(subjects))
        codes = []
        for labels in (left, right):
            found = np.minimum(np.searchsorted(named, labels), max(len(named) - 1, 0))
            if labels.size and (strange := np.flatnonzero(named[found] != labels)).size:
                raise ScoresRefused(f"subject {labels[strange[0]]!s} is not among the {len(named):,} named")
            codes.append(found.astype(np.int64))
        mated, failed = codes[0] == codes[1], np.isnan(values)
        kept_mated, kept_non_mated = mated & ~failed, ~mated & ~failed
        return cls(
            mated=values[kept_mated],
            mated_subjects=codes[0][kept_mated],
            non_mated=values[kept_non_mated],
            non_mated_references=codes[0][kept_non_mated],
            non_mated_probes=codes[1][kept_non_mated],
            subjects=len(named),
            failures=failures + Failures(mated=int((mated & failed).sum()), non_mated=int((~mated & failed).sum())),
        )

    @cached_property
    def mated_sorted(self) -> Scores:
        """[M] ascending."""
        return np.sort(self.mated)

    @cached_property
    def non_mated_sorted(self) -> Scores:
        """[N] ascending."""
        return np.sort(self.non_mated)

    @property
    def non_mated_total(self) -> int:
        """N."""
        return len(self.non_mated)

    @property
    def non_mated_kept(self) -> Scores:
        """[N] ascending."""
        return self.non_mated_sorted

    @property
    def thresholds(self) -> tuple[Scores, ...]:
        """Ascending lists that together hold every threshold at which a rate steps."""
        return self.mated_sorted, self.non_mated_sorted

    def non_mated_reaching(self, threshold: float) -> tuple[int, int]:
        """How many non-mated scores are >= threshold: at least and at most; here both are the exact count."""
        reaching = self.non_mated_total - int(np.searchsorted(self.non_mated_sorted, threshold, "left"))
        return reaching, reaching

    def threshold_allowing(self, matches: int) -> float:
        """The smallest threshold that at most so many non-mated scores reach; −inf if all of them may."""
        if matches >= self.non_mated_total:
            return -np.inf
        # Every threshold up to this score lets more through, it and its ties included; the next float does not.
        return float(np.nextafter(self.non_mated_sorted[-1 - matches], np.inf))

    @cached_property
    def tail(self) -> NonMatedTail:
        """All non-mated scores, descending, with their subjects; raises Unresolvable if the subjects are not known."""
        if self.non_mated_references is None or self.non_mated_probes is None:
            raise Unresolvable("the subjects of the scores are not known, so nothing can be resampled by subject")
        order = np.lexsort((self.non_mated_probes, self.non_mated_references, -self.non_mated))
        references, probes = self.non_mated_references[order], self.non_mated_probes[order]
        return NonMatedTail(
            scores=self.non_mated[order],
            references=references,
            probes=probes,
            total=len(order),
            pairs=ListedPairs.of(references, probes, self.subjects),
        )
