"""A profile beside a set, statistic by statistic: how far apart, and whether that is alike.

Both are weighed as profiles are, every subject alike. A profile tells cumulated shares at few edges, each of them
rounded; there alone the two can be compared. Legend: KS is the largest difference of cumulated shares at those edges,
Wasserstein the mean difference of quantiles between 5% and 95%, in the quantity's unit.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np

from app.dataset.profile import QUANTITIES, Categories, Histogram, MatcherStatistics, Profile, Quantity, grid
from app.errors import RequestRefused
from workers.matchers.base import Matcher
from workers.profile.make import AGES, SAMPLES, Weights
from workers.profile.scores import FMRS, ScoreWeights, fnmr_of
from workers.profile.tell import Floats

Verdict = Literal["alike", "not alike", "not comparable"]

TOLERATED = 0.1
"""KS up to which two distributions are alike, where more subjects than chance needs were measured."""

KOLMOGOROV_95 = 1.36
"""Over the root of the subjects: KS that chance reaches in one of twenty samples of one population."""

SHARES = tuple(place / 20 for place in range(1, 20))

LETTERS = ("5%", "50%", "95%")


@dataclass(frozen=True, kw_only=True)
class Row:
    """One statistic."""

    name: str
    says: str
    unit: str
    verdict: Verdict
    why: str
    """Where it is not comparable, or alike by chance only."""
    gallery: dict[str, float | None]
    """As profiled: quantiles, or shares by word, or a rate."""
    twin: dict[str, float | None]
    ks: float | None = None
    ks_low: float | None = None
    ks_high: float | None = None
    wasserstein: float | None = None
    gallery_curve: tuple[tuple[float, float], ...] = ()
    """(edge, share below it), as far as the profile tells."""
    twin_curve: tuple[tuple[float, float], ...] = ()
    """The same on the whole grid."""


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """All of it."""

    profile: str
    """Digest."""
    subjects: tuple[int, int]
    """Of the gallery, rounded, and of the twin."""
    rows: tuple[Row, ...]
    sentence: str

    def as_json(self) -> dict[str, Any]:
        """For machines."""
        return {"schema_version": 1, **asdict(self)}


def compare(profile: Profile, weights: Weights) -> Comparison:
    """Compare a profile with what was measured of a set; matchers that the set was not shown to are not comparable.

    Raises RequestRefused for a profile that tells of no subject.
    """
    if not profile.subjects:
        text = "tells of no subject, so nothing can be compared with it; profile a gallery of more subjects"
        raise RequestRefused([("profile.samples_per_subject", text)])
    rows = tuple(_rows(profile, weights))
    return Comparison(
        profile=profile.digest,
        subjects=(profile.subjects, weights.subjects),
        rows=rows,
        sentence=_sentence(profile, weights, rows),
    )


def _rows(profile: Profile, weights: Weights) -> Iterator[Row]:
    size = profile.subjects, weights.subjects, profile.privacy.rounded_to
    yield _histogram("samples per subject", SAMPLES, profile.samples_per_subject, weights.samples, size)
    yield _categories("pictures", profile.pictures, weights.pictures, size)
    yield _categories("formats", profile.formats, weights.formats, size)
    for name, told in profile.attributes.items():
        yield _categories(name, told, weights.words.get(name), size)
    if profile.age is not None:
        yield _histogram("age", AGES, profile.age, weights.age, size)
    for name, histogram in profile.quantities.items():
        if quantity := QUANTITIES.get(name):
            yield _histogram(name, quantity, histogram, weights.quantities.get(name), size)
        else:
            yield _distribution(
                name, "a statistic that this version does not know", histogram.unit, histogram, None, size
            )
    for name, statistics in profile.matchers.items():
        yield from _matcher(name, statistics, weights.matchers.get(name), size)


def _histogram(name: str, quantity: Quantity, told: Histogram, found: Floats | None, size: tuple[int, int, int]) -> Row:
    weighed = None if found is None else (grid(quantity), found[:-1])
    return _distribution(name, quantity.says, quantity.unit, told, weighed, size, logarithmic=quantity.logarithmic)


def _distribution(
    name: str,
    says: str,
    unit: str,
    told: Histogram,
    found: tuple[Sequence[float], Floats] | None,
    size: tuple[int, int, int],
    *,
    logarithmic: bool = False,
) -> Row:
    empty: dict[str, float | None] = dict.fromkeys(LETTERS)
    theirs = told.quantiles(logarithmic=logarithmic)
    gallery = {letter: round(theirs[letter], 4) if theirs else None for letter in LETTERS}
    if found is None or not found[1].sum():
        why = "it was not measured on the set"
        return Row(name=name, says=says, unit=unit, verdict="not comparable", why=why, gallery=gallery, twin=empty)
    edges, cells = np.array(found[0]), found[1]
    cumulated = np.concatenate([[0.0], np.cumsum(cells)]) / cells.sum()
    twin = {letter: round(_quantile(edges, cumulated, float(letter[:-1]) / 100), 4) for letter in LETTERS}
    ours = tuple(zip(edges.round(5).tolist(), cumulated.round(5).tolist(), strict=True))
    curve = tuple(zip(told.edges, (round(share, 5) for share in told.cumulated), strict=True))
    if not told.inner_edges:
        why = "the profile tells no edge of it: nearly all of the gallery lies together, or too little may be told"
        return Row(
            name=name,
            says=says,
            unit=unit,
            verdict="not comparable",
            why=why,
            gallery=gallery,
            twin=dict(twin),
            gallery_curve=curve,
            twin_curve=ours,
        )
    apart = [
        abs(share - float(np.interp(edge, edges, cumulated)))
        for edge, share in zip(told.edges[1:-1], told.cumulated[1:-1], strict=True)
    ]
    ks, unsure = max(apart), _unsure(size)
    distance = None
    if theirs:
        between = [
            abs(told.quantile(share, logarithmic=logarithmic) - _quantile(edges, cumulated, share)) for share in SHARES
        ]
        distance = round(float(np.mean(between)), 5)
    alike = ks <= max(TOLERATED, unsure)
    chance = "by chance and rounding so few subjects may differ by as much" if alike and ks > TOLERATED else ""
    return Row(
        name=name,
        says=says,
        unit=unit,
        verdict="alike" if alike else "not alike",
        why=chance,
        gallery=dict(gallery),
        twin=dict(twin),
        ks=round(ks, 4),
        ks_low=round(max(ks - unsure, 0.0), 4),
        ks_high=round(min(ks + unsure, 1.0), 4),
        wasserstein=distance,
        gallery_curve=curve,
        twin_curve=ours,
    )


def _unsure(size: tuple[int, int, int]) -> float:
    """What chance (95%) and the profile's rounding may add to KS."""
    gallery, twin, rounded_to = size
    return KOLMOGOROV_95 * math.sqrt(1 / max(gallery, 1) + 1 / max(twin, 1)) + rounded_to / 2 / max(gallery, 1)


