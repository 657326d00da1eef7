"""Watching a dataset: server-sent events, from a look at the store every second."""

import hashlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Annotated, Any, NamedTuple

import anyio
from fastapi import APIRouter, Header, Request
from fastapi.concurrency import run_in_threadpool
from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from app.api.datasets import DatasetBody
from app.api.deps import DatasetId, Serving, Tenant, still_allowed
from app.api.openapi import errors
from app.errors import NotFound, Unavailable
from app.jobs.datasets.service import Dataset

router = APIRouter(tags=["datasets"])

LastEventId = Annotated[
    str | None,
    Header(description="`id` of the last event that was heard.", examples=["5b1f0c9e2d7a4f38"]),
]

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
        "id": {"type": "string", "description": "Of what is told: a word for the same state of things is the same."},
        "data": {
            "type": "string",
            "contentMediaType": "application/json",
            "contentSchema": {"anyOf": [{"$ref": "#/components/schemas/DatasetBody"}, _DELETED]},
        },
    },
    "required": ["event", "id", "data"],
}
_EXAMPLE = 'event: progress\nid: 5b1f0c9e2d7a4f38\ndata: {"id": "ds_06fa3k9x2m7q0v4c8d1e", "state": "running", …}\n\n'


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
        204: {"description": "`Last-Event-ID` is that of the end: there will be no more events."},
        **errors(404),
    },
)
async def watch_dataset(
    request: Request, tenant: Tenant, dataset_id: DatasetId, services: Serving, last_event_id: LastEventId = None
) -> Response:
    """Server-sent events. Connect again at any time: the first event says how things stand.

    Every event holds the whole state, so none that was missed is needed. With the `Last-Event-ID` of the last one heard
    (browsers send it by themselves), what was told already is not told again.
    """

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
    if first.state.final and _Event.of(first).id == last_event_id:
        return Response(status_code=204, headers={"Cache-Control": "no-store"})
    services.streams.take(tenant)
    return _Stream(
        events_of(first, look, wanted, last_event_id),
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


class _Event(NamedTuple):
    """One event of a stream."""

    name: str
    data: str
    id: str
    """Of the state of things, so that no record is needed of what was told to whom; the ETA is no part of it."""

    @classmethod
    def of(cls, dataset: Dataset) -> "_Event":
        """What there is to tell of a dataset."""
        untimed = dataset.model_copy(update={"progress": dataset.progress.model_copy(update={"eta_s": None})})
        return cls(
            "end" if dataset.state.final else "progress",
            DatasetBody.of(dataset).model_dump_json(),
            hashlib.sha256(untimed.model_dump_json().encode()).hexdigest()[:16],
        )

    @property
    def text(self) -> str:
        # JSON has no line breaks outside its strings, and none inside them: one data line holds it.
        return f"event: {self.name}\nid: {self.id}\ndata: {self.data}\n\n"


DELETED = _Event("end", '{"state":"deleted"}', "0" * 16)


async def events_of(
    shown: Dataset,
    look: Callable[[], Awaitable[Dataset]],
    wanted: Callable[[], Awaitable[bool]],
    heard: str | None = None,
) -> AsyncIterator[str]:
    """Yield a dataset's events as text, until its end or until they are not `wanted` any more.

    `heard` is the id of an event that was told before: it is not told again at the beginning. While the store does not
    answer there is nothing new to tell.
    """
    if not shown.state.final and (first := _Event.of(shown)).id != heard:
        yield first.text
    spoke = time.monotonic()
    while not shown.state.final:
        await anyio.sleep(LOOK_EVERY_S)
        if not await wanted():
            return
        try:
            seen = await look()
        except NotFound:
            yield DELETED.text
            return
        except Unavailable:
            seen = shown
        if seen != shown and not seen.state.final:
            yield _Event.of(seen).text
            spoke = time.monotonic()
        elif time.monotonic() - spoke > HEARTBEAT_S:
            yield ": still here\n\n"
            spoke = time.monotonic()
        shown = seen
    yield _Event.of(shown).text
