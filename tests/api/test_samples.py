"""Samples by range: the manifest's rows, in order, each once, of the set's part that is asked for."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from fastapi.testclient import TestClient

from app.dataset.keys import DatasetKeys


def listed(client: TestClient, path: str, **query: Any) -> list[dict[str, Any]]:
    """Every sample, page by page."""
    found, after = [], None
    while True:
        answer = client.get(path, params=query | ({} if after is None else {"after": after}))
        assert answer.status_code == 200, answer.text
        page = answer.json()
        found += page["samples"]
        if page["next"] is None:
            return found
        assert after is None or page["next"] > after
        after = page["next"]


@pytest.mark.parametrize("limit", [1, 2, 3, 4, 7, 60])
def test_pages_are_the_manifest(client: TestClient, finished: str, limit: int) -> None:
    manifest = client.get(f"/v1/datasets/{finished}/manifest").json()
    found = listed(client, f"/v1/datasets/{finished}/samples", limit=limit)
    assert [row["id"] for row in found] == [row["id"] for row in manifest["samples"]]
    assert [row["index"] for row in found] == list(range(7))
    assert [row["pixel_sha256"] for row in found] == [row["pixel_sha256"] for row in manifest["samples"]]


def test_of_an_unfinished_set_those_that_are_there(
    client: TestClient, submit: Callable[..., str], memory_store: Any, finish: Callable[[str], None]
) -> None:
    dataset = submit()
    path = f"/v1/datasets/{dataset}/samples"
    assert listed(client, path) == []
    finish(dataset)
    at = DatasetKeys("acme", dataset)
    for key in (at.manifest, at.summary, at.shard_report(0)):
        memory_store.delete(key)
    assert [row["index"] for row in listed(client, path)] == [4, 5, 6]


def test_conditions(client: TestClient, finished: str) -> None:
    path = f"/v1/datasets/{finished}/samples"
    assert len(listed(client, path, where="role=probe")) == 3
    assert len(listed(client, path, where=["role!=distractor", "subject=S0000001"])) == 2
    assert [row["index"] for row in listed(client, path, where=["index>=2", "index<4"], limit=1)] == [2, 3]
    assert listed(client, path, where="redrawn=true") == []
    assert listed(client, path, where="attributes.nothing=1") == []
    assert listed(client, path, where="quality.sharpness<10") == []


@pytest.mark.parametrize(
    "wrong", ["", "role", "=x", "role~x", "a.b.c=1", "index<two", "index<true", "x" * 200, "__\n=1"]
)
def test_what_is_no_condition_is_refused(client: TestClient, finished: str, wrong: str) -> None:
    answer = client.get(f"/v1/datasets/{finished}/samples", params={"where": wrong})
    assert answer.status_code == 422
    assert answer.json()["detail"].startswith("where")


def test_quality_is_the_manifests(client: TestClient, finished: str, memory_store: Any) -> None:
    key = DatasetKeys("acme", finished).manifest
    text = (
        memory_store.objects[key].decode().replace('"attributes": {}', '"attributes": {}, "quality": {"sharp": 3.5}', 2)
    )
    memory_store.put(key, text.encode())
    found = listed(client, f"/v1/datasets/{finished}/samples", where="quality.sharp>3")
    assert [row["index"] for row in found] == [0, 1]
    assert found[0]["quality"] == {"sharp": 3.5}


def test_what_could_not_be_made_and_what_was_drawn_again_is_told(
    client: TestClient, finished: str, memory_store: Any
) -> None:
    key = DatasetKeys("acme", finished).shard_report(0)
    report = json.loads(memory_store.objects[key])
    lost = report["samples"].pop(1)["row"]["id"]
    report["samples"][1]["row"]["attempt"] = 2
    report["missing"] = [{"id": lost, "reason": "no face was found"}]
    memory_store.put(key, json.dumps(report).encode())
    path = f"/v1/datasets/{finished}/samples"
    page = client.get(path).json()
    assert page["missing"] == [{"id": lost, "reason": "no face was found"}]
    assert [row["index"] for row in page["samples"]] == [0, 2, 3, 4, 5, 6]
    assert [row["index"] for row in listed(client, path, where="redrawn=true")] == [2]


def test_a_release_lists_its_samples_when_its_dataset_is_gone(client: TestClient, finished: str) -> None:
    client.put("/v1/releases/gate/1.0.0", json={"dataset": finished})
    client.delete(f"/v1/datasets/{finished}")
    assert client.get(f"/v1/datasets/{finished}/samples").status_code == 404
    assert len(listed(client, "/v1/releases/gate/1.0.0/samples", limit=3)) == 7


def test_a_strangers_samples_are_not_there(stranger: TestClient, client: TestClient, finished: str) -> None:
    assert stranger.get(f"/v1/datasets/{finished}/samples").status_code == 404


def test_thumbnails_are_told_where_there_are_some(
    client: TestClient, submit: Callable[..., str], finish: Callable[[str], None], memory_store: Any
) -> None:
    dataset = submit()
    at = DatasetKeys("acme", dataset)
    memory_store.put(at.thumbnails(0), b"a sheet")  # the other shard is of an older version
    finish(dataset)
    path = f"/v1/datasets/{dataset}"
    page = client.get(f"{path}/samples").json()
    assert page["tiles"] == {"columns": 16, "width": 96, "height": 96, "sheet": 4}
    assert [(row["sheet"], row["tile"]) for row in page["samples"]] == [
        *((0, tile) for tile in range(4)),
        *((None, tile) for tile in range(3)),
    ]
    sheet = client.get(f"{path}/thumbnails/0")
    assert (sheet.content, sheet.headers["content-type"]) == (b"a sheet", "image/jpeg")
    assert client.get(f"{path}/thumbnails/0", headers={"If-None-Match": sheet.headers["etag"]}).status_code == 304
    assert client.get(f"{path}/thumbnails/1").status_code == 404
    assert client.get(f"{path}/thumbnails/-1").status_code == 422
    client.put("/v1/releases/gate/1.0.0", json={"dataset": dataset})
    assert client.delete(path).status_code == 204
    assert client.get(f"{path}/thumbnails/0").status_code == 404
    kept = client.get("/v1/releases/gate/1.0.0/thumbnails/0")
    assert kept.content == b"a sheet"
    assert "immutable" in kept.headers["cache-control"]
    assert client.get("/v1/releases/gate/1.0.0/thumbnails/1").status_code == 404
