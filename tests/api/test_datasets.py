"""Asking for datasets, listing, cancelling, deleting."""

from collections.abc import Callable
from typing import Any

import pytest
from fastapi.testclient import TestClient

from app.dataset.keys import DatasetKeys
from app.queue import ADVANCE

Submit = Callable[..., str]


def test_a_request_is_accepted(client: TestClient, body: dict[str, Any], memory_queue: Any) -> None:
    answer = client.post("/v1/datasets", json=body)
    assert answer.status_code == 202
    shown = answer.json()
    assert answer.headers["location"] == f"/v1/datasets/{shown['id']}"
    assert shown["state"] == "accepted"
    assert shown["request"] == body
    assert shown["progress"] == {
        "identities_checked": 0,
        "samples_done": 0,
        "samples_total": 7,
        "fraction": 0.0,
        "phase": "survey",
        "scales_tried": 0,
        "scales_most": 0,
        "judged_done": 0,
        "judged_total": 0,
        "eta_s": None,
    }
    assert shown["links"] == {
        "self": answer.headers["location"],
        "events": answer.headers["location"] + "/events",
        "cancel": answer.headers["location"] + "/cancel",
    }
    assert "by the rule of 30 they resolve no FMR" in shown["warnings"][0]  # of so small a set
    assert [(task.kind, task.subject) for task in memory_queue.sent] == [(ADVANCE, shown["id"])]
    assert client.get(answer.headers["location"]).json() == shown


def test_a_drawn_seed_is_reported(client: TestClient, body: dict[str, Any]) -> None:
    del body["seed"]
    shown = client.post("/v1/datasets", json=body).json()
    assert isinstance(shown["seed"], int)
    assert "seed" not in shown["request"]


def test_success_brings_links_counts_and_digests(client: TestClient, finished: str) -> None:
    shown = client.get(f"/v1/datasets/{finished}").json()
    assert shown["state"] == "succeeded"
    assert shown["counts"]["samples"] == 7
    assert set(shown["digests"]) == {"pixels", "files"}
    assert shown["progress"]["fraction"] == 1.0
    documents = ("data_card", "croissant", "provenance")
    for name in ("self", "events", "manifest", "comparisons", "contact_sheet", "report", *documents, "archive"):
        assert client.get(shown["links"][name]).status_code == 200, name


def test_failure_brings_its_reason(client: TestClient, submit: Submit, memory_store: Any) -> None:
    dataset = submit()
    memory_store.put(DatasetKeys("acme", dataset).failed, b'{"reason": "no face was found"}')
    shown = client.get(f"/v1/datasets/{dataset}").json()
    assert (shown["state"], shown["failure"]) == ("failed", "no face was found")
    assert "archive" not in shown["links"]


def test_the_same_key_gives_the_same_dataset(client: TestClient, body: dict[str, Any], memory_queue: Any) -> None:
    del body["seed"]
    first = client.post("/v1/datasets", json=body, headers={"Idempotency-Key": "nightly 7"})
    again = client.post("/v1/datasets", json=dict(reversed(body.items())), headers={"Idempotency-Key": "nightly 7"})
    assert (first.status_code, again.status_code) == (202, 202)
    assert again.json() == first.json()
    assert again.headers["location"] == first.headers["location"]
    assert "idempotent-replayed" not in first.headers
    assert again.headers["idempotent-replayed"] == "true"
    assert len(memory_queue.sent) == 1
    assert len(client.get("/v1/datasets").json()["datasets"]) == 1


def test_the_same_key_with_another_body_conflicts(
    client: TestClient, stranger: TestClient, body: dict[str, Any]
) -> None:
    headers = {"Idempotency-Key": "k"}
    assert client.post("/v1/datasets", json=body, headers=headers).status_code == 202
    answer = client.post("/v1/datasets", json=body | {"subjects": 4}, headers=headers)
    assert answer.status_code == 409
    assert answer.json()["error"] == "Conflict"
    # A key is its tenant's: another's use of the same one is another request.
    assert stranger.post("/v1/datasets", json=body | {"subjects": 4}, headers=headers).status_code == 202


@pytest.mark.parametrize("key", ["", " ", "a" * 256, "a\tb", b"caf\xe9", b"\xff", b"a\x7fb"])
def test_bad_idempotency_keys_are_refused(client: TestClient, body: dict[str, Any], key: Any) -> None:
    answer = client.post("/v1/datasets", json=body, headers={"Idempotency-Key": key})
    assert answer.status_code == 422
    assert "dempotency-" in answer.json()["detail"]
    assert client.get("/v1/datasets").json()["datasets"] == []


