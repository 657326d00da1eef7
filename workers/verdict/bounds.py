"""One-sided bounds of a rate, or of a rate's increase over a baseline, by resampling subjects.

Both score sets are of the same comparisons, so one draw of subjects serves both: what makes a subject hard for both
matchers falls out of the difference. In every replicate a subject's mated comparisons count as often as it was drawn,
and its non-mated ones pull the threshold (each matcher's own) as often. A non-mated comparison has two subjects, so
such pulls would be counted twice over: they are scaled to the variance that comparisons sharing subjects have
(Aronow, Samii and Assenova 2015). The bounds are the wider of the corrected percentiles (BCa with Student's t, see
workers.biometrics.intervals) and Student's t on the subjects' influences: percentiles alone erred in up to 1.5% of
our trials at 1%. Where hardly any subject differs resampling says nothing; there bounds are exact binomial ones.
Legend: S subjects, B replicates.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtrit

from app.dataset.measures import Interval
from workers.biometrics.bootstrap import Bootstrap
from workers.biometrics.errors import Unresolvable
from workers.biometrics.intervals import corrected_interval, exact_limits
from workers.verdict.outcomes import Outcome

Floats = NDArray[np.float64]

FEW = 5
"""With fewer subjects whose outcome differs, bounds are exact binomial ones."""


@dataclass(frozen=True, kw_only=True)
class Bounds:
    """An estimate with a lower and an upper bound, each wrong with a probability of at most alpha."""

    value: float
    low: float
    high: float
    alpha: float
    sd: float
    """Standard deviation of the estimate over subjects."""
    subjects: int
    """That have mated comparisons."""
    differing: int
    """Subjects whose outcome is not the one that all could share: with any miss, or with another than the baseline."""
    method: str


def bootstrap_for(alpha: float, seed: int = 0) -> Bootstrap:
    """Enough replicates for a bound at alpha: 20 beyond it, 2,000 at the least."""
    return Bootstrap(replicates=max(2_000, int(np.ceil(20 / alpha))), seed=seed, confidence=1 - 2 * alpha)


def fnmr_bounds(outcome: Outcome, bootstrap: Bootstrap, *, generalised: bool = True) -> Bounds:
    """Bounds of FNMR: generalised with failures as non-matches, or over completed comparisons only.

    Raises Unresolvable with fewer than two subjects that have mated comparisons.
    """
    wrong, tried = (outcome.missed, outcome.tried) if generalised else (outcome.below, outcome.completed)
    few = int(min(np.count_nonzero(wrong), np.count_nonzero((tried > 0) & (wrong < tried))))
    found = resampled(wrong, tried, outcome.pull, outcome.pair_pull, bootstrap)
    if few >= FEW:
        return found
    # Taken as if a subject were missed wholly or not at all: then it takes more of them to be as sure.
    subjects = int(np.count_nonzero(tried))
    alpha = (1 - bootstrap.confidence) / 2
    low, high = (float(limit) for limit in exact_limits(found.value * subjects, subjects, bootstrap.confidence))
    extra = _extra(outcome.pull, outcome.pair_pull, subjects, alpha)
    return _as_exact(found, max(low - extra, 0.0), min(high + extra, 1.0), few)


def increase_bounds(new: Outcome, old: Outcome, bootstrap: Bootstrap, *, relative: float = 0.0) -> Bounds:
    """Bounds of how far generalised FNMR rose beyond (1 + relative) times the baseline's.

    Raises Unresolvable with fewer than two subjects that have mated comparisons.
    """
    weight = 1 + relative
    pair_pull = _joined(new, old, weight)
    found = resampled(new.missed - weight * old.missed, new.tried, new.pull - weight * old.pull, pair_pull, bootstrap)
    worse, better = new.missed > old.missed, new.missed < old.missed
    if (differing := int((worse | better).sum())) >= FEW:
        return _counted(found, differing)
    # Few subjects differ: how many may in truth is binomial, and each is taken to differ by as much as any misses.
    subjects, total = int(np.count_nonzero(new.tried)), float(new.tried.sum())
    alpha = (1 - bootstrap.confidence) / 2
    share = 1 - alpha * 2 / 3  # one third of alpha for each of three bounds
    reach = max(float(new.missed.max()), float(old.missed.max()), 1.0) * subjects / total
    (worse_low, worse_high), (better_low, better_high) = (
        tuple(float(limit) * reach for limit in exact_limits(int(which.sum()), subjects, share))
        for which in (worse, better)
    )
    # What is allowed of a rate hangs on that rate.
    allowed = fnmr_bounds(old, Bootstrap(replicates=bootstrap.replicates, seed=bootstrap.seed, confidence=share))
    extra = _extra(new.pull - weight * old.pull, pair_pull, subjects, alpha)
    low = worse_low - better_high - relative * allowed.high - extra
    high = worse_high - better_low - relative * allowed.low + extra
    return _as_exact(found, min(low, found.low), max(high, found.high), differing)


def _joined(new: Outcome, old: Outcome, weight: float) -> Floats:
    """How far every pair of subjects pulls the difference."""
    pairs = np.concatenate([new.pairs, old.pairs])
    pulls = np.concatenate([new.pair_pull, -weight * old.pair_pull])
    distinct, places = np.unique(pairs, return_inverse=True)
    return np.bincount(places, weights=pulls, minlength=len(distinct)).astype(np.float64)


def resampled(wrong: Floats, tried: Floats, pull: Floats, pair_pull: Floats, bootstrap: Bootstrap) -> Bounds:
    """Bounds of sum(wrong) / sum(tried), both [S], where the threshold pulls it as `pull` [S] and `pair_pull` say."""
    taking_part = int(np.count_nonzero(tried))
    if taking_part < 2:
        raise Unresolvable(
            f"{taking_part} subject(s) have mated comparisons; nothing can be said of others from fewer than 2, "
            "and little from fewer than 30"
        )
    alpha = (1 - bootstrap.confidence) / 2
    subjects, total = len(tried), float(tried.sum())
    value = float(wrong.sum()) / total
    pull = pull * _scale(pull, pair_pull)
    influence = (wrong - value * tried) / total + pull
    replicates = np.empty(bootstrap.replicates)
    columns = np.stack([wrong, tried, pull], 1)
    for part, weights in bootstrap.multiplicities(subjects):
        sums = weights @ columns
        with np.errstate(invalid="ignore"):
            replicates[part] = sums[:, 0] / sums[:, 1] + sums[:, 2]
    replicates[np.abs(replicates - value) < 1e-12] = value  # sums in another order are not another result
    corrected = corrected_interval(replicates, value, influence, "bootstrap by subject", bootstrap.confidence)
    sd = float(np.sqrt((influence**2).sum() * taking_part / (taking_part - 1)))
    reach = float(stdtrit(taking_part - 1, 1 - alpha)) * sd
    return Bounds(
        value=value,
        low=min(corrected.low, value - reach),
        high=max(corrected.high, value + reach),
        alpha=alpha,
        sd=sd,
        subjects=taking_part,
        differing=int(np.count_nonzero(wrong)),
        method=f"bootstrap by subject (BCa), {bootstrap.replicates:,} replicates, and Student's t; the wider",
    )


def two_sided(bounds: Bounds) -> Interval:
    """Both bounds of a rate as an interval within [0, 1]."""
    confidence = round(1 - 2 * bounds.alpha, 12)
    return Interval(low=max(bounds.low, 0.0), high=min(bounds.high, 1.0), confidence=confidence, method=bounds.method)


def _scale(pull: Floats, pair_pull: Floats) -> float:
    """By how much pulls summed by subject are to be scaled so that each pair's own part counts once, not twice."""
    spread = float((pull**2).sum())
    return float(np.sqrt(np.clip(1 - (pair_pull**2).sum() / spread, 0.5, 1.0))) if spread > 0 else 1.0


def _extra(pull: Floats, pair_pull: Floats, subjects: int, alpha: float) -> float:
    """How far the threshold alone may move the rate."""
    sd = float(np.sqrt((pull**2).sum())) * _scale(pull, pair_pull)
    return float(stdtrit(max(subjects - 1, 1), 1 - alpha)) * sd


def _counted(found: Bounds, differing: int) -> Bounds:
    return Bounds(**{**found.__dict__, "differing": differing})


def _as_exact(found: Bounds, low: float, high: float, differing: int) -> Bounds:
    method = f"Clopper–Pearson over {found.subjects:,} subjects, of whom {differing} differ"
    return Bounds(**{**found.__dict__, "low": low, "high": high, "differing": differing, "method": method})
