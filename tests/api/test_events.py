"""Watching: what is told, when the stream ends, and what it costs."""

import json
import re
import threading
from collections.abc import Callable
from typing import Any

import anyio
import httpx
import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from app.api import events
from app.api.looks import Looks
from app.dataset.keys import DatasetKeys
from app.errors import NotFound, StoreUnavailable
from app.jobs.datasets.service import Dataset
from app.jobs.places import Places
from app.jobs.state import State


def parsed(text: str) -> list[tuple[str, Any]]:
    """(event, data) of a stream's text; comments are ('', text)."""
    found: list[tuple[str, Any]] = []
    for block in text.split("\n\n")[:-1]:
        if block.startswith(":"):
            found.append(("", block))
            continue
        event, told, data = block.split("\n")
        assert re.fullmatch("id: [0-9a-f]{16}", told)
        found.append((event.removeprefix("event: "), json.loads(data.removeprefix("data: "))))
    return found


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "LOOK_EVERY_S", 0.01)


@pytest.fixture
def dataset(api: FastAPI, submit: Callable[..., str]) -> Dataset:
    """A dataset that has been accepted."""
    shown: Dataset = api.state.services.datasets.get("acme", submit())
    return shown


def stream(first: Dataset, looks: list[Any], wanted: int = 10**6) -> list[tuple[str, Any]]:
    """The events of a dataset that looks so, then so (an exception is raised), while `wanted` looks are taken."""
    left = list(looks)
    asked = 0

    async def look() -> Dataset:
        seen = left.pop(0) if len(left) > 1 else left[0]
        if isinstance(seen, Exception):
            raise seen
        assert isinstance(seen, Dataset)
        return seen

    async def still_wanted() -> bool:
        nonlocal asked
        asked += 1
        return asked <= wanted

    async def collect() -> str:
        with anyio.fail_after(5):
            return "".join([text async for text in events.events_of(first, look, still_wanted)])

    return parsed(anyio.run(collect))


def running(dataset: Dataset, done: int) -> Dataset:
    progress = dataset.progress.model_copy(update={"samples_done": done})
    return dataset.model_copy(update={"state": State.RUNNING, "progress": progress})


def ended(dataset: Dataset, state: str) -> Dataset:
    return dataset.model_copy(update={"state": State(state)})


def test_progress_whenever_it_changes_then_the_end(dataset: Dataset) -> None:
    looks = [dataset, running(dataset, 0), running(dataset, 0), running(dataset, 4), ended(dataset, "succeeded")]
    told = stream(dataset, looks)
    assert [(name, data["state"], data["progress"]["samples_done"]) for name, data in told] == [
        ("progress", "accepted", 0),
        ("progress", "running", 0),
        ("progress", "running", 4),
        ("end", "succeeded", 0),
    ]
    assert "archive" in told[-1][1]["links"]


@pytest.mark.parametrize("state", ["succeeded", "failed", "cancelled"])
def test_what_has_ended_is_told_at_once(dataset: Dataset, state: str) -> None:
    told = stream(ended(dataset, state), [NotFound("is not looked at")])
    assert [(name, data["state"]) for name, data in told] == [("end", state)]


def test_a_deleted_dataset_ends(dataset: Dataset) -> None:
    assert stream(dataset, [dataset, NotFound("gone")])[-1] == ("end", {"state": "deleted"})


def test_a_store_that_is_away_for_a_while_ends_nothing(dataset: Dataset) -> None:
    away = StoreUnavailable("the object store does not answer")
    told = stream(dataset, [away, away, running(dataset, 4), away, ended(dataset, "succeeded")])
    assert [data["state"] for _, data in told] == ["accepted", "running", "succeeded"]


def test_silence_is_broken_by_comments(dataset: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "HEARTBEAT_S", 0.02)
    told = stream(dataset, [dataset], wanted=20)
    assert told[0][0] == "progress"
    assert 2 <= len(told[1:]) <= 15
    assert {name for name, _ in told[1:]} == {""}


def test_it_ends_when_nobody_wants_it(dataset: Dataset) -> None:
    assert len(stream(dataset, [dataset], wanted=3)) == 1


def test_over_http(
    client: TestClient, submit: Callable[..., str], finish: Callable[[str], None], memory_store: Any
) -> None:
    made = submit(name="line\u2028break")
    timer = threading.Timer(0.2, finish, [made])
    timer.start()
    answer = client.get(f"/v1/datasets/{made}/events")
    timer.join()
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/event-stream")
    assert answer.headers["cache-control"] == "no-store"
    told = parsed(answer.text)
    assert told[0][0] == "progress"
    assert told[-1] == ("end", client.get(f"/v1/datasets/{made}").json())


def ids(text: str) -> list[str]:
    return re.findall("^id: (.+)$", text, re.MULTILINE)


def test_what_was_heard_is_not_told_again(
    client: TestClient, submit: Callable[..., str], finish: Callable[[str], None]
) -> None:
    made = submit()
    path = f"/v1/datasets/{made}/events"
    timer = threading.Timer(0.2, finish, [made])
    timer.start()
    whole = client.get(path).text
    timer.join()
    begun, ended = ids(whole)[0], ids(whole)[-1]
    assert begun != ended
    # What happened since is told, and an id that nobody knows is no reason to tell nothing.
    for heard in (begun, "f" * 16, "ü"):
        again = client.get(path, headers={"Last-Event-ID": heard.encode()})
        assert (parsed(again.text), ids(again.text)) == (parsed(whole)[-1:], [ended])
    over = client.get(path, headers={"Last-Event-ID": ended})
    assert (over.status_code, over.content) == (204, b"")


