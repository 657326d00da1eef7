"""Every template with every other: hundreds of millions of comparisons, block by block, in little memory.

Mated scores are kept one by one; non-mated scores are counted in bins, and the highest of them are kept exactly,
with their subjects. So rates are exact wherever the threshold lies in the tail; below it FMR is rounded up by at
most what one bin holds, and a threshold at an FMR is too high by at most a bin's width. Rates say so themselves.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from app.errors import Cancelled
from workers.biometrics.errors import ScoresRefused
from workers.biometrics.histogram import ScoreHistogram
from workers.biometrics.scores import Codes, Failures, Scores
from workers.biometrics.tails import CrossedPairs, NonMatedTail
from workers.biometrics.templates import Comparer, Metric, TemplateTable

BLOCK = 1_024
"""Rows of a block; it has twice as many columns, so 8 MiB of scores, which stay in the processor's cache."""


@dataclass(frozen=True, kw_only=True, eq=False)
class CrossedScores:
    """Scores of crossed tables, as a source of rates."""

    binned: ClassVar[bool] = True

    mated: Scores
    """[M] every mated score."""
    mated_subjects: Codes
    """[M]"""
    histogram: ScoreHistogram
    """Of all N non-mated scores."""
    tail: NonMatedTail
    """The highest of them; at most as many as were to be kept."""
    subjects: int
    failures: Failures

    @cached_property
    def mated_sorted(self) -> Scores:
        """[M] ascending."""
        return np.sort(self.mated)

    @property
    def non_mated_total(self) -> int:
        """N."""
        return self.tail.total

    @cached_property
    def non_mated_kept(self) -> Scores:
        """[K] ascending, those of the tail."""
        return np.ascontiguousarray(self.tail.scores[::-1], np.float64)

    @property
    def thresholds(self) -> tuple[Scores, ...]:
        """The bins' edges: only there, and in the tail, counts are exact."""
        return (self.histogram.edges,)

    def non_mated_reaching(self, threshold: float) -> tuple[int, int]:
        """How many non-mated scores are >= threshold: exact in the tail and at edges of bins, else two bounds."""
        kept = self.tail.scores
        if self.tail.complete or (len(kept) and threshold > float(kept[-1])):
            count = int(np.count_nonzero(kept >= np.float64(threshold)))
            return count, count
        least, most = self.histogram.reaching(threshold)
        # Below the tail at least all that was kept reaches it.
        return max(least, len(kept)), most

    def threshold_allowing(self, matches: int) -> float:
        """The smallest threshold that at most so many non-mated scores reach; below the tail the lowest edge."""
        if matches >= self.non_mated_total:
            return -np.inf
        if matches < len(self.tail.scores):
            # The next float32 up: all scores are float32, so no score lies between.
            return float(np.nextafter(np.float32(self.tail.scores[matches]), np.float32(np.inf)))
        return self.histogram.edge_allowing(matches)


