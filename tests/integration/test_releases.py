"""Releases on real servers: races with one winner, repeats that make nothing twice, deletion against release."""

import io
import json
import subprocess
import sys
import tarfile
import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from hashlib import sha256
from typing import Any

import httpx
import pytest

from app.dataset.keys import RETENTION
from app.dataset.manifest import content_of, read_manifest
from app.errors import ObjectNotFound
from app.storage import open_store

pytestmark = pytest.mark.integration

UNCHECKED = {"unique": False, "face_found": False}
SMALL: dict[str, Any] = {
    "model": "parametric",
    "subjects": 2,
    "samples_per_subject": 2,
    "checks": UNCHECKED,
    "report": {"judged_subjects": 0},
}

RACER = """
import sys
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from app.config import StoreSettings
from app.dataset.release import ReleaseRequest
from app.errors import Conflict
from app.jobs.releases.service import ReleaseService
from app.storage import open_store

version, *datasets = sys.argv[1:]
store = open_store(StoreSettings.model_validate_json(sys.stdin.readline()))
releases = ReleaseService(store)
print("ready", flush=True)
sys.stdin.readline()

def race(number):
    try:
        request = ReleaseRequest(dataset=datasets[number % len(datasets)])
        return "made" if releases.create("local", "race", version, request, by="0" * 16)[1] else "same"
    except Conflict:
        return "conflict"

with ThreadPoolExecutor(25) as pool:
    for what, count in Counter(pool.map(race, range(50))).items():
        print(what, count)
"""
"""50 attempts at one version, straight at the store, by 25 threads of a process of its own."""


@pytest.fixture(scope="module")
def pair(service: Any) -> tuple[str, str]:
    """Two finished datasets of one request."""
    first, second = (service.submit(**SMALL, seed=5) for _ in range(2))
    service.finish(first)
    service.finish(second)
    return first, second


def at_once(count: int, act: Callable[[int], Any]) -> list[Any]:
    """Do something so many times at once."""
    barrier = threading.Barrier(count)

    def one(number: int) -> Any:
        barrier.wait()
        return act(number)

    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(one, range(count)))


def test_two_datasets_of_one_request_have_the_same_pixels_and_other_files(service: Any, pair: tuple[str, str]) -> None:
    one, other = (
        service.http.put(f"/v1/releases/twins/{number}.0.0", json={"dataset": dataset}).json()
        for number, dataset in enumerate(pair)
    )
    assert one["pixels_digest"] == other["pixels_digest"]
    assert one["comparisons_sha256"] == other["comparisons_sha256"]
    assert one["digest"] != other["digest"]  # every file names its dataset
    found = service.http.get("/v1/releases/twins/0.0.0/diff?to=1.0.0").json()
    assert (found["same_pixels"], found["same_comparisons"], found["same_content"]) == (True, True, False)
    assert found["samples"]["rewritten"]["count"] == 4
    assert found["request"] == []


def test_a_release_is_verified_by_its_archive_alone(service: Any, pair: tuple[str, str]) -> None:
    record = service.http.put("/v1/releases/alone/1.0.0", json={"dataset": pair[0]}).json()
    archive = service.http.get(f"{record['links']['archive']}").content
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        files = {member.name.partition("/")[2]: tar.extractfile(member).read() for member in tar.getmembers()}  # type: ignore[union-attr]
    summary, lines = read_manifest([files["manifest.json"]])
    rows = list(lines)
    assert content_of(summary, rows).digest == record["digest"] == summary.content.digest
    assert sha256(files["comparisons.csv"]).hexdigest() == record["comparisons_sha256"]
    assert all(sha256(files[row.file]).hexdigest() == row.file_sha256 for row in rows)


