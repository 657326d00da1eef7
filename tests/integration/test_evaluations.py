"""An evaluation on real servers: files streamed in, made by a worker, and found again after the queue was wiped."""

import csv
import hashlib
import io
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import redis

pytestmark = pytest.mark.integration


def test_from_files_to_verdict(service: Any) -> None:
    dataset = service.submit(
        model="parametric",
        subjects=30,
        samples_per_subject=3,
        seed=1,
        image={"size": 64},
        checks={"unique": False, "face_found": False},
        comparisons={"selection": "crossed"},
    )
    service.finish(dataset)
    rows = list(csv.DictReader(io.StringIO(service.http.get(f"/v1/datasets/{dataset}/comparisons").text)))

    def upload(worse: float) -> dict[str, str]:
        rng = np.random.default_rng(1)
        scores = [float(rng.normal()) + (3 - worse) * int(row["mated"]) for row in rows]
        lines = [f"{row['reference']},{row['probe']},{score!r}\n" for row, score in zip(rows, scores, strict=True)]
        data = ("reference,probe,score\n" + "".join(lines)).encode()
        assert len(data) > 65_536
        digest = hashlib.sha256(data).hexdigest()
        pieces = (data[at : at + 10_000] for at in range(0, len(data), 10_000))
        assert service.http.put(f"/v1/uploads/{digest}", content=pieces).status_code == 201
        return {"upload": digest}

    def evaluate(**fields: Any) -> str:
        answer = service.http.post("/v1/evaluations", json={"dataset": dataset, **fields})
        assert answer.status_code == 202, answer.text
        return str(answer.json()["id"])

    def ended(evaluation: str) -> dict[str, Any]:
        return wait(lambda: service.http.get(f"/v1/evaluations/{evaluation}").json())

    rule = {"at_fmr": 0.05, "max_fnmr_increase": "0.05"}
    old = ended(evaluate(scores=upload(0.0), rule={"at_fmr": 0.05}))
    assert old["state"] == "succeeded", old
    assert old["result"]["set"]["comparisons"] == len(rows)
    # The queue forgets; what was accepted is in the store.
    accepted = [evaluate(scores=upload(worse), baseline={"evaluation": old["id"]}, rule=rule) for worse in (2.5, 0.0)]
    redis.Redis.from_url(service.stack.settings().queue.url.get_secret_value()).flushall()
    verdicts = [ended(evaluation)["verdict"] for evaluation in accepted]
    assert verdicts == ["FAIL", "PASS"]
    deadline = time.monotonic() + 60  # what is finished is tidied up a moment after it is said
    while service.keys("uploads/") or service.keys("unfinished-evaluations/"):
        assert time.monotonic() < deadline, service.keys("unfinished-evaluations/")
        time.sleep(0.1)
    listed = service.http.get("/v1/evaluations", params={"dataset": dataset}).json()["evaluations"]
    assert [found["id"] for found in listed] == [*reversed(accepted), old["id"]]


def wait(look: Callable[[], dict[str, Any]], within_s: float = 400) -> dict[str, Any]:
    deadline = time.monotonic() + within_s
    while (found := look())["state"] not in ("succeeded", "failed"):
        assert time.monotonic() < deadline, found
        time.sleep(0.2)
    return found
