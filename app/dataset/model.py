"""The model card: what a generator offers, as data that the API can read without torch."""

import hashlib
import json
import math
from statistics import NormalDist
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from app.dataset.source_type import SourceType

CARD_NAME = r"^[a-z0-9][a-z0-9._-]{0,63}$"
"""How a model or a matcher may be called."""

_NORMAL = NormalDist()


MAX_LATENTS = 4096
"""Of z_I, and of z_O: a card must not make anyone draw at will."""

Side = Annotated[int, Field(ge=1, le=4096)]


class _Data(BaseModel):
    model_config = ConfigDict(frozen=True, extra="allow")


class Latents(_Data):
    """Sizes of the latent spaces; every latent is N(0, 1) before scaling."""

    identity: int = Field(gt=0, le=MAX_LATENTS)
    """Dimensions of z_I."""
    observation: dict[str, tuple[int, int]] = Field(min_length=1)
    """Factor name to [start, stop) within z_O, in order, without gaps."""
    layout: int | None = Field(None, ge=1)
    """Which of our layouts it is: what each dimension means (workers.generator.latents). A card of before says none,
    and has the first one where its factors are that one's; latents of somebody else's model have no layout."""

    @model_validator(mode="after")
    def _contiguous(self) -> Self:
        end = 0
        for name, (start, stop) in self.observation.items():
            if start != end or stop <= start:
                raise ValueError(f"latent.observation.{name} must start at {end} and not be empty")
            end = stop
        if end > MAX_LATENTS:
            raise ValueError(f"latent.observation has {end} dimensions; at most {MAX_LATENTS} are drawn")
        return self

    @property
    def observation_size(self) -> int:
        """Dimensions of z_O."""
        return max(stop for _, stop in self.observation.values())


class ChoiceAttribute(_Data):
    """An attribute with named values, each an interval of one identity latent."""

    kind: Literal["choice"]
    latent: int = Field(ge=0)
    values: dict[str, tuple[float | None, float | None]]
    """Value to [low, high) of z_I[latent]; None is unbounded."""


class RangeAttribute(_Data):
    """An attribute with a number, uniform between min and max, monotone in one identity latent."""

    kind: Literal["range"]
    latent: int = Field(ge=0)
    min: float
    max: float
    unit: str = ""


class ShareAttribute(_Data):
    """An attribute that a subject has or has not; it has it where z_I[latent] >= threshold."""

    kind: Literal["share"]
    latent: int = Field(ge=0)
    threshold: float


class Scale(_Data):
    """Finer names for a choice attribute's values, of a published scale; requests and labels may use either."""

    attribute: str
    values: dict[str, tuple[float | None, float | None]] = Field(min_length=1)
    """As of the attribute: value to [low, high) of its latent."""


class Worn(_Data):
    """What any image may show whoever is in it: it does where z_O[latent] >= threshold, σ included."""

    latent: int = Field(ge=0)
    threshold: float


Attribute = Annotated[ChoiceAttribute | RangeAttribute | ShareAttribute, Field(discriminator="kind")]


class UniqueCheckCard(_Data):
    """The comparison score from which two identities of this model count as copies."""

    matcher: str
    threshold: float
    basis: str
    """How the threshold was found."""


class ChecksCard(_Data):
    """Constants of the checks, measured on this model."""

    unique: UniqueCheckCard | None = None


class WeightsCard(_Data):
    """Which file holds the weights."""

    file: str
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")


class TrainingTemplatesCard(_Data):
    """Which file holds templates of identities that the model was trained on, for measuring leakage."""

    file: str
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    corpus_sha256: str
    identities: int = Field(ge=0)
    """That the model was trained on."""
    templates: int = Field(ge=0)
    """So many of them have a template in the file."""
    held_out: int = Field(ge=0)
    """Identities of the same corpus that were not trained on, for comparison."""


