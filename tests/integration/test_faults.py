"""What breaks is mended, and the pixels are those of an undisturbed run. On real servers, with kill -9."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from app.queue import make_celery

pytestmark = pytest.mark.integration

UNCHECKED = {"unique": False, "face_found": False}
FIELDS = {"subjects": 24, "samples_per_subject": 5, "variability": {"scale": 0.8}}
SAMPLES = 120
SMALL_SHARDS = {"FACSIMILE_SHARD_SIZE": "24", "FACSIMILE_SHARDS_PER_DATASET": "1"}
SILENT_S = 6.0
"""For how long the store is away: two of its time-outs."""


@pytest.fixture(scope="module")
def expected(undisturbed: Callable[..., dict[str, str]]) -> dict[str, str]:
    """Pixel digests of the set that every test here asks for."""
    return undisturbed(33, "sdgan", **FIELDS)


def ask(service: Any) -> str:
    """Ask for the set and wait until a shard of it is done and another is being made."""
    dataset: str = service.submit(**FIELDS, seed=33, model="sdgan", checks=UNCHECKED)
    service.wait(dataset, lambda found: found["progress"]["samples_done"] >= 24)
    assert service.show(dataset)["progress"]["samples_done"] < SAMPLES, "it was over before it could be disturbed"
    return dataset


def kill_the_process_at_work(service: Any) -> None:
    """Kill the one process of the pool; the worker's other child is the clock."""
    celery = make_celery(service.stack.settings().queue)
    with celery.connection_for_write() as connection:  # one that has not lived through the queue's death
        (told,) = celery.control.inspect(timeout=30, limit=1, connection=connection).stats().values()
    (pid,) = told["pool"]["processes"]
    os.kill(pid, signal.SIGKILL)


def test_a_worker_process_killed_in_mid_shard(
    lone: Any, expected: dict[str, str], pixel_digests: Callable[..., Any]
) -> None:
    service = lone
    dataset = ask(service)
    kill_the_process_at_work(service)
    assert pixel_digests(service.finish(dataset)) == expected


def test_the_whole_worker_killed_in_mid_shard(
    lone: Any, expected: dict[str, str], pixel_digests: Callable[..., Any]
) -> None:
    service = lone
    restarts = service.stack.restarts("worker")
    dataset = ask(service)
    service.stack.kill("worker")
    assert pixel_digests(service.finish(dataset)) == expected
    assert service.stack.restarts("worker") == restarts + 1


def test_the_queue_killed_and_wiped(lone: Any, expected: dict[str, str], pixel_digests: Callable[..., Any]) -> None:
    service = lone
    dataset = ask(service)
    service.stack.stop_child("valkey")
    lost = list(service.stack.folder.valkey.rglob("*.aof"))
    assert lost
    for path in lost:
        path.unlink()
    for path in service.stack.folder.valkey.rglob("*.manifest"):
        path.unlink()
    service.stack.start_child("valkey")
    assert pixel_digests(service.finish(dataset)) == expected


def test_the_store_gone_for_a_while(lone: Any, expected: dict[str, str], pixel_digests: Callable[..., Any]) -> None:
    service = lone
    dataset = ask(service)
    known = {found["id"] for found in service.http.get("/v1/datasets").json()["datasets"]}
    service.stack.stop_child("s3")
    answer = service.http.post("/v1/datasets", json={"name": "t", "subjects": 2, "samples_per_subject": 2})
    assert answer.status_code == 503
    assert int(answer.headers["retry-after"]) >= 1
    assert answer.json()["error"]
    time.sleep(SILENT_S)
    service.stack.start_child("s3")
    assert pixel_digests(service.finish(dataset)) == expected
    listed = service.http.get("/v1/datasets").json()["datasets"]
    assert {found["id"] for found in listed} == known, "what was refused must not have been accepted"


def test_the_queue_down_refuses_and_accepts_nothing(lone: Any) -> None:
    service = lone
    known = service.http.get("/v1/datasets").json()["datasets"]
    service.stack.stop_child("valkey")
    body = {"name": "t", "subjects": 2, "samples_per_subject": 2, "checks": UNCHECKED}
    answer = service.http.post("/v1/datasets", json=body, headers={"Idempotency-Key": "k"})
    assert answer.status_code == 503
    assert int(answer.headers["retry-after"]) >= 1
    assert service.http.get("/v1/datasets").json()["datasets"] == known
    service.stack.start_child("valkey")
    again = service.http.post("/v1/datasets", json=body, headers={"Idempotency-Key": "k"})
    assert again.status_code == 202
    service.finish(again.json()["id"])


def test_the_whole_stack_killed_and_started_again(
    tmp_path: Path,
    expected: dict[str, str],
    pixel_digests: Callable[..., Any],
    start: Callable[..., Any],
    connect: Callable[..., Any],
) -> None:
    data = tmp_path / "killed"
    program = (
        "import sys, time\n"
        "from app.stack.embedded import EmbeddedStack\n"
        f"with EmbeddedStack({str(data)!r}, workers=1, env_overrides={SMALL_SHARDS!r}) as stack:\n"
        "    print(stack.url, stack.api_key, flush=True)\n"
        "    time.sleep(600)\n"
    )
    process = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    url, key = process.stdout.readline().split()

    dataset = ask(connect(url, key))
    process.kill()
    process.wait()
    service = start(data=data)
    assert service.stack.api_key == key
    assert pixel_digests(service.finish(dataset)) == expected


def test_a_shard_that_always_kills_its_worker_fails_its_dataset_and_no_other(lone: Any) -> None:
    service = lone
    dataset = ask(service)
    deadline = time.monotonic() + 400
    seen: set[str] = set()
    while service.show(dataset)["state"] not in ("failed", "succeeded"):
        assert time.monotonic() < deadline, service.show(dataset)
        marks = {key for key in service.keys(f"tenants/local/datasets/{dataset}/attempts/") if "/generate_shard" in key}
        if marks - seen:  # another attempt has begun
            kill_the_process_at_work(service)
        seen |= marks
        time.sleep(0.05)
    end = service.show(dataset)
    assert end["state"] == "failed"
    assert "given up after" in end["failure"]
    healthy = service.submit(subjects=2, samples_per_subject=2, checks=UNCHECKED)
    service.finish(healthy)
