"""Datasets: ask, look, list, cancel, delete."""

from typing import Annotated

from fastapi import APIRouter, Depends, Header, Query
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

from app.api.bodies import Posted, posted
from app.api.deps import Asking, DatasetId, KeyId, Serving, Tenant
from app.api.openapi import errors, headers, json_body
from app.dataset import products
from app.dataset.names import DATASET_ID
from app.dataset.request import DatasetRequest
from app.jobs.datasets.service import Dataset
from app.jobs.records import AskedBy
from app.jobs.state import State
from app.numerals import PlainNumbers

router = APIRouter(tags=["datasets"])


class DatasetBody(Dataset):
    """A dataset, and where to go from it."""

    links: dict[str, str] = Field(
        description="Relative paths: self, events, cancel; manifest, comparisons, contact_sheet (or "
        "templates), report, data_card, croissant, provenance and archive once it has succeeded.",
        examples=[{"self": "/v1/datasets/ds_06fa3k9x2m7q0v4c8d1e"}],
    )

    @classmethod
    def of(cls, dataset: Dataset) -> "DatasetBody":
        """Add the links to a dataset."""
        here = path_of(dataset.id)
        links = {"self": here, "events": f"{here}/events", "cancel": f"{here}/cancel"}
        if dataset.state is State.SUCCEEDED:
            kind: products.Kind = "templates" if dataset.request.get("product") == "templates" else "images"
            links |= {**products.links(here, kind), "archive": f"{here}/archive?layout=plain"}
        return cls(**dict(dataset), links=links)


class DatasetPage(BaseModel):
    """Some datasets, newest first."""

    datasets: list[DatasetBody]
    next: str | None = Field(description="Send it as `after` for the next page; null at the end.")


class PageQuery(PlainNumbers):
    """Which datasets to list."""

    model_config = ConfigDict(extra="forbid")

    state: State | None = Field(None, description="Only those in this state.")
    name: str | None = Field(None, max_length=100, description="Only those whose name contains this.")
    limit: int = Field(20, ge=1, le=100, description="How many at the most.")
    after: str | None = Field(None, pattern=DATASET_ID, description="`next` of the page before.")


IdempotencyKey = Annotated[
    str | None,
    Header(
        min_length=1,
        max_length=255,
        pattern=r"^[\x21-\x7e]([\x20-\x7e]*[\x21-\x7e])?$",
        description="A name of your own for this request, printable ASCII. Sent again with it, the request "
        "gives what it gave before, and `Idempotent-Replayed` says so.",
        examples=["gate-7-smoke-2026-11"],
    ),
]
REPLAYED = "Idempotent-Replayed"
REPLAYED_TEXT = "`true` where this Idempotency-Key was used before: this is what was made then. Else it is not there."


def path_of(dataset: str) -> str:
    """Path of a dataset's resource."""
    return f"/v1/datasets/{dataset}"


@router.post(
    "/v1/datasets",
    status_code=202,
    summary="Ask for a dataset",
    response_description="Accepted; it is being made.",
    responses={
        202: {"headers": headers(Location="The dataset's path.", Idempotent_Replayed=REPLAYED_TEXT)},
        **errors(409, 413, 415, 422),
    },
    openapi_extra=json_body(DatasetRequest),
)
def submit_dataset(
    tenant: Tenant,
    holder: Asking,
    asked: Annotated[Posted[DatasetRequest], Depends(posted(DatasetRequest))],
    services: Serving,
    response: Response,
    idempotency_key: IdempotencyKey = None,
) -> DatasetBody:
    """Nothing is corrected or padded: what cannot be met as it stands is refused, and told what to change.

    With an `Idempotency-Key`, a repeat gives the same dataset, and the same key with another body gives 409.
    """
    by = AskedBy(key_id=holder.key_id, label=holder.label)
    dataset, made = services.datasets.submit(tenant, asked.value, asked.document, idempotency_key, by)
    response.headers["Location"] = path_of(dataset.id)
    if not made:
        response.headers[REPLAYED] = "true"
    return DatasetBody.of(dataset)


@router.get("/v1/datasets", summary="List datasets", responses=errors(422))
def list_datasets(tenant: Tenant, query: Annotated[PageQuery, Query()], services: Serving) -> DatasetPage:
    """Newest first. A filtered page may be short, or empty, and still have a next one."""
    found, cursor = services.datasets.list(
        tenant, state=query.state, name=query.name, limit=query.limit, after=query.after
    )
    return DatasetPage(datasets=[DatasetBody.of(dataset) for dataset in found], next=cursor)


@router.get("/v1/datasets/{dataset_id}", summary="Look at a dataset", responses=errors(404))
def get_dataset(tenant: Tenant, dataset_id: DatasetId, services: Serving) -> DatasetBody:
    """State, progress, counts and links."""
    return DatasetBody.of(services.datasets.get(tenant, dataset_id))


@router.post("/v1/datasets/{dataset_id}/cancel", summary="Cancel a dataset", responses=errors(404, 409))
def cancel_dataset(tenant: Tenant, dataset_id: DatasetId, services: Serving) -> DatasetBody:
    """Within two seconds no new batch starts. Again does no harm; what has ended otherwise gives 409."""
    return DatasetBody.of(services.datasets.cancel(tenant, dataset_id))


@router.delete(
    "/v1/datasets/{dataset_id}",
    status_code=204,
    summary="Delete a dataset",
    response_description="Every object of it is gone.",
    responses=errors(404),
)
def delete_dataset(tenant: Tenant, key_id: KeyId, dataset_id: DatasetId, services: Serving) -> None:
    """Removes every object of it, cancelling it first where it is under way. What was released stays released."""
    services.datasets.delete(tenant, dataset_id, by=key_id)
