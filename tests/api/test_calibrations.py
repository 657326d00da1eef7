"""Calibrations and matchers over HTTP; how they are worked on is seen in tests/workers."""

from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from app.dataset import keys
from app.dataset.calibration import Calibration, Measured
from app.dataset.keys import DatasetKeys
from app.dataset.matcher import MatcherCard
from app.dataset.measures import Rate
from app.errors import QueueUnavailable
from app.jobs.catalogues.matchers import MatcherCatalogue
from app.jobs.datasets.advance import fail
from app.jobs.records import read_plan, write_json
from app.queue import ADVANCE

CARD = MatcherCard(
    name="judge-1", version="2", digest="b" * 64, dimensions=8, score="a·b", provenance="none", judge=True
)
BODY: dict[str, Any] = {"target": {"matcher": "judge-1", "fmr": 0.01, "fnmr": 0.1}}


@pytest.fixture(autouse=True)
def matcher(memory_store: Any) -> None:
    MatcherCatalogue(memory_store).publish([CARD])


def finish(store: Any, calibration: str, outcome: str = "met") -> None:
    """Be the workers."""
    target = read_plan(store, keys.SERVICE, calibration).target
    assert target is not None
    rate = Rate.model_validate(
        {"value": 0.1, "errors": 90, "trials": 900, "exact": [0.08, 0.12], "by_subject": [0.07, 0.13]}
    )
    there = outcome != "unreachable"
    found = Calibration(
        outcome=outcome,
        target=target,
        scale=1.3 if there else None,
        measured=Measured(threshold=0.5, fmr=rate, fnmr=rate) if there else None,
        proven=False,
        scale_interval=(1.1, 1.5) if there else None,
        searched=(0.0, 4.0),
        reachable=(0.0, 0.05),
        curve=(),
        evaluations=3,
        samples=2700,
        comparisons=9,
        not_completed=0,
        note="scales from 0 to 4 reach FNMR 0 to 0.05",
    )
    write_json(store, DatasetKeys(keys.SERVICE, calibration).calibration, found)


def test_matchers_are_listed_and_shown(client: TestClient) -> None:
    assert client.get("/v1/matchers").json() == {"matchers": [CARD.model_dump()]}
    assert client.get("/v1/matchers/judge-1").json() == CARD.model_dump()
    assert client.get("/v1/matchers/judge-2").status_code == 404


def test_a_question_is_accepted_then_answered_and_is_nobodys_own(
    client: TestClient, stranger: TestClient, memory_store: Any, memory_queue: Any
) -> None:
    answer = client.post("/v1/calibrations", json=BODY)
    assert answer.status_code == 202, answer.text
    asked = answer.json()
    where = answer.headers["location"]
    assert where == f"/v1/calibrations/{asked['id']}"
    assert answer.headers["retry-after"]
    assert (asked["state"], asked["result"], asked["from_cache"]) == ("accepted", None, False)
    assert asked["request"] == BODY
    assert [(task.kind, task.tenant) for task in memory_queue.sent] == [(ADVANCE, keys.SERVICE)]
    assert client.get(where).status_code == 202
    assert stranger.post("/v1/calibrations", json=BODY).json()["id"] == asked["id"]
    finish(memory_store, asked["id"])
    found = stranger.post("/v1/calibrations", json=BODY)
    assert (found.status_code, found.json()["from_cache"], found.json()["result"]["scale"]) == (200, True, 1.3)
    assert client.get(where).json()["result"] == found.json()["result"]


def test_the_id_follows_from_all_that_decides_the_answer(client: TestClient, memory_store: Any) -> None:
    ids = {
        client.post("/v1/calibrations", json=body).json()["id"]
        for body in (
            BODY,
            BODY | {"model": "toy"},  # what `default` means
            BODY | {"samples_per_subject": 3, "subjects": 300},
            BODY | {"target": BODY["target"] | {"tolerance": 0.1}},
        )
    }
    assert len(ids) == 1
    for other in (
        {"factors": {"pose": 0.5}},
        {"attributes": {"glasses": 0.5}},
        {"image": {"format": "jpeg"}},
        {"subjects": 301},
        {"target": BODY["target"] | {"fnmr": 0.2}},
    ):
        ids.add(client.post("/v1/calibrations", json=BODY | other).json()["id"])
    assert len(ids) == 6
    MatcherCatalogue(memory_store).publish([CARD.model_copy(update={"digest": "c" * 64})])


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"target": {"matcher": "nobody", "fmr": 0.01, "fnmr": 0.1}}, "variability.target.matcher"),
        ({"target": {"matcher": "judge-1", "fmr": 1e-5, "fnmr": 0.1}}, "take 817 subjects"),
        ({"target": {"matcher": "judge-1", "fmr": 0.01, "fnmr": 0.01}}, "needs 3,000 mated comparisons"),
        ({"factors": {"hat": 1}}, "variability.factors.hat"),
        ({"factors": {"pose": 0, "illumination": 0}}, "no scale changes anything"),
        ({"samples_per_subject": 1}, "samples_per_subject"),
        ({"colour": "red"}, "colour"),
        ({"model": "nobody"}, "model"),
    ],
)
def test_what_cannot_be_answered_is_refused(client: TestClient, fields: dict[str, Any], said: str) -> None:
    answer = client.post("/v1/calibrations", json=BODY | fields)
    assert answer.status_code == 422
    assert said in answer.json()["detail"]


def test_what_is_accepted_is_found_by_the_reconciler_and_what_is_not_leaves_nothing(
    client: TestClient, memory_store: Any, memory_queue: Any
) -> None:
    memory_queue.fault = lambda operation: QueueUnavailable("the queue does not answer")
    assert client.post("/v1/calibrations", json=BODY).status_code == 503
    assert list(memory_store.list(keys.UNFINISHED)) == []
    memory_queue.fault = lambda operation: None
    asked = client.post("/v1/calibrations", json=BODY).json()
    assert [info.key for info in memory_store.list(keys.UNFINISHED)] == [keys.unfinished(keys.SERVICE, asked["id"])]


