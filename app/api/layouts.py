"""In which layouts a set can be had, and how large each is."""

from fastapi import APIRouter
from pydantic import BaseModel

from app.api.deps import DatasetId, ReleaseName, ReleaseVersion, Serving, Tenant
from app.api.openapi import errors
from app.jobs.datasets.layout_sizes import LayoutSize

router = APIRouter()


class LayoutList(BaseModel):
    """Every layout that there is, and what it comes to for one set."""

    layouts: list[LayoutSize]


@router.get("/v1/datasets/{dataset_id}/layouts", summary="List layouts", tags=["products"], responses=errors(404, 409))
def list_layouts(tenant: Tenant, dataset_id: DatasetId, services: Serving) -> LayoutList:
    """With sizes: to the byte where an archive is there (`measured`), else about so much, by the set's own samples."""
    return LayoutList(layouts=services.layouts.sizes(tenant, dataset_id))


@router.get(
    "/v1/releases/{name}/{version}/layouts",
    summary="List a release's layouts",
    tags=["releases"],
    responses=errors(404, 410),
)
def list_release_layouts(tenant: Tenant, name: ReleaseName, version: ReleaseVersion, services: Serving) -> LayoutList:
    """With sizes, as of a dataset; the plain archive of a release holds its record too."""
    dataset = services.release_products.dataset(tenant, name, version)
    return LayoutList(layouts=services.layouts.released_sizes(tenant, dataset))
