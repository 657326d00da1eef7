"""What a profile asks of a model: numbers of samples, attributes, latents that follow its quantiles, a difficulty.

Nothing is generated and then selected: every latent is drawn so that what it moves is distributed as in the profile,
quantile by quantile, through the model's measured responses. What no latent reaches is named.
"""

import math
from bisect import bisect_left
from collections.abc import Iterator
from itertools import pairwise
from statistics import NormalDist
from typing import Literal, NamedTuple

from app.dataset.apportion import apportion
from app.dataset.comparisons import Groups
from app.dataset.matcher import MatcherCard
from app.dataset.model import ModelCard, RangeAttribute, Response, quantile_range
from app.dataset.naming import Naming
from app.dataset.plan import PlannedAttribute, PlannedMap
from app.dataset.profile import QUANTITIES, Categories, Histogram, Profile, sample_counts
from app.dataset.request import Attributes, DatasetRequest, Target

LEVELS = (0.0, 0.005, 0.01, 0.025, *(share / 20 for share in range(1, 20)), 0.975, 0.99, 0.995, 1.0)
"""Shares at which quantiles are mapped."""

OUTERMOST = 0.005
"""Quantiles beyond this and 1 less it are taken to be it: no profile tells more of its ends."""

TOLD_BEYOND = 0.05
"""So large a share of a gallery beyond the model's reach is named."""

OF_IDENTITY = "skin"
"""The quantity that an identity latent moves."""

TONES = ("light", "medium", "dark")

NARROWEST = 0.02
"""Of a slice of an identity latent, as a share: a narrower one would make look-alikes."""

NEAR = 0.2
"""Of a median by which a quantity that nothing moves may differ before it is named."""

_NORMAL = NormalDist()


class Likeness(NamedTuple):
    """What a profile comes to on a model."""

    counts: Groups
    attributes: tuple[PlannedAttribute, ...]
    maps: tuple[PlannedMap, ...]
    target: Target | None
    """A difficulty, where the request gives neither scale nor target and the profile tells an FNMR."""
    format: Literal["png", "jpeg"]
    unreachable: tuple[str, ...]
    naming: Naming | None = None
    """How the gallery calls its folders and files, as far as the profile tells."""


def likeness(request: DatasetRequest, profile: Profile, card: ModelCard, matchers: dict[str, MatcherCard]) -> Likeness:
    """Resolve a profile against a model's card; what the request says itself is left to it."""
    unreachable: list[str] = []
    counts: Groups = ()
    if "samples_per_subject" not in request.model_fields_set or _taken_from(request, profile):
        counts = sample_counts(profile, request.subjects)
        counts = counts if len(counts) > 1 else ()
    identities = request.subjects + request.distractors
    responses = card.responses if card.responses and card.responses.model == card.digest else None
    if responses is None:
        unreachable.append(
            f"What latents of model {card.name!r} do to pictures was not measured ('facsimile models responses "
            f"{card.name}' does): pose, light, expression, skin and capture follow the model, not the profile."
        )
    maps: list[PlannedMap] = []
    attributes = list(_attributes(request.attributes, profile, card, identities, unreachable))
    unreachable += _unknown(profile)
    untold: list[str] = []
    for name, histogram in profile.quantities.items():
        response = responses.quantities.get(name) if responses else None
        if name not in QUANTITIES or responses is None or not histogram.total:
            continue
        if not histogram.inner_edges:
            untold.append(name)
            continue
        if response is None:
            _unmoved(name, histogram, responses.medians.get(name), unreachable)
        elif response.space == "observation":
            values = _mapped(name, histogram, response, unreachable)
            maps.append(PlannedMap(latent=response.latent, shares=LEVELS, values=values))
        elif name == OF_IDENTITY and request.attributes.skin_tone is None:
            attributes.append(_of_identity(name, histogram, response, identities, unreachable))
    tones = profile.attributes.get("skin_tone")
    if tones and request.attributes.skin_tone is None and not any(one.name == "skin_tone" for one in attributes):
        # No latent follows the measured colour: then the gallery's own column says it.
        attributes += _worded("skin_tone", tones, {word: word for word in TONES}, card, identities, unreachable)
    if untold:
        unreachable.append(f"{', '.join(untold)}: the profile tells no edge of it, so the set follows the model.")
    return Likeness(
        counts=counts,
        attributes=tuple(attributes),
        maps=tuple(sorted(maps, key=lambda found: found.latent)),
        target=_target(request, profile, matchers, unreachable),
        format="jpeg" if profile.formats.share("jpeg") > 0.5 else "png",
        unreachable=tuple(unreachable),
        naming=profile.naming,
    )