class Response(_Data):
    """How one latent moves one quantity of a profile, as it was measured on a model's images."""

    space: Literal["identity", "observation"]
    latent: int = Field(ge=0)
    """Dimension of z_I or z_O."""
    name: str
    """What the latent is called."""
    latents: tuple[float, ...] = Field(min_length=2)
    """Ascending values of it; all other observation latents were 0."""
    values: tuple[float, ...]
    """Median of the quantity at each, monotone."""
    others: float = Field(ge=0)
    """Standard deviation of the quantity, over identities and all other latents at σ = 1, at a fixed value of this one;
    of a logarithmic quantity, that of its logarithm."""

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if len(self.values) != len(self.latents) or sorted(set(self.latents)) != list(self.latents):
            raise ValueError("latents ascend, and each has a value")
        return self


class Responses(_Data):
    """What a model's latents do to the quantities of a profile."""

    model: str = Field(pattern=r"^[0-9a-f]{64}$")
    """Digest of the model that it was measured on: of another one, nothing of it holds."""
    identities: int
    quantities: dict[str, Response]
    medians: dict[str, float] = {}
    """Of quantities at σ = 1, of all that were measured."""


PROSE = frozenset({"description", "licence", "provenance"})
"""Of a card: what is written for its readers."""

ABOUT_THE_MODEL = frozenset(
    {
        "measured",
        "evaluation",
        "training_templates",
        "training",
        "parameters",
        "formerly",
        "responses",
        "worn",
        "scales",
    }
)
"""Of a card: what was measured, how it was trained, what it was called. None of it decides a pixel: what a plan takes
from it, as from `worn` and `responses`, stands in the plan. Scales are other words for what attributes say."""


