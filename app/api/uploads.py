"""Uploads: files of scores or templates, streamed straight to the store."""

import io
from typing import BinaryIO, cast

from anyio.from_thread import run as run_in_loop
from fastapi import APIRouter, Request
from fastapi.concurrency import run_in_threadpool
from starlette.responses import Response

from app.api.deps import Serving, Tenant, UploadId
from app.api.openapi import errors
from app.errors import WrongMediaType
from app.jobs.uploads import PIECE, Upload

router = APIRouter(tags=["evaluations"])

_BYTES = {
    "requestBody": {
        "required": True,
        "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}},
    }
}


class _Body(io.RawIOBase):
    """A request's body, read from a thread while the event loop receives it."""

    def __init__(self, request: Request) -> None:
        self._chunks = request.stream()
        self._left = memoryview(b"")

    def readable(self) -> bool:
        """See RawIOBase."""
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        """See RawIOBase."""
        while not self._left:
            chunk = run_in_loop(self._next)
            if chunk is None:
                return 0
            self._left = memoryview(chunk)
        count = min(len(buffer), len(self._left))
        buffer[:count] = self._left[:count]
        self._left = self._left[count:]
        return count

    async def _next(self) -> bytes | None:
        return await anext(self._chunks, None)


@router.put(
    "/v1/uploads/{upload_id}",
    summary="Upload a file of scores or templates",
    status_code=201,
    response_description="It is stored.",
    responses={200: {"model": Upload, "description": "It was there already."}, **errors(404, 413, 415, 422)},
    openapi_extra=_BYTES,
)
async def put_upload(
    tenant: Tenant, upload_id: UploadId, services: Serving, request: Request, response: Response
) -> Upload:
    """The body is the file as it is. Its id is the SHA-256 of its bytes, so that a repeat does no harm and what was
    damaged on the way is refused. Uploads are removed when they have been evaluated, or after a week without that.
    """
    if request.headers.get("content-encoding", "identity").strip().lower() != "identity":
        raise WrongMediaType("files are stored as they are; send it without Content-Encoding")
    body = cast(BinaryIO, io.BufferedReader(_Body(request), PIECE))
    upload, new = await run_in_threadpool(services.uploads.put, tenant, upload_id, body)
    if not new:
        response.status_code = 200
    return upload


@router.get("/v1/uploads/{upload_id}", summary="Look for an upload", responses=errors(404))
def get_upload(tenant: Tenant, upload_id: UploadId, services: Serving) -> Upload:
    """Whether a file is there already, so that it need not be sent again."""
    return services.uploads.get(tenant, upload_id)


@router.delete(
    "/v1/uploads/{upload_id}",
    status_code=204,
    summary="Delete an upload",
    response_description="It is gone.",
    responses=errors(404, 409),
)
def delete_upload(tenant: Tenant, upload_id: UploadId, services: Serving) -> None:
    """Refused while an evaluation that is not finished needs it."""
    services.uploads.delete(tenant, upload_id)
