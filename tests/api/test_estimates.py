"""Estimates: exact where the plan says, by sets that were made, and silent where none was."""

from collections.abc import Callable
from typing import Any

from fastapi.testclient import TestClient

BODY: dict[str, Any] = {"name": "x", "subjects": 300, "samples_per_subject": 5, "distractors": 10}


def estimate(client: TestClient, **fields: Any) -> dict[str, Any]:
    answer = client.post("/v1/estimates", json=BODY | fields)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def test_counts_are_the_plans(client: TestClient, kept: Any, memory_queue: Any) -> None:
    before = kept()
    found = estimate(client)
    assert (found["samples"], found["subjects"], found["distractors"]) == (1510, 300, 10)
    assert (found["listed"]["mated"], found["listed"]["non_mated"]) == (1200, 1200 * 309)  # crossed
    assert found["complete"]["mated"] == 3000
    assert found["complete"]["non_mated"] == 1500 * 1499 // 2 - 3000 + 1500 * 10
    assert found["complete"]["smallest_fmr"] == 30 / found["complete"]["non_mated"]
    by_fmr = {row["fmr"]: row for row in found["complete"]["resolves"]}
    assert by_fmr[1e-4]["resolved"]
    assert not by_fmr[1e-5]["resolved"]
    assert by_fmr[1e-5]["needed"] == 3_000_000
    assert kept() == before  # nothing is kept
    assert not memory_queue.sent


def test_without_a_set_like_it_nothing_is_guessed(client: TestClient) -> None:
    found = estimate(client)
    assert found["bytes"] is None
    assert found["seconds"] is None


def test_bytes_and_time_are_by_sets_made_here(
    client: TestClient, submit: Callable[..., str], finish: Callable[[str], None], memory_store: Any, clock: Any
) -> None:
    dataset = submit(subjects=10, samples_per_subject=3, distractors=0)
    memory_store.now = clock.now + 12.0
    finish(dataset)
    made = client.get(f"/v1/datasets/{dataset}").json()["counts"]
    found = estimate(client, distractors=0)
    assert found["seconds"] == {"value": 600.0, "low": 600.0, "high": 600.0, "sets": 1, "samples": [30, 30]}
    assert found["bytes"]["value"] == made["bytes"] / 30 * 1500
    assert estimate(client, subjects=2, samples_per_subject=2)["seconds"]["value"] == 12.0
    assert estimate(client, image={"size": [96, 128]})["seconds"] is None


def test_a_strangers_sets_tell_nothing(
    stranger: TestClient, submit: Callable[..., str], finish: Callable[[str], None]
) -> None:
    finish(submit())
    assert estimate(stranger)["bytes"] is None


def test_what_would_be_refused_is_refused(client: TestClient) -> None:
    answer = client.post("/v1/estimates", json=BODY | {"variability": {"factors": {"mood": 1}}})
    assert answer.status_code == 422
    assert "no such factor" in answer.json()["detail"]


def test_it_warns_of_what_so_small_a_set_cannot_say(client: TestClient) -> None:
    text = " ".join(estimate(client, subjects=2, samples_per_subject=1, distractors=0)["warnings"])
    assert "no mated comparison" in text
    text = " ".join(estimate(client, subjects=10, samples_per_subject=2, distractors=0)["warnings"])
    assert "rule of 30" in text


def test_the_service_says_what_waits_and_who_asks(client: TestClient, submit: Callable[..., str]) -> None:
    submit()
    state = client.get("/v1/service").json()
    assert state["unfinished"] == state["mine"] == 1
    assert state["queue"]["control"] == 1
    assert state["models"] == ["toy"]
    assert client.get("/v1/whoami").json()["tenant"] == "acme"
