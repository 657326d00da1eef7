"""The console over fakes: a browser that has signed in, and forms as its pages have them."""

import json
import re
from collections.abc import Callable
from hashlib import sha256
from typing import Any

import pytest
import structlog
from fastapi import FastAPI
from fastapi.testclient import TestClient

from app.access import ApiKeys
from app.config import Settings
from app.dataset.keys import EvaluationKeys
from app.dataset.model import ModelCard
from app.jobs.catalogues.models import ModelCatalogue
from app.main import create_app
from app.sessions import CSRF_HEADER

HOSTILE = '"><script>alert(1)</script>'


@pytest.fixture(scope="session", autouse=True)
def every_application(routes_read_once: None) -> None:
    """Is made quickly."""


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


@pytest.fixture
def released(finished: str, post: Callable[..., Any]) -> str:
    """Path of a release's page."""
    answer = post("/promote", dataset=finished, name="gate", version="1.0.0", notes=HOSTILE)
    assert answer.status_code == 303, answer.text
    return str(answer.headers["location"])


@pytest.fixture
def evaluated(browser: TestClient, released: str, post: Callable[..., Any], secret: str, memory_store: Any) -> str:
    """Path of a verdict's page, as a worker would have left it."""
    scores = b"reference,probe,score\n"
    upload = sha256(scores).hexdigest()
    sent = browser.put(f"/v1/uploads/{upload}", content=scores, headers={CSRF_HEADER: secret})
    assert sent.status_code == 201
    answer = post("/verdicts/new", set="gate@1.0.0", name=HOSTILE, scores=upload, at_fmr="0.01", max_fnmr="0.1")
    assert answer.status_code == 303, answer.text
    path = str(answer.headers["location"])
    at = EvaluationKeys("acme", path.rpartition("/")[2])
    memory_store.put(at.result, json.dumps(result()).encode())
    return path


def rate(value: float) -> dict[str, Any]:
    interval = {"low": value / 2, "high": min(1.0, value * 2), "confidence": 0.95, "method": "exact"}
    return {
        "name": "FNMR",
        "value": value,
        "errors": 3,
        "trials": 100,
        "failed": 0,
        "side": "score < threshold",
        "exact": interval,
        "by_subject": None,
    }


def scored(fnmr: float) -> dict[str, Any]:
    point = {"target_fmr": 0.01, "threshold": 0.5, "fmr": rate(0.01), "fnmr": rate(fnmr), "resolved": True}
    det = [
        {"target_fmr": f, "resolved": True, "fmr": f, "fnmr": n, "low": n / 2, "high": n * 1.5, "by_subject": True}
        for f, n in ((0.1, fnmr / 2), (0.01, fnmr))
    ]
    eer = {"value": 0.02, "threshold": 0.4, "mated": 100, "non_mated": 1000, "by_subject": None, "rounding": 0.0}
    return {
        "mated": 100,
        "non_mated": 1000,
        "mated_failed": 1,
        "non_mated_failed": 0,
        "subjects": 3,
        "points": [{**point, "generalised_fnmr": rate(fnmr)}],
        "eer": eer,
        "det": det,
        "exact": True,
    }


def result() -> dict[str, Any]:
    """What a worker finds, with every part that a page shows."""
    pair = {
        "reference": "S0000001_0000",
        "probe": "S0000001_0001",
        "reference_image": "x",
        "probe_image": "x",
        "score": 0.125,
        "baseline_score": 0.875,
    }
    subject = {"subject": "S0000001", "tried": 4, "missed": 2, "missed_before": 0, "worse": 2, "pairs": [pair]}
    return {
        "set": {
            "dataset": "ds",
            "release": "gate@1.0.0",
            "name": "gate 7",
            "comparisons": 12,
            "comparisons_sha256": None,
        },
        "rule": {"at_fmr": 0.01, "max_fnmr": 0.1},
        "scores": scored(0.2),
        "baseline": scored(0.1),
        "difference": {
            "increase": 0.1,
            "low": 0.05,
            "high": 0.15,
            "alpha": 0.01,
            "method": "by subject",
            "subjects_worse": 2,
            "subjects_better": 0,
            "same_scores": False,
        },
        "worse": {"pairs": 2, "pairs_better": 0, "subjects": 1, "listed": [subject]},
        "groups": [
            {
                "attribute": "sex",
                "group": "female",
                "subjects": 2,
                "fnmr": rate(0.3),
                "baseline_fnmr": rate(0.1),
                "subjects_worse": 1,
                "subjects_better": 0,
            }
        ],
        "limits": [
            {
                "limit": "max_fnmr",
                "allowed": "0.1",
                "verdict": "FAIL",
                "reason": "FNMR 20% is above 10%",
                "excess": 0.1,
                "low": 0.05,
                "high": 0.2,
                "subjects_to_settle": None,
            }
        ],
        "verdict": "FAIL",
        "reason": "FNMR 20% is above 10%",
        "notes": ["the set is small"],
    }
