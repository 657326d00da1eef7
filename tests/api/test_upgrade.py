"""What a version before wrote is read: its backup, kept in tests/data/before, is restored and asked for over the API.

It was made by the service as it stood before keys had roles and sets had a progress record: a set of 8 samples by
`sdgan` 0.2.0, released and evaluated, and another that no worker had begun.
"""

import hashlib
import io
import json
import tarfile
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from app.config import Settings
from app.jobs.reconcile import reconcile
from app.jobs.uploads import UploadService
from app.main import create_app
from app.stack.backup import restore
from app.stack.shelves import FolderShelf

FOLDER = Path(__file__).resolve().parents[1] / "data" / "before"
ABOUT = json.loads((FOLDER / "about.json").read_text())
DATASET = f"/v1/datasets/{ABOUT['dataset']}"


@pytest.fixture
def upgraded(memory_store: Any, memory_queue: Any, settings: Settings) -> FastAPI:
    """The service of today over what was kept."""
    restore(memory_store, FolderShelf(FOLDER))
    return create_app(settings, store=memory_store, queue=memory_queue)


@pytest.fixture
def theirs(upgraded: FastAPI) -> TestClient:
    """With the key of before."""
    return TestClient(upgraded, headers={"Authorization": f"Bearer {ABOUT['key']}"})


def test_the_key_holds_and_may_write(theirs: TestClient) -> None:
    who = theirs.get("/v1/whoami").json()
    assert (who["tenant"], who["role"], who["expires_at"]) == ("local", "write", None)
    assert theirs.get("/v1/keys").status_code == 403


def test_the_set_is_whole(theirs: TestClient) -> None:
    shown = theirs.get(DATASET).json()
    assert shown["state"] == "succeeded"
    assert shown["model"]["version"] == "0.2.0"
    assert shown["counts"]["samples"] == 8
    manifest = theirs.get(f"{DATASET}/manifest").json()
    assert manifest["digests"] == shown["digests"]
    archive = theirs.get(f"{DATASET}/archive")
    assert archive.status_code == 200
    with tarfile.open(fileobj=io.BytesIO(archive.content)) as packed:
        files = {one.name.rpartition("/")[2]: data.read() for one in packed if (data := packed.extractfile(one))}
    assert len(manifest["samples"]) == 8
    for sample in manifest["samples"]:
        name = sample["file"].rpartition("/")[2]
        assert hashlib.sha256(files[name]).hexdigest() == sample["file_sha256"]
    listed = theirs.get("/v1/datasets").json()["datasets"]
    assert {one["id"]: one["state"] for one in listed} == {
        ABOUT["dataset"]: "succeeded",
        ABOUT["under_way"]: "accepted",
    }
    assert theirs.get(f"{DATASET}/samples").status_code == 200


def test_its_release_and_evaluation_are_there(theirs: TestClient) -> None:
    release = theirs.get("/v1/releases/kept/1.0.0")
    assert release.status_code == 200, release.text
    assert theirs.get("/v1/releases/kept/1.0.0/manifest").status_code == 200
    evaluation = theirs.get(f"/v1/evaluations/{ABOUT['evaluation']}").json()
    assert (evaluation["state"], evaluation["verdict"]) == ("succeeded", "UNDECIDED")
    assert evaluation["result"]["scores"]["mated"] == 4
    deleted = theirs.delete(DATASET)
    assert deleted.status_code == 204
    assert theirs.get("/v1/releases/kept/1.0.0/archive").status_code == 200, "a release keeps its samples"


def test_what_was_under_way_is_queued_again_and_can_be_cancelled(
    theirs: TestClient, memory_store: Any, memory_queue: Any, settings: Settings
) -> None:
    counts = reconcile(memory_store, memory_queue, UploadService(memory_store, settings.limits))
    assert counts["enqueued"] > 0
    assert {task.subject for task in memory_queue.sent} == {ABOUT["under_way"]}
    cancelled = theirs.post(f"/v1/datasets/{ABOUT['under_way']}/cancel")
    assert cancelled.json()["state"] == "cancelled"
