"""The compose file: who gets which secret, and its store, started for real with its own set-up and its own command."""

import io
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import urllib3
import yaml
from minio import Minio
from minio.commonconfig import CopySource
from minio.deleteobjects import DeleteObject
from minio.error import S3Error

from app.cli.main import run
from app.dataset import keys
from app.stack import binaries, leash, ports
from app.stack.folder import DataFolder
from app.stack.rights import WORKERS_READ, WORKERS_WRITE

ROOT = Path(__file__).resolve().parents[2]
COMPOSE = Path(sys.executable).with_name("docker-compose")
BUCKET = "facsimile"
SECRETS = {
    "S3_API_SECRET_KEY": "the-secret-of-the-api-0123456789",
    "S3_WORKER_SECRET_KEY": "the-secret-of-workers-0123456789",
    "QUEUE_PASSWORD": "queue0123456789",
}


@pytest.fixture(scope="module")
def services(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The services as compose makes them out of the file and a filled-in deploy/compose.env."""
    if not COMPOSE.exists():
        pytest.skip("docker-compose comes with the extra lint")
    text = (ROOT / "deploy" / "compose.env.example").read_text()
    for name, value in SECRETS.items():
        assert f"\n{name}=change-me\n" in text, name
        text = text.replace(f"\n{name}=change-me\n", f"\n{name}={value}\n")
    file = tmp_path_factory.mktemp("compose") / "compose.env"
    file.write_text(text)
    command = [str(COMPOSE), "--env-file", str(file), "-f", str(ROOT / "docker-compose.yml"), "config"]
    made = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    found: dict[str, Any] = yaml.safe_load(made.stdout)["services"]
    return found


def test_each_service_knows_the_secrets_that_it_needs_and_no_other(services: dict[str, Any]) -> None:
    known = {
        name: {secret for secret, value in SECRETS.items() if value in yaml.safe_dump(service)}
        for name, service in services.items()
    }
    workers = {"S3_WORKER_SECRET_KEY", "QUEUE_PASSWORD"}
    assert known == {
        "api": {"S3_API_SECRET_KEY", "QUEUE_PASSWORD"},
        "worker": workers,
        "beat": workers,
        "queue": {"QUEUE_PASSWORD"},
        "store-users": {"S3_API_SECRET_KEY", "S3_WORKER_SECRET_KEY"},
        "s3": set(),
    }


def test_the_store_comes_after_its_users(services: dict[str, Any]) -> None:
    assert services["s3"]["depends_on"]["store-users"]["condition"] == "service_completed_successfully"
    assert services["store-users"]["network_mode"] == "none"
    assert services["store-users"]["volumes"] == services["s3"]["volumes"]
    assert services["s3"]["user"] == "10001:10001"
    assert "install --directory --owner=10001 --group=10001 --mode=0700 /store" in (ROOT / "Dockerfile").read_text()


def test_one_command_starts_the_store_here_and_on_a_cluster(services: dict[str, Any]) -> None:
    (document, *_) = yaml.safe_load_all((ROOT / "deploy" / "kubernetes" / "s3" / "s3.yaml").read_text())
    (container,) = document["spec"]["template"]["spec"]["containers"]
    there = [word.replace("$(FACSIMILE_STORE__BUCKET)", "facsimile") for word in container["command"]]
    assert [word.replace("-dir=/data", "-dir=/store/data") for word in there] == services["s3"]["entrypoint"]
    assert container["image"] == services["s3"]["image"]
    given = {entry["name"]: entry.get("value") for entry in container["env"]}
    assert services["s3"]["environment"]["GOMEMLIMIT"] == given["GOMEMLIMIT"] == "1536MiB"
    assert container["resources"]["limits"]["memory"] == "2Gi"
    assert int(services["s3"]["deploy"]["resources"]["limits"]["memory"]) == 2 * 2**30


@pytest.fixture(scope="module")
def clients(services: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Minio]]:
    """The two users of the compose file's store, which runs by the file's own words, but for folder and ports."""
    folder = tmp_path_factory.mktemp("compose-store")
    data = DataFolder(folder / "ports")
    data.acquire()
    at = ports.choose(data, None)
    data.release()
    given = services["store-users"]["environment"]

    def here(words: list[str]) -> list[str]:
        return [word.replace("/store", f"{folder}/store") for word in words]

    with pytest.MonkeyPatch.context() as patch:
        for name, value in given.items():
            patch.setenv(name, value)
        assert run(here(services["store-users"]["command"])[1:]) == 0
    words = [word for word in here(services["s3"]["entrypoint"])[1:] if word != "-s3.port=9000"]
    words += [f"-{name}.port={getattr(at, name)}" for name in ports.S3_PORTS]
    leashed = [sys.executable, "-IS", leash.__file__, str(os.getpid())]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    process = subprocess.Popen([*leashed, str(binaries.weed()), *words], cwd=folder, **quiet)  # type: ignore[call-overload]
    try:
        made = {
            whose: Minio(
                f"127.0.0.1:{at.s3}",
                access_key=given[f"S3_{whose.upper()}_ACCESS_KEY"],
                secret_key=given[f"S3_{whose.upper()}_SECRET_KEY"],
                secure=False,
                region="us-east-1",
                http_client=urllib3.PoolManager(timeout=10, retries=False),
            )
            for whose in ("api", "worker")
        }
        until = time.monotonic() + 60
        while not _takes(made["api"]):
            assert time.monotonic() < until, "the store did not come up"
            time.sleep(0.1)
        assert httpx.get(f"http://127.0.0.1:{at.s3}/healthz").status_code == 200
        yield made
    finally:
        process.terminate()
        process.wait(30)


def _takes(client: Minio) -> bool:
    """Whether the bucket is there, which nobody has made by hand, and takes an object."""
    try:
        put(client, "stack/started")
    except (S3Error, urllib3.exceptions.HTTPError):
        return False
    return True


def put(client: Minio, key: str, bucket: str = BUCKET) -> None:
    client.put_object(bucket, key, io.BytesIO(b"x"), 1)


@pytest.mark.integration
def test_workers_do_what_their_tasks_need(clients: dict[str, Minio]) -> None:
    worker = clients["worker"]
    for prefix in WORKERS_WRITE:
        key = f"{prefix}one" if prefix.endswith("/") else prefix
        put(worker, key)
        assert worker.get_object(BUCKET, key).data == b"x"
        assert key in {found.object_name for found in worker.list_objects(BUCKET, prefix, recursive=True)}
        worker.remove_object(BUCKET, key)
        with pytest.raises(S3Error, match="NoSuchKey"):
            worker.stat_object(BUCKET, key)
    for key in ("tenants/a/1", "tenants/a/2"):
        put(worker, key)
    # Large ones in parts, many removed at once.
    worker.put_object(BUCKET, "tenants/a/3", io.BytesIO(bytes(6 << 20)), -1, part_size=5 << 20)
    doomed = [
        DeleteObject(found.object_name or "") for found in worker.list_objects(BUCKET, "tenants/", recursive=True)
    ]
    assert len(doomed) == 3
    assert not list(worker.remove_objects(BUCKET, doomed))
    for prefix in WORKERS_READ:
        put(clients["api"], f"{prefix}a.json")
        assert worker.get_object(BUCKET, f"{prefix}a.json").data == b"x"
        with pytest.raises(S3Error, match="AccessDenied"):
            put(worker, f"{prefix}a.json")


@pytest.mark.integration
@pytest.mark.parametrize("prefix", [keys.API_KEYS, keys.API_KEYS_USED, keys.SESSIONS, "stack/", ""])
def test_workers_have_nothing_to_do_with_keys_and_sessions(clients: dict[str, Minio], prefix: str) -> None:
    worker, api, key = clients["worker"], clients["api"], f"{prefix}one"
    put(api, key)
    for refused in (
        lambda: worker.get_object(BUCKET, key),
        lambda: worker.stat_object(BUCKET, key),
        lambda: put(worker, key),
        lambda: put(worker, f"{prefix}another"),
        lambda: worker.remove_object(BUCKET, key),
        lambda: list(worker.list_objects(BUCKET, prefix, recursive=True)),
        lambda: worker.copy_object(BUCKET, "tenants/taken", CopySource(BUCKET, key)),
    ):
        with pytest.raises(S3Error, match="AccessDenied"):
            refused()
    (error,) = worker.remove_objects(BUCKET, [DeleteObject(key)])
    assert error.code == "AccessDenied"
    assert api.get_object(BUCKET, key).data == b"x"


@pytest.mark.integration
@pytest.mark.parametrize("whose", ["api", "worker"])
def test_nobody_does_anything_with_buckets(clients: dict[str, Minio], whose: str) -> None:
    client = clients[whose]
    for refused in (lambda: client.make_bucket("other"), lambda: client.remove_bucket(BUCKET), client.list_buckets):
        try:
            found = refused()
        except S3Error as exc:
            assert exc.code == "AccessDenied"  # noqa: PT017
        else:
            assert {bucket.name for bucket in found or ()} <= {BUCKET}
    assert clients["api"].bucket_exists(BUCKET)
