"""The scores that one matcher gave to a dataset's comparisons: every mated one, and what decides FMR of the others.

Files of any length are taken in block by block. What a file leaves out, gives twice or gives without being asked is
counted to the end and then refused as a whole: rates over another set of comparisons would be other rates.
Policy on failures: an empty score is a comparison that failed. It is none of the completed comparisons over which FMR
and FNMR are defined; and it counts as a non-match in the *generalised* FNMR, which decides a verdict, for a matcher
that gives up on hard samples has not become better. Legend: M mated and N completed non-mated comparisons, S subjects.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from app.errors import Cancelled
from workers.biometrics.errors import ScoresRefused
from workers.biometrics.histogram import ScoreHistogram
from workers.biometrics.scores import Failures
from workers.verdict.blocks import Block, name_of
from workers.verdict.highest import Highest, Tail, WideningHistogram
from workers.verdict.listed import MATED, SEEN, Cells, Listed

Floats = NDArray[np.float64]
Codes = NDArray[np.int64]

KEPT = 2_000_000
"""Non-mated scores kept one by one, unless an FMR asked for needs more; a set with fewer is measured exactly."""

NAMED = 10
"""Comparisons that an error names of each kind."""


@dataclass(frozen=True, kw_only=True, eq=False)
class ComparedScores:
    """One matcher's scores; a source of rates in the sense of workers.biometrics.rates."""

    mated: Floats
    """[M] in the order of the list; NaN where a comparison failed."""
    mated_subjects: Codes
    """[M]"""
    tail: Tail
    """The highest non-mated scores; all of them if there are few enough."""
    histogram: ScoreHistogram
    """Of all N."""
    non_mated_total: int
    """N."""
    compared: NDArray[np.int64]
    """[S] completed non-mated comparisons that a subject has part in, on either side."""
    subjects: int
    failures: Failures
    digest: int
    """Tells apart score sets that differ: a sum over all comparisons of their scores' bits, whatever the order."""

    @property
    def binned(self) -> bool:
        """Whether there are more non-mated scores than are kept one by one."""
        return len(self.tail) < self.non_mated_total

    @cached_property
    def mated_sorted(self) -> Floats:
        """Completed mated scores, ascending."""
        return np.sort(self.mated[~np.isnan(self.mated)])

    @cached_property
    def order(self) -> float:
        """The chance that a mated score lies above a non-mated one, ties counted half: the area under the ROC.

        A matcher's is far above a half; of distances taken for scores it is as far below. Scores in one bin of the
        histogram count as ties.
        """
        histogram = self.histogram
        bins = np.floor(self.mated_sorted * 2.0**histogram.exponent).astype(np.int64) - histogram.first
        running = np.concatenate([[0], np.cumsum(histogram.counts)])
        below, up_to = (running[np.clip(bins + step, 0, len(histogram.counts))] for step in (0, 1))
        return float((below + up_to).mean() / 2 / self.non_mated_total)

    @cached_property
    def non_mated_kept(self) -> Floats:
        """[K] ascending, those of the tail."""
        return np.ascontiguousarray(self.tail.scores[::-1])

    @property
    def thresholds(self) -> tuple[Floats, ...]:
        """Ascending lists that together hold every threshold at which a rate is known to step."""
        return (self.histogram.edges,) if self.binned else (self.mated_sorted, self.non_mated_kept)

    def non_mated_reaching(self, threshold: float) -> tuple[int, int]:
        """How many non-mated scores are >= threshold: exact in the tail and at edges of bins, else two bounds."""
        kept = self.non_mated_kept
        if not self.binned or threshold > float(kept[0]):
            count = len(kept) - int(np.searchsorted(kept, np.float64(threshold), "left"))
            return count, count
        least, most = self.histogram.reaching(threshold)
        return max(least, len(kept)), most

    def threshold_allowing(self, matches: int) -> float:
        """The smallest threshold that at most so many non-mated scores reach; below the tail the lowest edge."""
        if matches >= self.non_mated_total:
            return -np.inf
        if matches < len(self.tail):
            return float(np.nextafter(self.tail.scores[matches], np.inf))
        return self.histogram.edge_allowing(matches)

    def in_tail(self, threshold: float) -> bool:
        """Whether it is known which comparisons reach a threshold, so that subjects can be resampled."""
        return not self.binned or threshold > float(self.non_mated_kept[0])


