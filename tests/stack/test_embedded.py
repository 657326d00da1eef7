"""The whole stack with real servers, without a worker: secrets hold, data last, ports and folders are guarded."""

import io
import json
import os
import signal
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
import redis
from minio import Minio
from minio.error import S3Error

from app.access import ApiKeys
from app.cli.main import run
from app.stack import EmbeddedStack, StackError, binaries, servers
from app.stack.folder import DataFolder, read_json
from app.stack.identity import identity_of
from app.stack.ports import is_free
from app.stack.supervisor import Event
from app.storage import S3Store, open_store

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedStack]:
    data = tmp_path_factory.mktemp("stack") / "data"
    with EmbeddedStack(data, workers=0, env_overrides={"FACSIMILE_SHARD_SIZE": "17"}) as made:
        yield made


@pytest.fixture
def store(stack: EmbeddedStack) -> S3Store:
    return open_store(stack.settings().store)


def ports_of(stack: EmbeddedStack) -> dict[str, int]:
    return {name: int(port) for name, port in read_json(stack.folder.ports).items()}


def test_every_secret_is_for_the_owner_only(stack: EmbeddedStack) -> None:
    folder = stack.folder
    assert stat.S_IMODE(folder.root.stat().st_mode) == 0o700
    for path in (
        folder.credentials,
        folder.api_key,
        folder.settings,
        folder.service,
        folder.s3 / "security.toml",
        folder.s3 / "identities.json",
        folder.valkey / "valkey.conf",
        folder.log("s3"),
    ):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600, path


def test_no_secret_stands_on_a_command_line(stack: EmbeddedStack) -> None:
    secrets = [value for name, value in read_json(stack.folder.credentials).items() if not name.endswith("access_key")]
    for name in ("valkey", "s3", "api"):
        line = Path(f"/proc/{stack.pid(name)}/cmdline").read_text()
        assert not any(secret in line for secret in secrets), name


def test_settings_are_those_of_the_children(stack: EmbeddedStack) -> None:
    assert stack.settings().shard_size == 17
    assert stack.settings().environment == "embedded"
    assert read_json(stack.folder.service)["url"] == stack.url


def test_api_and_workers_may_do_nothing_outside_the_bucket(stack: EmbeddedStack) -> None:
    settings, secrets = stack.settings().store, read_json(stack.folder.credentials)
    assert settings.access_key == secrets["api_access_key"]

    def client(whose: str) -> Minio:
        access, secret = secrets[f"{whose}access_key"], secrets[f"{whose}secret_key"]
        return Minio(settings.endpoint, access_key=access, secret_key=secret, secure=False, region=settings.region)

    def put(whose: str, bucket: str, key: str = "tenants/x") -> None:
        client(whose).put_object(bucket, key, io.BytesIO(b"x"), 1)

    administrator = client("")
    if not administrator.bucket_exists("elsewhere"):
        administrator.make_bucket("elsewhere")
    put("", "elsewhere")
    for whose in ("api_", "worker_"):
        put(whose, settings.bucket)
        assert client(whose).get_object(settings.bucket, "tenants/x").data == b"x"
        for refused in (
            lambda whose=whose: put(whose, "elsewhere"),
            lambda whose=whose: client(whose).get_object("elsewhere", "tenants/x"),
            lambda whose=whose: list(client(whose).list_objects("elsewhere")),
            lambda whose=whose: client(whose).make_bucket("third"),
            lambda whose=whose: client(whose).remove_bucket(settings.bucket),
        ):
            with pytest.raises(S3Error) as failed:
                refused()
            assert failed.value.code == "AccessDenied"
    put("api_", settings.bucket, "api-keys/x.json")
    with pytest.raises(S3Error, match="AccessDenied"):
        put("worker_", settings.bucket, "api-keys/x.json")
    client("api_").remove_object(settings.bucket, "api-keys/x.json")


def test_what_lies_directly_below_is_seen_by_one_question(store: S3Store) -> None:
    for key in ("look/b/1", "look/b/2", "look/c.json", "look/d/e/3", "look/f"):
        store.put(key, key.encode())
    found = {info.key: info for info in store.directly_below("look/")}
    assert set(found) == {"look/b/", "look/c.json", "look/d/", "look/f"}
    assert found["look/c.json"] == store.stat("look/c.json")
    store.put("look/c.json", b"another")
    again = {info.key: info for info in store.directly_below("look/")}
    assert again["look/c.json"].etag != found["look/c.json"].etag
    assert sorted(store.folders("look/")) == ["b", "d"]
    assert list(store.folders("look/", after="bb")) == ["d"]
    assert list(store.folders("look/", after="d")) == []
    assert list(store.directly_below("nothing/")) == []


def test_the_key_belongs_to_the_tenant_local(stack: EmbeddedStack, store: S3Store) -> None:
    assert ApiKeys(store).tenant_of(stack.api_key) == "local"
    assert httpx.get(f"{stack.url}/livez").status_code == 200
    assert httpx.get(f"{stack.url}/v1/datasets").status_code == 401


