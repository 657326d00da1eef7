"""What is measured of candidate lists: FNIR at FPIR with intervals by subject, rank one, the ranks. Numbers in, numbers
out; terms as in `app.dataset.candidates`. Legend: P mated searches, Q non-mated ones, S subjects, B replicates."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from app.dataset.candidates import RankPoint, SearchesFound, SearchPoint, SearchRule
from app.dataset.evaluation import EvaluatedSet
from app.dataset.measures import DetPoint, Interval, Rate
from app.dataset.resolution import ERRORS
from workers.biometrics.bootstrap import Bootstrap
from workers.biometrics.errors import ScoresRefused, Unresolvable
from workers.biometrics.intervals import exact_interval, resampled_interval
from workers.biometrics.rates import fnmr_at_fmr
from workers.biometrics.scores import ScoreSet
from workers.verdict.blocks import SAMPLES
from workers.verdict.candidates import Searched
from workers.verdict.search_limits import SearchScores, decide_limits, outcome_of

BOOTSTRAP = Bootstrap(replicates=2_000)

DET_BOOTSTRAP = Bootstrap(replicates=200)
"""Of each point of a DET, whose band is drawn and not told."""

RANKS = (1, 2, 5, 10, 20, 50, 100)

GROUPS = 2_000
"""With more subjects than this, groups of them are resampled: a million subjects cannot be drawn 2,000 times."""

LEVELS = 512
"""Thresholds that are told apart about the one at a FPIR, where there are more scores."""

LOWEST = -1e308
"""Stands for 'not in the list': below every score that a matcher gives."""

Floats = NDArray[np.float64]
Codes = NDArray[np.int64]


def evaluate_searches(of: EvaluatedSet, found: Searched, baseline: Searched | None, rule: SearchRule) -> SearchesFound:
    """Measure, compare with the baseline's lists for the same probes in the same gallery, and decide the limits."""
    measured = measure_searches(of, found, rule.at_fpir)
    before = None if baseline is None else measure_searches(of, baseline, rule.at_fpir)
    new, old = _scores(found), None if baseline is None else _scores(baseline)
    same = old is not None and np.array_equal(new.mates, old.mates) and np.array_equal(new.others, old.others)
    decided = decide_limits(
        rule,
        outcome_of(new, rule.at_fpir[0]),
        None if old is None else outcome_of(old, rule.at_fpir[0]),
        len(new.others),
        same=same,
    )
    return measured.model_copy(
        update={
            "rule": rule,
            "baseline": before,
            "difference": decided.difference,
            "limits": decided.limits,
            "verdict": decided.verdict,
            "reason": decided.reason,
        }
    )


def same_searches(found: Searched, other: Searched) -> bool:
    """Whether both are of the same probes in the same gallery."""
    return found.gallery_digest == other.gallery_digest and np.array_equal(found.probes, other.probes)


