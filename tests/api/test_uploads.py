"""Uploads: bytes called by their digest; whole or not there at all."""

import hashlib
import io
from collections.abc import Iterator
from typing import Any

import anyio
import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from app.api.patience import Pace
from app.config import LimitSettings
from app.dataset import keys
from app.errors import QuotaExceeded, StoreUnavailable, TooSlow
from app.jobs.uploads import UploadService

DATA = b"reference,probe,score\n" * 10_000
ID = hashlib.sha256(DATA).hexdigest()
PATH = f"/v1/uploads/{ID}"


def test_a_file_longer_than_any_other_body(client: TestClient, stranger: TestClient, memory_store: Any) -> None:
    assert client.get(PATH).status_code == 404
    answer = client.put(PATH, content=(DATA[at : at + 999] for at in range(0, len(DATA), 999)))
    assert answer.status_code == 201, answer.text
    assert answer.json()["size"] == len(DATA) > 20_000
    assert client.get(PATH).json() == answer.json()
    assert client.put(PATH, content=DATA).status_code == 200
    stored = [key for key in memory_store.objects if "/data-" in key]
    assert [memory_store.objects[key] for key in stored] == [DATA]
    assert stranger.get(PATH).status_code == 404
    assert stranger.delete(PATH).status_code == 404
    assert client.delete(PATH).status_code == 204
    assert not [key for key in memory_store.objects if key.startswith(keys.UPLOADS)]


def test_other_bytes_than_the_path_says_leave_nothing(client: TestClient, memory_store: Any) -> None:
    answer = client.put(PATH, content=DATA + b"x")
    assert (answer.status_code, answer.json()["error"]) == (422, "RequestRefused")
    assert hashlib.sha256(DATA + b"x").hexdigest() in answer.json()["detail"]
    assert not [key for key in memory_store.objects if key.startswith(keys.UPLOADS)]


@pytest.mark.parametrize("wrong", ["0" * 63, "G" * 64, "%2e%2e", ID.upper()])
def test_what_is_no_digest_is_not_there(wrong: str, client: TestClient) -> None:
    assert client.put(f"/v1/uploads/{wrong}", content=b"").status_code == 404


def test_compressed_bytes_are_not_taken_for_the_file(client: TestClient) -> None:
    assert client.put(PATH, content=DATA, headers={"Content-Encoding": "gzip"}).status_code == 415


def test_too_long_and_too_many(api: FastAPI, client: TestClient, memory_store: Any) -> None:
    services = api.state.services
    tight = UploadService(memory_store, LimitSettings(uploads_per_tenant=1, uploads_at_once=1))
    object.__setattr__(services, "uploads", tight)
    assert client.put(PATH, content=DATA).status_code == 201
    other = hashlib.sha256(b"other").hexdigest()
    assert client.put(f"/v1/uploads/{other}", content=b"other").json()["error"] == "QuotaExceeded"
    with tight._under_way.taken("rival"):
        answer = client.put(f"/v1/uploads/{other}", content=b"other")
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")


def test_beyond_the_limit_is_413_said_or_not(memory_store: Any, memory_queue: Any, toy_card: Any) -> None:
    from app.access import ApiKeys
    from app.config import Settings
    from app.main import create_app

    settings = Settings.model_validate({"environment": "development", "limits": {"upload_bytes": 1_000}})
    key = ApiKeys(memory_store).issue("acme", "test")
    client = TestClient(
        create_app(settings, store=memory_store, queue=memory_queue), headers={"Authorization": f"Bearer {key}"}
    )

    def unsaid() -> Iterator[bytes]:
        yield DATA

    assert client.put(PATH, content=DATA).status_code == 413
    assert client.put(PATH, content=unsaid()).status_code == 413
    assert not [name for name in memory_store.objects if name.startswith(keys.UPLOADS)]


def test_a_store_that_fails_midway_leaves_no_upload(client: TestClient, memory_store: Any) -> None:
    memory_store.fault = lambda operation, key: (
        StoreUnavailable("the store is down") if operation == "put" and "/data-" in key else None
    )
    assert client.put(PATH, content=DATA).status_code == 503
    memory_store.fault = lambda operation, key: None
    assert client.get(PATH).status_code == 404
    assert client.put(PATH, content=DATA).status_code == 201


def test_nobody_comes_between_a_removal_and_an_evaluation(memory_store: Any) -> None:
    """Held while it is being removed, it stays; held after its record went, it is not there."""
    import io

    uploads = UploadService(memory_store, LimitSettings())
    uploads.put("acme", ID, io.BytesIO(DATA))
    data = uploads.hold("acme", ID, "ev_1")
    uploads.hold("acme", ID, "ev_2")
    uploads.let_go("acme", ID, "ev_1", keep=False)
    assert memory_store.objects[data] == DATA
    assert uploads.get("acme", ID).size == len(DATA)
    # A worker dies between taking the record away and putting it back: what was accepted has its bytes still.
    memory_store.delete(keys.UploadKeys("acme", ID).record)
    assert memory_store.objects[data] == DATA
    uploads.put("acme", ID, io.BytesIO(DATA))
    uploads.let_go("acme", ID, "ev_2", keep=False)
    assert not [key for key in memory_store.objects if key.startswith(keys.UPLOADS)]


