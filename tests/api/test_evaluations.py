"""Evaluations over HTTP, made by the workers' own function: accepted, made, shown, listed, and nothing lost."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import numpy as np
import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from app.cli.main import run
from app.dataset import keys
from app.dataset.keys import DatasetKeys, EvaluationKeys
from app.errors import StoreUnavailable
from app.jobs.reconcile import reconcile
from app.queue import EVALUATE, Task
from workers.attempt import attempt_evaluation
from workers.verdict.job import evaluate_stored


@pytest.fixture
def dataset(submit: Callable[..., str], finish: Callable[[str], None]) -> str:
    found = submit(subjects=30, samples_per_subject=3, comparisons={"selection": "crossed"}, distractors=0)
    finish(found)
    return found


@pytest.fixture
def send(client: TestClient, memory_store: Any, dataset: str) -> Callable[..., str]:
    """Uploads scores of the dataset and returns the upload's id."""

    def upload(seed: int = 1, worse: float = 0.0, lines: int | None = None) -> str:
        rows = memory_store.objects[DatasetKeys("acme", dataset).comparisons].decode().splitlines()[1:]
        rng = np.random.default_rng(seed)
        made = ["reference,probe,score"]
        for row in rows[:lines]:
            reference, probe, mated = row.split(",")
            made.append(f"{reference},{probe},{float(rng.normal()) + (3 - worse) * int(mated)!r}")
        data = ("\n".join(made) + "\n").encode()
        digest = hashlib.sha256(data).hexdigest()
        assert client.put(f"/v1/uploads/{digest}", content=data).status_code in (200, 201)
        return digest

    return upload


RULE = {"at_fmr": 0.05, "max_fnmr_increase": "0.05"}


def ask(client: TestClient, dataset: str, scores: str, **fields: Any) -> dict[str, Any]:
    answer = client.post("/v1/evaluations", json={"dataset": dataset, "scores": {"upload": scores}, **fields})
    assert answer.status_code == 202, answer.text
    assert answer.headers["location"] == f"/v1/evaluations/{answer.json()['id']}"
    found: dict[str, Any] = answer.json()
    return found


def test_from_upload_to_verdict(
    client: TestClient, dataset: str, send: Callable[..., str], worker: Any, memory_store: Any
) -> None:
    old = ask(client, dataset, send(), name="matcher 1", rule={"at_fmr": 0.05})
    assert (old["state"], old["verdict"], old["links"]) == ("accepted", None, {"self": f"/v1/evaluations/{old['id']}"})
    assert client.get(f"/v1/evaluations/{old['id']}/junit.xml").status_code == 409
    assert worker.work() == 1
    old = client.get(f"/v1/evaluations/{old['id']}").json()
    assert (old["state"], old["verdict"], old["increase"]) == ("succeeded", None, None)
    assert old["result"]["scores"]["mated"] == 60
    # The upload is gone; what a later baseline needs is not.
    assert not [key for key in memory_store.objects if key.startswith(keys.UPLOADS)]
    baseline = {"evaluation": old["id"]}
    worse = ask(client, dataset, send(worse=2.5), name="matcher 2", baseline=baseline, rule=RULE)
    same = ask(client, dataset, send(), name="matcher 3", baseline=baseline, rule=RULE, keep_uploads=True)
    both = ask(client, dataset, send(worse=2.5), baseline={"upload": send()}, rule=RULE)
    assert worker.work() == 3
    shown = {found["id"]: client.get(f"/v1/evaluations/{found['id']}").json() for found in (worse, same, both)}
    assert [found["verdict"] for found in shown.values()] == ["FAIL", "PASS", "FAIL"]
    assert shown[worse["id"]]["result"]["difference"] == shown[both["id"]]["result"]["difference"]
    assert shown[same["id"]]["reason"] == "every score is the baseline's, so FNMR has not risen"
    assert "a rise by 5 points is allowed" in shown[worse["id"]]["reason"]
    assert client.get(f"/v1/uploads/{send()}").status_code == 200  # it was to be kept
    links = shown[worse["id"]]["links"]
    junit = client.get(links["junit"])
    assert junit.headers["content-type"] == "application/xml"
    assert ET.fromstring(junit.content).get("failures") == "1"
    assert client.get(links["markdown"]).text.startswith("### ❌ FAIL")
    assert ET.fromstring(client.get(links["det"]).content).tag.endswith("svg")
    assert "sandbox" in client.get(links["det"]).headers["content-security-policy"]
    assert not [key for key in memory_store.objects if key.startswith(keys.UNFINISHED_EVALUATIONS)]


