"""The request for a dataset, as users write it, and what can be wrong with it by itself.

What only the model can answer (factors, attributes, sizes) is checked in `app.dataset.planning`.
"""

from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StrictBool,
    StrictInt,
    model_validator,
)

from app.dataset.layout import Layout
from app.dataset.model import CARD_NAME
from app.dataset.products import Kind
from app.dataset.profile import Profile, read_profile, sample_counts
from app.errors import RequestRefused

MAX_SCALE = 4.0
"""Beyond this the latents' bounded maps are saturated; more would promise what no model gives."""

SEED_LIMIT = 2**53 - 1
"""The largest seed: beyond it, readers of JSON that know no integers (JavaScript, jq) round, and name another set."""

SMALLEST_RATE = 1e-9
"""Of a target. The largest set that is judged has some 10^9 comparisons: a rarer error cannot be seen in it."""


def _read_like(value: Any) -> Any:
    """A profile out of a request; raises RequestRefused, each problem by its field."""
    return value if value is None or isinstance(value, Profile) else read_profile(value, "like")


def _exact_in_json(seed: int) -> int:
    if seed > SEED_LIMIT:
        raise ValueError(f"must be at most {SEED_LIMIT} (2^53 - 1): larger numbers lose digits in many readers of JSON")
    return seed


