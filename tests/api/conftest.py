"""The application over fakes, a client with a key, and datasets at their various ends."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
import structlog
from fastapi import FastAPI
from fastapi.testclient import TestClient

from app.access import ApiKeys
from app.client import connect
from app.config import Settings
from app.dataset import keys
from app.dataset.model import ModelCard
from app.figures import Figures
from app.jobs.catalogues.models import ModelCatalogue
from app.main import create_app
from app.queue import EVALUATE
from app.storage import ObjectStore
from app.tracing import Tracing
from workers.attempt import attempt_evaluation
from workers.verdict.job import evaluate_stored

BODY: dict[str, Any] = {"name": "gate 7", "subjects": 3, "samples_per_subject": 2, "distractors": 1, "seed": 7}


@pytest.fixture(scope="session", autouse=True)
def every_application(routes_read_once: None) -> None:
    """Is made quickly."""


@pytest.fixture(scope="session", autouse=True)
def plain_tracebacks() -> None:
    """structlog's coloured ones take seconds each, and hours to read."""
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.dev.ConsoleRenderer(colors=False, exception_formatter=structlog.dev.plain_traceback),
        ]
    )


@pytest.fixture
def settings() -> Settings:
    return Settings.model_validate(
        {
            "environment": "development",
            "shard_size": 4,
            "limits": {"preview_wait_s": 0.3, "unfinished_datasets_per_tenant": 50, "body_bytes": 20_000},
        }
    )


@pytest.fixture
def api(memory_store: Any, memory_queue: Any, settings: Settings, clock: Any, toy_card: Any) -> FastAPI:
    ModelCatalogue(memory_store).publish([ModelCard.model_validate(toy_card)], "toy")
    return create_app(settings, store=memory_store, queue=memory_queue, clock=clock)


def _client(api: FastAPI, store: ObjectStore, tenant: str) -> TestClient:
    key = ApiKeys(store).issue(tenant, "test")
    return TestClient(api, headers={"Authorization": f"Bearer {key}"}, raise_server_exceptions=True)


@pytest.fixture
def client(api: FastAPI, memory_store: Any) -> TestClient:
    """Has a key of tenant acme."""
    return _client(api, memory_store, "acme")


@pytest.fixture
def stranger(api: FastAPI, memory_store: Any) -> TestClient:
    """Has a key of another tenant."""
    return _client(api, memory_store, "rival")


@pytest.fixture
def anonymous(api: FastAPI) -> Iterator[TestClient]:
    """Has no key; its application runs through its lifespan."""
    with TestClient(api) as client:
        yield client


@pytest.fixture
def body() -> dict[str, Any]:
    """A request for 7 samples in 2 shards."""
    return dict(BODY)


@pytest.fixture
def submit(client: TestClient) -> Callable[..., str]:
    """Submits a dataset and returns its id."""

    def post(**fields: Any) -> str:
        answer = client.post("/v1/datasets", json=BODY | fields)
        assert answer.status_code == 202, answer.text
        return str(answer.json()["id"])

    return post


@pytest.fixture
def finish(memory_store: Any, finish_any: Callable[..., None]) -> Callable[[str], None]:
    """Does what workers do, with texts for images."""
    return lambda dataset: finish_any(memory_store, "acme", dataset)


@pytest.fixture
def finished(submit: Callable[..., str], finish: Callable[[str], None]) -> str:
    """Id of a dataset that has succeeded."""
    dataset = submit()
    finish(dataset)
    return dataset


@pytest.fixture
def kept(memory_store: Any) -> Callable[[], dict[str, bytes]]:
    """What the store holds, but for when a key was last used, which every request may note."""
    return lambda: {key: data for key, data in memory_store.objects.items() if not key.startswith(keys.API_KEYS_USED)}


class EvaluationWorker:
    """What a worker's Resources offer here."""

    def __init__(self, store: Any, queue: Any, settings: Settings) -> None:
        self.store, self.queue, self.settings = store, queue, settings
        self.figures, self.tracing = Figures(), Tracing()

    def work(self) -> int:
        """Do all evaluations that are on their way; returns how many that was."""
        tasks = [task for task in self.queue.sent if task.kind == EVALUATE]
        for task in tasks:
            self.queue.sent.remove(task)
            attempt_evaluation(self, task, evaluate_stored)  # type: ignore[arg-type]
        return len(tasks)


@pytest.fixture
def worker(memory_store: Any, memory_queue: Any, settings: Settings) -> EvaluationWorker:
    """Makes evaluations as workers do, when it is told to."""
    return EvaluationWorker(memory_store, memory_queue, settings)


@pytest.fixture
def there(client: TestClient, worker: EvaluationWorker, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Options by which a command asks this API; while it waits, the worker works."""

    def answer(request: httpx.Request) -> httpx.Response:
        got = client.request(
            request.method, request.url.raw_path.decode(), content=request.read(), headers=dict(request.headers)
        )
        return httpx.Response(got.status_code, headers=dict(got.headers), content=got.content)

    monkeypatch.setattr(connect, "TRANSPORT", httpx.MockTransport(answer))
    monkeypatch.setattr("time.sleep", lambda seconds: worker.work())
    return ["--remote", "--url", "http://testserver", "--key", client.headers["authorization"][7:]]


@pytest.fixture
def printed(capsys: pytest.CaptureFixture[str]) -> Callable[[], Any]:
    """Reads what a command printed as JSON; the service of this process logs before it."""

    def read() -> Any:
        text = capsys.readouterr().out
        return json.loads(text[text.index('{\n  "schema_version"') :])

    return read
