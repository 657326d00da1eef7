"""A tenant's webhook: its own server is told when datasets and evaluations end."""

from typing import Annotated

from fastapi import APIRouter, Depends

from app.api.bodies import Posted, posted
from app.api.deps import KeyId, Serving, Tenant
from app.api.openapi import errors, json_body
from app.jobs.webhooks.records import WebhookRequest
from app.jobs.webhooks.service import WebhookMade, WebhookShown

router = APIRouter(tags=["operations"])


@router.get("/v1/webhook", summary="Show the webhook", responses=errors(404))
def show_webhook(tenant: Tenant, services: Serving) -> WebhookShown:
    """For keys with the role `admin`: where it leads, what waits, and why it was not delivered."""
    return services.webhooks.get(tenant)


@router.put(
    "/v1/webhook",
    summary="Set the webhook",
    responses=errors(413, 415, 422),
    openapi_extra=json_body(WebhookRequest),
)
def set_webhook(
    tenant: Tenant,
    by: KeyId,
    asked: Annotated[Posted[WebhookRequest], Depends(posted(WebhookRequest))],
    services: Serving,
) -> WebhookMade:
    """For keys with the role `admin`. It is sent `webhook.registered` first; setting it again makes a new secret.

    Events (`dataset.succeeded`, `dataset.failed`, `dataset.cancelled`, `evaluation.succeeded`, `evaluation.failed`) are
    POSTed as `{"type", "timestamp", "data"}` and signed as Standard Webhooks says: `webhook-id`, `webhook-timestamp`,
    `webhook-signature`. One may come twice, with the same id. Answer 2xx; else it is tried again for a day.
    """
    return services.webhooks.set(tenant, asked.value, by=by)


@router.delete(
    "/v1/webhook",
    status_code=204,
    summary="Take the webhook away",
    response_description="Nothing is sent any more.",
    responses=errors(404),
)
def remove_webhook(tenant: Tenant, by: KeyId, services: Serving) -> None:
    """For keys with the role `admin`; what was to be told is forgotten."""
    services.webhooks.remove(tenant, by=by)