def _quantile(edges: Floats, cumulated: Floats, share: float) -> float:
    return float(np.interp(share, cumulated, edges))


def _categories(name: str, told: Categories, found: Mapping[str, float] | None, size: tuple[int, int, int]) -> Row:
    gallery: dict[str, float | None] = {word: round(told.share(word), 4) for word in told.counts}
    if found is None or not told.total:
        why = "the set does not say it" if told.total else "the profile tells no word of it"
        return Row(name=name, says="", unit="share", verdict="not comparable", why=why, gallery=gallery, twin={})
    total = sum(found.values()) or 1.0
    shares = {word: weight / total for word, weight in found.items()}
    # Words that the profile does not tell are one: what it has beyond those told.
    apart = [abs(told.share(word) - shares.get(word, 0.0)) for word in told.counts]
    rest = 1 - sum(told.share(word) for word in told.counts)
    apart.append(abs(rest - sum(share for word, share in shares.items() if word not in told.counts)))
    ks, unsure = max(apart), _unsure(size)
    return Row(
        name=name,
        says="",
        unit="share",
        verdict="alike" if ks <= max(TOLERATED, unsure) else "not alike",
        why="",
        gallery=gallery,
        twin={word: round(share, 4) for word, share in shares.items() if share or word in told.counts},
        ks=round(ks, 4),
        ks_low=round(max(ks - unsure, 0.0), 4),
        ks_high=round(min(ks + unsure, 1.0), 4),
    )


def _matcher(
    name: str,
    told: MatcherStatistics,
    found: tuple[Matcher, ScoreWeights, dict[str, float], dict[str, float]] | None,
    size: tuple[int, int, int],
) -> Iterator[Row]:
    scores = found[1] if found is not None and found[0].digest == told.digest else None
    kinds = [("non-mated", told.non_mated, None if scores is None else scores.shared.sum(0))]
    if told.mated is not None:
        kinds.insert(0, ("mated", told.mated, None if scores is None else scores.mated.sum(0)))
    for kind, histogram, weighed in kinds:
        both = None if weighed is None or scores is None else (scores.edges.tolist(), weighed)
        yield _distribution(f"{name}: {kind} scores", "", "score", histogram, both, size)
    ours = fnmr_of(scores) if scores is not None else {}
    for point in told.points:
        if point.target_fmr in FMRS and point.resolved:
            yield _rate(name, point.target_fmr, (point.fnmr, point.low, point.high), ours.get(point.target_fmr))


def _rate(
    matcher: str,
    fmr: float,
    theirs: tuple[float | None, float, float],
    ours: tuple[float, float, float] | None,
) -> Row:
    value, low, high = theirs
    gallery: dict[str, float | None] = {"FNMR": value, "low": low, "high": high}
    name, says = f"{matcher}: FNMR at FMR {fmr:g}", "each at the lowest threshold of its own with that FMR at the most"
    if ours is None:
        why = "the set does not resolve it, or this matcher has not seen it"
        return Row(name=name, says=says, unit="rate", verdict="not comparable", why=why, gallery=gallery, twin={})
    alike = ours[1] <= high and low <= ours[2]
    return Row(
        name=name,
        says=says,
        unit="rate",
        verdict="alike" if alike else "not alike",
        why="their 95% intervals overlap" if alike else "",
        gallery=gallery,
        twin={"FNMR": round(ours[0], 5), "low": round(ours[1], 5), "high": round(ours[2], 5)},
    )


def _sentence(profile: Profile, weights: Weights, rows: Sequence[Row]) -> str:
    by = {verdict: [row.name for row in rows if row.verdict == verdict] for verdict in ("alike", "not alike")}
    comparable = len(by["alike"]) + len(by["not alike"])
    text = (
        f"Of {comparable} statistics of a gallery of about {profile.subjects:,} subjects that could be compared, "
        f"{len(by['alike'])} are alike in a set of {weights.subjects:,} synthetic subjects"
    )
    text += f"; not alike are {', '.join(by['not alike'])}." if by["not alike"] else "."
    rates = [row for row in rows if row.unit == "rate" and row.twin and row.gallery["FNMR"] is not None]
    for row in rates:
        text += f" {row.name}: {row.gallery['FNMR']:.1%} in the gallery, {row.twin['FNMR']:.1%} in the set."
    return text
