"""Operations: liveness, readiness, figures, log lines, model cards, the page that documents."""

import json
import logging
import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import structlog
from fastapi import FastAPI
from fastapi.testclient import TestClient
from pydantic import SecretStr
from structlog.testing import capture_logs

from app.access import ApiKeys
from app.api.limits import RateLimit
from app.config import Settings
from app.dataset.model import ModelCard
from app.errors import QueueUnavailable, QuotaExceeded, StoreUnavailable
from app.figures import Figures
from app.jobs.catalogues.models import ModelCatalogue
from app.logs import configure_logging
from app.main import create_app


def test_alive_and_ready(anonymous: TestClient) -> None:
    assert anonymous.get("/livez").json() == {"status": "alive"}
    assert anonymous.get("/readyz").json() == {"status": "ready", "models": ["toy"]}


def test_ready_says_what_is_wrong(memory_store: Any, memory_queue: Any, settings: Settings) -> None:
    client = TestClient(create_app(settings, store=memory_store, queue=memory_queue))
    answer = client.get("/readyz")
    assert answer.status_code == 503
    assert "models: no worker has published a model yet" in answer.json()["detail"]
    memory_store.fault = lambda operation, key: StoreUnavailable("the object store does not answer")
    memory_queue.fault = lambda operation: QueueUnavailable("the queue does not answer")
    answer = client.get("/readyz")
    assert answer.json()["detail"].startswith(
        "store: the object store does not answer; queue: the queue does not answer; models: "
    )
    assert set(answer.json()) == {"error", "detail", "request_id"}
    assert "retry-after" in answer.headers
    assert client.get("/livez").status_code == 200