class ModelCard(_Data):
    """All that is known of one generator. Unknown fields are kept: a card may say more than code reads."""

    schema_version: int = 1
    name: str = Field(pattern=CARD_NAME)
    version: str
    kind: str
    """Its family: which code makes its pixels."""
    drawing: int = Field(1, ge=1)
    """Version of that code's pictures: another one makes other pixels of the same latents and weights. The family says
    it (workers.generator.base.Family), not the file; a comment in the code leaves it as it is."""
    formerly: tuple[Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")], ...] = ()
    """Digests by which earlier versions of Facsimile called this very model: plans pinned to them go on."""
    description: str
    sizes: tuple[tuple[Side, Side], ...] = Field(min_length=1)
    """Image sizes offered, [width, height] in pixels; the first is the model's own."""
    latent: Latents
    attributes: dict[str, Attribute] = {}
    scales: dict[str, Scale] = {}
    """What samples are labelled with beside their attributes, by name."""
    worn: dict[str, Worn] = {}
    """What a request can have on a share of the probes, by name."""
    checks: ChecksCard = ChecksCard()
    weights: WeightsCard | None = None
    """None for a model that is code only."""
    training_templates: TrainingTemplatesCard | None = None
    """None for a model that was not trained, or whose training set cannot be shipped."""
    responses: Responses | None = None
    """None of models that nobody has measured them of: sets of theirs cannot follow a profile's pictures."""
    licence: str
    provenance: str

    @model_validator(mode="after")
    def _latents_exist(self) -> Self:
        for name, attribute in self.attributes.items():
            if attribute.latent >= self.latent.identity:
                raise ValueError(f"attributes.{name}.latent is beyond latent.identity")
        for name, scale in self.scales.items():
            if name in self.attributes or not isinstance(self.attributes.get(scale.attribute), ChoiceAttribute):
                raise ValueError(f"scales.{name}.attribute must be a choice of attributes, and its name no attribute")
        for name, worn in self.worn.items():
            if worn.latent >= self.latent.observation_size:
                raise ValueError(f"worn.{name}.latent is beyond latent.observation")
        return self

    @property
    def labels(self) -> dict[str, Attribute]:
        """What every sample is labelled with, by name: the attributes, and what scales call them."""
        return self.attributes | {
            name: self.attributes[scale.attribute].model_copy(update={"values": scale.values})
            for name, scale in self.scales.items()
        }

    def asked_by_name(self, name: str) -> ChoiceAttribute:
        """A choice attribute with all values that a request can ask of it: its own, then those of scales."""
        attribute = self.attributes[name]
        if not isinstance(attribute, ChoiceAttribute):
            raise TypeError(f"{name} is no choice")
        values = dict(attribute.values)
        for scale in self.scales.values():
            if scale.attribute == name:
                values |= scale.values
        return attribute.model_copy(update={"values": values})

    @property
    def source_type(self) -> SourceType:
        """What its images are in the words of the IPTC: a model without weights was trained on nothing."""
        return "algorithmicMedia" if self.weights is None else "trainedAlgorithmicMedia"

    @property
    def default_truncation(self) -> float | None:
        """ψ that the model truncates by where a request says nothing; None for one that does not truncate.

        A card without the field is of a model that has none, and its digest stays what it was.
        """
        said = (self.model_extra or {}).get("truncation")
        psi = said.get("psi") if isinstance(said, dict) else None
        return float(psi) if isinstance(psi, (int, float)) and not isinstance(psi, bool) else None

    @property
    def unique_fmr(self) -> float | None:
        """The rate at which two draws of its identities match at the uniqueness check's threshold; None where the card
        does not say it."""
        said = (self.model_extra or {}).get("measured")
        rate = said.get("unique_fmr") if isinstance(said, dict) and self.checks.unique else None
        if not isinstance(rate, (int, float)) or isinstance(rate, bool) or not 0 < rate <= 1:
            return None
        return float(rate)

    @property
    def digest(self) -> str:
        """SHA-256 (hex) over the card's canonical JSON: over all that decides pixels and labels.

        That is the kind and its drawing version, the weights' digest, latents, attributes, checks, sizes, name and
        version, and whatever a family adds. What is written for readers, and what is known about the model, is left
        out: other words do not make another model.
        """
        card = self.model_dump(mode="json", exclude=set(PROSE | ABOUT_THE_MODEL))
        text = json.dumps(card, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()

    def is_pinned_by(self, digest: str) -> bool:
        """Whether a digest, in a plan that may be older than this version of Facsimile, means this model."""
        return digest == self.digest or digest in self.formerly


def quantile_range(attribute: Attribute, value: str | bool | tuple[float, float]) -> tuple[float, float]:
    """Where the attribute's latent must lie for it to have this value, as quantiles of N(0, 1).

    `value` is a name (choice), whether the subject has it (share), or (min, max) in the attribute's unit
    (range). Returns (low, high) with 0 <= low < high <= 1.
    """
    if isinstance(attribute, ChoiceAttribute):
        low, high = attribute.values[str(value)]
        return (
            0.0 if low is None else _NORMAL.cdf(low),
            1.0 if high is None else _NORMAL.cdf(high),
        )
    if isinstance(attribute, ShareAttribute):
        split = _NORMAL.cdf(attribute.threshold)
        return (split, 1.0) if value else (0.0, split)
    if not isinstance(value, tuple):
        raise TypeError("a range attribute takes (min, max)")
    span = attribute.max - attribute.min
    return (value[0] - attribute.min) / span, (value[1] - attribute.min) / span


def attribute_value(attribute: Attribute, latent: float) -> str | float | bool:
    """The value that an identity latent gives this attribute: a name, a number in its unit, or has/has not."""
    if isinstance(attribute, ChoiceAttribute):
        for name, (low, high) in attribute.values.items():
            if (-math.inf if low is None else low) <= latent < (math.inf if high is None else high):
                return name
        raise ValueError(f"no value of the attribute covers latent {latent}")
    if isinstance(attribute, ShareAttribute):
        return bool(latent >= attribute.threshold)
    return attribute.min + (attribute.max - attribute.min) * _NORMAL.cdf(latent)
