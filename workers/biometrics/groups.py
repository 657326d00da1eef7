"""Differentials between demographic groups at one common threshold, in the manner of ISO/IEC 19795-10.

A group's FMR is over comparisons *within* the group, where look-alikes are most frequent; across groups it stands
in `cross`. Groups are resampled by subject, each on its own (a stratified bootstrap). Rates of few subjects differ
by chance alone: `chance` says by how much, and flags name what is too small.
"""

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from app.dataset.measures import Interval, Rate
from app.dataset.resolution import ERRORS
from workers.biometrics.bootstrap import DEFAULT, Bootstrap, replicate_at_threshold, subject_interval
from workers.biometrics.errors import ScoresRefused, Unresolvable
from workers.biometrics.intervals import exact_interval, percentile_interval
from workers.biometrics.rates import fmr, fnmr
from workers.biometrics.scores import Codes, ScoreSet

Floats = NDArray[np.float64]

FEWEST_SUBJECTS = 30
"""A group of fewer is flagged."""


@dataclass(frozen=True, kw_only=True)
class GroupRates:
    """Rates of one group."""

    group: str
    subjects: int
    fmr: Rate | None
    """None if there is no comparison within the group."""
    fnmr: Rate | None
    flags: tuple[str, ...]
    """What is too small to be trusted, one sentence each."""


@dataclass(frozen=True, kw_only=True)
class Ratio:
    """The worst group's rate over another figure; 1 is no differential."""

    value: float | None
    """None where it cannot be formed: the figure below the line is 0."""
    worst: str
    """Group with the highest rate."""
    interval: Interval | None
    chance: float | None
    """What the ratio would stay below in 95% of tests if all groups had the same true rate."""
    note: str = ""


@dataclass(frozen=True, kw_only=True)
class CrossRate:
    """FMR between two groups, whichever is on the reference's side."""

    groups: tuple[str, str]
    fmr: float
    errors: int
    trials: int
    interval: Interval
    """Clopper–Pearson over comparisons."""


@dataclass(frozen=True, kw_only=True)
class Differential:
    """One attribute's groups, compared."""

    attribute: str
    threshold: float
    groups: tuple[GroupRates, ...]
    """By name."""
    fmr_max_min: Ratio
    fmr_max_mean: Ratio
    """Over the geometric mean of the groups' FMRs."""
    fnmr_max_min: Ratio
    fnmr_max_mean: Ratio
    cross: tuple[CrossRate, ...]
    unlabelled: int
    """Subjects without a label: in no group."""


def age_bands(ages: Sequence[float | None], edges: Sequence[float] = (18, 30, 45, 60)) -> list[str | None]:
    """Name the band of every age in years: "18–29", "30–44", …, "60+", below the first edge "<18"; None stays None.

    A band holds its lower edge. Raises ValueError unless edges ascend, or for a negative or NaN age.
    """
    if list(edges) != sorted(set(edges)) or not edges:
        raise ValueError("edges of age bands must ascend")
    names = [f"<{edges[0]:g}"]
    names += [f"{low:g}–{high - 1:g}" for low, high in pairwise(edges)] + [f"{edges[-1]:g}+"]
    bands: list[str | None] = []
    for age in ages:
        if age is not None and not age >= 0:
            raise ValueError(f"{age} is no age")
        bands.append(None if age is None else names[int(np.searchsorted(edges, age, "right"))])
    return bands


TONES = ("light", "medium", "dark")
"""Skin tones in their own order, where no model's card tells another."""

AMOUNTS = ("none", "some images", "every image")
"""How many of a subject's images show something, as names of groups end."""


def in_order(groups: Iterable[str], known: Sequence[str] = ()) -> list[str]:
    """Groups as a reader expects them: in the order that is known, skin tones by tone, bands of age by age; others by
    name."""
    order = {name: place for place, name in enumerate(known or TONES)}

    def place(name: str) -> tuple[float, float, str]:
        number = re.match(r"<?([0-9]+)", name)
        age = float(number[1]) - name.startswith("<") if number else math.inf
        amount = next((place for place, end in enumerate(AMOUNTS) if name.endswith(f" {end}")), math.inf)
        return (order.get(name, math.inf), min(age, amount), name)

    return sorted(groups, key=place)


