"""The plan: a request resolved against a model card. Formulas and ranges only, however large the set.

Subjects 0 … subjects-1 have `samples_per_subject` samples each; subjects after them are distractors with one
sample each. Samples are numbered through, subject by subject; a shard is a range of those numbers, so where
shards begin and end changes nothing in a sample.
"""

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, Field

from app.dataset.apportion import apportion, cell_of
from app.dataset.comparisons import Selection, count_comparisons
from app.dataset.layout import Layout, Shape, why_not
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
from app.dataset.request import MAX_SCALE, DatasetRequest
from app.dataset.resolution import can_resolve
from app.errors import RequestRefused

SURVEY_BLOCK = 256
"""Subjects whose portraits one task templates for the uniqueness check."""

MAX_ATTEMPTS = 5
"""How often a sample or an identity is drawn before it counts as shortfall."""

JUDGED_SAMPLES = 50_000
"""Samples that are judged in one set at the most: their templates are held and crossed in one process."""

MIN_AGE_SPAN_SHARE = 0.02
"""A slice of a range attribute narrower than this share of it would make look-alikes of all subjects."""


SMALLEST_SHARD = 8
"""Samples; below this the round trips to the store cost more than the samples. Shards that the service cuts finer are
multiples of it, for networks run on so many at a time."""


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class PlannedAttribute(_Frozen):
    """One attribute that was asked for: how many subjects get which slice of one identity latent."""

    name: str
    latent: int
    counts: tuple[int, ...]
    quantiles: tuple[tuple[float, float], ...]
    """[low, high) for each count, as quantiles of N(0, 1)."""


class PlannedModel(_Frozen):
    """The model, pinned by the digest of its card."""

    name: str
    version: str
    digest: str


class PlannedImage(_Frozen):
    """The file every sample becomes."""

    width: int
    height: int
    format: Literal["png", "jpeg"]
    quality: int | None

    @property
    def suffix(self) -> str:
        """File name ending, with its dot."""
        return ".png" if self.format == "png" else ".jpg"

    @property
    def media_type(self) -> str:
        """Media type of the file."""
        return "image/png" if self.format == "png" else "image/jpeg"


class PlannedUnique(_Frozen):
    """Two identities whose neutral portraits score at or above the threshold count as copies."""

    matcher: str
    threshold: float


class PlannedMatcher(_Frozen):
    """A matcher, pinned by the digest of its weights."""

    name: str
    digest: str


class PlannedTarget(_Frozen):
    """The difficulty to be met; see `app.dataset.request.Target`."""

    matcher: PlannedMatcher
    fmr: float
    fnmr: float
    tolerance: float
    """Share of `fnmr`."""
    start: float = 1.0
    """The scale that the search begins with: what a calibration of the model found, if there was one."""

    @property
    def slack(self) -> float:
        """By so much an FNMR may be off and still meet the target."""
        return self.tolerance * self.fnmr


class PlannedMarking(_Frozen):
    """See `app.dataset.request.MarkingSpec`."""

    c2pa: Literal["embedded", "detached"] | None = None
    watermark: str | None = None
    """Id of the key; it decides pixels."""


class Place(NamedTuple):
    """One sample's place in the set."""

    subject: int
    sample: int


