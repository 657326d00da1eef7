"""What the service has to do just now, for people who wait for it."""

from fastapi import APIRouter
from fastapi.concurrency import run_in_threadpool
from pydantic import BaseModel, Field

from app.api.deps import Serving, Tenant
from app.api.openapi import errors
from app.dataset import keys
from app.errors import FacsimileError

router = APIRouter(tags=["operations"])


class ServiceState(BaseModel):
    """What waits, and whether what the service needs answers."""

    store: bool = Field(description="Whether the object store answers.")
    queue: dict[str, int] | None = Field(description="Tasks that wait, by queue; null if the queue does not answer.")
    unfinished: int = Field(description="Datasets of all tenants that have work left.")
    mine: int = Field(description="Of them, the asking tenant's.")
    models: list[str] = Field(description="Models on offer; none means that no worker has started yet.")


@router.get("/v1/service", summary="See what the service has to do", responses=errors())
async def show_service(tenant: Tenant, services: Serving) -> ServiceState:
    """Queues, unfinished datasets, models. Where the store does not answer this is a 503, as everywhere."""

    def look() -> ServiceState:
        own = f"{keys.UNFINISHED}{tenant}/"
        unfinished = [found.key for found in services.store.list(keys.UNFINISHED)]
        try:
            queue: dict[str, int] | None = services.queue.depth()
        except FacsimileError:
            queue = None
        try:
            models = [card.name for card in services.models.all()]
        except FacsimileError:
            models = []
        mine = sum(key.startswith(own) for key in unfinished)
        return ServiceState(store=True, queue=queue, unfinished=len(unfinished), mine=mine, models=models)

    return await run_in_threadpool(look)
