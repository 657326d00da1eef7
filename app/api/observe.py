"""The outermost middleware: a request id, a log line and a count for each; and no exception escapes."""

import re
import secrets
import time

import structlog
from starlette.datastructures import MutableHeaders
from starlette.requests import ClientDisconnect, Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.api.error_handlers import answer_unexpected
from app.api.metrics import UNMATCHED, Metrics
from app.tracing import Origin, Tracing, coming_from, valid_traceparent

log = structlog.get_logger()

CLIENT_GONE = 499
"""Logged and counted where the client went away before there was an answer; never sent."""

_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
_QUIET = frozenset({"/livez", "/readyz", "/metrics"})
"""Asked every few seconds by machines; logged at debug level while all is well."""


class Observe:
    """Middleware around everything else."""

    def __init__(self, app: ASGIApp, metrics: Metrics, tracing: Tracing) -> None:
        self._app = app
        self._metrics = metrics
        self._tracing = tracing

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request and tell of it. An exception after the answer has begun breaks it off."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request = Request(scope)
        request_id = _request_id(request)
        request.state.request_id = request_id
        structlog.contextvars.clear_contextvars()
        parent = valid_traceparent(request.headers.get("traceparent", ""))
        with self._tracing.span(scope["method"], "server", parent) as span:
            with coming_from(Origin(request_id, span.traceparent)):
                status = await self._serve(scope, receive, send, request)
            span.tell(
                f"{scope['method']} {_route(scope)}",
                http__request__method=scope["method"],
                http__route=_route(scope),
                http__response__status_code=status,
                facsimile__request_id=request_id,
                facsimile__tenant=scope.get("state", {}).get("tenant") or "",
            )
            if status >= 500:
                span.failed(str(status))

    async def _serve(self, scope: Scope, receive: Receive, send: Send, request: Request) -> int:
        """Serve one request; returns the status."""
        status = 0

        async def identified(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = MutableHeaders(scope=message)
                headers["X-Request-Id"] = request.state.request_id
                headers["X-Content-Type-Options"] = "nosniff"
            await send(message)

        began = time.perf_counter()
        try:
            await self._app(scope, receive, identified)
        except ClientDisconnect:
            status = status or CLIENT_GONE
        except Exception as exc:
            answer = answer_unexpected(request, exc)
            if status:
                raise  # too late for an answer: the server must not end the body as if it were whole
            await answer(scope, receive, identified)
        finally:
            self._tell(scope, status or CLIENT_GONE, time.perf_counter() - began)
        return status or CLIENT_GONE

    def _tell(self, scope: Scope, status: int, seconds: float) -> None:
        route, state = _route(scope), scope.get("state", {})
        self._metrics.count(scope["method"], route, status, seconds, state.get("error"))
        say = log.warning if status >= 500 else log.debug if route in _QUIET else log.info
        about = {name.removesuffix("_id"): value for name, value in scope.get("path_params", {}).items()}
        say(
            "request",
            method=scope["method"],
            route=route,
            status=status,
            ms=round(seconds * 1000, 1),
            tenant=state.get("tenant"),
            **{name: about[name] for name in ("dataset", "evaluation") if name in about},
        )


def _route(scope: Scope) -> str:
    return str(getattr(scope.get("route"), "path", UNMATCHED))


def _request_id(request: Request) -> str:
    """The caller's own id where it is a sensible one, else a new one."""
    said = request.headers.get("x-request-id", "")
    return said if _REQUEST_ID.fullmatch(said) else secrets.token_hex(16)
