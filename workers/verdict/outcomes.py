"""What a matcher did at one threshold, by subject, and how the threshold itself hangs on who the subjects are.

A threshold found at an FMR moves with the non-mated scores: with other subjects it would lie elsewhere, and FNMR with
it. To first order FNMR moves by the DET's slope times how far FMR moves, and FMR moves by what each comparison adds.
Legend: S subjects, P unordered pairs of subjects.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from workers.biometrics.rates import allowed, threshold_at_fmr
from workers.verdict.compared import ComparedScores

Floats = NDArray[np.float64]
Codes = NDArray[np.int64]

WINDOW = 0.3
"""The DET's slope is taken between FMRs so much below and above the target, as a share of it."""

NONE = np.zeros(0)


@dataclass(frozen=True, kw_only=True, eq=False)
class Outcome:
    """Mated comparisons by subject, and the pull of non-mated ones on FNMR through the threshold."""

    threshold: float
    below: Floats
    """[S] completed mated comparisons with a score below the threshold."""
    completed: Floats
    """[S] completed mated comparisons."""
    failed: Floats
    """[S] mated comparisons that failed."""
    pull: Floats
    """[S] how far a subject's non-mated comparisons pull FNMR; sums to 0, and is 0 at a threshold that is given."""
    pairs: Codes
    """[P] pairs of subjects (lower · S + higher) with a non-mated score at the threshold or above."""
    pair_pull: Floats
    """[P] how far that pair's comparisons pull FNMR."""

    @property
    def missed(self) -> Floats:
        """[S] mated comparisons that were no match, failures included."""
        return self.below + self.failed

    @property
    def tried(self) -> Floats:
        """[S] all mated comparisons."""
        return self.completed + self.failed


def outcome_at(scores: ComparedScores, threshold: float, slope: float = 0.0) -> Outcome:
    """What happened at a threshold; `slope` is |dFNMR/dFMR| there if it was found on these scores, 0 if it was given.

    With a slope, the threshold must lie in the tail that was kept.
    """
    count = scores.subjects
    failed = np.isnan(scores.mated)
    with np.errstate(invalid="ignore"):
        below = scores.mated < np.float64(threshold)
    outcome = {
        name: np.bincount(scores.mated_subjects[which], minlength=count).astype(np.float64)
        for name, which in (("below", below), ("completed", ~failed), ("failed", failed))
    }
    pull, pairs, pair_pull = np.zeros(count), np.zeros(0, np.int64), NONE
    if slope:
        total = scores.non_mated_total
        reaching = scores.non_mated_reaching(threshold)[1]
        references, probes = scores.tail.references[:reaching], scores.tail.probes[:reaching]
        matched = np.bincount(references, minlength=count) + np.bincount(probes, minlength=count)
        pull = slope * (matched - reaching / total * scores.compared) / total
        codes = np.minimum(references, probes) * count + np.maximum(references, probes)
        pairs, counts = np.unique(codes, return_counts=True)
        pair_pull = slope * counts / total
    return Outcome(threshold=threshold, **outcome, pull=pull, pairs=pairs, pair_pull=pair_pull)


def outcome_at_fmr(scores: ComparedScores, target: float) -> Outcome | None:
    """What happened at the smallest threshold whose FMR is at most the target; None if it is below what was kept."""
    total = scores.non_mated_total
    threshold = threshold_at_fmr(scores, target)
    lower = scores.threshold_allowing(allowed(min(target * (1 + WINDOW), 1.0), total))
    if not (scores.in_tail(threshold) and scores.in_tail(lower)):
        return None
    return outcome_at(scores, threshold, slope_at(scores, threshold))


def slope_at(scores: ComparedScores, threshold: float) -> float:
    """|dFNMR/dFMR| on the DET about a threshold, over a window of FMRs; 0 where nothing reaches it."""
    total, completed = scores.non_mated_total, len(scores.mated_sorted)
    here = scores.non_mated_reaching(threshold)[1] / total
    # Enough non-mated scores on either side that the slope is not that of a single step.
    window = max(WINDOW * here, min(3 * np.sqrt(here / total), here), 1 / total)
    ends = []
    for fmr in (here - window, here + window):
        edge = scores.threshold_allowing(allowed(min(max(fmr, 0.0), 1.0), total))
        below = int(np.searchsorted(scores.mated_sorted, edge, "left")) / completed
        ends.append((scores.non_mated_reaching(edge)[1] / total, below))
    (strict, most), (lax, least) = ends
    return (most - least) / (lax - strict) if lax > strict else 0.0
