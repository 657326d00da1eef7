"""The console over fakes: a browser that has signed in, and forms as its pages have them."""

import re
from collections.abc import Callable
from typing import Any

import pytest
import structlog
from fastapi import FastAPI
from fastapi.testclient import TestClient

from app.access import ApiKeys
from app.config import Settings
from app.dataset.model import ModelCard
from app.jobs.catalogues.models import ModelCatalogue
from app.main import create_app


@pytest.fixture(scope="session", autouse=True)
def plain_tracebacks() -> None:
    """structlog's coloured ones take seconds each, and hours to read."""
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.dev.ConsoleRenderer(colors=False, exception_formatter=structlog.dev.plain_traceback),
        ]
    )


@pytest.fixture
def api(memory_store: Any, memory_queue: Any, clock: Any, toy_card: Any) -> FastAPI:
    ModelCatalogue(memory_store).publish([ModelCard.model_validate(toy_card)], "toy")
    settings = Settings.model_validate(
        {"environment": "development", "shard_size": 4, "limits": {"preview_wait_s": 0.3}}
    )
    return create_app(settings, store=memory_store, queue=memory_queue, clock=clock)


@pytest.fixture
def key(memory_store: Any) -> str:
    """An API key of tenant acme."""
    return ApiKeys(memory_store).issue("acme", "test")


@pytest.fixture
def anonymous(api: FastAPI) -> TestClient:
    """A browser that has not signed in."""
    return TestClient(api, follow_redirects=False)


@pytest.fixture
def browser(api: FastAPI, key: str) -> TestClient:
    """A browser that has signed in."""
    client = TestClient(api, follow_redirects=False)
    assert client.post("/signin", data={"key": key}).status_code == 303
    return client


@pytest.fixture
def secret(browser: TestClient) -> str:
    """The session's secret, as its pages have it."""
    found = re.search(r'<meta name="csrf" content="([0-9a-f]{32})">', browser.get("/datasets").text)
    assert found
    return found[1]


@pytest.fixture
def post(browser: TestClient, secret: str) -> Callable[..., Any]:
    """Posts a form as a page of the console would."""

    def send(path: str, **fields: str) -> Any:
        return browser.post(path, data={"csrf": secret, **fields})

    return send


@pytest.fixture
def ask(browser: TestClient, post: Callable[..., Any]) -> Callable[..., str]:
    """Asks for a dataset of 3 subjects × 2 samples and a distractor; returns its id."""

    def send(**fields: str) -> str:
        form = {"name": "gate 7", "subjects": "3", "samples_per_subject": "2", "distractors": "1", "seed": "7"}
        answer = post("/new", **form | fields)
        assert answer.status_code == 303, answer.text
        return str(answer.headers["location"].rpartition("/")[2])

    return send


@pytest.fixture
def finished(ask: Callable[..., str], memory_store: Any, finish_any: Callable[..., None]) -> str:
    """Id of a dataset that has succeeded."""
    dataset = ask()
    finish_any(memory_store, "acme", dataset)
    return dataset
