"""Who is asking."""

from fastapi import APIRouter
from pydantic import BaseModel, Field

from app.access import Role
from app.api.deps import Asking, Serving
from app.api.openapi import errors

router = APIRouter(tags=["operations"])


class WhoAmI(BaseModel):
    """Whose key was sent, and what it may ask for."""

    tenant: str
    key_id: str = Field(description="Id of the API key; it is no secret, and stands in the audit log.")
    label: str = Field(description="What the key is for.")
    role: Role = Field(description="What the key may do: `read`, `write` (and read), or `admin` (and write).")
    expires_at: str | None = Field(description="When the key ends, in UTC; null: when it is revoked.")
    limits: dict[str, int | None] = Field(description="Of one request and of the tenant, by name.")


@router.get("/v1/whoami", summary="See whose key this is", responses=errors())
def who_am_i(holder: Asking, services: Serving) -> WhoAmI:
    """The tenant, the key's id, and the limits that hold."""
    limits = services.settings.limits
    named = (
        "samples_per_dataset",
        "comparisons_per_dataset",
        "unfinished_datasets_per_tenant",
        "requests_per_minute_per_tenant",
        "retention_days_per_tenant",
        "preview_subjects",
        "preview_samples_per_subject",
        "upload_bytes",
        "uploads_per_tenant",
        "unfinished_evaluations_per_tenant",
    )
    return WhoAmI(
        tenant=holder.tenant,
        key_id=holder.key_id,
        label=holder.label,
        role=holder.role,
        expires_at=holder.expires_at,
        limits={name: getattr(limits, name) for name in named},
    )
