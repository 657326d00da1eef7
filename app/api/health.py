"""Whether the service lives, whether it can work, and its figures."""

import hmac
from typing import Literal

from fastapi import APIRouter, Request
from prometheus_client import CONTENT_TYPE_LATEST
from pydantic import BaseModel
from starlette.responses import Response

from app.api.deps import Serving
from app.api.openapi import open_errors
from app.errors import FacsimileError, NotAuthenticated, Unavailable
from app.jobs.backlog import Backlog

router = APIRouter(tags=["operations"])


class Alive(BaseModel):
    """The process answers."""

    status: Literal["alive"] = "alive"


class Ready(BaseModel):
    """All that the service depends on answers."""

    status: Literal["ready"] = "ready"
    models: list[str]
    """Names of the models on offer."""


@router.get("/livez", summary="Whether the process answers")
async def is_alive() -> Alive:
    """Asks nobody else: a store that is down is no reason to restart the API."""
    return Alive()


@router.get("/readyz", summary="Whether requests can be served", responses=open_errors(503))
def is_ready(services: Serving) -> Ready:
    """200 when the store and the queue answer and a model is published; else 503 that says what is wrong."""
    wrong: list[str] = []
    models: list[str] = []
    for name, ping in (("store", services.store.ping), ("queue", services.queue.ping)):
        try:
            ping()
        except FacsimileError as exc:
            wrong.append(f"{name}: {exc}")
    try:
        models = [card.name for card in services.models.all()]
    except FacsimileError as exc:
        wrong.append(f"models: {exc}")
    if wrong:
        raise Unavailable("; ".join(wrong))
    return Ready(models=models)


@router.get("/backlog", summary="How much work is left", responses=open_errors(503))
def read_backlog(services: Serving) -> Backlog:
    """Counted from the store, not older than five seconds: the figure to scale workers on (KEDA's `metrics-api`).

    Unlike the queue's length it includes what is being made at this moment. It tells of no tenant.
    """
    return services.backlog.look()


@router.get(
    "/metrics",
    summary="Figures for Prometheus",
    response_class=Response,
    responses={
        200: {
            "description": "Prometheus' text format.",
            "content": {CONTENT_TYPE_LATEST: {"schema": {"type": "string"}}},
        },
        **open_errors(401),
    },
)
def read_metrics(request: Request, services: Serving) -> Response:
    """Who waits for what, seconds by phase and model, the store's latency, refusals, requests by route.

    Where a token is set for it (`FACSIMILE_METRICS_TOKEN`), it is asked for, and tenants are named.
    """
    token = services.settings.metrics_token
    if token is not None:
        said = request.headers.get("authorization", "").encode()
        if not hmac.compare_digest(said, f"Bearer {token.get_secret_value()}".encode()):
            raise NotAuthenticated("send the token of FACSIMILE_METRICS_TOKEN as 'Authorization: Bearer …'")
    return Response(services.metrics.render(), media_type=CONTENT_TYPE_LATEST)
