"""How long a body is waited for: whoever sends it must go on sending, at a rate, or it is broken off."""

import time
from collections.abc import Awaitable, Callable

import anyio
from starlette.types import Message, Receive

from app.errors import TooSlow

WINDOW_S = 30.0
"""A rate is over so much waiting. A small body must be there within it."""


class Pace:
    """Waits for a body's messages; only waiting for the sender counts, not what is done with what came."""

    def __init__(
        self,
        receive: Receive,
        bytes_per_second: int,
        *,
        window_s: float = WINDOW_S,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._receive = receive
        self._least = bytes_per_second * window_s
        self._window_s = window_s
        self._clock = clock
        self._waited = 0.0
        self._seen = 0
        self._whole = False

    async def receive(self) -> Message:
        """The next message; raises TooSlow. Once the body is whole, it is waited for without end."""
        if self._whole:
            return await self._receive()
        began = self._clock()
        message = await self._within(self._window_s - self._waited, self._receive)
        self._waited += self._clock() - began
        self._seen += len(message.get("body", b""))
        self._whole = not message.get("more_body", False)
        if not self._whole and self._waited >= self._window_s:
            if self._seen < self._least:
                raise self._too_slow()
            self._waited, self._seen = 0.0, 0
        return message

    async def _within(self, seconds: float, receive: Callable[[], Awaitable[Message]]) -> Message:
        try:
            with anyio.fail_after(max(seconds, 0.001)):
                return await receive()
        except TimeoutError:
            raise self._too_slow() from None

    def _too_slow(self) -> TooSlow:
        return TooSlow(
            f"only {self._seen:,} bytes of the body came in {self._window_s:g} s; send it faster, or over another line"
        )
