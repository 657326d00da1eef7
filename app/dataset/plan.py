"""The plan: a request resolved against a model card. Formulas and ranges only, however large the set.

Subjects 0 … subjects-1 have `samples_per_subject` samples each; subjects after them are distractors with one
sample each. Samples are numbered through, subject by subject; a shard is a range of those numbers, so where
shards begin and end changes nothing in a sample.
"""

from collections.abc import Iterator
from typing import Any, Literal, NamedTuple, Self

from pydantic import BaseModel, ConfigDict, Field, SerializerFunctionWrapHandler, model_serializer, model_validator

from app.dataset.apportion import cell_of
from app.dataset.comparisons import Groups, Selection
from app.dataset.layout import Layout, Shape
from app.dataset.naming import Naming
from app.dataset.products import Kind
from app.dataset.request import MAX_SCALE
from app.dataset.source_type import SourceType

SURVEY_BLOCK = 256
"""Subjects whose portraits one task templates for the uniqueness check."""

WORN_KEYS = 48
"""Of a seed's 64 keys of permutations: from here on they are of what is worn, before of attributes."""

MAX_ATTEMPTS = 5
"""How often a sample or an identity is drawn before it counts as shortfall."""


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
    source_type: SourceType = "trainedAlgorithmicMedia"
    """What every file says of how it came about; plans of before do not say it, and their files have this."""


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


class PlannedMap(_Frozen):
    """One observation latent that follows a distribution of its own, whatever σ is."""

    latent: int = Field(ge=0)
    """Dimension of z_O."""
    shares: tuple[float, ...] = Field(min_length=2)
    """Ascending, from 0 to 1: of the stream's uniforms."""
    values: tuple[float, ...]
    """Value of the latent at each; straight in between."""