def differential(
    scores: ScoreSet,
    labels: Sequence[str | None],
    threshold: float,
    *,
    attribute: str,
    bootstrap: Bootstrap = DEFAULT,
) -> Differential:
    """Compare the groups that `labels` [S] put subjects into; None is no label.

    Raises ScoresRefused unless there is a label for every subject, and Unresolvable with fewer than two groups.
    """
    if len(labels) != scores.subjects:
        raise ScoresRefused(f"there are {len(labels)} labels for {scores.subjects} subjects; give one each, or None")
    names = sorted({label for label in labels if label is not None})
    if len(names) < 2:
        raise Unresolvable(f"{attribute} puts all subjects into {len(names)} group(s); at least 2 can be compared")
    numbers = {name: number for number, name in enumerate(names)}
    of = np.array([-1 if label is None else numbers[label] for label in labels], np.int64)
    rates, false_match, false_non_match = [], [], []
    for number, name in enumerate(names):
        # Groups of one size would otherwise be drawn alike, and their rates rise and fall together.
        drawn = replace(bootstrap, seed=bootstrap.seed + 1_000_003 * (number + 1))
        group, replicates = _group(scores, name, of == number, threshold, drawn)
        rates.append(group)
        false_match.append(replicates[0])
        false_non_match.append(replicates[1])
    matches = _ratios([group.fmr for group in rates], names, np.array(false_match), bootstrap)
    misses = _ratios([group.fnmr for group in rates], names, np.array(false_non_match), bootstrap)
    return Differential(
        attribute=attribute,
        threshold=threshold,
        groups=tuple(rates),
        fmr_max_min=matches[0],
        fmr_max_mean=matches[1],
        fnmr_max_min=misses[0],
        fnmr_max_mean=misses[1],
        cross=_cross(scores, names, of, threshold, bootstrap.confidence),
        unlabelled=int((of < 0).sum()),
    )


def _group(
    scores: ScoreSet, name: str, members: NDArray[np.bool_], threshold: float, bootstrap: Bootstrap
) -> tuple[GroupRates, tuple[Floats, Floats]]:
    """Rates of comparisons within a group, and their replicates [B] (NaN where there is no rate)."""
    within = _subset(scores, members)
    flags = []
    if within.subjects < FEWEST_SUBJECTS:
        flags.append(f"{within.subjects} subject{'' if within.subjects == 1 else 's'}; take at least {FEWEST_SUBJECTS}")
    nothing = np.full(bootstrap.replicates, np.nan)
    replicates = (nothing, nothing)
    if within.subjects >= 2:
        replicates = replicate_at_threshold(within, threshold, bootstrap)
    found: list[Rate | None] = []
    for rate_of, count, drawn in (
        (fmr, within.non_mated_total, replicates[0]),
        (fnmr, len(within.mated), replicates[1]),
    ):
        rate = rate_of(within, threshold, bootstrap.confidence) if count else None
        if rate is None:
            flags.append(f"no comparison to take {rate_of.__name__.upper()} of")
        else:
            if rate.errors < ERRORS:
                errors = f"{rate.errors} error{'' if rate.errors == 1 else 's'}"
                flags.append(f"{rate.name} rests on {errors}; at least {ERRORS} make it resolved")
            if within.subjects >= 2:
                rate = rate.with_interval(subject_interval(rate, threshold, drawn, within, bootstrap.confidence))
        found.append(rate)
    group = GroupRates(group=name, subjects=within.subjects, fmr=found[0], fnmr=found[1], flags=tuple(flags))
    return group, replicates