def test_the_history_of_a_release(client: TestClient, dataset: str, send: Callable[..., str], worker: Any) -> None:
    for version in ("1.0.0", "1.1.0"):
        assert client.put(f"/v1/releases/gate/{version}", json={"dataset": dataset}).status_code == 201
    made = []
    for release in ("gate@1.0.0", "gate@latest", "gate@1.1.0"):
        body = {"release": release, "scores": {"upload": send()}, "rule": {"at_fmr": 0.05, "max_fnmr": 0.9}}
        made.append(client.post("/v1/evaluations", json=body).json()["id"])
    made.append(ask(client, dataset, send())["id"])
    worker.work()

    def listed(**query: Any) -> list[str]:
        return [found["id"] for found in client.get("/v1/evaluations", params=query).json()["evaluations"]]

    assert listed() == sorted(made, reverse=True)
    assert set(listed(release="gate")) == set(made[:3])
    assert listed(release="gate@1.1.0") == sorted(made[1:3], reverse=True)
    assert listed(release="gat") == listed(release="gate@1.1") == []
    assert set(listed(dataset=dataset)) == set(made)
    brief = client.get("/v1/evaluations", params={"release": "gate@1.0.0"}).json()["evaluations"][0]
    assert (brief["release"], brief["verdict"]) == ("gate@1.0.0", "PASS")
    assert 0 < brief["fnmr"]["value"] < 0.9
    assert "result" not in brief
    first = client.get("/v1/evaluations", params={"limit": 3}).json()
    rest = client.get("/v1/evaluations", params={"limit": 3, "after": first["next"]}).json()
    assert [found["id"] for found in first["evaluations"] + rest["evaluations"]] == sorted(made, reverse=True)
    assert rest["next"] is None
    # A release outlives its dataset: its comparisons can still be evaluated, and against what went before.
    assert client.delete(f"/v1/datasets/{dataset}").status_code == 204
    body = {"release": "gate@1.1.0", "scores": {"upload": send()}, "baseline": {"evaluation": made[0]}, "rule": RULE}
    late = client.post("/v1/evaluations", json=body)
    assert late.status_code == 202, late.text
    worker.work()
    assert client.get(f"/v1/evaluations/{late.json()['id']}").json()["verdict"] == "PASS"
    reason = {"reason": "found wanting", "confirm": "gate@1.1.0"}
    assert client.request("DELETE", "/v1/releases/gate/1.1.0", json=reason).status_code == 200
    assert "release: gate@1.1.0 was withdrawn" in client.post("/v1/evaluations", json=body).json()["detail"]


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"dataset": None}, "either release or dataset"),
        ({"release": "gate@1.0.0"}, "either release or dataset"),
        ({"dataset": "ds_00000000000000000000"}, "there is no dataset"),
        ({"dataset": None, "release": "gate@1.0.0"}, "release: there is no release gate@1.0.0"),
        ({"scores": {"upload": "0" * 64}}, "scores.upload: there is no upload"),
        ({"baseline": {"upload": "0" * 64}}, "baseline.upload: there is no upload"),
        ({"baseline": {"evaluation": "ev_00000000000000000000"}}, "there is no evaluation"),
        ({"rule": {"max_fnmr_increase": "0.1"}}, "name one in baseline"),
        ({"rule": {"at_fmr": 0}}, "rule.at_fmr"),
        ({"rule": {"max_fnmr_increase": "lots"}}, "rule.max_fnmr_increase"),
        ({"scores": {}}, "scores.upload"),
        ({"what": 1}, "what"),
    ],
)
def test_what_is_refused(
    change: dict[str, Any],
    what: str,
    client: TestClient,
    dataset: str,
    send: Callable[..., str],
    memory_store: Any,
    memory_queue: Any,
) -> None:
    body = {"dataset": dataset, "scores": {"upload": send()}} | change
    memory_queue.sent.clear()
    answer = client.post("/v1/evaluations", json={name: value for name, value in body.items() if value is not None})
    assert answer.status_code == 422, answer.text
    assert what in answer.json()["detail"]
    assert memory_queue.sent == []
    assert not [key for key in memory_store.objects if key.startswith(keys.UNFINISHED_EVALUATIONS)]
    assert not [key for key in memory_store.objects if "/users/" in key]


def test_a_dataset_that_is_not_finished(client: TestClient, send: Callable[..., str], submit: Any) -> None:
    answer = client.post("/v1/evaluations", json={"dataset": submit(), "scores": {"upload": send()}})
    assert "is accepted; only one that succeeded will do" in answer.json()["detail"]