def _unknown(profile: Profile) -> Iterator[str]:
    """Statistics that no model has anything for."""
    fix = "the set does not follow it; update Facsimile if a newer version made the profile"
    for name in sorted(profile.quantities.keys() - QUANTITIES.keys()):
        yield f"like.quantities.{name} is no statistic that this version knows: {fix}."
    for name in sorted(profile.attributes.keys() - {"sex", "glasses", "skin_tone"}):
        yield f"like.attributes.{name} is no attribute that this version knows: {fix}."


def _taken_from(request: DatasetRequest, profile: Profile) -> bool:
    """Whether the request's number of samples is the one that was filled in."""
    return request.samples_per_subject == max(count for count, _ in sample_counts(profile, request.subjects))


def _mapped(name: str, histogram: Histogram, response: Response, unreachable: list[str]) -> tuple[float, ...]:
    """Value of a latent at each of LEVELS.

    What all other latents spread a quantity by comes on top of what this one does: so the profile's quantiles are drawn
    towards their median by as much as makes both together as wide as the profile.
    """
    quantity = QUANTITIES[name]
    form = math.log if quantity.logarithmic else float

    def quantile(share: float) -> float:
        inner = min(max(share, OUTERMOST), 1 - OUTERMOST)
        return form(histogram.quantile(inner, logarithmic=quantity.logarithmic))

    middle, wide = quantile(0.5), (quantile(0.84) - quantile(0.16)) / 2
    kept = math.sqrt(max(wide**2 - response.others**2, 0.0)) / wide if wide > 0 else 0.0
    if kept == 0.0 and response.others > 1.1 * wide:
        unreachable.append(
            f"{name} ({quantity.says}): the model's other latents alone spread it further than the gallery is; a "
            "smaller scale, or factors at less, would narrow it."
        )
    xs = [form(value) for value in response.values]
    zs = list(response.latents)
    if xs[0] > xs[-1]:
        xs, zs = xs[::-1], zs[::-1]
    wanted = [middle + kept * (quantile(share) - middle) for share in LEVELS]
    beyond = sum(not xs[0] <= quantile(share / 100) <= xs[-1] for share in range(1, 100)) / 99
    if beyond > TOLD_BEYOND:
        low, high = sorted((response.values[0], response.values[-1]))
        unreachable.append(
            f"{name} ({quantity.says}): the model reaches {low:.3g} to {high:.3g} {quantity.unit}".rstrip()
            + f", and {beyond:.0%} of the gallery lies beyond."
        )
    return tuple(round(_inverse(value, xs, zs), 6) for value in wanted)


def _inverse(value: float, xs: list[float], zs: list[float]) -> float:
    """Where a monotone response has a value; its ends where it has not."""
    if value <= xs[0]:
        return zs[0]
    if value >= xs[-1]:
        return zs[-1]
    after = max(bisect_left(xs, value), 1)
    low, high = xs[after - 1], xs[after]
    share = (value - low) / (high - low) if high > low else 0.5
    return zs[after - 1] + share * (zs[after] - zs[after - 1])


def _of_identity(
    name: str, histogram: Histogram, response: Response, identities: int, unreachable: list[str]
) -> PlannedAttribute:
    """Slices of an identity latent, as many identities in each as the profile has there."""
    values = dict(zip(LEVELS, _mapped(name, histogram, response, unreachable), strict=True))
    tenths = [OUTERMOST, *(share / 10 for share in range(1, 10)), 1 - OUTERMOST]
    return _sliced("skin_tone", response.latent, [_NORMAL.cdf(values[share]) for share in tenths], identities)


def _sliced(name: str, latent: int, ends: list[float], identities: int) -> PlannedAttribute:
    """As many identities between every two ends, quantiles of the latent; where two are one, close to it."""
    slices = []
    for one, other in pairwise(ends):
        low, high = sorted((one, other))
        if high - low < NARROWEST:
            low = min(max(low - NARROWEST / 2, 0.0), 1 - NARROWEST)
            high = low + NARROWEST
        slices.append((low, high))
    counts = apportion({str(place): 1.0 for place in range(len(slices))}, identities)
    kept = [(counts[str(place)], slices[place]) for place in range(len(slices)) if counts[str(place)]]
    return PlannedAttribute(
        name=name,
        latent=latent,
        counts=tuple(count for count, _ in kept),
        quantiles=tuple(quantiles for _, quantiles in kept),
    )


