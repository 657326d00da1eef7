"""Direct reads over HTTP: parts that make up the archive, of one's own objects, for minutes, told to nobody else."""

import logging
from base64 import b64decode
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import pytest
import structlog
from fastapi.testclient import TestClient

from app.dataset.keys import DatasetKeys

STORE = "http://s3.test/bucket"


@pytest.fixture
def archives(client: TestClient, finished: str, memory_store: Any) -> dict[str, str]:
    """Paths by kind of a dataset and of a release of it, in a store that clients reach."""
    memory_store.public = STORE
    assert client.put("/v1/releases/gate-smoke/1.2.0", json={"dataset": finished}).status_code == 201
    return {"dataset": f"/v1/datasets/{finished}", "release": "/v1/releases/gate-smoke/1.2.0"}


@pytest.mark.parametrize("kind", ["dataset", "release"])
def test_the_parts_make_up_the_archive(
    client: TestClient, archives: dict[str, str], kind: str, finished: str, memory_store: Any
) -> None:
    here = archives[kind]
    answer = client.get(f"{here}/parts")
    assert answer.status_code == 200
    assert answer.headers["cache-control"] == "no-store"
    listed = answer.json()
    archive = client.get(listed["archive"])
    assert (listed["etag"], listed["size"]) == (archive.headers["etag"], len(archive.content))
    assert listed["expires_at"] == "1970-01-12T14:01:40Z"  # 15 minutes after the clock's million seconds
    made = b""
    for part in listed["parts"]:
        assert part["offset"] == len(made)
        if part["url"] is None:
            assert part["length"] <= 4096
            made += b64decode(part["data"], validate=True)
        else:
            assert part["data"] is None
            key = urlsplit(part["url"]).path.removeprefix("/bucket/")
            assert key.startswith(DatasetKeys("acme", finished).prefix)
            made += memory_store.objects[key][part["start"] : part["start"] + part["length"]]
    assert made == archive.content
    urls = [part["url"] for part in listed["parts"] if part["url"]]
    assert sum("/samples.tar?" in url for url in urls) == 2
    assert all("X-Expires=900" in url for url in urls)


@pytest.mark.parametrize("kind", ["dataset", "release"])
def test_a_store_that_clients_do_not_reach_has_no_parts(
    client: TestClient, archives: dict[str, str], kind: str, memory_store: Any
) -> None:
    memory_store.public = None
    answer = client.get(f"{archives[kind]}/parts")
    assert answer.status_code == 200
    listed = answer.json()
    assert (listed["parts"], listed["expires_at"]) == (None, None)
    assert "read the archive itself" in listed["detail"]
    assert client.get(listed["archive"]).status_code == 200


def test_only_what_is_there_and_ones_own_is_signed(
    client: TestClient, stranger: TestClient, archives: dict[str, str], submit: Callable[..., str]
) -> None:
    for here in archives.values():
        answer = stranger.get(f"{here}/parts")
        assert answer.status_code == 404
        assert "X-Signature" not in answer.text
    assert client.get("/v1/releases/gate-smoke/9.9.9/parts").status_code == 404
    unfinished = client.get(f"/v1/datasets/{submit(seed=9)}/parts")
    assert (unfinished.status_code, unfinished.json()["error"]) == (409, "Conflict")
    here = archives["release"]
    latest = client.get("/v1/releases/gate-smoke/latest/parts")
    assert latest.json()["etag"] == client.get(f"{here}/parts").json()["etag"]
    client.request("DELETE", here, json={"reason": "look-alikes", "confirm": "gate-smoke@1.2.0"})
    assert client.get(f"{here}/parts").status_code == 410


def test_what_is_signed_is_not_logged(
    client: TestClient, archives: dict[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    with structlog.testing.capture_logs() as told:
        assert "s3cr3t" in client.get(f"{archives['release']}/parts").text
    assert any(line["event"] == "request" for line in told)
    assert "s3cr3t" not in repr(told) + caplog.text