def test_a_baseline_of_another_dataset(
    client: TestClient, dataset: str, send: Callable[..., str], submit: Any, finish: Any, worker: Any
) -> None:
    made = ask(client, dataset, send())["id"]
    waiting = client.post(
        "/v1/evaluations",
        json={"dataset": dataset, "scores": {"upload": send()}, "baseline": {"evaluation": made}},
    )
    assert "has not succeeded" in waiting.json()["detail"]
    worker.work()
    other = submit()
    finish(other)
    answer = client.post(
        "/v1/evaluations", json={"dataset": other, "scores": {"upload": send()}, "baseline": {"evaluation": made}}
    )
    assert "a baseline must be of the same comparisons" in answer.json()["detail"]


def test_a_file_that_does_not_fit_fails_with_its_reason(
    client: TestClient, dataset: str, send: Callable[..., str], worker: Any, memory_store: Any
) -> None:
    made = ask(client, dataset, send(lines=1_700))["id"]
    worker.work()
    found = client.get(f"/v1/evaluations/{made}").json()
    assert found["state"] == "failed"
    assert "the scores do not fit the dataset: 1,800 comparisons are listed; 100 missing (" in found["failure"]
    assert not [key for key in memory_store.objects if key.startswith(keys.UPLOADS)]
    assert not [key for key in memory_store.objects if key.startswith(keys.UNFINISHED_EVALUATIONS)]


def test_a_repeat_with_its_key_is_the_same_evaluation(
    client: TestClient, dataset: str, send: Callable[..., str], worker: Any
) -> None:
    body = {"dataset": dataset, "scores": {"upload": send()}}
    headers = {"Idempotency-Key": "build-17"}
    first = client.post("/v1/evaluations", json=body, headers=headers)
    worker.work()
    again = client.post("/v1/evaluations", json=body, headers=headers)
    assert again.json()["id"] == first.json()["id"]
    assert [answer.headers.get("idempotent-replayed") for answer in (first, again)] == [None, "true"]
    other = client.post("/v1/evaluations", json=body | {"name": "x"}, headers=headers)
    assert (other.status_code, other.json()["error"]) == (409, "Conflict")
    # The same key for a dataset is another thing.
    request = {"name": "x", "subjects": 2, "samples_per_subject": 2}
    assert client.post("/v1/datasets", json=request, headers=headers).status_code == 202


def test_tenants_do_not_see_each_other(
    client: TestClient, stranger: TestClient, dataset: str, send: Callable[..., str], worker: Any
) -> None:
    upload = send()
    made = ask(client, dataset, upload)["id"]
    worker.work()
    for path in ("", "/junit.xml", "/summary.md", "/det.svg"):
        assert stranger.get(f"/v1/evaluations/{made}{path}").status_code == 404
    assert stranger.delete(f"/v1/evaluations/{made}").status_code == 404
    assert stranger.get("/v1/evaluations").json()["evaluations"] == []
    body = {"dataset": dataset, "scores": {"upload": upload}}
    assert "there is no dataset" in stranger.post("/v1/evaluations", json=body).json()["detail"]
    assert client.get(f"/v1/evaluations/{made}").status_code == 200


def test_deleting_leaves_nothing_and_stops_the_work(
    client: TestClient, dataset: str, send: Callable[..., str], worker: Any, memory_store: Any
) -> None:
    before = set(memory_store.objects)
    done, waiting = ask(client, dataset, send())["id"], ask(client, dataset, send(seed=2))["id"]
    worker.queue.sent.reverse()
    tasks = [task for task in worker.queue.sent if task.kind == EVALUATE]
    attempt_evaluation(worker, next(task for task in tasks if task.subject == done), evaluate_stored)
    for evaluation in (done, waiting):
        assert client.delete(f"/v1/evaluations/{evaluation}").status_code == 204
    worker.work()
    assert set(memory_store.objects) == before


def test_nothing_accepted_is_lost_with_the_queue(
    client: TestClient, dataset: str, send: Callable[..., str], worker: Any, memory_store: Any, memory_queue: Any
) -> None:
    made = ask(client, dataset, send())["id"]
    memory_queue.wipe()
    uploads = client.app.state.services.uploads  # type: ignore[attr-defined]
    assert reconcile(memory_store, memory_queue, uploads)["enqueued"] == 1
    assert reconcile(memory_store, memory_queue, uploads)["enqueued"] == 0  # it is on its way
    # The store goes away in the middle: the evaluation is put off, not failed.
    memory_store.fault = lambda operation, key: (
        StoreUnavailable("down") if operation == "put" and key.endswith("compared.npz") else None
    )
    worker.work()
    memory_store.fault = lambda operation, key: None
    assert client.get(f"/v1/evaluations/{made}").json()["state"] == "accepted"
    assert reconcile(memory_store, memory_queue, uploads)["enqueued"] == 1
    worker.work()
    assert client.get(f"/v1/evaluations/{made}").json()["state"] == "succeeded"
    assert memory_queue.markers == set()


