"""Candidate lists over HTTP: uploaded, read by the workers' own function against the set, held against a baseline."""

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import numpy as np
import pytest
from fastapi.testclient import TestClient

from app.cli.main import run
from app.dataset import keys
from workers.verdict import list_job
from workers.verdict.reading_child import read_columns

pytest.importorskip("pyarrow")

SUBJECTS = 40


@pytest.fixture
def dataset(submit: Callable[..., str], finish: Callable[[str], None]) -> str:
    found = submit(subjects=SUBJECTS, samples_per_subject=3, distractors=0)
    finish(found)
    return found


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lists are read in this process: a child each would take longer than all else."""
    monkeypatch.setattr(list_job, "read_apart", read_columns)


def lists(worse: float = 0.0, enrolled: int = SUBJECTS, **odd: str) -> str:
    """Two probes a subject, each with its five best of the gallery; `odd` replaces a probe's rows by a text."""
    rng = np.random.default_rng(1)
    text = "probe,rank,reference,score\n"
    for subject in range(SUBJECTS):
        for sample in (1, 2):
            scores = rng.normal(size=SUBJECTS)
            scores[subject] += 4 - worse
            probe = f"S{subject:07d}_{sample:04d}"
            best = [number for number in np.argsort(-scores) if number < enrolled][:5]
            rows = [f"{probe},{rank},S{who:07d}_0000,{scores[who]!r}\n" for rank, who in enumerate(best, 1)]
            text += odd.get(probe, "".join(row.replace("np.float64(", "").replace(")", "") for row in rows))
    return text


def send(client: TestClient, text: str) -> dict[str, str]:
    data = text.encode()
    digest = hashlib.sha256(data).hexdigest()
    assert client.put(f"/v1/uploads/{digest}", content=data).status_code in (200, 201)
    return {"upload": digest}


def ask(client: TestClient, **body: Any) -> str:
    answer = client.post("/v1/evaluations", json=body)
    assert answer.status_code == 202, answer.text
    return str(answer.json()["id"])


RULE = {"at_fpir": [0.4], "max_fnir_increase": "0.05"}


@pytest.mark.usefixtures("here")
def test_from_upload_to_verdict(client: TestClient, dataset: str, worker: Any, memory_store: Any) -> None:
    old = ask(client, dataset=dataset, candidates=send(client, lists()), searches={"at_fpir": [0.4]}, name="matcher 1")
    assert worker.work() == 1
    found = client.get(f"/v1/evaluations/{old}").json()
    assert (found["state"], found["verdict"], found["result"], found["fnmr"]) == ("succeeded", None, None, None)
    assert found["searches"]["gallery"] == SUBJECTS
    assert found["searches"]["mated"] == 2 * SUBJECTS
    assert found["fnir"] == found["searches"]["points"][0]["fnir"]
    assert set(found["links"]) == {"self", "junit", "markdown", "det", "report"}
    assert "FPIR" in client.get(found["links"]["det"]).text
    assert client.get(found["links"]["report"]).text.count("<svg") == 1
    assert "![DET](det.svg)" in client.get(found["links"]["markdown"]).text
    assert client.get(f"/v1/evaluations/{old}/galleries.svg").status_code == 404
    assert not [key for key in memory_store.objects if key.startswith(keys.UPLOADS)]
    worse, same, both = (
        ask(client, dataset=dataset, candidates=send(client, lists(by)), baseline=baseline, searches=RULE)
        for by, baseline in (
            (3.0, {"evaluation": old}),
            (0.0, {"evaluation": old}),
            (3.0, send(client, lists())),
        )
    )
    assert worker.work() == 3
    shown = [client.get(f"/v1/evaluations/{one}").json() for one in (worse, same, both)]
    assert [one["verdict"] for one in shown] == ["FAIL", "PASS", "FAIL"]
    assert shown[0]["searches"]["difference"] == shown[2]["searches"]["difference"]
    assert shown[0]["increase"] == shown[0]["searches"]["difference"]["increase"] > 0.05
    assert ET.fromstring(client.get(shown[0]["links"]["junit"]).content).get("failures") == "1"
    assert client.get(shown[0]["links"]["markdown"]).text.startswith("### ❌ FAIL")
    listed = client.get("/v1/evaluations", params={"dataset": dataset}).json()["evaluations"]
    assert {one["id"] for one in listed} == {old, worse, same, both}
    assert all(one["fnir"] for one in listed)


@pytest.mark.usefixtures("here")
def test_only_some_were_enrolled(client: TestClient, dataset: str, worker: Any) -> None:
    labels = "".join(f"S{subject:07d}_0000\n" for subject in range(30))
    made = ask(client, dataset=dataset, candidates=send(client, lists(enrolled=30)), gallery=send(client, labels))
    worker.work()
    found = client.get(f"/v1/evaluations/{made}").json()["searches"]
    assert (found["gallery"], found["mated"], found["non_mated"]) == (30, 60, 20)
    assert found["non_mated_are"] == "probes without a mate"
    # The whole gallery is not what was searched for the baseline.
    both = ask(client, dataset=dataset, candidates=send(client, lists()), baseline={"evaluation": made})
    strange = ask(client, dataset=dataset, candidates=send(client, lists()), gallery=send(client, "S0000000_0001\n"))
    worker.work()
    assert "of other searches" in client.get(f"/v1/evaluations/{both}").json()["failure"]
    assert "no references of this set: S0000000_0001" in client.get(f"/v1/evaluations/{strange}").json()["failure"]


