"""Where work comes from: the request that began it, kept with every task and log line; and OpenTelemetry's spans.

Spans are made where the extra `tracing` is installed and OTEL_EXPORTER_OTLP_ENDPOINT (or …_TRACES_ENDPOINT) is set;
the SDK's other OTEL_* variables hold, too. Else nothing is made, and a caller's `traceparent` is passed on as it is.
"""

import os
import re
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Literal, NamedTuple

import structlog

from app.errors import Misconfigured

ENDPOINTS = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")

_TRACEPARENT = re.compile(r"00-([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}")
_NOWHERE = "0" * 32


class Origin(NamedTuple):
    """The request that work comes from."""

    request: str = ""
    """Its id; "" where it is none's: work that the clock began, say."""
    traceparent: str = ""
    """Its span, as W3C Trace Context writes it; "" where there is none."""


_origin: ContextVar[Origin] = ContextVar("origin", default=Origin())  # noqa: B039  (it cannot be changed)


def origin() -> Origin:
    """Where what is being done comes from."""
    return _origin.get()


@contextmanager
def coming_from(found: Origin, **known: str) -> Iterator[None]:
    """Say for a while where what is done comes from; log lines tell it, and what else is `known`."""
    token = _origin.set(found)
    told = {"request_id": found.request, "trace_id": trace_id_of(found.traceparent), **known}
    try:
        with structlog.contextvars.bound_contextvars(**{name: value for name, value in told.items() if value}):
            yield
    finally:
        _origin.reset(token)


def valid_traceparent(said: str) -> str:
    """A `traceparent` as it was sent, or "" where it is none."""
    found = _TRACEPARENT.fullmatch(said)
    return said if found and found[1] != _NOWHERE else ""


def trace_id_of(traceparent: str) -> str:
    """The trace's id in a `traceparent`; "" where there is none."""
    return traceparent.split("-")[1] if traceparent else ""


class Span:
    """A span, or nothing where no spans are made."""

    def __init__(self, made: Any | None, traceparent: str) -> None:
        self._made = made
        self.traceparent = traceparent
        """By which what comes of it names it as its parent."""

    def tell(self, name: str | None = None, /, **attributes: str | float) -> None:
        """Give it another name, and attributes; `__` in their names stands for a dot."""
        if self._made is not None:
            if name:
                self._made.update_name(name)
            for key, value in attributes.items():
                self._made.set_attribute(key.replace("__", "."), value)

    def failed(self, text: str) -> None:
        """Mark it as failed."""
        if self._made is not None:
            from opentelemetry.trace import StatusCode

            self._made.set_status(StatusCode.ERROR, text)


class Tracing:
    """Makes spans, or none."""

    def __init__(self, tracer: Any | None = None, shut_down: Callable[[], None] = lambda: None) -> None:
        """`tracer` is OpenTelemetry's; None makes no spans."""
        self._tracer = tracer
        self.shut_down = shut_down
        """Sends what has not been sent."""

    @contextmanager
    def span(
        self, name: str, kind: Literal["server", "consumer", "internal"], parent: str, **attributes: str | float
    ) -> Iterator[Span]:
        """A span around what is done; `parent` is a `traceparent`, or "" for a trace of its own."""
        if self._tracer is None:
            yield Span(None, parent)
            return
        from opentelemetry.trace import SpanKind

        with self._tracer.start_as_current_span(name, context=_context(parent), kind=SpanKind[kind.upper()]) as made:
            at = made.get_span_context()
            span = Span(made, f"00-{at.trace_id:032x}-{at.span_id:016x}-{int(at.trace_flags):02x}")
            span.tell(None, **attributes)
            yield span

    def past(self, name: str, parent: str, seconds: float) -> None:
        """A span of something that took so long and ends now."""
        if self._tracer is not None:
            now = time.time_ns()
            start = now - round(seconds * 1e9)
            self._tracer.start_span(name, context=_context(parent), start_time=start).end(now)


def _context(parent: str) -> Any:
    from opentelemetry.context import Context
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

    return TraceContextTextMapPropagator().extract({"traceparent": parent} if parent else {}, context=Context())


def start_tracing(service: str, environ: Mapping[str, str] = os.environ) -> Tracing:
    """Begin to make spans where the environment says where to send them; call it in the process that makes them.

    Its threads do not survive a fork. Raises Misconfigured where the extra is not installed.
    """
    if not any(environ.get(name) for name in ENDPOINTS) or environ.get("OTEL_SDK_DISABLED", "").lower() == "true":
        return Tracing()
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ImportError as exc:
        raise Misconfigured(
            f"{ENDPOINTS[0]} is set and OpenTelemetry is not installed; install 'facsimile-faces[tracing]', or unset it"
        ) from exc
    named = environ.get("OTEL_SERVICE_NAME", service)
    provider = TracerProvider(resource=Resource.create({"service.name": named, "service.namespace": "facsimile"}))
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    return Tracing(provider.get_tracer("facsimile"), provider.shutdown)