def test_uploads_that_nobody_evaluates_are_swept(memory_store: Any, clock: Any) -> None:
    import io

    uploads = UploadService(memory_store, LimitSettings(upload_hours=1), clock)
    for name, data in (("kept", b"1"), ("held", b"2"), ("left", b"3")):
        digest = hashlib.sha256(data).hexdigest()
        uploads.put("acme", digest, io.BytesIO(data))
        if name == "held":
            uploads.hold("acme", digest, "ev_1")
        if name == "kept":
            uploads.hold("acme", digest, "ev_2")
            uploads.let_go("acme", digest, "ev_2", keep=True)
    assert uploads.sweep() == 0
    clock.now += 3_700
    assert uploads.sweep() == 2
    left = {key.split("/")[2] for key in memory_store.objects if key.startswith(keys.UPLOADS)}
    assert left == {hashlib.sha256(data).hexdigest() for data in (b"1", b"2")}


def test_slow_uploads_of_one_leave_places_for_others(memory_store: Any) -> None:
    uploads = UploadService(memory_store, LimitSettings(uploads_at_once=8, uploads_at_once_per_tenant=2))
    with uploads._under_way.taken("slow"), uploads._under_way.taken("slow"):
        with pytest.raises(QuotaExceeded):
            uploads.put("slow", ID, io.BytesIO(DATA))
        assert uploads.put("acme", ID, io.BytesIO(DATA))[1]
    assert uploads.put("slow", ID, io.BytesIO(DATA))[1]


def test_bytes_that_are_kept_are_counted(memory_store: Any) -> None:
    uploads = UploadService(memory_store, LimitSettings(upload_bytes_per_tenant=len(DATA)))
    uploads.put("acme", ID, io.BytesIO(DATA))
    other = hashlib.sha256(b"other").hexdigest()
    with pytest.raises(QuotaExceeded, match="bytes of uploads"):
        uploads.put("acme", other, io.BytesIO(b"other"))
    uploads.put("rival", other, io.BytesIO(b"other"))
    uploads.delete("acme", ID)
    uploads.put("acme", other, io.BytesIO(b"other"))


def pace_of(chunks: list[tuple[float, bytes]], least: int, window_s: float) -> Pace:
    """A body whose chunks come so many seconds after each other."""
    left = list(chunks)

    async def receive() -> Any:
        wait, body = left.pop(0)
        await anyio.sleep(wait)
        return {"type": "http.request", "body": body, "more_body": bool(left)}

    return Pace(receive, least, window_s=window_s)


async def _all_of(pace: Pace) -> int:
    size, more = 0, True
    while more:
        message = await pace.receive()
        size, more = size + len(message["body"]), message["more_body"]
    return size


@pytest.mark.parametrize(
    "chunks",
    [[(0.0, b"x"), (9.0, b"x")], [(0.02, b"x")] * 50],
    ids=["stops", "a byte now and then"],
)
def test_a_body_that_comes_too_slowly_is_broken_off(chunks: list[tuple[float, bytes]]) -> None:
    with pytest.raises(TooSlow, match="bytes of the body came"):
        anyio.run(_all_of, pace_of(chunks, 1_000, 0.1))


def test_only_waiting_for_the_sender_counts() -> None:
    async def slow_reader() -> int:
        pace = pace_of([(0.0, b"x" * 10)] * 20, 1_000, 0.05)
        size, more = 0, True
        while more:
            message = await pace.receive()
            size, more = size + len(message["body"]), message["more_body"]
            await anyio.sleep(0.01)  # 200 bytes in 0.2 s: the store is slow, not the sender
        return size

    assert anyio.run(slow_reader) == 200


def test_a_slow_upload_is_told_and_leaves_nothing(
    client: TestClient, memory_store: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def too_slow(self: Pace) -> Any:
        raise TooSlow("only 3 bytes of the body came in 30 s")

    monkeypatch.setattr(Pace, "receive", too_slow)
    answer = client.put(PATH, content=DATA)
    assert (answer.status_code, answer.json()["error"], answer.headers["connection"]) == (408, "TooSlow", "close")
    assert not [key for key in memory_store.objects if key.startswith(keys.UPLOADS)]
    assert client.post("/v1/datasets", json={}).status_code == 408


def test_a_length_said_in_two_ways_is_not_read(client: TestClient) -> None:
    headers = {"Content-Length": "2", "Transfer-Encoding": "chunked", "Content-Type": "application/json"}
    answer = client.post("/v1/datasets", content=b"{}", headers=headers)
    assert (answer.status_code, answer.headers["connection"]) == (400, "close")
    assert set(answer.json()) == {"error", "detail", "request_id"}