def test_lists_that_do_not_fit_fail_with_line_and_kind(client: TestClient, dataset: str, worker: Any) -> None:
    odd = "S0000000_0001,1,S0000009_0000,0.5\nS0000000_0001,3,S0000008_0000,0.4\n"
    made = ask(client, dataset=dataset, candidates=send(client, lists(S0000000_0001=odd)))
    none = ask(client, dataset=dataset, candidates=send(client, "reference,probe,score\n"))
    worker.work()
    assert "ranks do not go on by one" in client.get(f"/v1/evaluations/{made}").json()["failure"]
    assert "line 3: S0000000_0001" in client.get(f"/v1/evaluations/{made}").json()["failure"]
    assert "it must be probe,rank,reference,score" in client.get(f"/v1/evaluations/{none}").json()["failure"]


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"scores": {"upload": "0" * 64}}, "either scores or candidates"),
        ({"candidates": None}, "either scores or candidates"),
        ({"candidates": {"upload": "0" * 64}}, "candidates.upload: there is no upload"),
        ({"candidates": {"upload": "0" * 64, "metric": "cosine"}}, "candidates.metric"),
        ({"gallery": {"upload": "0" * 64}}, "gallery.upload: there is no upload"),
        ({"baseline": {"upload": "0" * 64, "metric": "cosine"}}, "searches have none"),
        ({"rule": {"at_fmr": 0.01}}, "candidates and templates have searches"),
        ({"searches": {"max_fnir_increase": "10%"}}, "over a baseline"),
        ({"searches": {"at_fpir": []}}, "searches.at_fpir"),
        ({"searches": {"max_fnir_increase": "lots"}}, "searches.max_fnir_increase"),
    ],
)
def test_what_is_refused(
    client: TestClient, dataset: str, memory_store: Any, change: dict[str, Any], what: str
) -> None:
    body = {"dataset": dataset, "candidates": send(client, lists())} | change
    answer = client.post("/v1/evaluations", json={name: value for name, value in body.items() if value is not None})
    assert answer.status_code == 422, answer.text
    assert what in answer.json()["detail"]
    assert not [key for key in memory_store.objects if key.startswith(keys.UNFINISHED_EVALUATIONS) or "/users/" in key]


@pytest.mark.usefixtures("here")
def test_scores_and_lists_are_no_baseline_of_each_other_and_without_probes_nothing_is_searched(
    client: TestClient, dataset: str, worker: Any, submit: Callable[..., str], finish: Callable[[str], None]
) -> None:
    made = ask(client, dataset=dataset, candidates=send(client, lists()))
    worker.work()
    body: dict[str, Any] = {"dataset": dataset, "scores": send(client, "x"), "baseline": {"evaluation": made}}
    assert "is of candidate lists, and this of comparison scores" in client.post("/v1/evaluations", json=body).text
    body = {"dataset": dataset, "scores": send(client, "x"), "searches": {"max_fnir": 0.1}}
    assert "scores have a rule" in client.post("/v1/evaluations", json=body).text
    other = submit(subjects=5, samples_per_subject=1)
    finish(other)
    body = {"dataset": other, "candidates": send(client, lists())}
    assert "there is no probe" in client.post("/v1/evaluations", json=body).text


@pytest.mark.usefixtures("here")
def test_the_command_sends_lists_and_waits(
    client: TestClient,
    dataset: str,
    there: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    printed: Callable[[], Any],
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("old.csv").write_text(lists())
    Path("new.csv").write_text(lists(3.0))
    Path("all.txt").write_text("".join(f"S{subject:07d}_0000\n" for subject in range(SUBJECTS)))
    command = ["evaluate", "--candidates", "new.csv", "--dataset", dataset, "--at-fpir", "0.4", *there]
    limit = ["--max-fnir-increase", "0.05"]
    assert run([*command, *limit, "--baseline-candidates", "old.csv", "--json", "--junit", "out.xml"]) == 1
    found = printed()
    assert (found["verdict"], found["set"]["dataset"]) == ("FAIL", dataset)
    assert ET.parse("out.xml").getroot().get("failures") == "1"
    made = client.get("/v1/evaluations").json()["evaluations"][0]["id"]
    again = ["--baseline-evaluation", made, "--gallery", "all.txt", "--name", "build 8"]
    assert run([*command, *limit, *again]) == 0
    assert {one["name"] for one in client.get("/v1/evaluations").json()["evaluations"]} == {"", "build 8"}
    capsys.readouterr()
    assert run([*command, *limit]) == 2
    assert "max_fnir_increase is over a baseline" in capsys.readouterr().err
    assert run([*command, "--baseline-evaluation", made[:-4] + "0000"]) == 2
    assert "facsimile: --baseline-evaluation: there is no evaluation" in capsys.readouterr().err
    assert run(["evaluate", "--candidates", "new.csv", "--dataset", dataset, "--name", "x"]) == 2
    assert "with --remote also with --release, --name" in capsys.readouterr().err
