"""Bootstrap by subject: what the rates would have been with other subjects of the same population.

Subjects are drawn with replacement, as many as there are. A mated comparison then counts as often as its subject
was drawn, a non-mated one as often as the product of both its subjects' counts; two draws of one subject are never
taken for two subjects. Products of weights: Owen 2007; Owen and Eckles 2012 show them mildly conservative. (The
subset bootstrap common in biometrics takes subsets that share subjects for independent, and is too narrow for FMR.)
The same seed gives the same replicates for ever: only raw bits are taken from the generator.
Legend: B replicates, b of them at a time, S subjects, M mated and K non-mated scores of the tail.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from app.dataset.measures import CONFIDENCE, Interval, Rate
from workers.biometrics.errors import Unresolvable
from workers.biometrics.intervals import corrected_interval, exact_interval, percentile_interval
from workers.biometrics.rates import OperatingPoint, Source, fmr, fnmr, fnmr_at_fmr
from workers.biometrics.tails import NonMatedTail

Floats = NDArray[np.float64]

CHUNK_BYTES = 32 * 2**20
"""Largest array of weights held at once; results do not depend on it."""


class SubjectSource(Source, Protocol):
    """Scores whose subjects are known."""

    @property
    def subjects(self) -> int:
        """S, those without scores included."""

    @property
    def mated(self) -> NDArray[Any]:
        """[M]"""

    @property
    def mated_subjects(self) -> NDArray[np.int64] | None:
        """[M]"""

    @property
    def tail(self) -> NonMatedTail:
        """The highest non-mated scores with their subjects."""


@dataclass(frozen=True, kw_only=True)
class Bootstrap:
    """How to resample."""

    replicates: int = 1_000
    seed: int = 0
    confidence: float = CONFIDENCE

    def __post_init__(self) -> None:
        if self.replicates < 20:
            raise ValueError(f"{self.replicates} replicates give no interval; take at least 20, better 1,000")

    def multiplicities(self, subjects: int, width: int = 0) -> Iterator[tuple[slice, Floats]]:
        """Yield how often each subject is drawn, [b, S], and which replicates these are.

        `width` is the widest row that the caller makes of one replicate, and only bounds b.
        Raises Unresolvable with fewer than two subjects.
        """
        if subjects < 2:
            raise Unresolvable(f"{subjects} subject(s) cannot be resampled; at least 2 are needed, better 30 or more")
        at_once = max(1, CHUNK_BYTES // (8 * max(subjects, width)))
        bits = np.random.Philox(key=[self.seed % 2**64, subjects])
        for start in range(0, self.replicates, at_once):
            stop = min(start + at_once, self.replicates)
            drawn = (bits.random_raw((stop - start) * subjects) >> np.uint64(11)).astype(np.float64) * 2.0**-53
            rows = np.repeat(np.arange(stop - start) * subjects, subjects)
            places = (drawn * subjects).astype(np.int64) + rows
            counts = np.bincount(places, minlength=(stop - start) * subjects)
            yield slice(start, stop), counts.reshape(stop - start, subjects).astype(np.float64)


DEFAULT = Bootstrap()
"""A thousand replicates, 95%."""


def at_threshold(source: SubjectSource, threshold: float, bootstrap: Bootstrap = DEFAULT) -> tuple[Rate, Rate]:
    """FMR and FNMR at a fixed threshold with intervals by subject.

    The threshold is taken as given, as a matcher's vendor sets it; see `at_fmr` for one found on the same scores.
    """
    false_match, false_non_match = replicate_at_threshold(source, threshold, bootstrap)
    return (
        _with_interval(fmr(source, threshold, bootstrap.confidence), threshold, false_match, source, bootstrap),
        _with_interval(fnmr(source, threshold, bootstrap.confidence), threshold, false_non_match, source, bootstrap),
    )


def replicate_at_threshold(source: SubjectSource, threshold: float, bootstrap: Bootstrap) -> tuple[Floats, Floats]:
    """FMR and FNMR [B] of every replicate at a fixed threshold; NaN where it has no comparison of that side."""
    subjects = _mated_subjects(source)
    tail = source.tail
    reaching = tail.reaching(threshold)
    references, probes = tail.references[:reaching], tail.probes[:reaching]
    wrong = np.asarray(source.mated < np.float64(threshold), np.float64)
    missed = np.bincount(subjects, weights=wrong, minlength=source.subjects)
    tried = np.bincount(subjects, minlength=source.subjects).astype(np.float64)
    false_match, false_non_match = np.empty(bootstrap.replicates), np.empty(bootstrap.replicates)
    for part, weights in bootstrap.multiplicities(source.subjects, reaching):
        matched = (weights[:, references] * weights[:, probes]).sum(1)
        false_match[part] = _share(matched, tail.pairs.weigh(weights))
        false_non_match[part] = _share(weights @ missed, weights @ tried)
    return false_match, false_non_match


def replicate_fnmr(source: SubjectSource, threshold: float, bootstrap: Bootstrap) -> Floats:
    """FNMR [B] of every replicate at a fixed threshold; needs no tail. NaN where it has no mated comparison."""
    subjects = _mated_subjects(source)
    wrong = np.asarray(source.mated < np.float64(threshold), np.float64)
    missed = np.bincount(subjects, weights=wrong, minlength=source.subjects)
    tried = np.bincount(subjects, minlength=source.subjects).astype(np.float64)
    rates = np.empty(bootstrap.replicates)
    for part, weights in bootstrap.multiplicities(source.subjects):
        rates[part] = _share(weights @ missed, weights @ tried)
    return rates


def at_fmr(source: SubjectSource, target: float, bootstrap: Bootstrap = DEFAULT) -> OperatingPoint:
    """FNMR at a target FMR with intervals by subject; the threshold is found anew in every replicate."""
    return at_fmrs(source, [target], bootstrap)[0]


def at_fmrs(source: SubjectSource, targets: Sequence[float], bootstrap: Bootstrap = DEFAULT) -> list[OperatingPoint]:
    """As `at_fmr`, at several targets with the same replicates: a DET with its band."""
    _, replicates = replicate_fnmr_at_fmrs(source, targets, bootstrap)
    points = []
    for number, target in enumerate(targets):
        point = fnmr_at_fmr(source, target, bootstrap.confidence)
        fnmr_there = _with_interval(point.fnmr, point.threshold, replicates[:, number], source, bootstrap)
        points.append(replace(point, fnmr=fnmr_there))
    return points


def replicate_fnmr_at_fmrs(
    source: SubjectSource, targets: Sequence[float], bootstrap: Bootstrap
) -> tuple[Floats, Floats]:
    """Thresholds and FNMRs [B, targets] of every replicate, each threshold the smallest whose weighted FMR is at
    most its target; NaN where a replicate has no comparison of a side.

    Raises Unresolvable where the tail is too short for a replicate's threshold: then keep a longer one.
    """
    subjects = _mated_subjects(source)
    tail = source.tail
    if not (len(source.mated) and tail.total):
        raise Unresolvable("FNMR at an FMR needs mated and non-mated comparisons; one side has none")
    order = np.argsort(source.mated, kind="stable")
    mated, owners = np.asarray(source.mated[order], np.float64), subjects[order]
    thresholds = np.full((bootstrap.replicates, len(targets)), np.nan)
    rates = np.full_like(thresholds, np.nan)
    width = max(len(mated), _reach(tail, max(targets, default=0.0)))
    for part, weights in bootstrap.multiplicities(source.subjects, width):
        totals = tail.pairs.weigh(weights)
        cumulated = np.cumsum(weights[:, owners], 1)
        for number, target in enumerate(targets):
            found = _weighted_thresholds(tail, weights, totals, target)
            thresholds[part, number] = found
            below = np.searchsorted(mated, found, "left")
            missed = np.where(below > 0, np.take_along_axis(cumulated, np.maximum(below - 1, 0)[:, None], 1)[:, 0], 0)
            shares = _share(missed, cumulated[:, -1])
            rates[part, number] = np.where(np.isnan(found), np.nan, shares)
    return thresholds, rates


def _weighted_thresholds(tail: NonMatedTail, weights: Floats, totals: Floats, target: float) -> Floats:
    """Per replicate [b] the smallest threshold whose weighted FMR is at most the target."""
    if target >= 1:
        return np.where(totals > 0, -np.inf, np.nan)
    # Weights are whole numbers; the margin lets 0.29 * 100 = 28.999999999999996 allow 29.
    permitted = np.floor(target * totals * (1 + 1e-12) + 1e-9)
    found = np.full(len(weights), np.nan)
    waiting = np.flatnonzero(totals > 0)
    reach = _reach(tail, target)
    while waiting.size:
        # Descending, so the first place where more has come together than is permitted holds the score that the
        # threshold must be above; those that tie with it come at once, before and after, and are below as well.
        part = weights[waiting]
        running = np.cumsum(part[:, tail.references[:reach]] * part[:, tail.probes[:reach]], 1)
        over = running > permitted[waiting, None]
        hit = over.any(1)
        places = over[hit].argmax(1)
        found[waiting[hit]] = np.nextafter(tail.scores[places], tail.scores.dtype.type(np.inf))
        waiting = waiting[~hit]
        if waiting.size and reach == len(tail.scores):
            raise Unresolvable(
                f"a tail of {reach:,} non-mated scores is too short to bootstrap FMR {target:g} of {tail.total:,} "
                f"comparisons; keep at least {2 * reach:,}"
            )
        reach = min(2 * reach, len(tail.scores))
    return found


def _reach(tail: NonMatedTail, target: float) -> int:
    """How much of the tail most replicates need: weights vary, so more than the target's own share."""
    return min(len(tail.scores), int(1.5 * min(target, 1.0) * tail.total) + 200)


