"""A tenant's API keys, for its admins: which there are, one more, one fewer."""

from typing import Annotated

from fastapi import APIRouter, Depends, Path
from pydantic import BaseModel, Field

from app.access import KeyRequest, KeyShown, key_id_of
from app.api.bodies import Posted, posted
from app.api.deps import KeyId, Serving, Tenant
from app.api.openapi import errors, json_body
from app.jobs.audit import Action

router = APIRouter(tags=["operations"])

KEY_ID = "^[0-9a-f]{16}$"


class KeyIssued(BaseModel):
    """A key that was made."""

    key_id: str
    key: str = Field(description="The key itself. It is shown this once.")


class KeyList(BaseModel):
    """A tenant's keys."""

    keys: list[KeyShown]


@router.get("/v1/keys", summary="List the tenant's keys", responses=errors())
def list_keys(tenant: Tenant, services: Serving) -> KeyList:
    """For keys with the role `admin`. The keys themselves are nowhere; when each was last used is known to the hour."""
    return KeyList(keys=list(services.api_keys.list(tenant)))


@router.post(
    "/v1/keys",
    status_code=201,
    summary="Make a key",
    responses=errors(413, 415, 422),
    openapi_extra=json_body(KeyRequest),
)
def make_key(
    tenant: Tenant, by: KeyId, asked: Annotated[Posted[KeyRequest], Depends(posted(KeyRequest))], services: Serving
) -> KeyIssued:
    """For keys with the role `admin`, and of the same tenant."""
    wanted = asked.value
    key = services.api_keys.issue(tenant, wanted.label, role=wanted.role, days=wanted.days)
    details = {"role": wanted.role.value, "label": wanted.label}
    services.audit.note(tenant, Action.KEY_MADE, key_id_of(key), by=by, details=details)
    return KeyIssued(key_id=key_id_of(key), key=key)


@router.delete(
    "/v1/keys/{key_id}",
    status_code=204,
    summary="Revoke a key",
    response_description="It is worthless.",
    responses=errors(404),
)
def revoke_key(
    tenant: Tenant,
    key_id: Annotated[str, Path(description="As `key_id` in the list.", json_schema_extra={"pattern": KEY_ID})],
    by: KeyId,
    services: Serving,
) -> None:
    """For keys with the role `admin`. Other processes of the service believe it for five seconds more."""
    services.api_keys.revoke(key_id, tenant)
    services.audit.note(tenant, Action.KEY_REVOKED, key_id, by=by)