def compare_crossed(
    references: TemplateTable,
    probes: TemplateTable | None = None,
    *,
    subjects: int | None = None,
    metric: Metric = "cosine",
    keep_tail: int = 100_000,
    should_cancel: Callable[[], bool] = lambda: False,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> CrossedScores:
    """Compare every reference with every probe; without probes, every two templates of one table once.

    20,000 templates of 128 dimensions give 200 million scores. `keep_tail` non-mated scores are kept exactly: take
    at least three times the FMR of interest times N where it is to be bootstrapped. Bins are 2^-16 wide for cosines,
    for distances a like share of their range.
    A row without template is counted in the failures (as an enrolment among references, as an extraction among
    probes; within one table as an extraction), and so are its comparisons. Raises ScoresRefused for templates that
    cannot be compared, Cancelled when told to stop. Scores are float32 products: another block size or processor
    may change the last digit.
    """
    if keep_tail < 1:
        raise ValueError(f"keep_tail must be at least 1, not {keep_tail}")
    left = _sorted(references)
    right = left if probes is None else _sorted(probes)
    count = int(max(table.subjects.max(initial=-1) for table in (references, probes) if table is not None)) + 1
    if subjects is not None and subjects < count:
        raise ScoresRefused(f"a table holds subject {count - 1}, but only {subjects} subjects were announced")
    count = count if subjects is None else subjects
    comparer = Comparer.of(left.templates, left.templates if probes is None else right.templates, metric)
    histogram = ScoreHistogram.over(comparer.lowest, comparer.highest)
    tail = _Tail(keep_tail)
    mated_scores: list[NDArray[np.float32]] = []
    mated_subjects: list[Codes] = []
    blocks = list(_blocks(len(left), len(right), within=probes is None))
    for number, (rows, columns) in enumerate(blocks):
        if should_cancel():
            raise Cancelled("the crossed comparison was called off")
        scores = comparer.block(rows, columns)
        owners, others = left.subjects[rows], right.subjects[columns]
        # Tables are sorted by subject: only blocks whose subjects overlap hold mated comparisons.
        diagonal = probes is None and columns.start < rows.stop
        if diagonal or (owners[0] <= others[-1] and others[0] <= owners[-1]):
            mated = owners[:, None] == others
            wanted = np.arange(rows.start, rows.stop)[:, None] < np.arange(columns.start, columns.stop)
            listed = mated & wanted if diagonal else mated
            mated_scores.append(scores[listed])
            mated_subjects.append(np.broadcast_to(owners[:, None], scores.shape)[listed])
            kept = wanted & ~mated if diagonal else ~mated
            histogram.add(scores[kept])
            scores[~kept] = -np.inf
        else:
            histogram.add(scores)
        tail.add(scores, owners, others)
        on_progress(number + 1, len(blocks))
    top, top_references, top_probes = tail.highest()
    return CrossedScores(
        mated=np.concatenate([np.zeros(0, np.float32), *mated_scores]).astype(np.float64),
        mated_subjects=np.concatenate([np.zeros(0, np.int64), *mated_subjects]),
        histogram=histogram,
        tail=NonMatedTail(
            scores=top,
            references=top_references,
            probes=top_probes,
            total=histogram.total,
            pairs=CrossedPairs(left.per_subject(count), None if probes is None else right.per_subject(count)),
        ),
        subjects=count,
        failures=_failures(references, probes, count),
    )


def _sorted(table: TemplateTable) -> TemplateTable:
    """Rows that have a template, by subject."""
    rows = np.flatnonzero(table.extracted)
    return table.take(rows[np.argsort(table.subjects[rows], kind="stable")])


def _blocks(rows: int, columns: int, *, within: bool) -> Iterator[tuple[slice, slice]]:
    """Blocks that cover the table of scores, or its upper triangle."""
    for top in range(0, rows, BLOCK):
        bottom = min(top + BLOCK, rows)
        for begin in range(top if within else 0, columns, 2 * BLOCK):
            yield slice(top, bottom), slice(begin, min(begin + 2 * BLOCK, columns))


class _Tail:
    """The highest scores seen so far, ties broken by subjects, so that the order of blocks does not matter."""

    def __init__(self, keep: int) -> None:
        self._keep = keep
        self._cut = np.float32(-np.inf)
        self._held = 0
        self._parts: list[tuple[NDArray[np.float32], Codes, Codes]] = []

    def add(self, scores: NDArray[np.float32], owners: Codes, others: Codes) -> None:
        """Take what may belong to the tail out of a block [rows, columns]; −inf is no score."""
        flat = np.flatnonzero(scores >= self._cut) if self._cut > -np.inf else np.flatnonzero(scores > -np.inf)
        if not flat.size:
            return
        found = scores.ravel()[flat]
        if len(found) > 2 * self._keep:
            # Ties with the cut stay, so that the final order decides among them.
            near = found >= np.partition(found, len(found) - self._keep)[len(found) - self._keep]
            flat, found = flat[near], found[near]
        rows, columns = np.divmod(flat, scores.shape[1])
        self._parts.append((found, owners[rows], others[columns]))
        self._held += len(found)
        if self._held > 2 * self._keep:
            self._trim()

    def _trim(self) -> None:
        top = self.highest()
        self._parts, self._held = [top], len(top[0])
        if self._held == self._keep:
            self._cut = top[0][-1]

    def highest(self) -> tuple[NDArray[np.float32], Codes, Codes]:
        """Scores, reference subjects, probe subjects, descending, as many as are to be kept."""
        empty = (np.zeros(0, np.float32), np.zeros(0, np.int64), np.zeros(0, np.int64))
        scores, references, probes = (np.concatenate(columns) for columns in zip(empty, *self._parts, strict=True))
        order = np.lexsort((probes, references, -scores))[: self._keep]
        return scores[order], references[order], probes[order]


def _failures(references: TemplateTable, probes: TemplateTable | None, count: int) -> Failures:
    """Failed extractions, and the comparisons that could not be made for want of them, by formula."""
    tried = np.bincount(references.subjects, minlength=count).astype(np.int64)
    made = references.per_subject(count).astype(np.int64)
    missing = len(references) - int(made.sum())
    if probes is None:
        mated = _within(tried) - _within(made)
        every = len(references) * (len(references) - 1) // 2 - int(made.sum()) * (int(made.sum()) - 1) // 2
        return Failures(mated=mated, non_mated=every - mated, extractions=len(references), extractions_failed=missing)
    tried_probes = np.bincount(probes.subjects, minlength=count).astype(np.int64)
    made_probes = probes.per_subject(count).astype(np.int64)
    mated = int((tried * tried_probes).sum() - (made * made_probes).sum())
    every = len(references) * len(probes) - int(made.sum()) * int(made_probes.sum())
    return Failures(
        mated=mated,
        non_mated=every - mated,
        enrolments=len(references),
        enrolments_failed=missing,
        extractions=len(probes),
        extractions_failed=len(probes) - int(made_probes.sum()),
    )


def _within(counts: Codes) -> int:
    return int((counts * (counts - 1) // 2).sum())