def test_the_bucket_is_made_when_the_store_comes_up(
    memory_store: Any, memory_queue: Any, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.main.BUCKET_RETRY_S", 0.01)
    tried: list[str] = []

    def fault(operation: str, key: str) -> StoreUnavailable | None:
        if operation != "ensure_bucket":
            return None
        tried.append(operation)
        return StoreUnavailable("the object store does not answer") if len(tried) < 3 else None

    memory_store.fault = fault
    with TestClient(create_app(settings, store=memory_store, queue=memory_queue)) as client:
        for _ in range(100):
            if len(tried) == 3:
                break
            assert client.get("/livez").status_code == 200
    assert len(tried) == 3


def metric(text: str, name: str) -> list[str]:
    return [line for line in text.splitlines() if re.match(rf"{name}[{{ ]", line)]


def test_metrics(client: TestClient, submit: Callable[..., str], anonymous: TestClient) -> None:
    dataset = submit()
    for _ in range(3):
        client.get(f"/v1/datasets/{dataset}")
    client.get("/v1/nothing/at/all")
    client.request("BREW", "/v1/elsewhere")
    answer = anonymous.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain")
    text = answer.text
    assert 'facsimile_http_requests_total{method="GET",route="/v1/datasets/{dataset_id}",status="200"} 3.0' in text
    assert 'facsimile_http_requests_total{method="GET",route="unmatched",status="404"} 1.0' in text
    assert 'method="OTHER"' in text
    assert dataset not in text
    assert metric(text, "facsimile_queue_depth") == [
        'facsimile_queue_depth{queue="previews"} 0.0',
        'facsimile_queue_depth{queue="control"} 1.0',
        'facsimile_queue_depth{queue="shards"} 0.0',
    ]
    assert metric(text, "facsimile_datasets_unfinished") == ['facsimile_datasets_unfinished{tenant="_all"} 1.0']
    assert metric(text, "facsimile_waiting_oldest_seconds") == [
        'facsimile_waiting_oldest_seconds{lane="control",tenant="_all"} 7.0'
    ]
    assert 'facsimile_refusals_total{error="NotFound"} 2.0' in text
    assert "acme" not in text
    assert 'facsimile_up{server="store"} 1.0' in text
    assert len(metric(text, "facsimile_info")) == 1


def test_metrics_are_there_when_nothing_else_is(anonymous: TestClient, memory_store: Any, memory_queue: Any) -> None:
    memory_store.fault = lambda operation, key: StoreUnavailable("the object store does not answer")
    memory_queue.fault = lambda operation: QueueUnavailable("the queue does not answer")
    text = anonymous.get("/metrics").text
    assert 'facsimile_up{server="store"} 0.0' in text
    assert 'facsimile_up{server="queue"} 0.0' in text
    assert metric(text, "facsimile_datasets_unfinished") == []


def test_with_a_token_metrics_name_tenants_and_are_read_by_nobody_else(
    memory_store: Any, memory_queue: Any, settings: Settings, toy_card: Any, clock: Any, body: dict[str, Any]
) -> None:
    ModelCatalogue(memory_store).publish([ModelCard.model_validate(toy_card)], "toy")
    told = settings.model_copy(update={"metrics_token": SecretStr("for prometheus")})
    client = TestClient(create_app(told, store=memory_store, queue=memory_queue, clock=clock))
    for number, tenant in enumerate(("acme", "acme", "rival")):
        key = {"Authorization": f"Bearer {ApiKeys(memory_store).issue(tenant, 'test')}"}
        assert client.post("/v1/datasets", json=body, headers=key).status_code == 202
        assert client.get("/metrics", headers=key).status_code == 401, number
    clock.now += 90
    assert client.get("/metrics").status_code == 401
    answer = client.get("/metrics", headers={"Authorization": "Bearer for prometheus"})
    assert answer.status_code == 200
    assert 'facsimile_datasets_unfinished{tenant="acme"} 2.0' in answer.text
    assert 'facsimile_datasets_oldest_unfinished_seconds{tenant="rival"} 90.0' in answer.text
    assert 'facsimile_waiting_tasks{lane="control",tenant="acme"} 2.0' in answer.text


def test_what_workers_count_is_told(anonymous: TestClient, memory_queue: Any) -> None:
    figures = Figures()
    for seconds in (0.2, 0.25, 4.0, 2_000.0):
        figures.observe("task_seconds", seconds, "generate_shard", "sdgan")
    figures.count("task_endings", "generate_shard", "done", by=4)
    figures.count("tenant_seconds", "acme", by=2_004.45)
    figures.store_call("put", 0.01, failed=True)
    memory_queue.note(figures.take())
    assert figures.take() == {}
    text = anonymous.get("/metrics").text
    bucket = 'facsimile_task_seconds_bucket{le="%s",model="sdgan",phase="generate_shard"} %s'
    for end, count in (("0.1", 0.0), ("0.25", 2.0), ("2.5", 2.0), ("5.0", 3.0), ("900.0", 3.0), ("+Inf", 4.0)):
        assert bucket % (end, count) in text
    assert 'facsimile_task_seconds_sum{model="sdgan",phase="generate_shard"} 2004.45' in text
    assert 'facsimile_task_endings_total{ending="done",phase="generate_shard"} 4.0' in text
    assert 'facsimile_store_failures_total{operation="put",side="worker"} 1.0' in text
    assert "acme" not in text


def test_one_log_line_a_request(client: TestClient, finished: str) -> None:
    key = client.headers["authorization"]
    with capture_logs(processors=[structlog.contextvars.merge_contextvars]) as lines:
        client.get(f"/v1/datasets/{finished}?secret=1", headers={"X-Request-Id": "r-1"})
        client.get("/livez")
    assert len(lines) == 2
    line = lines[0]
    assert line["ms"] >= 0
    told = ("event", "method", "route", "status", "tenant", "dataset", "request_id")
    assert {name: line[name] for name in told} == {
        "dataset": finished,
        "event": "request",
        "method": "GET",
        "route": "/v1/datasets/{dataset_id}",
        "status": 200,
        "tenant": "acme",
        "request_id": "r-1",
    }
    assert lines[1]["log_level"] == "debug"
    assert lines[1]["tenant"] is None
    assert key not in str(lines)


@pytest.fixture
def logging_put_back() -> Iterator[None]:
    root = logging.getLogger()
    before, ours = (root.handlers, root.level), structlog.get_config()
    yield
    root.handlers, root.level = before
    logging.getLogger("uvicorn.access").disabled = False
    structlog.configure(**ours)


def test_logs_are_json_lines_without_locals(capsys: pytest.CaptureFixture[str], logging_put_back: None) -> None:
    configure_logging("info")
    secret = "fcs_secret"
    structlog.get_logger().info("ours", number=1)
    logging.getLogger("uvicorn.error").warning("theirs %s", 2)
    try:
        raise ValueError("no")
    except ValueError:
        structlog.get_logger().error("crashed", exc_info=True)
    structlog.get_logger().debug("quiet")
    out = capsys.readouterr().out
    lines = [json.loads(line) for line in out.splitlines()]
    assert [(line["event"], line["level"]) for line in lines] == [
        ("ours", "info"),
        ("theirs 2", "warning"),
        ("crashed", "error"),
    ]
    assert "ValueError: no" in lines[2]["exception"]
    assert secret not in out


def test_models(client: TestClient, toy_card: dict[str, Any]) -> None:
    listed = client.get("/v1/models").json()
    assert listed["default"] == "toy"
    card = client.get("/v1/models/toy").json()
    assert listed["models"] == [card]
    assert client.get("/v1/models/default").json() == card
    assert re.fullmatch("[0-9a-f]{64}", card["digest"])
    assert card["further"] == toy_card["further"]
    assert card["latent"]["observation"] == {"pose": [0, 2], "illumination": [2, 5]}
    missing = client.get("/v1/models/other")
    assert missing.status_code == 404
    assert "there are toy" in missing.json()["detail"]


def test_without_a_model_is_503(memory_store: Any, client: TestClient, body: dict[str, Any]) -> None:
    memory_store.delete("default-model.json")
    for answer in (client.get("/v1/models"), client.post("/v1/datasets", json=body)):
        assert answer.status_code == 503
        assert answer.json()["error"] == "NoModel"
        assert "retry-after" in answer.headers


def test_the_documentation_needs_no_internet(anonymous: TestClient) -> None:
    page = anonymous.get("/docs")
    assert page.status_code == 200
    assert "script-src 'self'" in page.headers["content-security-policy"]
    assert "//" not in page.text.replace("<!doctype", "")
    for asset in re.findall(r'(?:src|href)="([^"]+)"', page.text):
        answer = anonymous.get(f"/{asset}")
        assert answer.status_code == 200
        assert len(answer.content) > 100
    assert anonymous.get("/docs/redoc.standalone.js").status_code == 404
    assert anonymous.get("/docs/..%2fconsts.py").status_code == 404


def test_counting_goes_on_without_the_queue_where_it_may(memory_queue: Any, clock: Any) -> None:
    limit = RateLimit(memory_queue, 2, clock)
    asked: list[str] = []

    def down(operation: str) -> QueueUnavailable:
        asked.append(operation)
        return QueueUnavailable("the queue does not answer")

    memory_queue.fault = down
    for _ in range(5):
        limit.check("acme", must_count=False)
    assert len(asked) == 1  # a queue that hangs does not make everybody wait
    with pytest.raises(QueueUnavailable):
        limit.check("acme", must_count=True)
    memory_queue.fault = lambda operation: None
    clock.now += 6
    limit.check("acme", must_count=False)
    limit.check("acme", must_count=True)
    with pytest.raises(QuotaExceeded) as refused:
        limit.check("acme", must_count=False)
    assert refused.value.retry_after_s == 60 - int(clock.now % 60)


def test_the_application_is_built_without_connecting(settings: Settings) -> None:
    app: FastAPI = create_app(settings)
    assert app.state.services.settings is settings