class Plan(_Frozen):
    """Everything that decides the pixels and lists of one dataset."""

    schema_version: Literal[1] = 1
    purpose: Literal["dataset", "calibration"] = "dataset"
    """A calibration ends when the scale is found: its samples are measured and not kept."""
    dataset: str
    model: PlannedModel
    seed: int
    subjects: int = Field(ge=1)
    samples_per_subject: int = Field(ge=1)
    distractors: int = Field(ge=0)
    sigma: dict[str, float]
    """σ of every factor of the model; with a target, the mix that its calibrated scale multiplies."""
    target: PlannedTarget | None = None
    attributes: tuple[PlannedAttribute, ...]
    image: PlannedImage
    unique: PlannedUnique | None
    face_found: bool
    max_attempts: int = MAX_ATTEMPTS
    comparisons: Selection
    judges: tuple[PlannedMatcher, ...] = ()
    """The matchers that judge the finished set."""
    judged_subjects: int = Field(0, ge=0)
    """How many subjects, from the first on, are judged with all their samples."""
    judged_distractors: int = Field(0, ge=0)
    """How many distractors, from the first on, are judged."""
    marking: PlannedMarking = PlannedMarking()
    layouts: tuple[Layout, ...] = (Layout.PLAIN,)
    shard_size: int = Field(ge=1)

    @property
    def identities(self) -> int:
        """Subjects and distractors together."""
        return self.subjects + self.distractors

    @property
    def samples(self) -> int:
        """All samples of the set."""
        return self.subjects * self.samples_per_subject + self.distractors

    @property
    def shards(self) -> int:
        """How many shards the samples fall into."""
        return -(-self.samples // self.shard_size)

    @property
    def survey_blocks(self) -> int:
        """How many blocks of identities are templated before generation; 0 without the uniqueness check."""
        return -(-self.identities // SURVEY_BLOCK) if self.unique else 0

    @property
    def shape(self) -> Shape:
        """What decides which layouts it can be had in."""
        return Shape(
            self.subjects,
            self.samples_per_subject,
            self.distractors,
            self.comparisons,
            self.image.width,
            self.image.height,
        )

    @property
    def judged_shards(self) -> tuple[int, ...]:
        """Numbers of the shards that hold a judged sample."""
        if not self.judges:
            return ()
        mated = self.subjects * self.samples_per_subject
        distractors = self._shards_of(range(mated, mated + self.judged_distractors))
        return tuple(sorted({*self.calibrated_shards, *distractors}))

    @property
    def calibrated_shards(self) -> range:
        """Numbers of the shards that hold a sample which difficulty is measured on: those of judged subjects."""
        return self._shards_of(range(self.judged_subjects * self.samples_per_subject))

    @property
    def largest_scale(self) -> float:
        """The scale at which a factor reaches the largest σ that a request may have; one must be above 0."""
        return min(MAX_SCALE, MAX_SCALE / max(self.sigma.values()))

    def _shards_of(self, samples: range) -> range:
        if not samples:
            return range(0)
        return range(samples.start // self.shard_size, (samples.stop - 1) // self.shard_size + 1)

    def judged(self, place: Place) -> bool:
        """Whether the sample at this place is judged."""
        if place.subject < self.subjects:
            return place.subject < self.judged_subjects
        return place.subject - self.subjects < self.judged_distractors

    def scaled(self, scale: float) -> "Plan":
        """The plan with its target turned into a scale: every σ multiplied by it, and no target left."""
        sigma = {name: scale * value for name, value in self.sigma.items()}
        return self.model_copy(update={"sigma": sigma, "target": None})

    def shard(self, number: int) -> range:
        """Numbers of the samples in one shard."""
        if not 0 <= number < self.shards:
            raise ValueError(f"shard {number} is not in 0 … {self.shards - 1}")
        return range(number * self.shard_size, min((number + 1) * self.shard_size, self.samples))

    def survey_block(self, number: int) -> range:
        """Numbers of the subjects in one survey block."""
        if not 0 <= number < self.survey_blocks:
            raise ValueError(f"survey block {number} is not in 0 … {self.survey_blocks - 1}")
        return range(number * SURVEY_BLOCK, min((number + 1) * SURVEY_BLOCK, self.identities))

    def place(self, index: int) -> Place:
        """Subject and sample of the sample with this number."""
        if not 0 <= index < self.samples:
            raise ValueError(f"sample {index} is not in 0 … {self.samples - 1}")
        mated = self.subjects * self.samples_per_subject
        if index < mated:
            return Place(*divmod(index, self.samples_per_subject))
        return Place(self.subjects + index - mated, 0)

    def index(self, place: Place) -> int:
        """Number of the sample at this place."""
        if place.subject < self.subjects:
            if not (place.subject >= 0 and 0 <= place.sample < self.samples_per_subject):
                raise ValueError(f"no sample at {place}")
            return place.subject * self.samples_per_subject + place.sample
        if place.sample != 0 or place.subject >= self.identities:
            raise ValueError(f"no sample at {place}")
        return self.subjects * self.samples_per_subject + place.subject - self.subjects

    def places(self, indices: range) -> Iterator[Place]:
        """Places of a range of samples, in order."""
        return (self.place(index) for index in indices)

    def quantiles(self, subject: int) -> dict[int, tuple[float, float]]:
        """For the identity latents that attributes constrain: latent to [low, high) in quantiles."""
        slices: dict[int, tuple[float, float]] = {}
        for number, attribute in enumerate(self.attributes):
            cell = cell_of(subject, attribute.counts, key=self.seed * 64 + number)
            slices[attribute.latent] = attribute.quantiles[cell]
        return slices


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
    sigma = _sigma(request, card, problems)
    identities = request.subjects + request.distractors
    attributes = _attributes(request, card, identities, problems)
    image = _image(request, card, problems)
    unique = _unique(request, card, problems)
    selection = request.comparisons.selection or (
        "balanced" if request.samples_per_subject > 1 and request.subjects > 1 else "none"
    )
    counts = count_comparisons(selection, request.subjects, request.samples_per_subject, request.distractors)
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
    )
    layouts = tuple(dict.fromkeys(request.layouts))
    problems.extend(("layouts", reason) for layout in layouts if (reason := why_not(layout, shape)))
    judged_subjects = min(request.report.judged_subjects, request.subjects)
    target = _target(request, judged_subjects, matchers, problems)
    if target and not any(sigma.values()):
        problems.append(("variability.factors", "all factors are 0, so no scale changes anything; leave one above 0"))
    judges = [
        PlannedMatcher(name=matcher.name, digest=matcher.digest)
        for matcher in matchers.values()
        if judged_subjects and (matcher.judge or (target and target.matcher.name == matcher.name))
    ]
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
        model=PlannedModel(name=card.name, version=card.version, digest=card.digest),
        seed=seed,
        subjects=request.subjects,
        samples_per_subject=request.samples_per_subject,
        distractors=request.distractors,
        sigma=sigma,
        attributes=attributes,
        image=image,
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


def _marking(request: DatasetRequest, offered: MarkingCard, problems: list[tuple[str, str]]) -> PlannedMarking:
    asked = request.marking
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
    for name in type(request.attributes).model_fields:
        wish = getattr(request.attributes, name)
        if wish is None:
            continue
        attribute = card.attributes.get(name)
        if attribute is None:
            offered = ", ".join(card.attributes) or "none"
            problems.append((f"attributes.{name}", f"model {card.name!r} cannot honour it; its attributes: {offered}"))
        elif isinstance(attribute, ChoiceAttribute):
            asked.extend(_choice(name, wish, attribute, identities, card, problems))
        elif isinstance(attribute, RangeAttribute):
            asked.extend(_range(name, (wish.min, wish.max), attribute, identities, card, problems))
        else:
            asked.append(_share(name, wish, attribute, identities))
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
    elif (high - low) < MIN_AGE_SPAN_SHARE * (attribute.max - attribute.min):
        problems.append((f"attributes.{name}", "the range is too narrow to be told apart; widen it"))
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


def _unique(request: DatasetRequest, card: ModelCard, problems: list[tuple[str, str]]) -> PlannedUnique | None:
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
    return PlannedUnique(matcher=card.checks.unique.matcher, threshold=card.checks.unique.threshold)
