"""Who may see what: keys, tenants, and ids that are none."""

from collections.abc import Callable
from typing import Any

import pytest
from fastapi.testclient import TestClient

ROUTES = [
    ("POST", "/v1/datasets"),
    ("GET", "/v1/datasets"),
    ("GET", "/v1/datasets/{id}"),
    ("DELETE", "/v1/datasets/{id}"),
    ("POST", "/v1/datasets/{id}/cancel"),
    ("GET", "/v1/datasets/{id}/events"),
    ("GET", "/v1/datasets/{id}/manifest"),
    ("GET", "/v1/datasets/{id}/comparisons"),
    ("GET", "/v1/datasets/{id}/contact-sheet"),
    ("GET", "/v1/datasets/{id}/report"),
    ("GET", "/v1/datasets/{id}/croissant"),
    ("GET", "/v1/datasets/{id}/data-card"),
    ("GET", "/v1/datasets/{id}/provenance"),
    ("GET", "/v1/datasets/{id}/archive"),
    ("HEAD", "/v1/datasets/{id}/archive"),
    ("GET", "/v1/datasets/{id}/parts"),
    ("GET", "/v1/datasets/{id}/samples"),
    ("POST", "/v1/estimates"),
    ("GET", "/v1/whoami"),
    ("GET", "/v1/service"),
    ("GET", "/v1/datasets/{id}/samples/S0000000_0000"),
    ("GET", "/v1/datasets/{id}/samples/S0000000_0000/c2pa"),
    ("POST", "/v1/previews"),
    ("GET", "/v1/previews/" + "a" * 64),
    ("GET", "/v1/models"),
    ("GET", "/v1/models/toy"),
]


@pytest.mark.parametrize(("method", "path"), ROUTES)
@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": ""},
        {"Authorization": "Bearer"},
        {"Authorization": "Basic Zm9vOmJhcg=="},
        {"Authorization": "Bearer nonsense"},
        {"Authorization": "Bearer fcs_0123456789abcdef_" + "A" * 43},
        {"Authorization": b"Bearer fcs_\xff\xfe"},
        {"Authorization": "Bearer " + "a" * 5000},
    ],
)
def test_without_a_good_key_everything_is_401(
    anonymous: TestClient, method: str, path: str, headers: dict[str, Any]
) -> None:
    answer = anonymous.request(method, path.format(id="ds_" + "0" * 20), headers={"X-Request-Id": "mine-1", **headers})
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"].startswith("Bearer")
    assert answer.headers["x-request-id"] == "mine-1"
    if method != "HEAD":
        assert set(answer.json()) == {"error", "detail", "request_id"}
        assert answer.json()["error"] == "NotAuthenticated"
        assert answer.json()["request_id"] == "mine-1"


@pytest.mark.parametrize(("method", "path"), [route for route in ROUTES if "{id}" in route[1]])
def test_another_tenants_dataset_is_not_there(
    client: TestClient, stranger: TestClient, finished: str, kept: Any, method: str, path: str
) -> None:
    before = kept()
    answer = stranger.request(method, path.format(id=finished))
    assert answer.status_code == 404
    unknown = stranger.request(method, path.format(id="ds_" + "0" * 20))
    assert unknown.status_code == 404
    if method != "HEAD":
        # Nor does the answer differ from that for a dataset that never was.
        assert answer.json()["detail"].replace(finished, "") == unknown.json()["detail"].replace("ds_" + "0" * 20, "")
    assert kept() == before
    assert stranger.get("/v1/datasets").json() == {"datasets": [], "next": None}
    assert client.get(f"/v1/datasets/{finished}").status_code == 200


def test_another_tenants_preview_is_not_there(
    client: TestClient, stranger: TestClient, memory_store: Any, memory_queue: Any
) -> None:
    memory_queue.on_preview = lambda tenant, digest: memory_store.put(f"tenants/{tenant}/previews/{digest}.png", b"PNG")
    where = client.post("/v1/previews", json={}).headers["location"]
    assert client.get(where).status_code == 200
    assert stranger.get(where).status_code == 404


@pytest.mark.parametrize(
    "bad",
    [
        "x",
        "ds_",
        "ds_" + "0" * 19,
        "ds_" + "0" * 21,
        "ds_" + "O" * 20,
        "ds_" + "\u0660" * 20,
        "ds_%30" + "0" * 18 + "%0A",
        "ds_" + "0" * 20 + "%0A",
        "%00",
        "ds_" + "0" * 10 + "%00" + "0" * 9,
        "..",
        "%2e%2e",
        "..%2F..%2Fapi-keys",
        "%F0%9F%98%80",
        "%FF%FE",
        "%ED%A0%80",
        "a" * 5000,
        "ds_" + "0" * 20 + "%2Fplan.json",
    ],
)
@pytest.mark.parametrize(("method", "path"), [route for route in ROUTES if "{id}" in route[1]])
def test_what_cannot_be_an_id_is_not_there(client: TestClient, method: str, path: str, bad: str) -> None:
    answer = client.request(method, path.format(id=bad))
    assert answer.status_code in (404, 405), answer.text
    if method != "HEAD":
        assert set(answer.json()) == {"error", "detail", "request_id"}
        assert len(answer.json()["detail"]) < 300


@pytest.mark.parametrize(
    "path",
    [
        "/v1/datasets/{id}/samples/{bad}",
        "/v1/previews/{bad}",
        "/v1/models/{bad}",
    ],
)
@pytest.mark.parametrize(
    "bad", ["x y", "S0000000_000", "S\u0660000000_0000", "%00", "..%2fx", "a" * 3000, "%FF", "S0000000_0000%0A"]
)
def test_other_names_that_cannot_be(client: TestClient, finished: str, path: str, bad: str) -> None:
    answer = client.get(path.format(id=finished, bad=bad))
    assert answer.status_code == 404
    assert len(answer.json()["detail"]) < 300


def test_a_revoked_key_ends(api: Any, memory_store: Any, client: TestClient) -> None:
    key = client.headers["authorization"].removeprefix("Bearer ")
    assert client.get("/v1/models").status_code == 200
    api.state.services.api_keys.revoke(key.split("_")[1])
    assert client.get("/v1/models").status_code == 401


def test_a_tenants_requests_are_counted(client: TestClient, stranger: TestClient, memory_queue: Any) -> None:
    memory_queue.counted["acme"] = 6_000
    answer = client.get("/v1/models")
    assert answer.status_code == 429
    assert answer.json()["error"] == "QuotaExceeded"
    assert 1 <= int(answer.headers["retry-after"]) <= 60
    assert client.post("/v1/datasets", json={}).status_code == 429
    assert stranger.get("/v1/models").status_code == 200


def test_too_much_under_way(client: TestClient, submit: Callable[..., str], memory_store: Any) -> None:
    for number in range(50):
        memory_store.put(f"unfinished/acme/ds_{number:020d}", b"")
    answer = client.post("/v1/datasets", json={"name": "x", "subjects": 1, "samples_per_subject": 1})
    assert answer.status_code == 429
    assert "50 datasets" in answer.json()["detail"]
    assert int(answer.headers["retry-after"]) >= 1
