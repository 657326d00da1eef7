"""Contact sheets while one waits."""

import threading
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from app.dataset import keys
from app.errors import QueueUnavailable, StoreUnavailable

PNG = b"\x89PNG a sheet"


def make_at_once(store: Any, queue: Any, after_s: float = 0.0) -> None:
    """Be the worker: store the sheet, now or later."""

    def work(tenant: str, digest: str) -> None:
        threading.Timer(after_s, store.put, [keys.preview(tenant, digest), PNG]).start()

    queue.on_preview = work


def test_made_in_time(client: TestClient, memory_store: Any, memory_queue: Any) -> None:
    make_at_once(memory_store, memory_queue, 0.05)
    answer = client.post("/v1/previews", json={"subjects": 2, "samples_per_subject": 3})
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "image/png"
    assert answer.content == PNG
    assert answer.headers["location"] == f"/v1/previews/{answer.headers['x-preview-id']}"
    assert client.get(answer.headers["location"]).content == PNG


def test_not_made_in_time(client: TestClient, memory_store: Any, memory_queue: Any) -> None:
    answer = client.post("/v1/previews", json={})
    assert answer.status_code == 202
    preview = answer.json()["id"]
    assert answer.json() == {"id": preview, "state": "pending"}
    assert answer.headers["location"] == f"/v1/previews/{preview}"
    assert int(answer.headers["retry-after"]) >= 1
    assert client.get(f"/v1/previews/{preview}").status_code == 404
    memory_store.put(keys.preview("acme", preview), PNG)
    assert client.get(f"/v1/previews/{preview}").content == PNG
    assert client.post("/v1/previews", json={}).status_code == 200
    assert len(memory_queue.previews) == 1


def test_the_same_request_is_the_same_preview(client: TestClient) -> None:
    first, same, other = (
        client.post("/v1/previews", json=body).json()["id"]
        for body in ({}, {"variability": {"scale": 1}}, {"variability": {"scale": 2}})
    )
    assert first == same != other


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ({"subjects": 9}, "subjects: a preview shows at most 8"),
        ({"samples_per_subject": 9}, "samples_per_subject: a preview shows at most 8"),
        ({"subjects": 0}, "subjects: must be greater"),
        ({"name": "x"}, "name: is not a field"),
        ({"model": "other"}, "model: there is no model"),
        ({"variability": {"factors": {"smile": 1}}}, "variability.factors.smile: "),
    ],
)
def test_refused(client: TestClient, memory_queue: Any, body: dict[str, Any], says: str) -> None:
    answer = client.post("/v1/previews", json=body)
    assert answer.status_code == 422
    assert says in answer.json()["detail"]
    assert memory_queue.previews == []


def test_unavailable(client: TestClient, memory_store: Any, memory_queue: Any) -> None:
    memory_queue.fault = lambda operation: (
        QueueUnavailable("the queue does not answer") if operation == "enqueue" else None
    )
    answer = client.post("/v1/previews", json={})
    assert (answer.status_code, answer.json()["error"]) == (503, "QueueUnavailable")
    assert "retry-after" in answer.headers
    memory_store.fault = lambda operation, key: StoreUnavailable("the object store does not answer")
    assert client.get("/v1/previews/" + "a" * 64).json()["error"] == "StoreUnavailable"


def test_waiting_ends_when_the_service_does(api: FastAPI, client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.api.previews.LOOK_EVERY_S", 30.0)  # one look more would take so long
    api.state.services.closing.set()
    assert client.post("/v1/previews", json={}).elapsed.total_seconds() < 15


def test_who_goes_away_takes_it_back(client: TestClient, memory_queue: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    async def gone(request: Any) -> bool:
        return True

    monkeypatch.setattr("starlette.requests.Request.is_disconnected", gone)
    assert client.post("/v1/previews", json={"row": 1}).status_code == 202
    assert memory_queue.previews == []


def test_who_goes_on_waiting_asks_again_for_what_another_took_back(
    client: TestClient, memory_store: Any, memory_queue: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.api.previews.ASK_EVERY_S", 0.05)
    asked = 0

    def lost_at_first(tenant: str, digest: str) -> None:
        nonlocal asked
        asked += 1
        if asked == 1:
            memory_queue.previews.clear()
        else:
            memory_store.put(keys.preview(tenant, digest), PNG)

    memory_queue.on_preview = lost_at_first
    assert client.post("/v1/previews", json={}).content == PNG
    assert asked == 2


def test_asked_again_nothing_is_queued_and_only_so_many_may_wait(client: TestClient, memory_queue: Any) -> None:
    for _ in range(3):
        assert client.post("/v1/previews", json={"seed": 1}).status_code == 202
    assert len(memory_queue.previews) == 1
    memory_queue.previews = [("acme", str(number), "{}") for number in range(16)]
    refused = client.post("/v1/previews", json={"seed": 2})
    assert (refused.status_code, refused.json()["error"]) == (429, "QuotaExceeded")