def test_one_that_failed_says_why_and_is_tried_again(client: TestClient, memory_store: Any) -> None:
    asked = client.post("/v1/calibrations", json=BODY).json()
    fail(memory_store, keys.SERVICE, asked["id"], "the worker was lost")
    shown = client.get(f"/v1/calibrations/{asked['id']}")
    assert (shown.status_code, shown.json()["state"], shown.json()["failure"]) == (200, "failed", "the worker was lost")
    assert client.post("/v1/calibrations", json=BODY).status_code == 202


def test_one_that_is_cancelled_stops_and_may_be_asked_for_again(
    client: TestClient, stranger: TestClient, memory_store: Any, memory_queue: Any
) -> None:
    where = client.post("/v1/calibrations", json=BODY).headers["location"]
    # Another's question is not this tenant's to stop.
    answer = stranger.post(f"{where}/cancel")
    assert (answer.status_code, answer.json()["error"]) == (409, "Conflict")
    assert "goes on for them" in answer.json()["detail"]
    for _ in range(2):
        answer = client.post(f"{where}/cancel")
        assert (answer.status_code, answer.json()["state"], answer.json()["result"]) == (200, "cancelled", None)
    assert client.get(where).json()["state"] == "cancelled"
    memory_queue.wipe()
    again = stranger.post("/v1/calibrations", json=BODY)
    assert (again.status_code, again.json()["state"], len(memory_queue.sent)) == (202, "accepted", 1)
    assert client.post(f"{where}/cancel").status_code == 409, "what was asked before it was cancelled counts no more"
    finish(memory_store, again.json()["id"])
    ended = stranger.post(f"{where}/cancel")
    assert (ended.status_code, "has succeeded" in ended.json()["detail"]) == (409, True)
    assert client.post(f"/v1/calibrations/{'0' * 64}/cancel").status_code == 404


def test_one_that_others_asked_for_goes_on_for_them(client: TestClient, stranger: TestClient) -> None:
    where = client.post("/v1/calibrations", json=BODY).headers["location"]
    assert stranger.post("/v1/calibrations", json=BODY).headers["location"] == where
    answer = client.post(f"{where}/cancel")
    assert (answer.status_code, answer.json()["state"]) == (202, "accepted")
    assert client.post(f"{where}/cancel").status_code == 409
    assert stranger.post(f"{where}/cancel").json()["state"] == "cancelled"


def test_who_cancels_may_ask_for_another(api: FastAPI, client: TestClient) -> None:
    most = api.state.services.settings.limits.unfinished_calibrations_per_tenant
    asked = [{"target": {**BODY["target"], "fnmr": 0.1 + number / 1000}} for number in range(most + 1)]
    made = [client.post("/v1/calibrations", json=body).json()["id"] for body in asked[:most]]
    assert client.post("/v1/calibrations", json=asked[most]).status_code == 429
    assert client.post(f"/v1/calibrations/{made[0]}/cancel").status_code == 200
    assert client.post("/v1/calibrations", json=asked[most]).status_code == 202


def test_there_is_no_calibration_that_nobody_asked_for(client: TestClient) -> None:
    assert client.get(f"/v1/calibrations/{'0' * 64}").status_code == 404
    assert client.get("/v1/calibrations/curves").status_code == 404


def test_a_dataset_profits_from_a_calibration(client: TestClient, memory_store: Any) -> None:
    asked = client.post("/v1/calibrations", json=BODY).json()
    body = {"name": "x", "subjects": 200, "samples_per_subject": 4, "variability": BODY}
    before = client.post("/v1/datasets", json=body).json()["id"]
    finish(memory_store, asked["id"])
    after = client.post("/v1/datasets", json=body).json()["id"]
    starts = [read_plan(memory_store, "acme", dataset).target.start for dataset in (before, after)]  # type: ignore[union-attr]
    assert starts == [1.0, 1.3]
    finish(memory_store, asked["id"], "unreachable")
    refused = client.post("/v1/datasets", json=body)
    assert refused.status_code == 422
    assert "reach FNMR 0 to 0.05" in refused.json()["detail"]


def test_calibrations_have_a_quota(api: Any, client: TestClient, memory_store: Any) -> None:
    for number in range(100):
        memory_store.put(keys.unfinished(keys.SERVICE, str(number)), b"")
    answer = client.post("/v1/calibrations", json=BODY)
    assert answer.status_code == 429
    assert "100 calibrations are unfinished" in answer.json()["detail"]


def test_one_tenants_questions_leave_room_for_others(
    api: FastAPI, client: TestClient, stranger: TestClient, memory_store: Any
) -> None:
    most = api.state.services.settings.limits.unfinished_calibrations_per_tenant
    asked = [{"target": {**BODY["target"], "fnmr": 0.1 + number / 1000}} for number in range(most + 1)]
    made = [client.post("/v1/calibrations", json=body).json()["id"] for body in asked[:most]]
    refused = client.post("/v1/calibrations", json=asked[most])
    assert (refused.status_code, refused.json()["error"]) == (429, "QuotaExceeded")
    assert client.post("/v1/calibrations", json=asked[0]).status_code == 202, "what is asked already is no more"
    assert stranger.post("/v1/calibrations", json=asked[most]).status_code == 202
    memory_store.delete(keys.unfinished(keys.SERVICE, made[0]))  # as a worker does at its end
    assert client.post("/v1/calibrations", json={"target": {**BODY["target"], "fnmr": 0.3}}).status_code == 202