@pytest.mark.parametrize("key", ["a", "a" * 255, "!~ \"'/..%00", "0"])
def test_good_idempotency_keys_are_taken(client: TestClient, body: dict[str, Any], key: str) -> None:
    assert client.post("/v1/datasets", json=body, headers={"Idempotency-Key": key}).status_code == 202


def test_pages(client: TestClient, submit: Submit, clock: Any, finish: Callable[[str], None]) -> None:
    made = []
    for number in range(5):
        clock.now += 1
        made.append(submit(name=f"set {number}"))
    finish(made[1])
    newest_first = made[::-1]
    seen: list[str] = []
    after = None
    for _ in range(3):
        page = client.get("/v1/datasets", params={"limit": 2, **({"after": after} if after else {})}).json()
        seen += [shown["id"] for shown in page["datasets"]]
        after = page["next"]
    assert seen == newest_first
    assert after is None
    by_state = client.get("/v1/datasets", params={"state": "succeeded"}).json()["datasets"]
    assert [shown["id"] for shown in by_state] == [made[1]]
    by_name = client.get("/v1/datasets", params={"name": "t 3"}).json()["datasets"]
    assert [shown["id"] for shown in by_name] == [made[3]]
    assert by_name[0]["links"]["self"] == f"/v1/datasets/{made[3]}"


def test_a_page_survives_a_dataset_that_goes_while_it_is_made(
    client: TestClient, submit: Submit, finish: Callable[[str], None], memory_store: Any
) -> None:
    kept, gone = submit(), submit()
    finish(gone)
    # Its summary goes between two reads.
    memory_store.delete(DatasetKeys("acme", gone).summary)
    assert [shown["id"] for shown in client.get("/v1/datasets").json()["datasets"]] == [kept]
    assert client.get(f"/v1/datasets/{gone}").status_code == 404


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("limit=0", "limit"),
        ("limit=101", "limit"),
        ("limit=x", "limit"),
        ("limit=" + "9" * 5000, "limit"),
        ("state=done", "state"),
        ("after=x", "after"),
        ("after=ds_%00", "after"),
        ("name=" + "n" * 101, "name"),
        ("stat=running", "stat"),
    ],
)
def test_bad_queries_are_refused_by_field(client: TestClient, query: str, field: str) -> None:
    answer = client.get(f"/v1/datasets?{query}")
    assert answer.status_code == 422
    assert answer.json()["detail"].startswith(f"{field}: ")
    assert len(answer.json()["detail"]) < 300


def test_cancel(client: TestClient, submit: Submit) -> None:
    dataset = submit()
    for _ in range(2):
        answer = client.post(f"/v1/datasets/{dataset}/cancel")
        assert answer.status_code == 200
        assert answer.json()["state"] == "cancelled"
    assert client.get(f"/v1/datasets/{dataset}").json()["state"] == "cancelled"


def test_what_has_ended_cannot_be_cancelled(client: TestClient, finished: str) -> None:
    answer = client.post(f"/v1/datasets/{finished}/cancel")
    assert answer.status_code == 409
    assert "succeeded" in answer.json()["detail"]


def test_delete_removes_every_object(client: TestClient, finished: str, memory_store: Any) -> None:
    answer = client.delete(f"/v1/datasets/{finished}")
    assert answer.status_code == 204
    assert answer.content == b""
    assert not [key for key in memory_store.objects if finished in key]
    for path in ("", "/manifest", "/archive", "/samples/S0000000_0000", "/events"):
        assert client.get(f"/v1/datasets/{finished}{path}").status_code == 404
    assert client.delete(f"/v1/datasets/{finished}").status_code == 404


@pytest.mark.parametrize("text", ["1_0", "\uff11", "\u0663", "3.5", "1e1"])
@pytest.mark.parametrize(
    "path",
    ["/v1/datasets", "/v1/evaluations", "/v1/releases", "/v1/retention", "/v1/audit", "/v1/datasets/{id}/samples"],
)
def test_numbers_in_queries_are_in_plain_digits(client: TestClient, submit: Submit, path: str, text: str) -> None:
    path = path.replace("{id}", submit())
    assert client.get(path, params={"limit": "7"}).status_code in (200, 409)
    answer = client.get(path, params={"limit": text})
    assert (answer.status_code, answer.json()["problems"][0]["field"]) == (422, "limit")
