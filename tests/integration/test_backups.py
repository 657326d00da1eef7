"""Backups of real services: hot, into another bucket and a folder; cold, by a copy; what was under way goes on."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from minio import Minio

from app.cli.main import run
from app.stack.folder import read_json

pytestmark = pytest.mark.integration

UNCHECKED = {"unique": False, "face_found": False}
FIELDS = {"subjects": 28, "samples_per_subject": 5, "seed": 33, "model": "sdgan", "checks": UNCHECKED}


@pytest.fixture
def facsimile(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Callable[..., dict[str, Any]]:
    """A command, and what it told in JSON."""

    def command(*arguments: str, **environment: str) -> dict[str, Any]:
        capsys.readouterr()
        with monkeypatch.context() as patch:
            for name, value in environment.items():
                patch.setenv(name, value)
            assert run([*arguments, "--json"]) == 0, capsys.readouterr().err
        found: dict[str, Any] = json.loads(capsys.readouterr().out)
        return found

    return command


def test_hot_and_cold(
    lone: Any,
    start: Callable[..., Any],
    connect: Callable[[str, str], Any],
    facsimile: Callable[..., dict[str, Any]],
    tmp_path: Path,
    pixel_digests: Callable[..., Any],
) -> None:
    one = lone
    key, secrets = one.stack.api_key, read_json(one.stack.folder.credentials)
    done = one.submit(**FIELDS | {"subjects": 4})
    manifest = one.finish(done)
    under_way = one.submit(**FIELDS)
    one.wait(under_way, lambda found: found["progress"]["samples_done"] >= 24)

    # Another bucket of the same server, by its administrator: API and workers may write nowhere else.
    store = one.stack.settings().store
    elsewhere = {
        "FACSIMILE_BACKUP__ENDPOINT": store.endpoint,
        "FACSIMILE_BACKUP__ACCESS_KEY": secrets["access_key"],
        "FACSIMILE_BACKUP__SECRET_KEY": secrets["secret_key"],
    }
    hot = facsimile("backup", "s3://nightly/1", "--data", str(one.stack.folder.root), **elsewhere)
    digests = pixel_digests(one.finish(under_way))
    in_folder = facsimile("backup", str(tmp_path / "folder"), "--data", str(one.stack.folder.root))
    assert in_folder["objects"] > hot["objects"] > 20
    index = Minio(
        store.endpoint, access_key=secrets["access_key"], secret_key=secrets["secret_key"], secure=False
    ).get_object("nightly", "1/index.jsonl")
    assert index.data.count(b"\n") == hot["objects"]
    assert f"{under_way}/manifest.json".encode() not in index.data, "it was over before it was backed up"

    two = start(workers=0, data=tmp_path / "two")
    restored = facsimile("restore", "s3://nightly/1", "--data", str(tmp_path / "two"), **elsewhere)
    assert restored["objects"] == hot["objects"]
    two.stack.stop()

    # Cold: a folder that nothing runs on is copied, and the copy started.
    shutil.copytree(tmp_path / "two", tmp_path / "copy")
    again = start(data=tmp_path / "copy")
    theirs = connect(again.stack.url, key)  # the keys of before hold
    assert theirs.finish(done) == manifest
    assert pixel_digests(theirs.finish(under_way)) == digests