def _scores(found: Searched) -> SearchScores:
    mated = found.has_mate
    strangers = ~mated if (~mated).any() else mated
    subjects, codes = np.unique(found.probes // SAMPLES, return_inverse=True)
    groups = group_subjects(len(subjects))
    return SearchScores(
        mates=np.maximum(found.mate_scores[mated], LOWEST),
        owners=groups[codes[mated]],
        others=np.maximum(found.best_others[strangers], LOWEST),
        others_owners=groups[codes[strangers]],
        subjects=int(groups.max()) + 1,
    )


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
    resampled = group_subjects(len(subjects))
    groups = int(resampled.max()) + 1
    owners, others_owners = resampled[codes[mated]], resampled[codes[strangers]]
    # Mates against the best of all others: an operating point of a verification test, counted by search.
    scores = ScoreSet(mated=mates, non_mated=others)
    points = []
    for fpir in fpirs:
        point = fnmr_at_fmr(scores, fpir)
        replicates = _replicates(mates, owners, others, others_owners, groups, fpir)
        points.append(
            SearchPoint(
                target_fpir=fpir,
                threshold=point.threshold if point.threshold > LOWEST else None,
                fpir=_rate("FPIR", point.fmr, "non-mated searches that return a score >= threshold"),
                fnir=_rate(
                    "FNIR",
                    point.fnmr,
                    "mated searches that do not return the mate with a score >= threshold",
                    _interval(replicates, point.fnmr.value, owners, groups),
                ),
                resolved=fpir * len(others) >= ERRORS,
            )
        )
    det = []
    for fpir in det_targets(len(others)):
        at = fnmr_at_fmr(scores, fpir)
        drawn = _replicates(mates, owners, others, others_owners, groups, fpir, DET_BOOTSTRAP)
        band = _interval(drawn, at.fnmr.value, owners, groups) or exact_interval(
            at.fnmr.errors, at.fnmr.trials, over="searches"
        )
        det.append(
            DetPoint(
                target_fmr=fpir,
                resolved=fpir * len(others) >= ERRORS,
                fmr=at.fmr.value,
                fnmr=at.fnmr.value,
                low=band.low,
                high=min(band.high, 1.0),
                by_subject=drawn is not None,
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
        by_subject=_interval(_shares(missed, owners, groups), float(missed.mean()), owners, groups),
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
        det=tuple(det),
        notes=tuple(_notes(found, points, aside)),
    )


def det_targets(searched: int) -> list[float]:
    """FPIRs of a DET, falling: 0.5, 0.2, 0.1 … as long as so many non-mated searches have one false positive."""
    steps = (lead * 10.0**-power for power in range(1, 9) for lead in (5.0, 2.0, 1.0))
    return [fpir for fpir in steps if fpir * searched >= 1]


def _rate(name: str, rate: Rate, side: str, by_subject: Interval | None = None) -> Rate:
    exact = exact_interval(rate.errors, rate.trials, over="searches")
    return rate.model_copy(update={"name": name, "side": side, "exact": exact, "by_subject": by_subject})


def _interval(replicates: Floats | None, value: float, owners: Codes, groups: int) -> Interval | None:
    if replicates is None:
        return None
    units = len(np.unique(owners))
    method = "bootstrap by subject" if groups < GROUPS else f"bootstrap by {GROUPS:,} groups of subjects"
    return resampled_interval(replicates, value, units, method, over="subjects" if groups < GROUPS else "groups")


def group_subjects(subjects: int) -> Codes:
    """What is resampled, by subject [S]: each itself, or, where there are very many, one of GROUPS random groups.

    Sums over groups of independent subjects spread as those over subjects do, so intervals are the same on average.
    """
    if subjects <= GROUPS:
        return np.arange(subjects)
    order = np.argsort(np.random.Philox(key=[0, subjects]).random_raw(subjects), kind="stable")
    groups = np.empty(subjects, np.int64)
    groups[order] = np.arange(subjects) % GROUPS
    return groups


def _replicates(
    mates: Floats,
    owners: Codes,
    others: Floats,
    others_owners: Codes,
    groups: int,
    fpir: float,
    bootstrap: Bootstrap = BOOTSTRAP,
) -> Floats | None:
    """FNIR [B], the threshold found anew in every replicate; None with fewer than two subjects.

    A replicate's threshold is one of at most LEVELS. Where there are more scores about it, it is the next higher
    level: that lets up to 1% fewer false positives through than are allowed, so FNIR errs upward.
    """
    levels = _levels(others, fpir)
    count = len(levels)
    # How many levels each score reaches; summed up, searches of a group that reach a level, and mates that do not.
    reached = _table(others_owners, np.searchsorted(levels, others, "right"), groups, count)
    returned = np.cumsum(reached[:, ::-1], 1)[:, ::-1][:, 1:]
    missed = np.cumsum(_table(owners, np.searchsorted(levels, mates, "right"), groups, count), 1)
    rates = np.full(bootstrap.replicates, np.nan)
    try:
        for part, weights in bootstrap.multiplicities(groups, count):
            # Weights are whole numbers; the margin lets 0.29 * 100 = 28.999999999999996 allow 29.
            permitted = np.floor(fpir * (weights @ reached.sum(1)) * (1 + 1e-12) + 1e-9)
            first = (weights @ returned <= permitted[:, None]).argmax(1)
            whole = weights @ missed[:, -1]
            below = np.take_along_axis(weights @ missed, first[:, None], 1)[:, 0]
            rates[part] = np.divide(below, whole, out=np.full(len(whole), np.nan), where=whole > 0)
    except Unresolvable:
        return None
    return rates


def _levels(others: Floats, fpir: float) -> Floats:
    """Thresholds [K], ascending, among which a replicate's is: just above scores about the one at the FPIR."""
    falling = np.sort(others)[::-1]
    permitted = int(fpir * len(falling))
    reach = min(len(falling), 3 * permitted + 200)
    places = np.arange(reach)
    if reach > LEVELS:
        places = np.unique(np.append(0, np.geomspace(max(permitted // 4, 1), reach, LEVELS).astype(np.int64) - 1))
    levels = np.unique(np.nextafter(falling[places], np.inf))
    return np.append(-np.inf, levels) if reach == len(falling) else levels


def _table(owners: Codes, reached: Codes, groups: int, levels: int) -> Floats:
    """Scores [groups, levels + 1] by whose they are and how many levels they reach."""
    counts = np.bincount(owners * (levels + 1) + reached, minlength=groups * (levels + 1))
    return counts.reshape(groups, levels + 1).astype(np.float64)


def _shares(wrong: Floats, owners: Codes, groups: int) -> Floats | None:
    sums, tried = (np.bincount(owners, weights=each, minlength=groups) for each in (wrong, np.ones(len(wrong))))
    rates = np.full(BOOTSTRAP.replicates, np.nan)
    try:
        for part, weights in BOOTSTRAP.multiplicities(groups):
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
