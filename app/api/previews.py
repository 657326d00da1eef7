"""Previews: a contact sheet while one waits."""

import time
from typing import Annotated

import anyio
from fastapi import APIRouter, Depends, Request
from fastapi.concurrency import run_in_threadpool
from pydantic import BaseModel
from starlette.responses import JSONResponse, Response

from app.api.bodies import Posted, posted
from app.api.deps import PREVIEW_ID, PreviewId, Serving, Tenant
from app.api.openapi import bytes_of, errors, headers, json_body
from app.dataset.request import PreviewRequest
from app.jobs.previews import PreviewService

router = APIRouter(tags=["previews"])

LOOK_EVERY_S = 0.1
ASK_EVERY_S = 3.0
"""Somebody else who waited for the same preview may have taken it back."""
RETRY_AFTER_S = 2


class PendingPreview(BaseModel):
    """A preview that is being made."""

    id: str
    state: str = "pending"


_IMAGE = {
    "description": "The contact sheet: a row a subject, a column a sample.",
    "content": bytes_of("image/png"),
    "headers": headers(X_Preview_Id="Its id.", Location="Where it can be fetched again."),
}


@router.post(
    "/v1/previews",
    summary="Make a small contact sheet",
    response_class=Response,
    responses={
        200: _IMAGE,
        202: {
            "description": "It takes longer; fetch it from `Location`, or repeat the request.",
            "content": {
                "application/json": {
                    "schema": {
                        "type": "object",
                        "properties": {
                            "id": {"type": "string", "pattern": PREVIEW_ID},
                            "state": {"const": "pending"},
                        },
                        "required": ["id", "state"],
                    }
                }
            },
            "headers": headers(
                X_Preview_Id="Its id.",
                Location="Where it will be.",
                Retry_After="Seconds until it is worth looking.",
            ),
        },
        **errors(413, 415, 422),
    },
    openapi_extra=json_body(PreviewRequest),
)
async def make_preview(
    tenant: Tenant,
    asked: Annotated[Posted[PreviewRequest], Depends(posted(PreviewRequest))],
    services: Serving,
    request: Request,
) -> Response:
    """The same request and model give the same sheet, made once. Sent at once when it is made in time.

    Who ends the request before that takes it back, unless a worker is at it already.
    """
    previews = services.previews
    preview = await run_in_threadpool(previews.ask, tenant, asked.value)
    where = _where(preview)
    began = time.monotonic()
    until, again, gone, sure = began + services.settings.limits.preview_wait_s, began + ASK_EVERY_S, False, True
    # Waiting holds no thread: only each look takes one, for as long as it lasts.
    with previews.waiting(tenant, preview):
        while (sheet := await run_in_threadpool(_made, previews, tenant, preview, sure)) is None:
            if time.monotonic() >= until or services.closing.is_set() or (gone := await request.is_disconnected()):
                break
            sure = time.monotonic() >= again
            if sure:
                again += ASK_EVERY_S
                await run_in_threadpool(previews.ask, tenant, asked.value)
            await anyio.sleep(LOOK_EVERY_S)
    if sheet is not None:
        return Response(sheet, media_type="image/png", headers=where)
    if gone:
        await run_in_threadpool(previews.forget, tenant, preview)
    return JSONResponse(PendingPreview(id=preview).model_dump(), 202, {**where, "Retry-After": str(RETRY_AFTER_S)})


@router.get(
    "/v1/previews/{preview_id}",
    summary="Fetch a contact sheet",
    response_class=Response,
    responses={200: _IMAGE, **errors(404)},
)
def get_preview(tenant: Tenant, preview_id: PreviewId, services: Serving) -> Response:
    """The PNG, or 404 while it is not made."""
    sheet = services.previews.find(tenant, preview_id)
    return Response(sheet, media_type="image/png", headers=_where(preview_id))


def _made(previews: PreviewService, tenant: str, preview: str, sure: bool) -> bytes | None:
    """The sheet, once it is made; unless it must be sure, the queue is asked first: that costs less than the store."""
    return None if not sure and previews.under_way(tenant, preview) else previews.fetch(tenant, preview)


def _where(preview: str) -> dict[str, str]:
    return {"X-Preview-Id": preview, "Location": f"/v1/previews/{preview}"}