def _subset(scores: ScoreSet, members: NDArray[np.bool_]) -> ScoreSet:
    """The comparisons both of whose subjects are members, with codes of their own."""
    subjects, references, probes = _subjects(scores)
    codes = np.cumsum(members) - 1
    mated, non_mated = members[subjects], members[references] & members[probes]
    return ScoreSet(
        mated=scores.mated[mated],
        mated_subjects=codes[subjects[mated]],
        non_mated=scores.non_mated[non_mated],
        non_mated_references=codes[references[non_mated]],
        non_mated_probes=codes[probes[non_mated]],
        subjects=int(members.sum()),
    )


def _ratios(
    rates: list[Rate | None], names: list[str], replicates: Floats, bootstrap: Bootstrap
) -> tuple[Ratio, Ratio]:
    """Maximum over minimum, and over geometric mean, of the groups that have a rate; replicates [groups, B]."""
    there = [number for number, rate in enumerate(rates) if rate is not None]
    if len(there) < 2:
        none = Ratio(value=None, worst="", interval=None, chance=None, note="fewer than two groups have this rate")
        return none, none
    values = np.array([rate.value for rate in rates if rate is not None])
    worst = names[there[int(values.argmax())]]
    if values.min() == 0:
        known = [rate for rate in rates if rate is not None]
        lowest, highest = known[int(values.argmin())], known[int(values.argmax())]
        note = f"{names[there[int(values.argmin())]]} has no error in {lowest.trials:,} comparisons"
        if highest.errors:
            note += f"; by exact limits max/min is at least {highest.exact.low / lowest.exact.high:.3g}"
        none = Ratio(value=None, worst=worst, interval=None, chance=None, note=note)
        return none, none
    drawn = replicates[there]
    # Replicates over their own rate are what chance does to groups that are equal.
    noise = drawn / values[:, None]
    return (
        _ratio(_over_min(values[:, None])[0], _over_min(drawn), _over_min(noise), worst, bootstrap),
        _ratio(_over_mean(values[:, None])[0], _over_mean(drawn), _over_mean(noise), worst, bootstrap),
    )


def _ratio(value: float, drawn: Floats, noise: Floats, worst: str, bootstrap: Bootstrap) -> Ratio:
    if np.count_nonzero(~np.isnan(drawn)) < 20:
        note = "too few subjects in a group to be resampled"
        return Ratio(value=float(value), worst=worst, interval=None, chance=None, note=note)
    chance = float(np.quantile(noise[~np.isnan(noise)], 0.95, method="inverted_cdf"))
    interval = percentile_interval(drawn, "bootstrap by subject within groups", bootstrap.confidence)
    return Ratio(value=float(value), worst=worst, interval=interval, chance=chance)


def _over_min(rates: Floats) -> Floats:
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(rates.max(0) / rates.min(0))


def _over_mean(rates: Floats) -> Floats:
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(rates.max(0) / np.exp(np.log(rates).mean(0)))


def _cross(scores: ScoreSet, names: list[str], of: Codes, threshold: float, confidence: float) -> tuple[CrossRate, ...]:
    _, references, probes = _subjects(scores)
    left, right = of[references], of[probes]
    labelled = (left >= 0) & (right >= 0)
    pair = np.minimum(left, right)[labelled] * len(names) + np.maximum(left, right)[labelled]
    trials = np.bincount(pair, minlength=len(names) ** 2)
    errors = np.bincount(pair[scores.non_mated[labelled] >= np.float64(threshold)], minlength=len(names) ** 2)
    return tuple(
        CrossRate(
            groups=(names[at // len(names)], names[at % len(names)]),
            fmr=float(errors[at] / trials[at]),
            errors=int(errors[at]),
            trials=int(trials[at]),
            interval=exact_interval(int(errors[at]), int(trials[at]), confidence),
        )
        for at in np.flatnonzero(trials).tolist()
    )


def _subjects(scores: ScoreSet) -> tuple[Codes, Codes, Codes]:
    """Subjects of mated comparisons, and of non-mated ones on both sides."""
    mated, references, probes = scores.mated_subjects, scores.non_mated_references, scores.non_mated_probes
    if mated is None or references is None or probes is None:
        raise Unresolvable("the subjects of the scores are not known, so they belong to no group")
    return mated, references, probes
