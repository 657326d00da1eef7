"""Releases: make a dataset one, look, compare, withdraw."""

from contextlib import suppress
from typing import Annotated

from fastapi import APIRouter, Depends, Path, Query
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

from app.api.bodies import Posted, posted
from app.api.deps import KeyId, ReleaseDigest, ReleaseName, ReleaseVersion, Serving, Tenant
from app.api.openapi import errors, headers, json_body
from app.dataset import products
from app.dataset.release import (
    Release,
    ReleaseDiff,
    ReleaseRequest,
    Tombstone,
    WithdrawalRequest,
)
from app.dataset.version import RELEASE_NAME, VERSION_LENGTH
from app.errors import NotFound
from app.numerals import PlainNumbers

router = APIRouter(tags=["releases"])


class ReleaseBody(Release):
    """A release, and where to go from it."""

    links: dict[str, str] = Field(
        description="Relative paths: self, manifest, comparisons, report, contact_sheet (or templates), croissant, "
        "data_card, provenance, archive, parts, diff.",
        examples=[{"self": "/v1/releases/gate-smoke/1.2.0"}],
    )

    @classmethod
    def of(cls, release: Release) -> "ReleaseBody":
        """Add the links to a release."""
        here = path_of(release.name, release.version)
        links = {
            "self": here,
            **products.links(here, release.product),
            "archive": f"{here}/archive?layout=plain",
            "parts": f"{here}/parts",
            "diff": f"{here}/diff",
        }
        return cls(**dict(release), links=links)


class MadeRelease(ReleaseBody):
    """A release as it is made."""

    warnings: tuple[str, ...] = Field(
        description="What its comparisons cannot resolve, and what would, a sentence each: a gate on it would be "
        "UNDECIDED there."
    )


class ReleaseNameBody(BaseModel):
    """A name, and the versions that it has."""

    name: str
    latest: str | None = Field(description="Highest version that is no pre-release; null if there is none.")
    versions: list[str] = Field(description="By precedence, highest first.")
    withdrawn: list[str] = Field(description="Versions that were withdrawn, highest first.")


class ReleaseNamePage(BaseModel):
    """Some names, in alphabetical order."""

    releases: list[ReleaseNameBody]
    next: str | None = Field(description="Send it as `after` for the next page; null at the end.")


class ReleaseVersions(BaseModel):
    """Everything under one name, highest version first."""

    name: str
    latest: str | None = Field(description="Highest version that is no pre-release; null if there is none.")
    releases: list[ReleaseBody]
    withdrawn: list[Tombstone]


class ReleasesOfDigest(BaseModel):
    """The releases with the same content, in the order in which they were made."""

    releases: list[ReleaseBody]


class NamesQuery(PlainNumbers):
    """Which names to list."""

    model_config = ConfigDict(extra="forbid")

    name: str | None = Field(None, max_length=64, description="Only those whose name contains this.")
    limit: int = Field(20, ge=1, le=100, description="How many at the most.")
    after: str | None = Field(None, pattern=RELEASE_NAME, description="`next` of the page before.")


class DiffQuery(PlainNumbers):
    """What to compare with."""

    model_config = ConfigDict(extra="forbid")

    to: str = Field(
        min_length=1,
        max_length=64 + 1 + VERSION_LENGTH,
        description="A version of the same name, `latest`, or NAME@VERSION.",
        examples=["1.3.0"],
    )


def path_of(name: str, version: str) -> str:
    """Path of a release's resource."""
    return f"/v1/releases/{name}/{version}"


@router.get("/v1/releases", summary="List the releases' names", responses=errors(422))
def list_releases(tenant: Tenant, query: Annotated[NamesQuery, Query()], services: Serving) -> ReleaseNamePage:
    """Every name with its versions; GET on a name tells all of each."""
    names, cursor = services.releases.names(tenant, part=query.name or "", limit=query.limit, after=query.after)
    shown = [
        ReleaseNameBody(name=found.name, latest=found.latest, versions=found.versions, withdrawn=found.withdrawn)
        for found in names
    ]
    return ReleaseNamePage(releases=shown, next=cursor)


