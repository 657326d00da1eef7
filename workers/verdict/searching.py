"""What is measured of candidate lists: FNIR at FPIR with intervals by subject, rank one, the ranks. Numbers in, numbers
out; terms as in `app.dataset.candidates`. Legend: P mated searches, Q non-mated ones, S subjects, B replicates."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from app.dataset.candidates import RankPoint, SearchesFound, SearchPoint
from app.dataset.evaluation import EvaluatedSet
from app.dataset.measures import Interval, Rate
from app.dataset.resolution import ERRORS
from workers.biometrics.bootstrap import Bootstrap
from workers.biometrics.errors import ScoresRefused, Unresolvable
from workers.biometrics.intervals import exact_interval, resampled_interval
from workers.biometrics.rates import fnmr_at_fmr
from workers.biometrics.scores import ScoreSet
from workers.verdict.blocks import SAMPLES
from workers.verdict.candidates import Searched

BOOTSTRAP = Bootstrap(replicates=2_000)

RANKS = (1, 2, 5, 10, 20, 50, 100)

LOWEST = -1e308
"""Stands for 'not in the list': below every score that a matcher gives."""

Floats = NDArray[np.float64]
Codes = NDArray[np.int64]


def measure_searches(of: EvaluatedSet, found: Searched, fpirs: Sequence[float]) -> SearchesFound:
    """Measure; raises ScoresRefused where no probe has its mate in the gallery."""
    mated = found.has_mate
    if not mated.any():
        raise ScoresRefused("no probe has its mate in the gallery, so there is no FNIR; enrol some of their subjects")
    aside = not (~mated).any()
    strangers = mated if aside else ~mated
    mates = np.maximum(found.mate_scores[mated], LOWEST)
    others = np.maximum(found.best_others[strangers], LOWEST)
    subjects, codes = np.unique(found.probes // SAMPLES, return_inverse=True)
    owners, others_owners = codes[mated].astype(np.int64), codes[strangers].astype(np.int64)
    # Mates against the best of all others: an operating point of a verification test, counted by search.
    scores = ScoreSet(mated=mates, non_mated=others)
    points = []
    for fpir in sorted(fpirs, reverse=True):
        point = fnmr_at_fmr(scores, fpir)
        replicates = _replicates(mates, owners, others, others_owners, len(subjects), fpir)
        points.append(
            SearchPoint(
                target_fpir=fpir,
                threshold=point.threshold if point.threshold > LOWEST else None,
                fpir=_rate("FPIR", point.fmr, "non-mated searches that return a score >= threshold"),
                fnir=_rate(
                    "FNIR",
                    point.fnmr,
                    "mated searches that do not return the mate with a score >= threshold",
                    _interval(replicates, point.fnmr.value, owners),
                ),
                resolved=fpir * len(others) >= ERRORS,
            )
        )
    ranks = found.mate_ranks[mated]
    missed = (ranks != 1).astype(np.float64)
    rank_one = Rate(
        name="rank-one miss rate",
        value=float(missed.mean()),
        errors=int(missed.sum()),
        trials=len(missed),
        side="mated searches whose mate does not stand alone at rank 1",
        exact=exact_interval(int(missed.sum()), len(missed), over="searches"),
        by_subject=_interval(_shares(missed, owners, len(subjects)), float(missed.mean()), owners),
    )
    return SearchesFound(
        set=of,
        gallery=found.gallery,
        mated=int(mated.sum()),
        non_mated=len(others),
        non_mated_are="mated searches, the mate put aside" if aside else "probes without a mate",
        candidates=found.candidates,
        shortest=int(found.lengths.min()),
        longest=int(found.lengths.max()),
        points=tuple(points),
        rank_one=rank_one,
        ranks=tuple(
            RankPoint(rank=rank, found=float(((ranks > 0) & (ranks <= rank)).mean()))
            for rank in RANKS
            if rank <= max(int(found.lengths.max()), 1)
        ),
        notes=tuple(_notes(found, points, aside)),
    )


def _rate(name: str, rate: Rate, side: str, by_subject: Interval | None = None) -> Rate:
    exact = exact_interval(rate.errors, rate.trials, over="searches")
    return rate.model_copy(update={"name": name, "side": side, "exact": exact, "by_subject": by_subject})


def _interval(replicates: Floats | None, value: float, owners: Codes) -> Interval | None:
    if replicates is None:
        return None
    return resampled_interval(replicates, value, len(np.unique(owners)), "bootstrap by subject", over="subjects")


def _replicates(
    mates: Floats, owners: Codes, others: Floats, others_owners: Codes, subjects: int, fpir: float
) -> Floats | None:
    """FNIR [B], the threshold found anew in every replicate; None with fewer than two subjects."""
    order = np.argsort(-others, kind="stable")
    falling, theirs = others[order], others_owners[order]
    rising = np.argsort(mates, kind="stable")
    ascending, ours = mates[rising], owners[rising]
    rates = np.full(BOOTSTRAP.replicates, np.nan)
    try:
        for part, weights in BOOTSTRAP.multiplicities(subjects, len(mates) + len(others)):
            running = np.cumsum(weights[:, theirs], 1)
            # Weights are whole numbers; the margin lets 0.29 * 100 = 28.999999999999996 allow 29.
            over = running > np.floor(fpir * running[:, -1:] * (1 + 1e-12) + 1e-9)
            reached = np.nextafter(falling[over.argmax(1)], np.inf)
            thresholds = np.where(over.any(1), reached, -np.inf)
            missed = np.concatenate([np.zeros((len(weights), 1)), np.cumsum(weights[:, ours], 1)], 1)
            below = np.searchsorted(ascending, thresholds, "left")
            whole = missed[:, -1]
            rates[part] = np.divide(
                np.take_along_axis(missed, below[:, None], 1)[:, 0],
                whole,
                out=np.full(len(whole), np.nan),
                where=whole > 0,
            )
    except Unresolvable:
        return None
    return rates


def _shares(wrong: Floats, owners: Codes, subjects: int) -> Floats | None:
    sums, tried = (np.bincount(owners, weights=each, minlength=subjects) for each in (wrong, np.ones(len(wrong))))
    rates = np.full(BOOTSTRAP.replicates, np.nan)
    try:
        for part, weights in BOOTSTRAP.multiplicities(subjects):
            whole = weights @ tried
            rates[part] = np.divide(weights @ sums, whole, out=np.full(len(whole), np.nan), where=whole > 0)
    except Unresolvable:
        return None
    return rates


def _notes(found: Searched, points: list[SearchPoint], aside: bool) -> list[str]:
    notes = []
    if aside:
        notes.append(
            f"every probe has its mate in the gallery, so FPIR is of the same searches with the mate put aside: of "
            f"{found.gallery - 1:,} references"
        )
    if found.tied:
        more = f" and {found.tied - len(found.ties):,} more" if found.tied > len(found.ties) else ""
        notes.append(
            f"{found.tied:,} candidates tie with the one before ({', '.join(found.ties)}{more}); one that ties with "
            "the mate counts as standing before it"
        )
    gone = int((found.has_mate & (found.mate_ranks == 0)).sum())
    if gone:
        notes.append(
            f"in {gone:,} mated searches the mate is not in the list, and counts as missed whatever the threshold; "
            f"lists hold {int(found.lengths.min()):,} to {int(found.lengths.max()):,} candidates"
        )
    if aside and (found.lengths[found.has_mate] < 2).any() and found.gallery > 2:
        notes.append("some lists hold fewer than two candidates: who else is alike is unknown, so FPIR may be too low")
    unresolved = [point for point in points if not point.resolved]
    if unresolved:
        needs = ", ".join(
            f"{100 * p.target_fpir:g}% needs {int(np.ceil(ERRORS / p.target_fpir)):,}" for p in unresolved
        )
        notes.append(f"not resolved by the rule of 30: FPIR {needs} non-mated searches")
    return notes
