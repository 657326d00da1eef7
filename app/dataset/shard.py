"""What a worker reports of one shard: every sample that it stored, what it rejected, and what is missing."""

from typing import Literal

from pydantic import BaseModel, ConfigDict

AttributeValue = str | float | bool


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Sidecar(_Frozen):
    """A C2PA manifest that lies beside a sample's file and is bound to its bytes."""

    file: str
    bytes: int
    sha256: str
    """Another one each time that the sample is signed; no part of any digest over the set."""


class Shown(_Frozen):
    """What one image shows, as the latents that it was drawn from ask for it; None where a model does not say.

    A subject's attributes are of its identity. An image may differ: a wearer of glasses takes them off now and then,
    and an image shows a person some years before or after.
    """

    glasses: bool | None = None
    """Whether glasses are on the face."""
    headwear: bool | None = None
    """Whether a cap covers the hair."""
    mask: bool | None = None
    """Whether a face mask covers nose and mouth."""
    age: float | None = None
    """Apparent age, years."""
    yaw: float | None = None
    """Turn of the head to its left, degrees."""
    pitch: float | None = None
    """Nod of the head downwards, degrees."""
    smile: float | None = None
    """-1 (corners of the mouth down) to 1 (a broad smile); 0 is at rest."""
    mouth_open: float | None = None
    """0 (closed) to 1."""
    light_side: float | None = None
    """From how far aside the brightest light comes, degrees; positive from the subject's left."""

    def columns(self) -> dict[str, AttributeValue]:
        """What is known of it, for tables: `shown_glasses` and so on."""
        return {f"shown_{name}": value for name, value in self.model_dump(exclude_none=True).items()}


Point = tuple[float, float]


class SampleRow(_Frozen):
    """One stored sample, as the manifest lists it."""

    id: str
    subject: str
    role: Literal["reference", "probe", "distractor"]
    file: str
    width: int
    height: int
    bytes: int
    pixel_sha256: str
    """SHA-256 over `"{width}x{height} RGB8\\n"` and the decoded file's pixels, row by row."""
    file_sha256: str
    identity_attempt: int
    """Which draw of the subject's identity this is, from 0."""
    attempt: int
    """Which draw of the observation this is, from 0."""
    attributes: dict[str, AttributeValue]
    """The subject's attributes as its identity latents give them."""
    shown: Shown | None = None
    """What this image shows of what can change from one image of a subject to the next; None of sets of before."""
    landmarks: tuple[Point, Point, Point, Point, Point] | None = None
    """x and y in pixels, where the detector found right eye, left eye (the subject's), tip of the nose, right and left
    corner of the mouth; None where it was not asked."""
    quality: dict[str, float] | None = None
    """What was measured on the stored file, of judged samples; in the manifest only."""
    c2pa: Sidecar | None = None
    """None where there is none, or where it is in the file itself."""

    def labels(self) -> dict[str, AttributeValue]:
        """Columns for tables: the subject's attributes, then what this image shows."""
        return {**self.attributes, **(self.shown.columns() if self.shown else {})}


class StoredSample(_Frozen):
    """A sample and where its bytes lie in the shard's tar."""

    row: SampleRow
    offset: int
    """First byte of the file within the tar."""
    c2pa_offset: int | None = None
    """First byte of its C2PA manifest, where that lies beside it."""


class Rejection(_Frozen):
    """A draw that failed a check and was followed by another."""

    id: str
    attempt: int
    reason: str


class Missing(_Frozen):
    """A sample that no permitted attempt could make."""

    id: str
    reason: str


class ShardReport(_Frozen):
    """The record of one finished shard."""

    schema_version: Literal[1] = 1
    shard: int
    samples: tuple[StoredSample, ...]
    rejected: tuple[Rejection, ...]
    missing: tuple[Missing, ...]
    tar_bytes: int
    """Size of the tar's members, without the two zero blocks that end an archive."""
    device: str


class IdentityChoice(_Frozen):
    """Which draw each identity ended on; only exceptions from draw 0 are listed."""

    schema_version: Literal[1] = 1
    matcher: str
    matcher_digest: str
    threshold: float
    attempts: dict[int, int]
    """Subject to the attempt chosen, where it is not 0."""
    rejected: tuple[Rejection, ...]
    missing: dict[int, str]
    """Subject to why no identity could be found for it."""

    def attempt(self, subject: int) -> int:
        """The draw to use for a subject."""
        return self.attempts.get(subject, 0)