def test_two_hundred_racing_for_one_version_have_one_winner(service: Any, pair: tuple[str, str]) -> None:
    """A hundred over HTTP and a hundred from two processes of their own, for two datasets in turn."""
    settings = service.stack.settings().store
    text = settings.model_dump(mode="json") | {"secret_key": settings.secret_key.get_secret_value()}
    racers = [
        subprocess.Popen(
            [sys.executable, "-c", RACER, "1.0.0", *pair],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(2)
    ]
    for racer in racers:
        assert racer.stdin is not None
        assert racer.stdout is not None
        racer.stdin.write(json.dumps(text) + "\n")
        racer.stdin.flush()
        assert racer.stdout.readline() == "ready\n"
    limits = httpx.Limits(max_connections=50)
    with httpx.Client(base_url=service.http.base_url, headers=service.http.headers, timeout=120, limits=limits) as http:
        for racer in racers:
            assert racer.stdin is not None
            racer.stdin.write("go\n")
            racer.stdin.flush()
        with ThreadPoolExecutor(50) as pool:
            answers = list(
                pool.map(
                    lambda number: http.put("/v1/releases/race/1.0.0", json={"dataset": pair[number % 2]}), range(100)
                )
            )
    told = Counter({201: "made", 200: "same", 409: "conflict"}[answer.status_code] for answer in answers)
    for racer in racers:
        for line in racer.communicate(timeout=120)[0].splitlines():
            what, count = line.split()
            told[what] += int(count)
        assert racer.returncode == 0
    assert told == {"made": 1, "same": 99, "conflict": 100}
    record = service.http.get("/v1/releases/race/1.0.0").json()
    assert all(answer.json()["digest"] == record["digest"] for answer in answers if answer.status_code < 300)
    assert all(record["digest"] in answer.json()["detail"] for answer in answers if answer.status_code == 409)
    assert len(service.keys("tenants/local/releases/race/")) == 1
    # Of all the pins one is left: the winner's.
    pins = [key for dataset in pair for key in service.keys(f"tenants/local/datasets/{dataset}/pins/race/")]
    assert len(pins) == 1
    assert record["dataset"] in pins[0]


def test_repeated_idempotent_submissions_make_one_dataset(service: Any) -> None:
    body = {"name": "repeated", **SMALL, "seed": 6}
    headers = {"Idempotency-Key": "three-hundred"}
    with ThreadPoolExecutor(10) as pool:
        answers = list(pool.map(lambda _: service.http.post("/v1/datasets", json=body, headers=headers), range(300)))
    # Who comes while the first is being accepted is told to come again.
    assert {answer.status_code for answer in answers} <= {202, 503}
    assert len({answer.json()["id"] for answer in answers if answer.status_code == 202}) == 1
    listed = service.http.get("/v1/datasets?name=repeated&limit=100").json()["datasets"]
    assert len(listed) == 1


def test_deleting_and_releasing_at_once(service: Any) -> None:
    """Either there is a release and its archive is whole, or there is none and every object is gone."""
    outcomes = Counter[str]()
    datasets = [service.submit(**SMALL, seed=7) for _ in range(8)]
    for number, dataset in enumerate(datasets):
        service.finish(dataset)
        version = f"1.0.{number}"

        def act(which: int, dataset: str = dataset, version: str = version) -> int:
            if which:
                return int(service.http.delete(f"/v1/datasets/{dataset}").status_code)
            return int(service.http.put(f"/v1/releases/torn/{version}", json={"dataset": dataset}).status_code)

        made, deleted = at_once(2, act)
        assert deleted == 204
        assert service.http.get(f"/v1/datasets/{dataset}").status_code == 404
        if made == 201:
            archive = service.http.get(f"/v1/releases/torn/{version}/archive")
            assert archive.status_code == 200
            assert len(archive.content) == int(archive.headers["content-length"])
            outcomes["released"] += 1
            service.http.request(
                "DELETE", f"/v1/releases/torn/{version}", json={"reason": "test", "confirm": f"torn@{version}"}
            )
        else:
            assert made == 404
            outcomes["refused"] += 1
        left = service.keys(f"tenants/local/datasets/{dataset}/")
        # A pin that was seen in flight leaves them to the reconciler.
        assert left == [] or made == 404, left
    assert sum(outcomes.values()) == len(datasets)


def test_the_beat_looks_after_retention(lone: Any) -> None:
    service = lone
    dataset = service.submit(**SMALL)
    service.finish(dataset)
    [shown] = [kept for kept in service.http.get("/v1/retention").json()["datasets"] if kept["dataset"] == dataset]
    assert (shown["dataset"], shown["rule"], shown["due"]) == (dataset, "service", False)
    deadline = time.monotonic() + 60
    looks: set[bytes] = set()
    while len(looks) < 2:
        assert time.monotonic() < deadline, "nobody looked"
        with suppress(ObjectNotFound):
            looks.add(open_store(service.stack.settings().store).get(RETENTION))
        time.sleep(0.2)
    assert service.show(dataset)["expires_at"] == shown["expires_at"]