@pytest.mark.parametrize("server", ["filer", "master"])
def test_no_program_without_the_stacks_certificate_commands_the_store(
    stack: EmbeddedStack, store: S3Store, server: str, tmp_path: Path
) -> None:
    store.put("stack/secret", b"faces")
    ports = ports_of(stack)
    command = {"filer": "fs.ls /buckets", "master": "volume.list"}[server]
    addresses = (f"-master=127.0.0.1:{ports['master']}", f"-filer=127.0.0.1:{ports['filer']}")

    def shell(directory: Path, patience_s: float) -> str:
        found = subprocess.run(
            [str(binaries.weed()), "shell", *addresses],
            input=f"{command}\nexit\n",
            cwd=directory,
            env={"HOME": str(directory), "PATH": os.environ["PATH"]},
            capture_output=True,
            text=True,
            timeout=patience_s,
            check=False,
        )
        return found.stdout + found.stderr

    expected = {"filer": "facsimile", "master": "DataCenter"}[server]
    assert expected in shell(stack.folder.s3, 30), "with the stack's own security.toml the shell works"
    try:
        told = shell(tmp_path, 2)
    except subprocess.TimeoutExpired as exc:
        told = f"{exc.stdout!r} {exc.stderr!r}"  # it asks again and again, and is refused each time
    assert expected not in told


@pytest.mark.parametrize("server", ["s3", "filer", "volume", "master", "admin"])
def test_no_object_is_served_without_credentials(stack: EmbeddedStack, store: S3Store, server: str) -> None:
    store.put("secret/face", b"not for everybody" * 100)
    base = f"http://127.0.0.1:{ports_of(stack)[server]}"
    for path in (
        "/facsimile/secret/face",
        "/buckets/facsimile/secret/face",
        "/buckets/facsimile/?pretty=y",
        "/",
        "/1,01aabbccdd",
        "/dir/lookup?fileId=1,01aabbccdd&read=yes",
        "/dir/assign",
    ):
        try:
            answer = httpx.get(f"{base}{path}")
        except httpx.ConnectError:
            continue  # no such port at all
        if path != "/":  # the master's name and version are no secret
            assert answer.status_code >= 400, path
        assert b"not for everybody" not in answer.content
        assert "Authorization" not in answer.headers, path  # the master would hand out tokens
    with pytest.raises(httpx.HTTPError):
        httpx.put(f"{base}/buckets/facsimile/secret/face", content=b"x").raise_for_status()


def test_valkey_asks_for_its_password(stack: EmbeddedStack) -> None:
    with redis.Redis(port=ports_of(stack)["valkey"]) as client, pytest.raises(redis.AuthenticationError):
        client.ping()


@pytest.mark.skipif(not Path("/proc/net/tcp").exists(), reason="reads Linux's list of sockets")
def test_everything_listens_on_loopback_only(stack: EmbeddedStack) -> None:
    for port in ports_of(stack).values():
        lines = [
            line.split()
            for table in ("tcp", "tcp6")
            for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]
        ]
        addresses = {
            line[1].split(":")[0] for line in lines if line[3] == "0A" and int(line[1].split(":")[1], 16) == port
        }
        assert addresses <= {"0100007F"}, port


@pytest.mark.parametrize("name", ["valkey", "s3", "api"])
def test_a_killed_child_comes_back_with_its_data(stack: EmbeddedStack, store: S3Store, name: str) -> None:
    body = os.urandom(3_000_000)
    store.put("kept", body)
    with redis.Redis.from_url(stack.settings().queue.url.get_secret_value()) as client:
        client.set("kept", "yes")
    time.sleep(1.1)  # valkey syncs every second
    before = stack.restarts(name)
    stack.kill(name)
    deadline = time.monotonic() + 20
    while stack.restarts(name) == before:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    stack.wait_ready(name)
    assert store.get("kept") == body
    with redis.Redis.from_url(stack.settings().queue.url.get_secret_value()) as client:
        assert client.get("kept") == b"yes"


def test_a_child_can_be_taken_away_and_given_back(stack: EmbeddedStack, store: S3Store) -> None:
    store.put("kept", b"yes")
    stack.stop_child("s3")
    assert stack.pid("s3") is None
    assert httpx.get(f"{stack.url}/livez").status_code == 200
    stack.start_child("s3")
    assert store.get("kept") == b"yes"


def test_a_copy_of_a_live_folder_leaves_the_original_alone(
    stack: EmbeddedStack, store: S3Store, tmp_path: Path
) -> None:
    store.put("kept/object", b"data")
    pids = {name: stack.pid(name) for name in ("valkey", "s3", "api")}
    subprocess.run(["cp", "-r", str(stack.folder.root), str(tmp_path / "copy")], check=False)  # files may come and go
    told: list[str] = []
    with EmbeddedStack(tmp_path / "copy", workers=0, on_event=lambda event: told.append(event.text)) as copy:
        assert not set(ports_of(copy).values()) & set(ports_of(stack).values())
        assert copy.settings().store.secret_key != stack.settings().store.secret_key
        assert httpx.get(f"{copy.url}/livez").status_code == 200
        assert {name: stack.pid(name) for name in pids} == pids
        assert httpx.get(f"{stack.url}/livez").status_code == 200
        assert store.get("kept/object") == b"data"
    assert any(f"a copy of {stack.folder.root}" in text for text in told)
    assert {name: stack.pid(name) for name in pids} == pids


