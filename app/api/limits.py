"""How much may be sent: bytes of one body, requests of one tenant."""

import time
from collections.abc import Callable

from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.api.error_handlers import answer_error, error_response
from app.api.patience import Pace
from app.errors import QueueUnavailable, QuotaExceeded, TooLarge
from app.numerals import is_count
from app.queue import TaskQueue

UPLOADS = "/v1/uploads/"

BELIEVED_DOWN_S = 5.0
"""After the queue has not answered, requests that need not be counted are not, for so long."""


class BodyLimit:
    """Middleware that refuses bodies beyond a size, whether or not they say beforehand how long they are.

    Bodies that come too slowly are broken off, and those whose length is said in two ways are not read: what stands
    before us may read it the other way. Uploads go straight to the store, so theirs may be far longer than those that
    are read into memory.
    """

    def __init__(self, app: ASGIApp, max_bytes: int, upload_bytes: int, bytes_per_second: int) -> None:
        self._app = app
        self._max_bytes = max_bytes
        self._upload_bytes = upload_bytes
        self._bytes_per_second = bytes_per_second

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer 413 at once where Content-Length is too much; else count what is read."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request = Request(scope)
        streamed = scope["method"] == "PUT" and scope["path"].startswith(UPLOADS)
        most = self._upload_bytes if streamed else self._max_bytes
        said = request.headers.get("content-length", "")
        if said and "transfer-encoding" in request.headers:
            detail = "Content-Length and Transfer-Encoding are both given; send one of them"
            await error_response(request, 400, "BadRequest", detail, {"Connection": "close"})(scope, receive, send)
            return
        # int() is spared what is long enough to be too much in any case.
        if is_count(said) and (len(said) > 18 or int(said) > most):
            await answer_error(request, _too_large(most))(scope, receive, send)
            return
        seen = 0
        # A small body has its window, whatever its rate.
        pace = Pace(receive, self._bytes_per_second if streamed else most)

        async def counted() -> Message:
            nonlocal seen
            message = await pace.receive()
            seen += len(message.get("body", b""))
            if seen > most:
                raise _too_large(most)
            return message

        await self._app(scope, counted, send)


def _too_large(most: int) -> TooLarge:
    return TooLarge(f"the body is longer than {most:,} bytes; send less")


class RateLimit:
    """Requests a minute of each tenant, counted in the queue's server, so over all processes of the API."""

    def __init__(self, queue: TaskQueue, per_minute: int, clock: Callable[[], float] = time.time) -> None:
        self._queue = queue
        self._per_minute = per_minute
        self._clock = clock
        self._uncounted_until = 0.0

    def check(self, tenant: str, *, must_count: bool) -> None:
        """Count a request; raises QuotaExceeded when this minute's are used up.

        Without the queue nothing can be counted: with `must_count` that raises QueueUnavailable.
        """
        now = self._clock()
        if not must_count and now < self._uncounted_until:
            return
        try:
            allowed = self._queue.allow(tenant, self._per_minute)
        except QueueUnavailable:
            if must_count:
                raise
            self._uncounted_until = now + BELIEVED_DOWN_S
            return
        if not allowed:
            raise QuotaExceeded(
                f"this minute's {self._per_minute:,} requests are used up; go on in the next",
                retry_after_s=60 - int(now % 60),
            )
