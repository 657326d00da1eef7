"""Direct reads: a plain archive as parts, most of which clients read from the store themselves."""

from datetime import datetime
from typing import Any

from fastapi import APIRouter
from pydantic import Base64Bytes, BaseModel, Field
from starlette.responses import Response

from app.api.deps import DatasetId, ReleaseName, ReleaseVersion, Services, Serving, Tenant
from app.api.openapi import errors, headers
from app.jobs.datasets.parts import Part
from app.jobs.datasets.products import Download

router = APIRouter()

NO_ENDPOINT = "clients cannot reach this service's store; read the archive itself, whole or in ranges"
SIGNED = "send GET with `Range: bytes=START-` to `url`, without the API key; ask again when that gives 403"

_ANSWERS: dict[int | str, dict[str, Any]] = {
    200: {"headers": headers(Cache_Control="`no-store`: URLs are secrets while they hold.")}
}


class PartBody(BaseModel):
    """A run of the archive's bytes."""

    offset: int = Field(ge=0, description="Where in the archive it begins.")
    length: int = Field(ge=0, description="Bytes.")
    url: str | None = Field(
        description="A presigned GET of the object that holds it: a secret. Null where `data` has it."
    )
    start: int = Field(ge=0, description="Where in the object it begins; 0 without one.")
    data: Base64Bytes | None = Field(
        description="The bytes themselves in base64, a few that lie in no object: tar headers, a release's record."
    )

    @classmethod
    def of(cls, part: Part) -> "PartBody":
        """Describe a part."""
        # Not validated: what is validated as base64 would have to be in it already.
        return cls.model_construct(
            offset=part.offset, length=part.length, url=part.url, start=part.start, data=part.data
        )


class PartsBody(BaseModel):
    """The plain archive's parts, in order and without gaps."""

    archive: str = Field(description="Relative path of the archive.")
    size: int = Field(ge=0, description="Bytes of the archive.")
    etag: str = Field(description="The archive's, quoted as there.")
    expires_at: datetime | None = Field(description="Until when the URLs hold; null without any.")
    parts: list[PartBody] | None = Field(description="Null if clients cannot reach the store.")
    detail: str = Field(description="What to do, for people.")


def _listed(tenant: str, archive: str, product: Download, services: Services, response: Response) -> PartsBody:
    response.headers["Cache-Control"] = "no-store"
    found = services.parts.of(tenant, product)
    return PartsBody(
        archive=archive,
        size=product.size,
        etag=f'"{product.etag}"',
        expires_at=found.expires_at if found else None,
        parts=[PartBody.of(part) for part in found.parts] if found else None,
        detail=SIGNED if found else NO_ENDPOINT,
    )


@router.get(
    "/v1/datasets/{dataset_id}/parts",
    summary="Read everything from the store directly",
    tags=["products"],
    responses=_ANSWERS | errors(404, 409),
)
def list_dataset_parts(tenant: Tenant, dataset_id: DatasetId, services: Serving, response: Response) -> PartsBody:
    """The plain archive, laid end to end out of presigned URLs that hold for minutes. Digests are the manifest's."""
    product = services.products.archive(tenant, dataset_id)
    return _listed(tenant, f"/v1/datasets/{dataset_id}/archive?layout=plain", product, services, response)


@router.get(
    "/v1/releases/{name}/{version}/parts",
    summary="Read a release from the store directly",
    tags=["releases"],
    responses=_ANSWERS | errors(404, 410),
)
def list_release_parts(
    tenant: Tenant, name: ReleaseName, version: ReleaseVersion, services: Serving, response: Response
) -> PartsBody:
    """The plain archive, laid end to end out of presigned URLs that hold for minutes. `facsimile pull` reads so."""
    product = services.release_products.archive(tenant, name, version)
    return _listed(tenant, f"/v1/releases/{name}/{version}/archive?layout=plain", product, services, response)
