"""Samples by range: what is true of each, page by page, of sets however large."""

from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import ConfigDict, Field

from app.api.deps import DatasetId, ReleaseName, ReleaseVersion, Serving, Tenant
from app.api.openapi import errors
from app.jobs.datasets.samples import MOST_CONDITIONS, SamplePage
from app.numerals import PlainNumbers

router = APIRouter()


class SampleQuery(PlainNumbers):
    """Which samples to list."""

    model_config = ConfigDict(extra="forbid")

    limit: int = Field(60, ge=1, le=500, description="How many at the most.")
    after: int | None = Field(
        None, ge=-1, le=2**53, description="Those behind the sample of this number; left out, from the first on."
    )
    where: list[str] = Field(
        [],
        max_length=MOST_CONDITIONS,
        description="Only those of which this is true: FIELD, one of = != < <= > >=, VALUE; given more than once, all "
        "of them. As in `attributes.sex=female`, `quality.sharpness<10`, `role=probe`, `redrawn=true`.",
    )


@router.get("/v1/datasets/{dataset_id}/samples", summary="List samples", tags=["products"], responses=errors(404, 422))
def list_samples(
    tenant: Tenant, dataset_id: DatasetId, query: Annotated[SampleQuery, Query()], services: Serving
) -> SamplePage:
    """In the set's order, as the manifest has them; of shards that are done, so before the dataset is.

    A filtered page may be short, or empty, and still have a next one. Quality is known of judged samples, and once the
    set is finished.
    """
    return services.samples.page(tenant, dataset_id, after=query.after, limit=query.limit, where=query.where)


@router.get(
    "/v1/releases/{name}/{version}/samples",
    summary="List a release's samples",
    tags=["releases"],
    responses=errors(404, 410, 422),
)
def list_release_samples(
    tenant: Tenant,
    name: ReleaseName,
    version: ReleaseVersion,
    query: Annotated[SampleQuery, Query()],
    services: Serving,
) -> SamplePage:
    """In the set's order, as its manifest has them."""
    dataset = services.release_products.dataset(tenant, name, version)
    return services.samples.page(
        tenant, dataset, after=query.after, limit=query.limit, where=query.where, released=True
    )