def test_what_a_dead_worker_left_is_settled(
    client: TestClient, dataset: str, send: Callable[..., str], worker: Any, memory_store: Any, memory_queue: Any
) -> None:
    made = ask(client, dataset, send())["id"]
    worker.work()
    memory_store.put(keys.unfinished_evaluation("acme", made), b"")
    uploads = client.app.state.services.uploads  # type: ignore[attr-defined]
    assert reconcile(memory_store, memory_queue, uploads)["enqueued"] == 0
    assert keys.unfinished_evaluation("acme", made) not in memory_store.objects
    # An acceptance broken off after its marker goes when it is old.
    memory_store.put(keys.unfinished_evaluation("acme", "ev_00000000000000000009"), b"")
    for now, cleared in ((memory_store.now + 1, 0), (memory_store.now + 1_000, 1)):
        assert reconcile(memory_store, memory_queue, uploads, lambda now=now: now)["cleared"] == cleared


def test_given_up_after_so_many_deaths(
    client: TestClient, dataset: str, send: Callable[..., str], worker: Any, memory_store: Any
) -> None:
    made = ask(client, dataset, send())["id"]
    for number in range(5):
        text = json.dumps({"error": "the worker was lost"})
        memory_store.put(f"{EvaluationKeys('acme', made).attempts}{number}", text.encode())
    assert client.get(f"/v1/evaluations/{made}").json()["state"] == "running"
    attempt_evaluation(worker, Task(EVALUATE, "acme", made), evaluate_stored)
    found = client.get(f"/v1/evaluations/{made}").json()
    assert (found["state"], found["failure"][:24]) == ("failed", "given up after 5 attempt")


def test_as_many_at_a_time_as_may_be(
    api: FastAPI, client: TestClient, dataset: str, send: Callable[..., str], worker: Any
) -> None:
    services = api.state.services
    services.evaluations._quota._limit = 1
    made = ask(client, dataset, send())["id"]
    body = {"dataset": dataset, "scores": {"upload": send()}}
    refused = client.post("/v1/evaluations", json=body)
    assert (refused.status_code, refused.json()["error"]) == (429, "QuotaExceeded")
    worker.work()
    assert client.post("/v1/evaluations", json=body | {"scores": {"upload": send()}}).status_code == 202
    assert client.get(f"/v1/evaluations/{made}").json()["state"] == "succeeded"


def test_the_command_sends_files_and_waits(
    client: TestClient,
    dataset: str,
    send: Callable[..., str],
    memory_store: Any,
    there: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    printed: Callable[[], Any],
) -> None:
    for name, worse in (("old", 0.0), ("new", 2.5)):
        digest = send(worse=worse)
        data = keys.UploadKeys("acme", digest).data("")
        key = next(key for key in memory_store.objects if key.startswith(data))
        (tmp_path / f"{name}.csv").write_bytes(memory_store.objects[key])
        client.delete(f"/v1/uploads/{digest}")

    monkeypatch.chdir(tmp_path)
    rule = ["--at-fmr", "0.05", "--max-fnmr-increase", "0.05"]
    files = ["--scores", "new.csv", "--baseline", "old.csv"]
    command = ["evaluate", *files, *rule, "--dataset", dataset]
    assert run([*command, *there, "--name", "build 7", "--json", "--junit", "out.xml"]) == 1
    found = printed()
    assert (found["verdict"], found["set"]["dataset"]) == ("FAIL", dataset)
    assert ET.parse("out.xml").getroot().get("failures") == "1"
    made = client.get("/v1/evaluations").json()["evaluations"][0]
    assert made["name"] == "build 7"
    again = ["--remote", *there[1:], "--baseline-evaluation", made["id"]]
    assert run(["evaluate", "--scores", "new.csv", *rule, "--dataset", dataset, *again]) == 0
    # A refusal names the options.
    capsys.readouterr()
    unknown = ["--remote", *there[1:], "--baseline-evaluation", made["id"][:-4] + "0000"]
    assert run(["evaluate", "--scores", "new.csv", *rule, "--dataset", dataset, *unknown]) == 2
    assert "facsimile: --baseline-evaluation: there is no evaluation" in capsys.readouterr().err
    assert run(["evaluate", "--scores", "new.csv", "--release", "gate@9.9.9", *there]) == 2
    assert "facsimile: --release: " in capsys.readouterr().err
    assert run(["evaluate", "--scores", "new.csv", "--dataset", "gate@9.9.9", *there]) == 2  # a release, by its name
    assert "facsimile: --release: " in capsys.readouterr().err
    (tmp_path / "new.csv").write_text("reference,probe,score\n")
    assert run([*command, *there]) == 2
    assert "missing" in capsys.readouterr().err
