"""What the workers can mark samples with, as data that the API can read: published beside the cards of models."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class _Data(BaseModel):
    model_config = ConfigDict(frozen=True, extra="allow")


class CertificateCard(_Data):
    """The certificate that C2PA manifests are signed with."""

    subject: str
    issuer: str
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    """Fingerprint, over its DER form."""
    not_after: str
    """ISO 8601."""
    self_made: bool
    """It vouches for nobody: whoever checks must be told to trust it."""
    timestamped: bool
    """Signatures carry an authority's time, and outlive the certificate."""


class MarkingCard(_Data):
    """What there is; by default nothing but the metadata that every file carries."""

    schema_version: Literal[1] = 1
    c2pa: CertificateCard | None = None
    c2pa_missing: str = "no worker says that it can sign"
    """Why there is none."""
    watermark: str | None = None
    """Id of the watermark's key."""
