"""Releases: a dataset given a name and a version, the same bytes for ever; what the API takes and shows of them."""

from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, SerializerFunctionWrapHandler, model_serializer

from app.dataset.content import SHA256
from app.dataset.names import DATASET_ID
from app.dataset.plan import PlannedModel
from app.dataset.products import Kind
from app.dataset.version import RELEASE_NAME, VERSION, ReleaseRef

RELEASE_FILE = "release.json"
"""A release's record, as it lies in the release's plain archive: with it a folder can be verified by itself."""

FIRST = 10
"""How many of a kind of difference are named; all are counted."""

Digest = Annotated[str, Field(pattern=SHA256)]


class _Data(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class ReleaseRequest(_Data):
    """Which dataset is to be released."""

    dataset: Annotated[str, Field(pattern=DATASET_ID)]
    """Id of a dataset that has succeeded."""
    notes: Annotated[str, Field(max_length=2_000)] = ""
    """For people: what it is for, what is new."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        json_schema_extra={"examples": [{"dataset": "ds_06fa3k9x2m7q0v4c8d1e", "notes": "first one for gate 7"}]},
    )


class WithdrawalRequest(_Data):
    """Why a release is withdrawn for good."""

    reason: Annotated[str, Field(min_length=1, max_length=1_000)]
    """Shown to everyone who asks for the release from now on."""
    confirm: Annotated[str, Field(max_length=200)]
    """NAME@VERSION of the release: it cannot be undone."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        json_schema_extra={"examples": [{"reason": "two subjects look alike", "confirm": "gate-smoke@1.2.0"}]},
    )


class ReleasedModel(_Data):
    """The model that made the samples."""

    name: str
    version: str
    digest: str

    @classmethod
    def of(cls, model: PlannedModel) -> Self:
        """The model that a manifest names."""
        return cls(name=model.name, version=model.version, digest=model.digest)


class Release(_Data):
    """The record of a release. It never changes; `release.json` in the release's plain archive is the same."""

    schema_version: Literal[1] = 1
    name: Annotated[str, Field(pattern=RELEASE_NAME)]
    version: Annotated[str, Field(pattern=VERSION)]
    digest: Digest
    """Of the content, by `app.dataset.content`: equal for equal bytes."""
    samples_digest: Digest
    """Root over the samples with their files."""
    pixels_digest: Digest
    """Root over the samples' pixels alone: equal for two datasets of one request, whose files differ by their marks."""
    manifest_sha256: Digest
    """Of the manifest's bytes."""
    comparisons_sha256: Digest | None
    """Of the comparisons' bytes."""
    dataset: str
    """Id of the dataset that was released; the release outlives it."""
    dataset_name: str
    notes: str
    created_at: str
    """ISO 8601, UTC."""
    created_by: str
    """Id of the API key."""
    model: ReleasedModel
    seed: int
    sigma: dict[str, float]
    counts: dict[str, int]
    product: Kind = "images"
    """What is delivered; records of images do not say it."""

    @model_serializer(mode="wrap")
    def _as_before(self, write: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Without what records of before did not have, where there is none: their bytes never change."""
        written: dict[str, Any] = write(self)
        if written.get("product") == "images":
            del written["product"]
        return written

    @property
    def ref(self) -> ReleaseRef:
        """Its name and version."""
        return ReleaseRef(self.name, self.version)


class Tombstone(_Data):
    """What is left of a withdrawn release. Its version is never used again."""

    schema_version: Literal[1] = 1
    name: str
    version: str
    digest: Digest
    dataset: str
    reason: str
    withdrawn_at: str
    """ISO 8601, UTC."""
    withdrawn_by: str
    """Id of the API key."""


class Change(_Data):
    """One fact that differs; what is not there on a side is null."""

    field: str
    """Dotted path, e.g. `variability.factors.pose`."""
    before: Any
    after: Any


class Names(_Data):
    """Some of a kind, counted, and the first of them named."""

    count: int
    first: tuple[str, ...]
    """Labels of the first ten."""


class SubjectsDiff(_Data):
    """Which subjects differ; distractors are among them."""

    added: Names
    removed: Names
    changed: Names
    """There on both sides, with a sample added, removed or changed."""
    unchanged: int


class SamplesDiff(_Data):
    """Which samples differ, by label and digest."""

    added: Names
    removed: Names
    changed: Names
    """Other pixels under the same label."""
    relabelled: Names
    """The same pixels with another role or other attributes."""
    rewritten: Names
    """The same pixels and labels in other bytes: metadata, or another encoding."""
    unchanged: int


class DiffSide(_Data):
    """One of the two releases that are compared."""

    name: str
    version: str
    digest: Digest
    samples_digest: Digest
    pixels_digest: Digest
    comparisons_sha256: Digest | None
    model: ReleasedModel
    counts: dict[str, int]


class ReleaseDiff(_Data):
    """What changed from one release to another."""

    before: DiffSide
    after: DiffSide
    same_content: bool
    """The digests are equal: not a byte of a sample or a comparison differs."""
    same_pixels: bool
    same_comparisons: bool
    request: tuple[Change, ...]
    """What was asked for; the dataset's name is left out."""
    model: tuple[Change, ...]
    sigma: tuple[Change, ...]
    subjects: SubjectsDiff
    samples: SamplesDiff
    measures: tuple[Change, ...]
    """Figures of the reports that differ; empty where a set has no report with figures."""