def test_a_child_that_dies_before_it_is_ready_is_started_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[str] = []

    def valkey(*arguments: Any) -> Any:
        spec = real(*arguments)
        started.append(spec.name)
        return replace(spec, command=("/bin/false",)) if len(started) == 1 else spec

    real = servers.valkey
    monkeypatch.setattr(servers, "valkey", valkey)
    begin, wait = EmbeddedStack._begin, EmbeddedStack._await

    def wait_for_valkey(self: EmbeddedStack, *names: str) -> None:
        wait(self, "valkey")
        raise StopHere

    monkeypatch.setattr(EmbeddedStack, "_begin", lambda self, *names: begin(self, "valkey"))
    monkeypatch.setattr(EmbeddedStack, "_await", wait_for_valkey)
    events: list[Event] = []
    stack = EmbeddedStack(tmp_path / "data", workers=0, on_event=events.append)
    with pytest.raises(StopHere):
        stack.start()
    assert started == ["valkey", "valkey"]
    assert [event.kind for event in events if event.child == "valkey"] == [
        "starting",
        "died",
        "restarted",
        "ready",
        "stopped",
    ]


class StopHere(Exception):
    """Enough of the stack was started for a test."""


def test_a_second_stack_on_the_folder_is_refused(stack: EmbeddedStack, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(StackError, match="in use by another stack"):
        EmbeddedStack(stack.folder.root, workers=0).start()
    assert read_json(stack.folder.service)["url"] == stack.url  # the first one's is left as it was
    assert run(["up", "--data", str(stack.folder.root)]) == 1
    assert "in use by another stack" in capsys.readouterr().err


def test_a_taken_port_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        port = server.getsockname()[1]
        assert run(["up", "--data", str(tmp_path / "data"), "--port", str(port)]) == 1
    assert f"port {port} on 127.0.0.1 is taken" in capsys.readouterr().err


def test_a_server_that_cannot_start_is_told_with_its_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    broken = tmp_path / "broken"
    broken.write_text("#!/bin/sh\necho 'no such option' >&2\nexit 7\n")
    broken.chmod(0o755)
    monkeypatch.setenv("FACSIMILE_STACK_VALKEY", str(broken))
    stack = EmbeddedStack(tmp_path / "data", workers=0)
    with pytest.raises(StackError, match=r"valkey ended with exit status 7[\s\S]*no such option"):
        stack.start()
    assert DataFolder(tmp_path / "data").holder() is None


def test_keys_are_issued_and_revoked_over_the_folder(
    stack: EmbeddedStack, store: S3Store, capsys: pytest.CaptureFixture[str]
) -> None:
    data = str(stack.folder.root)
    assert run(["keys", "issue", "acme", "--data", data, "--json"]) == 0
    key = json.loads(capsys.readouterr().out)["key"]
    assert ApiKeys(store).tenant_of(key) == "acme"
    assert run(["keys", "revoke", key, "--data", data]) == 0
    assert run(["keys", "issue", "Not A Tenant", "--data", data]) == 2
    assert httpx.get(f"{stack.url}/v1/datasets", headers={"Authorization": f"Bearer {key}"}).status_code == 401


START = """
import sys, time
from app.stack import EmbeddedStack
stack = EmbeddedStack(sys.argv[1], workers=0).start()
print(*(stack.pid(name) for name in ("valkey", "s3", "api")), flush=True)
time.sleep(60)
"""


def test_a_killed_stack_leaves_nothing_and_starts_again_with_everything(tmp_path: Path) -> None:
    data = tmp_path / "data"
    owner = subprocess.Popen([sys.executable, "-c", START, str(data)], stdout=subprocess.PIPE, text=True)
    assert owner.stdout
    pids = list(map(int, owner.stdout.readline().split()))
    key = (data / "api-key").read_text().strip()
    ports = read_json(data / "ports.json")
    owner.send_signal(signal.SIGKILL)
    owner.wait()
    deadline = time.monotonic() + 5
    # A server of several threads lets go of its port a moment after it is no process any more.
    while any(identity_of(pid) for pid in pids) or not all(is_free(port) for port in ports.values()):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    with EmbeddedStack(data, workers=0) as stack:
        assert stack.api_key == key
        assert read_json(data / "ports.json") == ports
        headers = {"Authorization": f"Bearer {key}"}
        assert httpx.get(f"{stack.url}/v1/datasets", headers=headers).status_code == 200
    assert not (data / "service.json").exists()
