"""Over a real socket, by the real server: what an in-process client cannot show."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from fastapi import FastAPI
from fastapi.testclient import TestClient

ROOT = Path(__file__).parents[2]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def address(api: FastAPI) -> Iterator[tuple[str, int]]:
    port = free_port()
    server = uvicorn.Server(uvicorn.Config(api, host="127.0.0.1", port=port, log_config=None, lifespan="on"))
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    yield "127.0.0.1", port
    server.should_exit = True
    thread.join(10)
    assert not thread.is_alive()


def talk(address: tuple[str, int], *parts: bytes, until: bytes = b"") -> bytes:
    """Send bytes and read the answer until the other side closes, or until it has said `until`."""
    with socket.create_connection(address, timeout=10) as line:
        for part in parts:
            line.sendall(part)
        got = b""
        while not until or until not in got:
            more = line.recv(65536)
            if not more:
                break
            got += more
        return got


def request(method: str, path: str, key: str, *headers: str) -> bytes:
    lines = [f"{method} {path} HTTP/1.1", "Host: x", f"Authorization: {key}", "Connection: close", *headers]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


def test_a_chunked_body_beyond_the_limit(address: tuple[str, int], client: TestClient) -> None:
    head = request(
        "POST",
        "/v1/datasets",
        client.headers["authorization"],
        "Content-Type: application/json",
        "Transfer-Encoding: chunked",
    )
    chunk = b"1000\r\n" + b" " * 0x1000 + b"\r\n"
    answer = talk(address, head, *[chunk] * 6, until=b"request_id")
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert b'"error":"TooLarge"' in answer
    assert client.get("/v1/datasets").json()["datasets"] == []


def test_paths_as_they_come(address: tuple[str, int], client: TestClient) -> None:
    for path in ("/v1/datasets/%00", "/v1/datasets/%ff%fe", "/v1/datasets/..%2f..%2fx", "/v1/datasets/\xe9"):
        answer = talk(address, request("GET", path, client.headers["authorization"]))
        status = int(answer.split()[1])
        assert 400 <= status < 500, (path, answer)


def test_head_and_304_have_no_body(address: tuple[str, int], client: TestClient, finished: str) -> None:
    key, path = client.headers["authorization"], f"/v1/datasets/{finished}/archive"
    answer = talk(address, request("HEAD", path, key))
    assert answer.startswith(b"HTTP/1.1 200 ")
    assert answer.endswith(b"\r\n\r\n")
    assert b"content-length: " in answer.lower()
    answer = talk(address, request("GET", path, key, "If-None-Match: *"))
    assert answer.startswith(b"HTTP/1.1 304 ")
    assert answer.endswith(b"\r\n\r\n")


def test_a_watcher_who_goes_away_is_not_looked_for(
    address: tuple[str, int], client: TestClient, submit: Callable[..., str], memory_store: Any
) -> None:
    dataset = submit()
    looks: list[str] = []
    memory_store.fault = lambda operation, key: looks.append(key) if "/plan.json" in key else None
    head = request("GET", f"/v1/datasets/{dataset}/events", client.headers["authorization"])
    assert b"event: progress" in talk(address, head, until=b"event: progress")
    time.sleep(1.5)
    seen = len(looks)
    time.sleep(1.5)
    assert len(looks) == seen


SERVER = """
import sys
sys.path.insert(0, {root!r})
import uvicorn
from pathlib import Path
from importlib.util import spec_from_file_location, module_from_spec
spec = spec_from_file_location("doubles", {doubles!r})
doubles = module_from_spec(spec)
spec.loader.exec_module(doubles)
store, queue = doubles.MemoryStore(), doubles.MemoryQueue()
import json
from app.access import ApiKeys
from app.config import Settings
from app.dataset.model import ModelCard
from app.jobs.catalogues.models import ModelCatalogue
from app.logs import configure_logging
from app.main import create_app
configure_logging()
ModelCatalogue(store).publish([ModelCard.model_validate(json.loads(sys.argv[2]))], "toy")
Path(sys.argv[1]).write_text(ApiKeys(store).issue("acme", "test"))
app = create_app(Settings(environment="development"), store=store, queue=queue)
uvicorn.run(app, host="127.0.0.1", port=int(sys.argv[3]), log_config=None)
"""


def test_told_to_stop_it_stops_though_somebody_watches(tmp_path: Path, toy_card: dict[str, Any]) -> None:
    port, key_file = free_port(), tmp_path / "key"
    code = SERVER.format(root=str(ROOT), doubles=str(ROOT / "tests" / "conftest.py"))
    server = subprocess.Popen(
        [sys.executable, "-c", code, str(key_file), json.dumps(toy_card), str(port)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )
    try:
        address = ("127.0.0.1", port)
        until = time.monotonic() + 30
        while time.monotonic() < until:
            try:
                if talk(address, request("GET", "/readyz", "")).startswith(b"HTTP/1.1 200"):
                    break
            except OSError:
                time.sleep(0.1)
        key = f"Bearer {key_file.read_text()}"
        body = json.dumps({"name": "x", "subjects": 2, "samples_per_subject": 2})
        made = talk(
            address,
            request(
                "POST",
                "/v1/datasets",
                key,
                "Content-Type: application/json",
                f"Content-Length: {len(body)}",
            )
            + body.encode(),
        )
        dataset = json.loads(made.split(b"\r\n\r\n", 1)[1])["id"]
        with socket.create_connection(address, timeout=10) as line:
            line.sendall(request("GET", f"/v1/datasets/{dataset}/events", key))
            while b"event: progress" not in line.recv(65536):
                pass
            server.send_signal(signal.SIGTERM)
            out, _ = server.communicate(timeout=10)
    finally:
        server.kill()
    lines = [json.loads(text) for text in out.splitlines()]
    assert [line["event"] for line in lines if line["event"].startswith("api_")] == ["api_started", "api_stopped"]
    watched = next(line for line in lines if str(line.get("route")).endswith("/events"))
    assert (watched["status"], watched["tenant"]) == (200, "acme")