def _mated_subjects(source: SubjectSource) -> NDArray[np.int64]:
    if source.mated_subjects is None:
        raise Unresolvable("the subjects of the scores are not known, so nothing can be resampled by subject")
    return source.mated_subjects


def _share(part: Floats, whole: Floats) -> Floats:
    return np.asarray(np.divide(part, whole, out=np.full(len(whole), np.nan), where=whole > 0))


def _with_interval(
    rate: Rate, threshold: float, replicates: Floats, source: SubjectSource, bootstrap: Bootstrap
) -> Rate:
    return rate.with_interval(subject_interval(rate, threshold, replicates, source, bootstrap.confidence))


def subject_interval(
    rate: Rate, threshold: float, replicates: Floats, source: SubjectSource, confidence: float
) -> Interval:
    """Interval of a rate at a threshold from its replicates; where no error (or nothing else) was seen, what can be
    said instead.

    FMR: percentiles, which the weighing of pairs makes wide enough. FNMR: corrected, for few subjects miss often and
    most never, and plain percentiles are then too narrow.

    Without a single error every replicate is 0 too, and [0, 0] would be absurd. Then the interval is
    Clopper–Pearson's: of an FNMR over subjects, for who is missed once is missed often; of an FMR over comparisons.
    """
    if rate.name == "FMR":
        if 0 < rate.errors < rate.trials:
            return percentile_interval(replicates, "bootstrap by subject", confidence)
        return exact_interval(rate.errors, rate.trials, confidence)
    subjects = _mated_subjects(source)
    tried = np.bincount(subjects)
    if 0 < rate.errors < rate.trials:
        missed = np.bincount(subjects[source.mated < np.float64(threshold)], minlength=len(tried))
        pulls = (missed - rate.value * tried)[tried > 0]
        if len(pulls) < 2:
            return exact_interval(0, 0, confidence, over="subjects")  # one subject tells nothing of others
        return corrected_interval(replicates, rate.value, pulls, "bootstrap by subject", confidence)
    compared = int(np.count_nonzero(tried))
    return exact_interval(compared if rate.errors else 0, compared, confidence, over="subjects")