def test_a_resumed_stream_begins_with_what_is_new(dataset: Dataset) -> None:
    def told(first: Dataset, heard: str | None) -> str:
        async def look() -> Dataset:
            return running(dataset, 4)

        async def once() -> bool:
            return next(left, False)

        async def collect() -> str:
            return "".join([text async for text in events.events_of(first, look, once, heard)])

        left = iter([True])
        return anyio.run(collect)

    whole = told(dataset, None)
    assert len(ids(whole)) == 2
    assert ids(told(dataset, ids(whole)[0])) == ids(whole)[1:]


def test_deleted_while_watched(client: TestClient, submit: Callable[..., str], memory_store: Any) -> None:
    made = submit()
    timer = threading.Timer(0.1, memory_store.delete, [DatasetKeys("acme", made).request])
    timer.start()
    assert parsed(client.get(f"/v1/datasets/{made}/events").text)[-1] == ("end", {"state": "deleted"})
    timer.join()


def test_it_ends_when_the_service_does(api: FastAPI, client: TestClient, submit: Callable[..., str]) -> None:
    made = submit()
    threading.Timer(0.1, api.state.services.closing.set).start()
    told = parsed(client.get(f"/v1/datasets/{made}/events").text)
    assert [name for name, _ in told] == ["progress"]


def test_a_hundred_watchers_hold_no_threads(api: FastAPI, client: TestClient, submit: Callable[..., str]) -> None:
    """All are told of the end, though there are fewer threads than watchers, and others are served meanwhile."""
    made = submit()
    object.__setattr__(api.state.services, "streams", Places(200, 200, "event streams"))

    async def watch(http: httpx.AsyncClient) -> str:
        return (await http.get(f"/v1/datasets/{made}/events")).text

    async def everybody() -> list[str]:
        texts: list[str] = []

        async def one(http: httpx.AsyncClient) -> None:
            texts.append(await watch(http))

        async with (
            httpx.AsyncClient(
                transport=httpx.ASGITransport(app=api), base_url="http://test", headers=client.headers, timeout=20
            ) as http,
            anyio.create_task_group() as tasks,
        ):
            for _ in range(100):
                tasks.start_soon(one, http)
            await anyio.sleep(0.3)
            assert (await http.get("/v1/models")).status_code == 200
            assert (await http.post(f"/v1/datasets/{made}/cancel")).status_code == 200
        return texts

    texts = anyio.run(everybody)
    assert len(texts) == 100
    assert all(parsed(text)[-1][0] == "end" for text in texts)


def test_who_watches_one_dataset_shares_a_look(dataset: Dataset) -> None:
    looks = 0

    def look() -> Dataset:
        nonlocal looks
        looks += 1
        return dataset

    async def watch() -> None:
        shared = Looks()
        async with anyio.create_task_group() as tasks:
            for _ in range(200):
                tasks.start_soon(shared.see, "acme", dataset.id, look, 60.0)
        assert await shared.see("acme", dataset.id, look, 60.0) == dataset
        await shared.see("rival", dataset.id, look, 60.0)

    anyio.run(watch)
    assert looks == 2, "one for each tenant: whose a dataset is, the look itself tells"


def test_a_look_that_fails_is_shared_and_forgotten() -> None:
    seen: list[Any] = [NotFound("gone"), StoreUnavailable("away")]

    def look() -> Dataset:
        raise seen.pop(0)

    async def watch() -> None:
        shared = Looks()
        for error in (NotFound, NotFound):
            with pytest.raises(error):
                await shared.see("acme", "ds", look, 60.0)
        with pytest.raises(StoreUnavailable):
            await shared.see("acme", "ds", look, 0.0)

    anyio.run(watch)


def test_one_tenants_streams_leave_places_for_others(
    api: FastAPI, client: TestClient, stranger: TestClient, submit: Callable[..., str], finish: Callable[[str], None]
) -> None:
    services = api.state.services
    made = submit()
    for _ in range(services.settings.limits.streams_per_tenant):
        services.streams.take("acme")
    answer = client.get(f"/v1/datasets/{made}/events")
    assert (answer.status_code, answer.json()["error"]) == (429, "QuotaExceeded")
    services.streams.leave("acme")
    finish(made)
    for _ in range(3):  # a stream that has ended has left its place
        assert client.get(f"/v1/datasets/{made}/events").status_code == 200
    assert stranger.get(f"/v1/datasets/{made}/events").status_code == 404
    assert services.streams.held() == {"acme": services.settings.limits.streams_per_tenant - 1}


def test_a_revoked_keys_stream_ends(
    api: FastAPI, client: TestClient, submit: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(events, "KEY_EVERY_S", 0.02)
    made = submit()
    key_id = client.headers["authorization"].split("_")[1]
    timer = threading.Timer(0.2, api.state.services.api_keys.revoke, [key_id])
    timer.start()
    told = parsed(client.get(f"/v1/datasets/{made}/events").text)
    timer.join()
    assert [name for name, _ in told] == ["progress"], "no end is told: the dataset goes on"
    assert api.state.services.streams.held() == {}