def _unmoved(name: str, histogram: Histogram, median: float | None, unreachable: list[str]) -> None:
    quantity = QUANTITIES[name]
    theirs = histogram.quantile(0.5, logarithmic=quantity.logarithmic)
    if median is None:
        unreachable.append(
            f"{name} ({quantity.says}): it was not measured on this model, and no latent is known for it."
        )
        return
    scale = abs(theirs) if quantity.logarithmic else (quantity.high - quantity.low) / 4
    if abs(median - theirs) > NEAR * scale:
        unreachable.append(
            f"{name} ({quantity.says}): no latent of the model moves it; its median is {median:.3g}, the gallery's "
            f"{theirs:.3g} {quantity.unit}".rstrip()
            + "."
        )


def _attributes(
    asked: Attributes, profile: Profile, card: ModelCard, identities: int, unreachable: list[str]
) -> Iterator[PlannedAttribute]:
    """Attributes that the gallery's own columns tell, and that the request leaves out."""
    words: dict[str, tuple[Categories, dict[str, str | bool]]] = {}
    if asked.sex is None and (sex := profile.attributes.get("sex")):
        words["sex"] = (sex, {"female": "female", "male": "male"})
    if asked.glasses is None and (glasses := profile.attributes.get("glasses")):
        words["glasses"] = (glasses, {"yes": True, "no": False})
    for name, (found, values) in words.items():
        yield from _worded(name, found, values, card, identities, unreachable)
    if asked.age is None and profile.age is not None and profile.age.total:
        yield from _age(profile.age, card, identities, unreachable)


def _worded(
    name: str,
    found: Categories,
    values: dict[str, str | bool],
    card: ModelCard,
    identities: int,
    unreachable: list[str],
) -> Iterator[PlannedAttribute]:
    """As many identities of each word as the gallery's column has."""
    shares = {word: float(found.counts.get(word, 0)) for word in values}
    attribute = card.attributes.get(name)
    if attribute is None or not any(shares.values()):
        unreachable.append(f"{name}: the model has no such attribute, or the profile tells too little of it.")
        return
    counts = apportion(shares, identities)
    kept = [(count, quantile_range(attribute, values[word])) for word, count in counts.items() if count]
    yield PlannedAttribute(
        name=name,
        latent=attribute.latent,
        counts=tuple(count for count, _ in kept),
        quantiles=tuple(slices for _, slices in kept),
    )


def _age(histogram: Histogram, card: ModelCard, identities: int, unreachable: list[str]) -> Iterator[PlannedAttribute]:
    attribute = card.attributes.get("age")
    if not isinstance(attribute, RangeAttribute):
        unreachable.append("age: the model has no such attribute.")
        return
    beyond = histogram.below(attribute.min) + 1 - histogram.below(attribute.max)
    if beyond > TOLD_BEYOND:
        unreachable.append(
            f"age: the model reaches {attribute.min:g} to {attribute.max:g} years, and {beyond:.0%} of the gallery "
            "lies beyond."
        )
    span = attribute.max - attribute.min
    ends = [min(max((histogram.quantile(share / 10) - attribute.min) / span, 0.0), 1.0) for share in range(11)]
    yield _sliced("age", attribute.latent, ends, identities)


def _target(
    request: DatasetRequest, profile: Profile, matchers: dict[str, MatcherCard], unreachable: list[str]
) -> Target | None:
    """The profile's FNMR at its lowest FMR that is told, by the first of its matchers that the service has."""
    if "scale" in request.variability.model_fields_set or request.variability.target is not None:
        return None
    known = [
        name for name, found in profile.matchers.items() if name in matchers and matchers[name].digest == found.digest
    ]
    for name in known:
        told = [point for point in profile.matchers[name].points if point.fnmr is not None and 0 < point.fnmr <= 0.9]
        if told:
            point = min(told, key=lambda found: found.target_fmr)
            slack = (point.high - point.low) / 2 / point.fnmr if point.fnmr else 0.5
            return Target(
                matcher=name,
                fmr=point.target_fmr,
                fnmr=point.fnmr or 0.1,
                tolerance=min(max(round(slack, 3), 0.02), 0.5),
            )
    why = "tells no FNMR at an FMR (so few subjects are rejected)" if known else "is of no matcher that the service has"
    unreachable.append(f"difficulty: the profile {why}; the scale stays 1, and mated scores are as they come.")
    return None
