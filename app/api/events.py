"""Watching a dataset: server-sent events, from a look at the store every second."""

import time
from collections.abc import AsyncIterator, Awaitable, Callable

import anyio
from fastapi import APIRouter, Request
from fastapi.concurrency import run_in_threadpool
from starlette.responses import Response, StreamingResponse

from app.api.datasets import DatasetBody
from app.api.deps import DatasetId, Serving, Tenant
from app.api.openapi import errors
from app.errors import NotFound, Unavailable
from app.jobs.datasets.service import Dataset

router = APIRouter(tags=["datasets"])

LOOK_EVERY_S = 1.0
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

    def look() -> Dataset:
        return services.datasets.get(tenant, dataset_id)

    async def wanted() -> bool:
        return not services.closing.is_set() and not await request.is_disconnected()

    first = await run_in_threadpool(look)
    return StreamingResponse(
        events_of(first, look, wanted),
        media_type="text/event-stream",
        headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"},
    )


async def events_of(
    shown: Dataset, look: Callable[[], Dataset], wanted: Callable[[], Awaitable[bool]]
) -> AsyncIterator[str]:
    """Yield a dataset's events as text, until its end or until they are not `wanted` any more.

    `look` blocks, so it is called in a thread. While the store does not answer there is nothing new to tell.
    """
    if not shown.state.final:
        yield _event("progress", DatasetBody.of(shown).model_dump_json())
    spoke = time.monotonic()
    while not shown.state.final:
        await anyio.sleep(LOOK_EVERY_S)
        if not await wanted():
            return
        try:
            seen = await run_in_threadpool(look)
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
