"""Estimates: what a request will come to, before it is submitted."""

from typing import Annotated

from fastapi import APIRouter, Depends

from app.api.bodies import Posted, posted
from app.api.deps import Serving, Tenant
from app.api.openapi import errors, json_body
from app.dataset.request import DatasetRequest
from app.jobs.estimates import Estimate

router = APIRouter(tags=["datasets"])


@router.post(
    "/v1/estimates",
    summary="Ask what a request will come to",
    responses=errors(413, 415, 422),
    openapi_extra=json_body(DatasetRequest),
)
def estimate_dataset(
    tenant: Tenant, asked: Annotated[Posted[DatasetRequest], Depends(posted(DatasetRequest))], services: Serving
) -> Estimate:
    """The body is that of `POST /v1/datasets`, and it is refused for the same reasons; nothing is made or kept.

    Counts are exact. `bytes` and `seconds` are from sets like it that were made here, null where there is none.
    """
    return services.estimates.estimate(tenant, asked.value)
