"""What will be deleted when, and what was done by whom."""

from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict, Field

from app.api.deps import Serving, Tenant
from app.api.openapi import errors
from app.dataset.names import DATASET_ID
from app.jobs.audit import Entry
from app.jobs.datasets.retention import Expiring
from app.numerals import PlainNumbers

router = APIRouter(tags=["releases"])


class ExpiringPage(BaseModel):
    """Some of the datasets that have a time to go, oldest first."""

    datasets: list[Expiring]
    next: str | None = Field(description="Send it as `after` for the next page; null at the end.")


class AuditPage(BaseModel):
    """Some entries of the audit log, newest first."""

    entries: list[Entry]
    next: str | None = Field(description="Send it as `after` for the next page; null at the end.")


class ExpiringQuery(PlainNumbers):
    """Which datasets to list."""

    model_config = ConfigDict(extra="forbid")

    limit: int = Field(100, ge=1, le=1000, description="How many at the most.")
    after: str | None = Field(None, pattern=DATASET_ID, description="`next` of the page before.")


class AuditQuery(PlainNumbers):
    """Which entries to list."""

    model_config = ConfigDict(extra="forbid")

    limit: int = Field(50, ge=1, le=200, description="How many at the most.")
    after: str | None = Field(None, pattern="^[0-9]{13}-[0-9a-f]{16}$", description="`next` of the page before.")


@router.get("/v1/retention", summary="See what will be deleted", responses=errors(422))
def show_retention(tenant: Tenant, query: Annotated[ExpiringQuery, Query()], services: Serving) -> ExpiringPage:
    """A dry run: the ended datasets that a rule gives a time to go, whose rule it is, and which are due.

    Nothing is deleted by asking. Releases are never touched: `released_as` names those that keep a dataset's samples
    when the dataset goes.
    """
    found, cursor = services.retention.show(tenant, limit=query.limit, after=query.after)
    return ExpiringPage(datasets=found, next=cursor)


@router.get("/v1/audit", summary="Read the audit log", responses=errors(422))
def read_audit(tenant: Tenant, query: Annotated[AuditQuery, Query()], services: Serving) -> AuditPage:
    """Who released, withdrew or deleted what, when and why. Nothing is ever changed in it or removed from it."""
    found, cursor = services.audit.list(tenant, limit=query.limit, after=query.after)
    return AuditPage(entries=found, next=cursor)
