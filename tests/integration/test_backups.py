"""Backups of real services: hot, into another bucket and a folder; cold, by a copy; what was under way goes on."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from minio import Minio

from app.stack.folder import read_json

pytestmark = pytest.mark.integration

UNCHECKED = {"unique": False, "face_found": False}
FIELDS = {"subjects": 28, "samples_per_subject": 5, "seed": 33, "model": "sdgan", "checks": UNCHECKED}
SMALL_SHARDS = {"FACSIMILE_SHARD_SIZE": "25", "FACSIMILE_SHARDS_PER_DATASET": "1"}


def facsimile(*arguments: str, **environment: str) -> dict[str, Any]:
    command = [str(Path(sys.executable).with_name("facsimile")), *arguments, "--json"]
    done = subprocess.run(command, env={**os.environ, **environment}, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_hot_and_cold(
    start: Callable[..., Any], connect: Callable[[str, str], Any], tmp_path: Path, pixel_digests: Callable[..., Any]
) -> None:
    one = start(data=tmp_path / "one", **SMALL_SHARDS)
    key, secrets = one.stack.api_key, read_json(one.stack.folder.credentials)
    done = one.submit(**FIELDS | {"subjects": 4})
    manifest = one.finish(done)
    under_way = one.submit(**FIELDS)
    one.wait(under_way, lambda found: found["progress"]["samples_done"] >= 25)

    # Another bucket of the same server, by its administrator: API and workers may write nowhere else.
    store = one.stack.settings().store
    elsewhere = {
        "FACSIMILE_BACKUP__ENDPOINT": store.endpoint,
        "FACSIMILE_BACKUP__ACCESS_KEY": secrets["access_key"],
        "FACSIMILE_BACKUP__SECRET_KEY": secrets["secret_key"],
    }
    hot = facsimile("backup", "s3://nightly/1", "--data", str(tmp_path / "one"), **elsewhere)
    digests = pixel_digests(one.finish(under_way))
    in_folder = facsimile("backup", str(tmp_path / "folder"), "--data", str(tmp_path / "one"))
    assert in_folder["objects"] > hot["objects"] > 20
    index = Minio(
        store.endpoint, access_key=secrets["access_key"], secret_key=secrets["secret_key"], secure=False
    ).get_object("nightly", "1/index.jsonl")
    assert index.data.count(b"\n") == hot["objects"]
    assert f"{under_way}/manifest.json".encode() not in index.data, "it was over before it was backed up"

    two = start(workers=0, data=tmp_path / "two", **SMALL_SHARDS)
    restored = facsimile("restore", "s3://nightly/1", "--data", str(tmp_path / "two"), **elsewhere)
    assert restored["objects"] == hot["objects"]
    one.stack.stop()
    two.stack.stop()

    # Cold: a folder that nothing runs on is copied, and the copy started.
    shutil.copytree(tmp_path / "two", tmp_path / "copy")
    again = start(data=tmp_path / "copy", **SMALL_SHARDS)
    theirs = connect(again.stack.url, key)  # the keys of before hold
    assert theirs.finish(done) == manifest
    assert pixel_digests(theirs.finish(under_way)) == digests