# Strict: "0.5" and true are not numbers, and nobody who sends them should be guessed at. 1 is one.
Share = Annotated[float, Field(ge=0, le=1, strict=True, allow_inf_nan=False)]
Scale = Annotated[float, Field(ge=0, le=MAX_SCALE, strict=True, allow_inf_nan=False)]
Years = Annotated[float, Field(ge=0, le=120, strict=True, allow_inf_nan=False)]
Seed = Annotated[StrictInt, Field(ge=0, json_schema_extra={"maximum": SEED_LIMIT}), AfterValidator(_exact_in_json)]
Side = Annotated[StrictInt, Field(ge=16, le=4096)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Target(_Part):
    """The difficulty wanted: the FNMR that a matcher shall have on the set at a threshold of this FMR."""

    matcher: Annotated[str, Field(pattern=CARD_NAME)]
    """Name of a matcher that the service has, e.g. `sface`."""
    fmr: Annotated[float, Field(ge=SMALLEST_RATE, le=0.1, strict=True, allow_inf_nan=False)]
    """False match rate over the set's non-mated comparisons, at most."""
    fnmr: Annotated[float, Field(ge=SMALLEST_RATE, le=0.9, strict=True, allow_inf_nan=False)]
    """False non-match rate over its mated comparisons, at the threshold of that FMR."""
    tolerance: Annotated[float, Field(ge=0.02, le=0.5, strict=True, allow_inf_nan=False)] = 0.1
    """Share of `fnmr` by which the set may miss it and still count as met."""


class Variability(_Part):
    """How far the samples of one subject lie apart: the scale σ of the observation latents, or a target for it."""

    scale: Scale = 1.0
    """σ of all factors; 0 makes every sample of a subject the same portrait."""
    factors: dict[str, Scale] = {}
    """Multiplies `scale` for the factors named; the others keep 1."""
    target: Target | None = None
    """Instead of a scale: the service finds the one that meets it, along the mix that `factors` give."""
    truncation: Share | None = None
    """ψ of models that truncate: 1 leaves every identity where it was drawn, 0 makes all of them the mean face; left
    out, the model card's own."""

    @model_validator(mode="after")
    def _scale_or_target(self) -> Self:
        if self.target is not None and "scale" in self.model_fields_set:
            raise ValueError("give either scale or target; a target is met by choosing the scale")
        return self


class AgeRange(_Part):
    """Apparent age, uniform between min and max."""

    min: Years
    """Years."""
    max: Years
    """Years, not below `min`."""

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.max < self.min:
            raise ValueError("max must not be below min")
        return self


def _sums_to_one(shares: dict[str, float] | None, field: str) -> None:
    if shares is not None and abs(sum(shares.values()) - 1) > 1e-6:
        raise ValueError(f"the shares of {field} sum to {sum(shares.values()):g}; make them sum to 1")


OF_PROBES = ("mask",)
"""Of Attributes: what a share of the probes shows, whoever is in it."""


class Attributes(_Part):
    """Who the subjects are, and what their probes show, as distributions that are met exactly in count (largest
    remainder)."""

    sex: Annotated[dict[str, Share], Field(min_length=1)] | None = None
    """Share of each; they sum to 1. Left out, as the model's identities are."""
    age: AgeRange | None = None
    """Apparent age of the subjects; a model has a least range that it can fill, and says so when one is too narrow."""
    skin_tone: Annotated[dict[str, Share], Field(min_length=1)] | None = None
    """Share of each, as `GET /v1/models` lists them; they sum to 1."""
    glasses: Share | None = None
    """Share of subjects who wear glasses (unless an observation takes them off)."""
    headwear: Share | None = None
    """Share of subjects who wear a cap (unless an observation takes it off)."""
    mask: Share | None = None
    """Share of probes that show a face mask; references and distractors then show none. Left out, as the model's
    observations have it: one in some hundreds."""

    @property
    def of_subjects(self) -> dict[str, Any]:
        """What is asked of subjects, by name; None where nothing is."""
        return {name: getattr(self, name) for name in type(self).model_fields if name not in OF_PROBES}

    @property
    def of_probes(self) -> dict[str, float | None]:
        """Shares that are asked of probes, by name."""
        return {name: getattr(self, name) for name in OF_PROBES}

    @model_validator(mode="after")
    def _distributions(self) -> Self:
        _sums_to_one(self.sex, "sex")
        _sums_to_one(self.skin_tone, "skin_tone")
        return self


class ImageSpec(_Part):
    """Size and file format of every sample."""

    size: Side | tuple[Side, Side] | None = None
    """Pixels: one number for a square, or [width, height]; left out, the model's own size."""
    format: Literal["png", "jpeg"] = "png"
    """PNG keeps every pixel; JPEG is smaller."""
    quality: Annotated[StrictInt, Field(ge=1, le=100)] | None = None
    """JPEG only; left out, 95."""

    @model_validator(mode="after")
    def _quality_is_for_jpeg(self) -> Self:
        if self.quality is not None and self.format != "jpeg":
            raise ValueError("quality applies to jpeg only; remove it or set format to jpeg")
        return self


class Checks(_Part):
    """What a sample or identity must pass; what fails takes its next attempt."""

    unique: StrictBool = True
    """No two subjects alike, by the matcher and threshold of the model card."""
    face_found: StrictBool = True
    """The face detector finds a face in every sample."""


class ComparisonsSpec(_Part):
    """Which comparisons are listed with the set."""

    selection: Literal["balanced", "crossed", "complete", "none"] | None = None
    """balanced: every mated pair, and as many non-mated; crossed: each reference with each probe;
    complete: every pair of samples but those of two distractors; none. Left out: the one that resolves most of those
    that are affordable: complete up to 100,000 comparisons, crossed up to two millions, else balanced; none where no
    mated pair exists."""


class ReportSpec(_Part):
    """How much of the set is judged for its report."""

    judged_subjects: Annotated[StrictInt, Field(ge=0, le=5_000)] = 300
    """The first so many subjects, all samples of each, are compared by the matchers (and as many distractors);
    0 leaves all that is measured by matchers out of the report."""


class MarkingSpec(_Part):
    """What says that a sample is synthetic, beside the metadata that every file carries."""

    c2pa: StrictBool | Literal["detached"] = False
    """A signed C2PA manifest for every sample: true puts it into the file, `detached` beside it (SAMPLE.c2pa), so that
    the files' own bytes do not depend on who signed when."""
    watermark: StrictBool = False
    """An imperceptible watermark in the pixels."""


class DatasetRequest(_Part):
    """One request for a synthetic identity set."""

    name: Annotated[str, Field(min_length=1, max_length=100, pattern=r"^[^\x00-\x1f\x7f]+$")]
    """For people; commands take it instead of the id where one set alone has it."""
    model: Annotated[str, Field(pattern=CARD_NAME)] = "default"
    """Who draws: a name of `GET /v1/models`, or `default`."""
    subjects: Annotated[StrictInt, Field(ge=1, le=1_000_000)]
    """Identities with several samples each: different people, who do not exist."""
    samples_per_subject: Annotated[StrictInt, Field(ge=1, le=10_000)]
    """Mated samples of each subject; the first is the reference, the others are probes."""
    distractors: Annotated[StrictInt, Field(ge=0, le=1_000_000)] = 0
    """Further subjects with one sample each, for the gallery only."""
    seed: Seed | None = None
    """The same seed, request and model give the same pixels; left out, the service draws one and reports it.
    Below 2^53, so that no reader of JSON rounds it."""
    variability: Variability = Variability()
    """How far the samples of one subject lie apart."""
    attributes: Attributes = Attributes()
    """Who the subjects are; what is left out is as the model's identities are."""
    image: ImageSpec = ImageSpec()
    """Size and file format."""
    product: Kind = "images"
    """What is delivered: images, or templates alone (templates.npz): then no image is kept, and a gallery of a million
    is half a gigabyte."""
    matcher: Annotated[str, Field(pattern=CARD_NAME)] | None = None
    """Of product `templates`: the matcher that extracts them, e.g. `sface`."""
    checks: Checks = Checks()
    """What a sample or identity must pass."""
    comparisons: ComparisonsSpec = ComparisonsSpec()
    """Which comparisons comparisons.csv lists."""
    report: ReportSpec = ReportSpec()
    """How much is judged for the report."""
    marking: MarkingSpec = MarkingSpec()
    """Marks beside the metadata that every file carries."""
    like: Annotated[Profile | None, BeforeValidator(_read_like)] = None
    """A profile of a gallery (`facsimile profile`): the set is made as like it as the model can. What the request says
    itself wins: subjects, samples_per_subject, variability, attributes, image."""
    layouts: Annotated[list[Layout], Field(max_length=len(Layout))] = [Layout.PLAIN]
    """Archive layouts that are ready when the set is; any other is made when it is first asked for."""
    retention_days: Annotated[StrictInt, Field(ge=1, le=3_650)] | None = None
    """The set is deleted so many days after it was finished; left out, the service's own rule holds."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        json_schema_extra={
            "examples": [
                {
                    "name": "gate-7 smoke",
                    "model": "default",
                    "subjects": 20,
                    "samples_per_subject": 5,
                    "seed": 7,
                    "variability": {"scale": 1.0, "factors": {"pose": 0.5, "illumination": 1.5}},
                    "attributes": {"sex": {"female": 0.5, "male": 0.5}, "age": {"min": 20, "max": 65}},
                    "image": {"format": "png"},
                    "checks": {"unique": True, "face_found": True},
                }
            ]
        },
    )

    @model_validator(mode="before")
    @classmethod
    def _as_many_as_the_gallery(cls, value: Any) -> Any:
        """Take what numbers the request leaves out from the profile that it names."""
        if not isinstance(value, dict) or value.get("like") is None:
            return value
        profile = _read_like(value["like"])
        if not profile.subjects:
            text = "tells of no subject, so there is nothing to be like; profile a gallery of more subjects"
            raise RequestRefused([("like.samples_per_subject", text)])
        found = {**value, "like": profile}
        found.setdefault("subjects", profile.subjects)
        if "samples_per_subject" not in value:
            groups = sample_counts(profile, found["subjects"]) if isinstance(found["subjects"], int) else ((1, 1),)
            found["samples_per_subject"] = max(samples for samples, _ in groups)
        return found

    @model_validator(mode="after")
    def _comparisons_exist(self) -> Self:
        selection = self.comparisons.selection
        if selection in ("balanced", "crossed") and self.samples_per_subject < 2:
            raise ValueError(
                f"comparisons.selection {selection!r} needs samples_per_subject of 2 or more, "
                "for with 1 there is no mated pair; choose 'complete' or 'none'"
            )
        if selection == "balanced" and self.subjects < 2:
            raise ValueError(
                "comparisons.selection 'balanced' needs 2 subjects or more for its non-mated pairs; "
                "choose 'complete' or 'none'"
            )
        return self


class PreviewRequest(_Part):
    """A small contact sheet, for choosing a variability: a row a subject, a column a sample."""

    model: Annotated[str, Field(pattern=CARD_NAME)] = "default"
    """Who draws."""
    subjects: Annotated[StrictInt, Field(ge=1, le=64)] = 4
    """Rows."""
    samples_per_subject: Annotated[StrictInt, Field(ge=1, le=64)] = 6
    """Columns."""
    row: Annotated[StrictInt, Field(ge=0, lt=64)] | None = None
    """Make this row of the sheet alone, from 0; left out: the whole. Several workers draw rows that are asked for at
    once."""
    seed: Seed = 0
    """The same seed gives the same sheet."""
    variability: Variability = Variability()
    """As in a dataset's request, without a target."""
    attributes: Attributes = Attributes()
    """As in a dataset's request."""
    image: ImageSpec = ImageSpec()
    """As in a dataset's request."""
