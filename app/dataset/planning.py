"""Planning: one pass over a request that resolves it against a model's card, or refuses it with every problem found."""

import math
from collections.abc import Iterator, Mapping
from types import MappingProxyType

from app.dataset.apportion import apportion
from app.dataset.calibration import CALIBRATION_SEED, USUAL_SAMPLES, USUAL_SUBJECTS
from app.dataset.comparisons import count_comparisons, default_selection
from app.dataset.layout import MOST_IN_BIN, Layout, Shape, why_not
from app.dataset.like import likeness
from app.dataset.marking import MarkingCard
from app.dataset.matcher import MatcherCard
from app.dataset.model import (
    Attribute,
    ChoiceAttribute,
    ModelCard,
    RangeAttribute,
    ShareAttribute,
    quantile_range,
)
from app.dataset.plan import (
    Plan,
    PlannedAttribute,
    PlannedImage,
    PlannedMarking,
    PlannedMatcher,
    PlannedModel,
    PlannedTarget,
    PlannedUnique,
    PlannedWorn,
)
from app.dataset.request import DatasetRequest, Variability
from app.dataset.resolution import can_resolve
from app.dataset.room import MOST_MISSING, missing_share, room
from app.errors import RequestRefused

JUDGED_SAMPLES = 50_000
"""Samples that are judged in one set at the most: their templates are held and crossed in one process."""

MIN_AGE_SPAN_SHARE = 0.02
"""A slice of a range attribute narrower than this share of it would make look-alikes of all subjects."""

SMALLEST_SHARD = 8
"""Samples; below this the round trips to the store cost more than the samples. Shards that the service cuts finer are
multiples of it, for networks run on so many at a time."""


