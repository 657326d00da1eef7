"""For a tenant's admins: what tenants have, what waits, and what workers are at."""

from fastapi import APIRouter
from pydantic import BaseModel

from app.api.deps import Serving, Tenant
from app.api.openapi import errors
from app.jobs.usage import TenantUse
from app.jobs.workload import Workload, look_at

router = APIRouter(tags=["operations"])


class UsageList(BaseModel):
    """What tenants have."""

    tenants: list[TenantUse]


@router.get("/v1/usage", summary="See what tenants have", responses=errors())
def show_usage(tenant: Tenant, services: Serving) -> UsageList:
    """For keys with the role `admin`: their own tenant's. Admins of the tenant that runs the service
    (`FACSIMILE_OPERATORS`; on the embedded stack its own) see every tenant's.

    Samples and bytes are of sets that have ended. What was not looked at yet is counted by the next request.
    """
    everyone = tenant == services.settings.operating_tenant
    return UsageList(tenants=services.usage.look(None if everyone else tenant))


@router.get("/v1/workload", summary="See what workers are at", responses=errors())
def show_workload(_: Tenant, services: Serving) -> Workload:
    """For keys with the role `admin`: tasks that wait and that are being done, of all tenants together, by phase."""
    return look_at(services.queue)