def compare(
    listed: Listed,
    blocks: Iterable[Block],
    *,
    what: str = "scores",
    fmr_kept: float = 0.0,
    keep: int = KEPT,
    distances: bool = False,
    should_cancel: Callable[[], bool] = lambda: False,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> ComparedScores:
    """Hold a file's scores against the comparisons listed; `what` names the file in errors.

    With `distances` lower is more alike: they are negated.

    Non-mated scores are kept one by one down to 1.6 times the FMR `fmr_kept`. Raises ScoresRefused, with
    counts and the first ten of each kind, if the file does not give every comparison exactly once, or leaves a side
    without a score; Cancelled when told to stop.
    """
    keep = max(keep, int(1.6 * fmr_kept * listed.non_mated) + 1_000 if fmr_kept else 1)
    states = listed.states.copy()
    misfits = _Misfits(listed, what)
    mated = np.full(len(listed.mated_cells), np.nan)
    highest, histogram = Highest(keep), WideningHistogram()
    touched = np.zeros(len(listed.subjects), np.int64)
    failed = digest = done = 0
    for block in blocks:
        if should_cancel():
            raise Cancelled("the evaluation was called off")
        cells = misfits.take(block, listed.cells_of(block.references, block.probes), states)
        values, kinds = block.values[cells >= 0], states[cells[cells >= 0]]
        values = -values if distances else values
        fitting = cells[cells >= 0]
        states[fitting] |= SEEN
        digest = (digest + _digest(fitting, values)) % 2**64
        is_mated = (kinds & MATED) > 0
        mated[np.searchsorted(listed.mated_cells, fitting[is_mated])] = values[is_mated]
        completed = ~is_mated & ~np.isnan(values)
        failed += int((~is_mated & np.isnan(values)).sum())
        references, probes = (listed.codes_of(places) for places in listed.pairs_at(fitting[completed]))
        for codes in (references, probes):
            touched += np.bincount(codes, minlength=len(touched))
        highest.add(values[completed], references, probes, fitting[completed])
        histogram.add(values[completed])
        done += len(block.values)
        on_progress(done, listed.count)
    misfits.refuse(states)
    found = ComparedScores(
        mated=mated,
        mated_subjects=listed.mated_subjects,
        tail=highest.tail(),
        histogram=histogram.counted(),
        non_mated_total=histogram.counted().total,
        compared=touched,
        subjects=len(listed.subjects),
        failures=Failures(mated=int(np.isnan(mated).sum()), non_mated=failed),
        digest=digest,
    )
    for side, scores, gone in (
        ("mated", len(found.mated_sorted), found.failures.mated),
        ("non-mated", found.non_mated_total, found.failures.non_mated),
    ):
        if not scores:
            raise ScoresRefused(
                f"{what}: there is no {side} comparison with a score ({gone:,} failed); error rates need both sides"
            )
    return found


def _digest(cells: Cells, values: Floats) -> int:
    """A sum of mixed bits of (cell, score); NaN of any kind is one score, and −0 is 0."""
    bits = np.where(np.isnan(values), np.nan, values + 0.0).view(np.uint64)
    mixed = bits * np.uint64(0x9E3779B97F4A7C15) ^ cells.astype(np.uint64) * np.uint64(0xC2B2AE3D27D4EB4F)
    mixed ^= mixed >> np.uint64(29)
    mixed *= np.uint64(0xBF58476D1CE4E5B9)
    mixed ^= mixed >> np.uint64(32)
    return int(mixed.sum(dtype=np.uint64))


class _Misfits:
    """Counts what does not fit the list, and remembers the first few of each kind."""

    def __init__(self, listed: Listed, what: str) -> None:
        self._listed = listed
        self._what = what
        self._unknown = self._again = self._turned = 0
        self._named: dict[str, list[str]] = {"unknown": [], "again": []}

    def take(self, block: Block, cells: Cells, states: NDArray[np.uint8]) -> Cells:
        """Count misfits of a block; returns its cells with −1 for every row that is not to be counted."""
        unknown = np.flatnonzero(cells < 0)
        if unknown.size:
            turned = self._listed.cells_of(block.probes[unknown], block.references[unknown]) >= 0
            self._turned += int(turned.sum())
            self._note("unknown", block, unknown)
            self._unknown += unknown.size
        order = np.argsort(cells, kind="stable")
        later = np.zeros(len(cells), bool)
        later[order[1:]] = np.diff(cells[order]) == 0
        known = cells >= 0
        again = np.flatnonzero(known & (later | ((states[cells] & SEEN) > 0)))
        if again.size:
            self._note("again", block, again)
            self._again += again.size
            cells = cells.copy()
            cells[again] = -1
        return cells

    def _note(self, kind: str, block: Block, rows: NDArray[np.intp]) -> None:
        for row in rows[: NAMED - len(self._named[kind])].tolist():
            reference, probe = block.names(row)
            self._named[kind].append(f"line {block.first + row}: {reference} with {probe}")

    def refuse(self, states: NDArray[np.uint8]) -> None:
        """Raise ScoresRefused if anything did not fit."""
        missing = np.flatnonzero((states > 0) & (states < SEEN))
        texts = []
        if self._unknown:
            hint = "take them out: the dataset's comparisons.csv lists what is to be compared"
            if self._turned:
                hint = f"{self._turned:,} of them are listed the other way round: exchange reference and probe"
            texts.append(_listing(self._unknown, "that the dataset does not list", self._named["unknown"], hint))
        if len(missing):
            pairs = zip(*self._listed.pairs_at(missing[:NAMED]), strict=True)
            names = [" with ".join(name_of(place) for place in pair) for pair in pairs]
            hint = "give every comparison a line, with an empty score if the comparison failed"
            texts.append(_listing(len(missing), "missing", names, hint))
        if self._again:
            texts.append(_listing(self._again, "given again", self._named["again"], "leave each one line"))
        if texts:
            total = f"{self._listed.count:,} comparisons are listed; "
            raise ScoresRefused(f"{self._what} do not fit the dataset: {total}" + "; ".join(texts))


def _listing(count: int, how: str, names: list[str], hint: str) -> str:
    more = f" and {count - len(names):,} more" if count > len(names) else ""
    return f"{count:,} {how} ({', '.join(names)}{more}): {hint}"
