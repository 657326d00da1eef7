"""Watching a dataset: server-sent events, from a look at the store every second."""

import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import anyio
from fastapi import APIRouter, Request
from fastapi.concurrency import run_in_threadpool
from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from app.api.datasets import DatasetBody
from app.api.deps import DatasetId, Serving, Tenant, still_allowed
from app.api.openapi import errors
from app.errors import NotFound, Unavailable
from app.jobs.datasets.service import Dataset

router = APIRouter(tags=["datasets"])

LOOK_EVERY_S = 1.0
KEY_EVERY_S = 2.0
"""How often it is asked whether the key, or the session, still holds; what is known of it may be some seconds old."""

HEARTBEAT_S = 10.0
"""Silence longer than this makes proxies close the connection."""

_DELETED = {
    "type": "object",
    "properties": {"state": {"const": "deleted"}},
    "required": ["state"],
    "additionalProperties": False,
}
_EVENT = {
    "description": "One event of the stream.",
    "type": "object",
    "properties": {
        "event": {"enum": ["progress", "end"]},
        "data": {
            "type": "string",
            "contentMediaType": "application/json",
            "contentSchema": {"anyOf": [{"$ref": "#/components/schemas/DatasetBody"}, _DELETED]},
        },
    },
    "required": ["event", "data"],
}
_EXAMPLE = 'event: progress\ndata: {"id": "ds_06fa3k9x2m7q0v4c8d1e", "state": "running", …}\n\n'


@router.get(
    "/v1/datasets/{dataset_id}/events",
    summary="Watch a dataset",
    response_class=Response,
    responses={
        200: {
            "description": "`progress` with the dataset whenever it has changed; at last `end` with it as it "
            'ended, or with `{"state": "deleted"}`, and the stream closes. Comments keep it open.',
            "content": {"text/event-stream": {"schema": _EVENT, "example": _EXAMPLE}},
        },
        **errors(404),
    },
)
async def watch_dataset(request: Request, tenant: Tenant, dataset_id: DatasetId, services: Serving) -> Response:
    """Server-sent events. Connect again at any time: the first event says how things stand."""

    async def look() -> Dataset:
        return await services.looks.see(
            tenant, dataset_id, lambda: services.datasets.get(tenant, dataset_id), LOOK_EVERY_S / 2
        )

    allowed_until = time.monotonic() + KEY_EVERY_S

    async def wanted() -> bool:
        nonlocal allowed_until
        if services.closing.is_set() or await request.is_disconnected():
            return False
        if time.monotonic() >= allowed_until:
            if not await run_in_threadpool(still_allowed, request, services):
                return False
            allowed_until = time.monotonic() + KEY_EVERY_S
        return True

    first = await look()
    services.streams.take(tenant)
    return _Stream(
        events_of(first, look, wanted),
        leave=lambda: services.streams.leave(tenant),
        media_type="text/event-stream",
        headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"},
    )


class _Stream(StreamingResponse):
    """An answer that gives its place back however it ends, even before its first byte."""

    def __init__(self, content: AsyncIterator[str], leave: Callable[[], None], **more: Any) -> None:
        super().__init__(content, **more)
        self._leave = leave

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._leave()


async def events_of(
    shown: Dataset, look: Callable[[], Awaitable[Dataset]], wanted: Callable[[], Awaitable[bool]]
) -> AsyncIterator[str]:
    """Yield a dataset's events as text, until its end or until they are not `wanted` any more.

    While the store does not answer there is nothing new to tell.
    """
    if not shown.state.final:
        yield _event("progress", DatasetBody.of(shown).model_dump_json())
    spoke = time.monotonic()
    while not shown.state.final:
        await anyio.sleep(LOOK_EVERY_S)
        if not await wanted():
            return
        try:
            seen = await look()
        except NotFound:
            yield _event("end", '{"state":"deleted"}')
            return
        except Unavailable:
            seen = shown
        if seen != shown and not seen.state.final:
            yield _event("progress", DatasetBody.of(seen).model_dump_json())
            spoke = time.monotonic()
        elif time.monotonic() - spoke > HEARTBEAT_S:
            yield ": still here\n\n"
            spoke = time.monotonic()
        shown = seen
    yield _event("end", DatasetBody.of(shown).model_dump_json())


def _event(name: str, data: str) -> str:
    # JSON has no line breaks outside its strings, and none inside them: one data line holds it.
    return f"event: {name}\ndata: {data}\n\n"