def shard_size_for(samples: int, *, most: int, shards: int) -> int:
    """Samples a shard gets: `most`, or fewer where the set would not fill `shards` shards."""
    share = -(-samples // shards)
    return min(most, max(1, -(-share // SMALLEST_SHARD)) * SMALLEST_SHARD)


def make_plan(
    request: DatasetRequest,
    card: ModelCard,
    *,
    dataset: str,
    seed: int,
    shard_size: int,
    max_comparisons: int,
    matchers: Mapping[str, MatcherCard] = MappingProxyType({}),
    marking: MarkingCard = MarkingCard(),  # noqa: B008  (frozen)
) -> Plan:
    """Resolve a request against a model card, the matchers and the marks that there are.

    Raises RequestRefused with every problem found: factors, attributes or sizes that the model does not have,
    targets that name no matcher or that so few subjects cannot resolve, marks that no worker has, and lists of
    comparisons longer than `max_comparisons`.
    """
    problems: list[tuple[str, str]] = []
    like = likeness(request, request.like, card, dict(matchers)) if request.like else None
    groups = like.counts if like else ()
    if like and like.target:
        request = request.model_copy(
            update={"variability": Variability(factors=request.variability.factors, target=like.target)}
        )
    if like and "format" not in request.image.model_fields_set:
        request = request.model_copy(update={"image": request.image.model_copy(update={"format": like.format})})
    sigma = _sigma(request, card, problems)
    truncation = _truncation(request, card, problems)
    identities = request.subjects + request.distractors
    attributes = _attributes(request, card, identities, problems)
    samples = sum(many * some for many, some in groups) or request.subjects * request.samples_per_subject
    worn = _worn(request, card, samples - request.subjects, problems)
    image = _image(request, card, problems)
    unique = _unique(request, card, identities, problems)
    selection = request.comparisons.selection or default_selection(
        request.subjects,
        request.samples_per_subject,
        request.distractors,
        most=_most_listed(request, max_comparisons),
        groups=groups,
    )
    if groups and selection == "balanced":
        text = "'balanced' wants as many samples of every subject, and the profile's differ; "
        problems.append(("comparisons.selection", f"{text}choose 'complete' or 'crossed', or give samples_per_subject"))
        selection = "none"
    counts = count_comparisons(selection, request.subjects, request.samples_per_subject, request.distractors, groups)
    if sum(counts) > max_comparisons:
        problems.append(
            (
                "comparisons.selection",
                f"{selection!r} would list {sum(counts):,} comparisons and this service lists at most "
                f"{max_comparisons:,}; choose 'balanced' or 'none', or fewer subjects",
            )
        )
    shape = Shape(
        request.subjects,
        request.samples_per_subject,
        request.distractors,
        selection,
        image.width,
        image.height,
        groups,
        templates=request.product == "templates",
        named=like is not None and like.naming is not None,
    )
    layouts = tuple(dict.fromkeys(request.layouts))
    problems.extend(("layouts", reason) for layout in layouts if (reason := why_not(layout, shape)))
    judged_subjects = min(request.report.judged_subjects, request.subjects)
    target = _target(request, judged_subjects, matchers, problems)
    templates = _templates(request, matchers, problems)
    if target and not any(sigma.values()):
        problems.append(("variability.factors", "all factors are 0, so no scale changes anything; leave one above 0"))
    judges = [
        PlannedMatcher(name=matcher.name, digest=matcher.digest)
        for matcher in matchers.values()
        if judged_subjects and (matcher.judge or (target and target.matcher.name == matcher.name))
    ]
    if templates:  # of what is not kept no other matcher can judge
        judges = [templates] if judged_subjects else []
    if judges and judged_subjects * request.samples_per_subject > JUDGED_SAMPLES:
        most = JUDGED_SAMPLES // request.samples_per_subject
        problems.append(
            (
                "report.judged_subjects",
                f"{judged_subjects:,} subjects of {request.samples_per_subject:,} samples are more than the "
                f"{JUDGED_SAMPLES:,} samples that are judged in one set; judge {most:,} subjects or fewer",
            )
        )
    marks = _marking(request, marking, problems)
    if problems:
        raise RequestRefused(problems)
    return Plan(
        dataset=dataset,
        folder=dataset,
        model=PlannedModel(name=card.name, version=card.version, digest=card.digest, source_type=card.source_type),
        seed=seed,
        subjects=request.subjects,
        samples_per_subject=request.samples_per_subject,
        distractors=request.distractors,
        sample_counts=groups,
        sigma=sigma,
        truncation=truncation,
        maps=like.maps if like else (),
        unreachable=like.unreachable if like else (),
        naming=like.naming if like else None,
        attributes=(*attributes, *(like.attributes if like else ())),
        worn=worn,
        image=image,
        templates=templates,
        unique=unique,
        face_found=request.checks.face_found,
        comparisons=selection,
        target=target,
        judges=tuple(judges),
        judged_subjects=judged_subjects if judges else 0,
        judged_distractors=min(request.report.judged_subjects, request.distractors) if judges else 0,
        marking=marks,
        layouts=layouts,
        shard_size=shard_size,
    )


def _most_listed(request: DatasetRequest, max_comparisons: int) -> int:
    """How many comparisons may be listed where the request leaves the choice to us: as many as its layouts hold."""
    return min(max_comparisons, MOST_IN_BIN) if Layout.INSIGHTFACE_BIN in request.layouts else max_comparisons


def calibration_question(plan: Plan, request: DatasetRequest, card: ModelCard) -> Plan | None:
    """The calibration of the model that answers a dataset's target, with the usual numbers of subjects and samples.

    `plan` is what the request became. None where there is no such calibration: without a target, or where so few
    subjects cannot resolve it, or the model has no check that tells identities apart.
    """
    if plan.target is None or card.checks.unique is None:
        return None
    problems: list[tuple[str, str]] = []
    mated, non_mated = count_comparisons("complete", USUAL_SUBJECTS, USUAL_SAMPLES, 0)
    target = plan.target
    if not can_resolve(fmr=target.fmr, non_mated=non_mated, fnmr=target.fnmr, mated=mated).resolved:
        return None
    checks = card.checks.unique
    return Plan(
        purpose="calibration",
        dataset="",
        model=plan.model,
        seed=CALIBRATION_SEED,
        subjects=USUAL_SUBJECTS,
        samples_per_subject=USUAL_SAMPLES,
        distractors=0,
        sigma=plan.sigma,
        truncation=plan.truncation,
        maps=plan.maps,
        target=target,
        attributes=_attributes(request, card, USUAL_SUBJECTS, problems),
        worn=_worn(request, card, USUAL_SUBJECTS * (USUAL_SAMPLES - 1), problems),
        image=plan.image,
        unique=PlannedUnique(matcher=checks.matcher, threshold=checks.threshold),
        face_found=True,
        comparisons="none",
        judges=(target.matcher,),
        judged_subjects=USUAL_SUBJECTS,
        shard_size=plan.shard_size,
    )


def _sigma(request: DatasetRequest, card: ModelCard, problems: list[tuple[str, str]]) -> dict[str, float]:
    offered = card.latent.observation
    problems.extend(
        (
            f"variability.factors.{name}",
            f"model {card.name!r} has no such factor; it has {', '.join(offered)}",
        )
        for name in request.variability.factors
        if name not in offered
    )
    return {name: request.variability.scale * request.variability.factors.get(name, 1.0) for name in offered}


def _truncation(request: DatasetRequest, card: ModelCard, problems: list[tuple[str, str]]) -> float | None:
    asked, own = request.variability.truncation, card.default_truncation
    if asked is not None and own is None:
        problems.append(
            (
                "variability.truncation",
                f"model {card.name!r} does not truncate its latents; leave it out, or choose a model that does",
            )
        )
    return own if asked is None else asked


def _target(
    request: DatasetRequest, judged: int, matchers: Mapping[str, MatcherCard], problems: list[tuple[str, str]]
) -> PlannedTarget | None:
    """Pin the target, refusing one that the judged subjects cannot resolve by the rule of 30."""
    target = request.variability.target
    if target is None:
        return None
    matcher = matchers.get(target.matcher)
    if matcher is None:
        offered = ", ".join(matchers) or "none yet"
        problems.append(("variability.target.matcher", f"there is no matcher {target.matcher!r}; there are: {offered}"))
        return None
    mated, non_mated = count_comparisons("complete", judged, request.samples_per_subject, 0)
    resolution = can_resolve(
        fmr=target.fmr, non_mated=non_mated, fnmr=target.fnmr, mated=mated, samples=request.samples_per_subject
    )
    if not resolution.resolved:
        some = f" (report.judged_subjects judges {judged:,} of {request.subjects:,})"
        more = some if judged < request.subjects else ""
        problems.append(("variability.target", f"{'; '.join(resolution.problems)}{more}"))
    return PlannedTarget(
        matcher=PlannedMatcher(name=matcher.name, digest=matcher.digest),
        fmr=target.fmr,
        fnmr=target.fnmr,
        tolerance=target.tolerance,
    )


def _templates(
    request: DatasetRequest, matchers: Mapping[str, MatcherCard], problems: list[tuple[str, str]]
) -> PlannedMatcher | None:
    """Pin whose templates are delivered, refusing what only images can have; None where images are."""
    offered = ", ".join(matchers) or "none yet"
    if request.product == "images":
        if request.matcher is not None:
            text = "it is of product 'templates'; leave it out, or name it in variability.target.matcher"
            problems.append(("matcher", text))
        return None
    if request.matcher is None:
        problems.append(("matcher", f"product 'templates' is of a matcher; name one of: {offered}"))
        return None
    matcher = matchers.get(request.matcher)
    if matcher is None:
        problems.append(("matcher", f"there is no matcher {request.matcher!r}; there are: {offered}"))
        return None
    text = "product 'templates' keeps no image that could carry it; leave it out, or ask for product 'images'"
    problems.extend((f"marking.{mark}", text) for mark in ("c2pa", "watermark") if getattr(request.marking, mark))
    target = request.variability.target
    if target is not None and target.matcher != matcher.name:
        text = f"of product 'templates' only their own matcher, {matcher.name!r}, can say whether the target is met"
        problems.append(("variability.target.matcher", f"{text}; name it, or ask for product 'images'"))
    return PlannedMatcher(name=matcher.name, digest=matcher.digest)


def _marking(request: DatasetRequest, offered: MarkingCard, problems: list[tuple[str, str]]) -> PlannedMarking:
    asked = request.marking
    if request.product == "templates":  # what it asks for is refused there
        return PlannedMarking()
    if asked.c2pa and offered.c2pa is None:
        problems.append(
            ("marking.c2pa", f"this service cannot sign: {offered.c2pa_missing}; have it set up, or leave c2pa out")
        )
    if asked.watermark and offered.watermark is None:
        problems.append(
            (
                "marking.watermark",
                "this service has no key for watermarks; have FACSIMILE_WORKER__WATERMARK_KEY set, or leave it out",
            )
        )
    return PlannedMarking(
        c2pa={True: "embedded", "detached": "detached", False: None}[asked.c2pa],
        watermark=offered.watermark if asked.watermark else None,
    )


def _attributes(
    request: DatasetRequest, card: ModelCard, identities: int, problems: list[tuple[str, str]]
) -> tuple[PlannedAttribute, ...]:
    asked: list[PlannedAttribute] = []
    for name, wish in request.attributes.of_subjects.items():
        if wish is None:
            continue
        attribute = card.attributes.get(name)
        if attribute is None:
            offered = ", ".join(card.attributes) or "none"
            problems.append((f"attributes.{name}", f"model {card.name!r} cannot honour it; its attributes: {offered}"))
        elif isinstance(attribute, ChoiceAttribute):
            asked.extend(_choice(name, wish, card.asked_by_name(name), identities, card, problems))
        elif isinstance(attribute, RangeAttribute):
            asked.extend(_range(name, (wish.min, wish.max), attribute, identities, card, problems))
        else:
            asked.append(_share(name, wish, attribute, identities))
    return tuple(asked)


def _worn(
    request: DatasetRequest, card: ModelCard, probes: int, problems: list[tuple[str, str]]
) -> tuple[PlannedWorn, ...]:
    asked: list[PlannedWorn] = []
    for name, share in request.attributes.of_probes.items():
        if share is None:
            continue
        worn = card.worn.get(name)
        if worn is None:
            offered = f"; on probes it can have: {', '.join(card.worn)}" if card.worn else ""
            problems.append((f"attributes.{name}", f"model {card.name!r} cannot honour it{offered}"))
        elif share and not probes:
            text = "it is a share of the probes, and there are none; ask for samples_per_subject of 2 or more"
            problems.append((f"attributes.{name}", text))
        else:
            counts = apportion({"with": share, "without": 1 - share}, probes)
            asked.append(
                PlannedWorn(
                    name=name,
                    latent=worn.latent,
                    threshold=worn.threshold,
                    counts=(counts["with"], counts["without"]),
                )
            )
    return tuple(asked)


def _planned(
    name: str, attribute: Attribute, cells: list[tuple[int, str | bool | tuple[float, float]]]
) -> PlannedAttribute:
    kept = [(count, quantile_range(attribute, value)) for count, value in cells if count]
    return PlannedAttribute(
        name=name,
        latent=attribute.latent,
        counts=tuple(count for count, _ in kept),
        quantiles=tuple(quantiles for _, quantiles in kept),
    )


def _choice(
    name: str,
    wish: dict[str, float],
    attribute: ChoiceAttribute,
    identities: int,
    card: ModelCard,
    problems: list[tuple[str, str]],
) -> Iterator[PlannedAttribute]:
    unknown = [value for value in wish if value not in attribute.values]
    problems.extend(
        (
            f"attributes.{name}.{value}",
            f"model {card.name!r} has no such value; it has {', '.join(attribute.values)}",
        )
        for value in unknown
    )
    if not unknown:
        counts = apportion(wish, identities)
        yield _planned(name, attribute, [(count, value) for value, count in counts.items()])


def _range(
    name: str,
    wish: tuple[float, float],
    attribute: RangeAttribute,
    identities: int,
    card: ModelCard,
    problems: list[tuple[str, str]],
) -> Iterator[PlannedAttribute]:
    low, high = wish
    if low < attribute.min or high > attribute.max:
        problems.append(
            (
                f"attributes.{name}",
                f"model {card.name!r} reaches {attribute.min:g} to {attribute.max:g}{attribute.unit and ' '}"
                f"{attribute.unit}; ask for a range within it",
            )
        )
    elif (high - low) < (narrowest := MIN_AGE_SPAN_SHARE * (attribute.max - attribute.min)):
        first = min(math.floor(low), math.floor(attribute.max - math.ceil(narrowest)))
        wide_enough = f"{first} to {first + math.ceil(narrowest)}"
        problems.append(
            (f"attributes.{name}", f"the range is too narrow to be told apart; ask for at least {wide_enough}")
        )
    else:
        yield _planned(name, attribute, [(identities, wish)])


def _share(name: str, wish: float, attribute: ShareAttribute, identities: int) -> PlannedAttribute:
    counts = apportion({"with": wish, "without": 1 - wish}, identities)
    return _planned(name, attribute, [(counts["with"], True), (counts["without"], False)])


def _image(request: DatasetRequest, card: ModelCard, problems: list[tuple[str, str]]) -> PlannedImage:
    wish = request.image.size
    size = card.sizes[0] if wish is None else (wish, wish) if isinstance(wish, int) else wish
    if size not in card.sizes:
        offered = ", ".join(str(w) if w == h else f"[{w}, {h}]" for w, h in card.sizes)
        problems.append(
            (
                "image.size",
                f"model {card.name!r} does not make {size[0]}×{size[1]} (and nothing is upscaled); it makes {offered}",
            )
        )
    quality = (request.image.quality or 95) if request.image.format == "jpeg" else None
    return PlannedImage(width=size[0], height=size[1], format=request.image.format, quality=quality)


def _unique(
    request: DatasetRequest, card: ModelCard, identities: int, problems: list[tuple[str, str]]
) -> PlannedUnique | None:
    if not request.checks.unique:
        return None
    if card.checks.unique is None:
        problems.append(
            (
                "checks.unique",
                f"the card of model {card.name!r} has no measured threshold for this check; set it to false",
            )
        )
        return None
    if (missing_share(card, identities) or 0.0) > MOST_MISSING:
        problems.append(
            (
                "subjects",
                f"model {card.name!r} has no room for {identities:,} identities that {card.checks.unique.matcher} "
                f"tells apart (at {card.checks.unique.threshold:g}, where {card.unique_fmr:g} of pairs match): beyond "
                f"{room(card, MOST_MISSING):,} more than {MOST_MISSING:.0%} may be missing; ask for fewer subjects and "
                "distractors, for another model, or set checks.unique to false",
            )
        )
    return PlannedUnique(matcher=card.checks.unique.matcher, threshold=card.checks.unique.threshold)
