"""When the store or the queue fails: 503, and nothing half-accepted, whichever write it is that fails."""

from collections.abc import Callable
from typing import Any

import pytest
from fastapi.testclient import TestClient

from app.config import LimitSettings
from app.dataset import keys
from app.errors import QueueUnavailable, StoreUnavailable
from app.jobs.reconcile import HALF_ACCEPTED_S, reconcile
from app.jobs.uploads import UploadService

STORE_DOWN = "the object store does not answer"


def failing(number: int, *, for_good: bool) -> tuple[Callable[[str, str], StoreUnavailable | None], list[str]]:
    """A store that fails at its `number`-th operation, only there or from there on; and what it was asked."""
    asked: list[str] = []

    def fault(operation: str, key: str) -> StoreUnavailable | None:
        asked.append(f"{operation} {key}")
        hit = len(asked) >= number if for_good else len(asked) == number
        return StoreUnavailable(STORE_DOWN) if hit else None

    return fault, asked


def assert_nothing_is_accepted(client: TestClient, store: Any, queue: Any) -> None:
    assert client.get("/v1/datasets").json()["datasets"] == []
    queue.wipe()
    reconcile(store, queue, UploadService(store, LimitSettings()), lambda: store.now + HALF_ACCEPTED_S + 1)
    assert queue.sent == []
    left = [key for key in store.objects if "/datasets/" in key or key.startswith(keys.UNFINISHED)]
    assert left == []


@pytest.mark.parametrize("key", [None, "mine"])
@pytest.mark.parametrize("for_good", [False, True])
def test_the_store_fails_at_each_step_of_a_submission(
    client: TestClient,
    memory_store: Any,
    memory_queue: Any,
    clock: Any,
    body: dict[str, Any],
    key: str | None,
    for_good: bool,
) -> None:
    headers = {} if key is None else {"Idempotency-Key": key}
    for number in range(1, 100):
        memory_store.fault, asked = failing(number, for_good=for_good)
        answer = client.post("/v1/datasets", json=body, headers=headers)
        failed = len(asked) >= number
        memory_store.fault = lambda operation, name: None
        if not failed:
            break
        assert answer.status_code == 503, asked
        assert answer.json()["detail"] == STORE_DOWN
        assert answer.json()["error"] == "StoreUnavailable"
        assert "retry-after" in answer.headers
        assert_nothing_is_accepted(client, memory_store, memory_queue)
        # Each round begins where no memory of the last one helps; a reservation left behind has run out.
        client.app.state.services.models._remembered = None  # type: ignore[attr-defined]
        client.app.state.services.api_keys._known.clear()  # type: ignore[attr-defined]
        clock.now += 1000
    assert number > 5
    assert answer.status_code == 202
    assert len(client.get("/v1/datasets").json()["datasets"]) == 1
    # And the same request again, now that all is well, makes no second one.
    if key is not None:
        assert client.post("/v1/datasets", json=body, headers=headers).json() == answer.json()


@pytest.mark.parametrize("key", [None, "mine"])
@pytest.mark.parametrize("operation", ["allow", "ping", "enqueue"])
def test_the_queue_fails_at_each_step_of_a_submission(
    client: TestClient,
    memory_store: Any,
    memory_queue: Any,
    body: dict[str, Any],
    operation: str,
    key: str | None,
) -> None:
    headers = {} if key is None else {"Idempotency-Key": key}
    memory_queue.fault = lambda asked: QueueUnavailable("the queue does not answer") if asked == operation else None
    answer = client.post("/v1/datasets", json=body, headers=headers)
    assert answer.status_code == 503
    assert answer.json()["error"] == "QueueUnavailable"
    assert "retry-after" in answer.headers
    # Looking needs no queue.
    assert client.get("/v1/datasets").status_code == 200
    memory_queue.fault = lambda asked: None
    assert_nothing_is_accepted(client, memory_store, memory_queue)
    assert client.post("/v1/datasets", json=body, headers=headers).status_code == 202


def test_with_the_queue_down_what_is_there_can_be_read(client: TestClient, finished: str, memory_queue: Any) -> None:
    memory_queue.fault = lambda operation: QueueUnavailable("the queue does not answer")
    for path in ("", "/manifest", "/archive", "/samples/S0000000_0000", "/events"):
        assert client.get(f"/v1/datasets/{finished}{path}").status_code == 200
    assert client.post(f"/v1/datasets/{finished}/cancel").status_code == 503
    assert client.delete(f"/v1/datasets/{finished}").status_code == 204


@pytest.mark.parametrize("for_good", [False, True])
def test_a_deletion_that_breaks_off_leaves_nothing_for_ever(
    client: TestClient,
    submit: Callable[..., str],
    finish: Callable[[str], None],
    memory_store: Any,
    memory_queue: Any,
    for_good: bool,
) -> None:
    for number in range(1, 100):
        dataset = submit()
        finish(dataset)
        memory_queue.wipe()
        # The key is known already, so every operation is the deletion's own.
        memory_store.fault, asked = failing(number, for_good=for_good)
        answer = client.delete(f"/v1/datasets/{dataset}")
        failed = len(asked) >= number
        memory_store.fault = lambda operation, name: None
        if not failed:
            break
        assert answer.status_code == 503
        again = client.delete(f"/v1/datasets/{dataset}")
        assert again.status_code in (204, 404)
        reconcile(
            memory_store,
            memory_queue,
            UploadService(memory_store, LimitSettings()),
            lambda: memory_store.now + HALF_ACCEPTED_S + 1,
        )
        assert [key for key in memory_store.objects if dataset in key] == []
    assert number > 5
    assert answer.status_code == 204


def test_every_read_answers_503_when_the_store_is_down(client: TestClient, finished: str, memory_store: Any) -> None:
    assert client.get("/v1/models").status_code == 200
    memory_store.fault = lambda operation, key: StoreUnavailable(STORE_DOWN)
    here = f"/v1/datasets/{finished}"
    for method, path in (
        ("GET", "/v1/datasets"),
        ("GET", here),
        ("DELETE", here),
        ("POST", f"{here}/cancel"),
        ("GET", f"{here}/events"),
        ("GET", f"{here}/manifest"),
        ("GET", f"{here}/archive"),
        ("HEAD", f"{here}/archive"),
        ("GET", f"{here}/parts"),
        ("GET", f"{here}/samples/S0000000_0000"),
    ):
        answer = client.request(method, path)
        assert answer.status_code == 503, path
        assert answer.headers["retry-after"] == "5"