class PlannedWorn(_Frozen):
    """What a share of the probes shows, and nothing else does; see `app.dataset.model.Worn`."""

    name: str
    latent: int = Field(ge=0)
    """Dimension of z_O."""
    threshold: float
    counts: tuple[int, int]
    """How many probes show it, and how many do not."""


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
    """Everything that decides the pixels and lists of one dataset, as it was asked for; `final` is what is made."""

    schema_version: Literal[1] = 1
    purpose: Literal["dataset", "calibration"] = "dataset"
    """A calibration ends when the scale is found: its samples are measured and not kept."""
    dataset: str
    model: PlannedModel
    seed: int
    subjects: int = Field(ge=1)
    samples_per_subject: int = Field(ge=1)
    """Of every subject; with `sample_counts`, of the one that has most."""
    sample_counts: Groups = ()
    """(samples, subjects) …, where subjects have different numbers: the first so many have so many each, and so on."""
    distractors: int = Field(ge=0)
    sigma: dict[str, float]
    """σ of every factor of the model; with a target, the mix that its calibrated scale multiplies."""
    truncation: float | None = None
    """ψ that identities are truncated by; None for a model that does not truncate, and not written then."""
    target: PlannedTarget | None = None
    maps: tuple[PlannedMap, ...] = ()
    """Latents that follow the distributions of a profile instead of σ."""
    unreachable: tuple[str, ...] = ()
    """Statistics of a profile that the model cannot be given, a sentence each."""
    naming: Naming | None = None
    """How the gallery of a profile calls its folders and files, for the layout `gallery`."""
    attributes: tuple[PlannedAttribute, ...]
    worn: tuple[PlannedWorn, ...] = ()
    image: PlannedImage
    templates: PlannedMatcher | None = None
    """Whose templates are delivered instead of images; None for images."""
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
    folder: str = ""
    """Top folder of all files in its archives; plans of before have none, nor have the shards that are their parts."""
    shard_size: int = Field(ge=1)

    @model_serializer(mode="wrap")
    def _as_before(self, write: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Without what plans of before did not have where there is none: ids of calibrations are digests of this."""
        written: dict[str, Any] = write(self)
        for name in ("truncation", "templates", "naming"):
            if written.get(name, 0.0) is None:
                del written[name]
        for name in ("sample_counts", "maps", "unreachable", "worn"):
            if not written.get(name, True):
                del written[name]
        return written

    @property
    def identities(self) -> int:
        """Subjects and distractors together."""
        return self.subjects + self.distractors

    @property
    def samples(self) -> int:
        """All samples of the set."""
        return self.first(self.subjects) + self.distractors

    @property
    def _groups(self) -> Groups:
        return self.sample_counts or ((self.samples_per_subject, self.subjects),)

    def samples_of(self, subject: int) -> int:
        """How many samples a subject has; a distractor has one."""
        for samples, subjects in self._groups:
            if subject < subjects:
                return samples
            subject -= subjects
        return 1

    def groups_of(self, subjects: int) -> Groups:
        """`sample_counts` of the first so many subjects alone."""
        left, found = subjects, []
        for samples, count in self.sample_counts:
            if left:
                found.append((samples, min(count, left)))
                left -= min(count, left)
        return tuple(found)

    def first(self, subject: int) -> int:
        """Number of a subject's first sample; of `subjects`, that of the first distractor."""
        before = 0
        for samples, subjects in self._groups:
            if subject <= subjects:
                return before + subject * samples
            before += subjects * samples
            subject -= subjects
        raise ValueError("there are no so many subjects")

    @model_validator(mode="after")
    def _groups_fit(self) -> Self:
        groups = self.sample_counts
        if groups and (
            sum(subjects for _, subjects in groups) != self.subjects
            or max(samples for samples, _ in groups) != self.samples_per_subject
            or min(min(group) for group in groups) < 1
        ):
            raise ValueError("sample_counts name all subjects, and the largest number is samples_per_subject")
        return self

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
            self.sample_counts,
            self.templates is not None,
            self.naming is not None,
        )

    @property
    def kind(self) -> Kind:
        """What it is delivered as."""
        return "images" if self.templates is None else "templates"

    @property
    def judged_shards(self) -> tuple[int, ...]:
        """Numbers of the shards that hold a judged sample."""
        if not self.judges:
            return ()
        mated = self.first(self.subjects)
        distractors = self._shards_of(range(mated, mated + self.judged_distractors))
        return tuple(sorted({*self.calibrated_shards, *distractors}))

    @property
    def shards_to_judge(self) -> tuple[int, ...]:
        """Those that are judged out of their stored images: none where templates are all that is kept."""
        return self.judged_shards if self.templates is None else ()

    @property
    def calibrated_shards(self) -> range:
        """Numbers of the shards that hold a sample which difficulty is measured on: those of judged subjects."""
        return self._shards_of(range(self.first(self.judged_subjects)))

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

    def final(self, scale: float | None = None) -> "FinalPlan":
        """The plan as it is carried out; `scale` is what the calibration found, for a plan with a target alone."""
        if (scale is None) != (self.target is None):
            raise ValueError("a plan with a target needs the scale that meets it, and only such a plan")
        factor = 1.0 if scale is None else scale
        sigma = {name: factor * value for name, value in self.sigma.items()}
        return FinalPlan.model_validate({**dict(self), "sigma": sigma, "target": None})

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
        before = 0
        for samples, subjects in self._groups:
            if index < subjects * samples:
                subject, sample = divmod(index, samples)
                return Place(before + subject, sample)
            index -= subjects * samples
            before += subjects
        return Place(self.subjects + index, 0)

    def index(self, place: Place) -> int:
        """Number of the sample at this place."""
        if place.subject < self.subjects:
            if not (place.subject >= 0 and 0 <= place.sample < self.samples_of(place.subject)):
                raise ValueError(f"no sample at {place}")
            return self.first(place.subject) + place.sample
        if place.sample != 0 or place.subject >= self.identities:
            raise ValueError(f"no sample at {place}")
        return self.first(self.subjects) + place.subject - self.subjects

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

    def shows(self, place: Place) -> dict[int, tuple[float, bool]]:
        """For the observation latents that decide what is worn: latent to its threshold, and whether it is reached."""
        if not self.worn:
            return {}
        probe = place.subject < self.subjects and place.sample > 0
        before = self.index(place) - place.subject - 1 if probe else 0  # probes: every subject has one reference
        return {
            worn.latent: (
                worn.threshold,
                probe and cell_of(before, worn.counts, key=self.seed * 64 + WORN_KEYS + number) == 0,
            )
            for number, worn in enumerate(self.worn)
        }


class FinalPlan(Plan):
    """A plan as it is carried out: no target is left, and every σ is what samples are drawn with."""

    target: None = None
