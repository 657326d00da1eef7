"""Where work comes from: kept with tasks and log lines; spans that a collector really receives."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from types import SimpleNamespace
from typing import Any

import pytest
import structlog
from fastapi.testclient import TestClient
from structlog.testing import capture_logs

from app.access import ApiKeys
from app.config import Settings
from app.dataset.model import ModelCard
from app.errors import Misconfigured
from app.figures import Figures
from app.jobs.catalogues.models import ModelCatalogue
from app.main import create_app
from app.queue import ADVANCE, Task
from app.tracing import Origin, Tracing, coming_from, origin, start_tracing, valid_traceparent

PARENT = "00-" + "ab" * 16 + "-" + "cd" * 8 + "-01"


def test_only_what_is_a_traceparent_is_taken_for_one() -> None:
    assert valid_traceparent(PARENT) == PARENT
    for wrong in ("", "00-" + "0" * 32 + "-" + "cd" * 8 + "-01", PARENT + "\n", PARENT.upper(), "x" * 55):
        assert valid_traceparent(wrong) == ""


def test_log_lines_tell_where_work_comes_from() -> None:
    log = structlog.get_logger()
    with capture_logs(processors=[structlog.contextvars.merge_contextvars]) as lines:
        with coming_from(Origin("r-1", PARENT), tenant="acme", dataset="ds_1"):
            assert origin() == Origin("r-1", PARENT)
            log.info("inside")
        log.info("outside")
    assert lines[0] == {
        "event": "inside",
        "log_level": "info",
        "request_id": "r-1",
        "trace_id": "ab" * 16,
        "tenant": "acme",
        "dataset": "ds_1",
    }
    assert set(lines[1]) == {"event", "log_level"}
    assert origin() == Origin()


def test_without_an_endpoint_no_span_is_made() -> None:
    tracing = start_tracing("facsimile-api", {})
    with tracing.span("x", "server", PARENT) as span:
        assert span.traceparent == PARENT
    tracing.shut_down()
    disabled = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1", "OTEL_SDK_DISABLED": "true"}
    assert vars(start_tracing("facsimile-api", disabled))["_tracer"] is None


def test_an_endpoint_without_the_extra_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "opentelemetry.sdk.trace", None)
    with pytest.raises(Misconfigured, match=r"facsimile-faces\[tracing\]"):
        start_tracing("facsimile-api", {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1"})


@pytest.fixture
def collector(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Any]]:
    """A server that takes spans as OpenTelemetry's collector does; (service, span) of each."""
    pytest.importorskip("opentelemetry.exporter.otlp.proto.http")
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

    spans: list[Any] = []

    class Collector(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
                service = {item.key: item.value.string_value for item in resource.resource.attributes}["service.name"]
                spans.extend((service, span) for scope in resource.scope_spans for span in scope.spans)
            self.send_response(200)
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:
            """Quietly."""

    server = HTTPServer(("127.0.0.1", 0), Collector)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{server.server_port}")
    yield spans
    server.shutdown()
    server.server_close()


class Forwarding:
    """A queue that keeps where tasks come from, as the real one does."""

    def __init__(self, queue: Any) -> None:
        self._queue = queue
        self.tasks: list[Task] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._queue, name)

    def enqueue(self, task: Task) -> bool:
        self.tasks.append(Task(task.kind, task.tenant, task.subject, task.part, task.origin or origin(), 1.5))
        return bool(self._queue.enqueue(task))


def test_one_trace_leads_from_the_request_to_the_worker(
    collector: list[Any], memory_store: Any, memory_queue: Any, toy_card: Any
) -> None:
    at_work = pytest.importorskip("workers.at_work")
    settings = Settings.model_validate({"environment": "development"})
    ModelCatalogue(memory_store).publish([ModelCard.model_validate(toy_card)], "toy")
    queue = Forwarding(memory_queue)
    api = create_app(settings, store=memory_store, queue=queue)  # type: ignore[arg-type]
    key = ApiKeys(memory_store).issue("acme", "test")
    headers = {"Authorization": f"Bearer {key}", "X-Request-Id": "r-1", "traceparent": PARENT}
    body = {"name": "set", "subjects": 2, "samples_per_subject": 2, "seed": 7}
    with TestClient(api, headers=headers) as client:
        assert client.post("/v1/datasets", json=body).status_code == 202
    (task,) = queue.tasks
    assert task.kind == ADVANCE
    assert task.origin is not None
    assert task.origin.request == "r-1"
    tracing = start_tracing("facsimile-worker")
    resources = SimpleNamespace(queue=queue, settings=settings, tracing=tracing, figures=Figures())
    with at_work.working_on(resources, task) as noted, capture_logs() as lines:
        noted.model = "toy"
        assert origin() == task.origin
        structlog.get_logger().info("at work")
    tracing.shut_down()
    assert lines
    found = {(service, span.name): span for service, span in collector}
    served = found["facsimile-api", "POST /v1/datasets"]
    worked = found["facsimile-worker", "advance_dataset"]
    waited = found["facsimile-worker", "wait for a worker"]
    assert {span.trace_id.hex() for span in (served, worked, waited)} == {"ab" * 16}
    assert served.parent_span_id.hex() == "cd" * 8
    assert worked.parent_span_id == served.span_id
    assert waited.parent_span_id == worked.span_id
    assert waited.end_time_unix_nano - waited.start_time_unix_nano == 1_500_000_000
    attributes = {item.key: item.value for item in worked.attributes}
    assert attributes["facsimile.tenant"].string_value == "acme"
    assert attributes["facsimile.model"].string_value == "toy"
    assert {item.key for item in served.attributes} >= {"http.route", "http.response.status_code"}
    assert any('"wait_seconds_sum"' in name for name in memory_queue.counts)


def test_what_has_no_origin_has_a_trace_of_its_own(collector: list[Any]) -> None:
    tracing: Tracing = start_tracing("facsimile-worker")
    with tracing.span("one", "consumer", "") as one:
        pass
    with tracing.span("two", "consumer", "") as two:
        two.failed("refused")
    tracing.shut_down()
    assert valid_traceparent(one.traceparent)
    assert one.traceparent.split("-")[1] != two.traceparent.split("-")[1]
    assert {span.name: span.status.code for _, span in collector} == {"one": 0, "two": 2}