@router.get("/v1/releases/by-digest/{digest}", summary="Find releases by their content", responses=errors(404))
def find_releases(tenant: Tenant, digest: ReleaseDigest, services: Serving) -> ReleasesOfDigest:
    """Those whose `digest` this is: several, where one dataset was released more than once. None gives 404."""
    found = services.releases.by_digest(tenant, digest)
    return ReleasesOfDigest(releases=[ReleaseBody.of(release) for release in found])


@router.get("/v1/releases/{name}", summary="List the versions of a name", responses=errors(404))
def list_versions(tenant: Tenant, name: ReleaseName, services: Serving) -> ReleaseVersions:
    """Every release under the name, and the tombstones of those that were withdrawn."""
    found = services.releases.versions(tenant, name)
    return ReleaseVersions(
        name=name,
        latest=found.latest,
        releases=[ReleaseBody.of(release) for release in found.releases],
        withdrawn=found.withdrawn,
    )


@router.put(
    "/v1/releases/{name}/{version}",
    status_code=201,
    summary="Release a dataset",
    response_description="It is a release, from now on and for ever.",
    responses={
        200: {
            "model": MadeRelease,
            "description": "It was a release of this dataset already.",
            "headers": headers(Location="The release's path."),
        },
        201: {"headers": headers(Location="The release's path.")},
        **errors(404, 409, 413, 415, 422),
    },
    openapi_extra=json_body(ReleaseRequest),
)
def create_release(
    tenant: Tenant,
    key_id: KeyId,
    name: Annotated[str, Path(description="a-z, 0-9 and '-', up to 64 characters.", examples=["gate-smoke"])],
    version: Annotated[str, Path(description="A version of semver 2.0.0, in lower case.", examples=["1.2.0"])],
    asked: Annotated[Posted[ReleaseRequest], Depends(posted(ReleaseRequest))],
    services: Serving,
    response: Response,
) -> MadeRelease:
    """Gives a succeeded dataset a name (a-z, 0-9, '-') and a semantic version, for ever.

    Versions are those of semver 2.0.0 in lower case, without build metadata and without a leading `v`. Of several
    who ask for one version at a time exactly one gets it. Again for the same dataset it does no harm (200); for
    another dataset it is a 409 that tells the digest of what is there. A withdrawn version is never free again.
    """
    release, made = services.releases.create(tenant, name, version, asked.value, by=key_id)
    response.headers["Location"] = path_of(release.name, release.version)
    response.status_code = 201 if made else 200
    warnings: tuple[str, ...] = ()
    with suppress(NotFound):  # the release outlives its dataset
        warnings = services.datasets.get(tenant, release.dataset).warnings
    return MadeRelease(**dict(ReleaseBody.of(release)), warnings=warnings)


@router.get("/v1/releases/{name}/{version}", summary="Look at a release", responses=errors(404, 410))
def get_release(tenant: Tenant, name: ReleaseName, version: ReleaseVersion, services: Serving) -> ReleaseBody:
    """Its record: digests, the dataset that it was, model, σ, counts and links."""
    return ReleaseBody.of(services.releases.get(tenant, name, version))


@router.delete(
    "/v1/releases/{name}/{version}",
    summary="Withdraw a release for good",
    response_description="What is left of it.",
    responses=errors(404, 409, 413, 415, 422),
    openapi_extra=json_body(WithdrawalRequest),
)
def withdraw_release(
    tenant: Tenant,
    key_id: KeyId,
    name: ReleaseName,
    version: ReleaseVersion,
    asked: Annotated[Posted[WithdrawalRequest], Depends(posted(WithdrawalRequest))],
    services: Serving,
) -> Tombstone:
    """Whoever asks for it from now on gets 410 and the reason; its version is never used again.

    `confirm` must be NAME@VERSION, and `latest` is no version here. Its dataset stays, if it was not deleted. Again it
    does no harm: the first reason stays.
    """
    return services.releases.withdraw(tenant, name, version, asked.value, by=key_id)


@router.get(
    "/v1/releases/{name}/{version}/diff",
    summary="Compare two releases",
    responses=errors(404, 410, 422),
)
def diff_releases(
    tenant: Tenant,
    name: ReleaseName,
    version: ReleaseVersion,
    query: Annotated[DiffQuery, Query()],
    services: Serving,
) -> ReleaseDiff:
    """What is other in the release `to`: request, model, σ, subjects, samples (by label and digest), measures."""
    return services.releases.diff(tenant, (name, version), query.to)
