"""`facsimile pull` past the service: samples from a store by presigned URLs, and from the service where that fails."""

import logging
import re
import tarfile
import threading
from base64 import b64encode
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO
from pathlib import Path
from typing import Any

import httpx
import pytest

from app.cli import verify as verify_module
from app.cli.endings import OK, UNVERIFIED
from app.cli.main import run
from app.client import samples

SIGNATURE = "s3cr3t"


class Store(ThreadingHTTPServer):
    """Serves objects by Range to whoever has the signature of the day."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.objects: dict[str, bytes] = {}
        self.day = 1
        self.asked: list[dict[str, str]] = []
        """Headers of every request."""
        self.connections: set[Any] = set()
        self.answer: Callable[[str], int | None] = lambda path: None
        """Another status than it would have."""
        self.cut = 0
        """Bytes that are missing at the end of the next answer."""

    def url(self, name: str) -> str:
        return f"http://127.0.0.1:{self.server_port}/{name}?X-Signature={SIGNATURE}-{self.day}"


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Store

    def do_GET(self) -> None:
        store = self.server
        store.asked.append(dict(self.headers))
        store.connections.add(self.client_address)
        name, _, query = self.path[1:].partition("?")
        status = store.answer(name) or (206 if query == f"X-Signature={SIGNATURE}-{store.day}" else 403)
        body, span = b"<html>", re.fullmatch(r"bytes=(\d+)-(\d+)", self.headers["Range"])
        assert span is not None
        self.send_response(status)
        if status == 206:
            whole, first, last = store.objects[name], int(span[1]), int(span[2])
            body = whole[first : last + 1]
            self.send_header("Content-Range", f"bytes {first}-{last}/{len(whole)}")
        cut, store.cut = store.cut, 0
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body[: len(body) - cut])
        self.close_connection = bool(cut)

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def store() -> Iterator[Store]:
    server = Store()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def given(tar: bytes, start: int, stop: int) -> dict[str, Any]:
    """A part that comes with the list."""
    data = b64encode(tar[start:stop]).decode()
    return {"offset": start, "length": stop - start, "url": None, "start": 0, "data": data}


@pytest.fixture(autouse=True)
def _here(service: Any, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A service whose release's samples lie in two objects, each with something before and after them."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(verify_module, "pixel_digest", lambda: None)
    monkeypatch.setattr(samples, "RUN_BYTES", 5000)

    def listing() -> dict[str, Any]:
        tar = service.release_tar()
        with tarfile.open(fileobj=BytesIO(tar)) as members:
            places = [member.offset for member in members if "/samples/" in member.name]
        first, middle, end = places[0], places[3], len(tar.rstrip(b"\0")) // 512 * 512 + 512
        store.objects = {"a": b"before" + tar[first:middle] + b"after", "b": tar[middle:end] + b"\0" * 1024}
        store.objects |= {"manifest": tar[1024:1500]}
        parts = [
            given(tar, 0, 1024),
            {"offset": 1024, "length": 476, "url": store.url("manifest"), "start": 0, "data": None},
            given(tar, 1500, first),
            {"offset": first, "length": middle - first, "url": store.url("a"), "start": 6, "data": None},
            {"offset": middle, "length": end - middle, "url": store.url("b"), "start": 0, "data": None},
            given(tar, end, len(tar)),
        ]
        etag = httpx.Client(transport=httpx.MockTransport(service.archive)).get("http://service.test/v1/releases/x")
        service.ranges.pop()
        return {"size": len(tar), "etag": etag.headers["ETag"], "expires_at": None, "parts": parts, "detail": ""}

    service.listing = listing


def pull(*more: str) -> int:
    return run(["pull", "gate-smoke@1.2.0", "--out", "gate", "--verbose", *more])


def is_whole(service: Any) -> bool:
    return run(["verify", "gate"]) == OK and all((Path("gate") / row.file).is_file() for row in service.rows)


def test_samples_come_from_the_store_and_the_key_does_not_go_there(
    service: Any, store: Store, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    assert pull() == OK
    told = capsys.readouterr()
    assert f"is read from the store itself, at 127.0.0.1:{store.server_port}" in told.err
    assert service.ranges == []
    assert is_whole(service)
    assert len(store.asked) >= 3
    for headers in store.asked:
        assert "authorization" not in {name.lower() for name in headers}
        assert "fcs_" not in repr(headers)
    assert SIGNATURE not in told.out + told.err + caplog.text
    assert "127.0.0.1" in caplog.text  # httpx does log what it asks


def test_connections_are_used_again(service: Any, store: Store) -> None:
    assert pull("--workers", "1") == OK
    assert len(store.asked) >= 3
    assert len(store.connections) == 1


def test_what_has_expired_is_asked_for_anew(service: Any, store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    def next_day(name: str) -> None:
        if len(store.asked) == 2:
            store.day = 2

    store.answer = next_day
    assert pull("--workers", "1") == OK
    assert sum(path.endswith("/parts") for _, path in service.calls) == 2
    assert service.ranges == []
    assert "alone" not in capsys.readouterr().err
    assert is_whole(service)


def test_a_broken_connection_is_gone_on_from(service: Any, store: Store) -> None:
    store.cut = 700
    assert pull("--workers", "1") == OK
    assert service.ranges == []
    assert is_whole(service)


@pytest.mark.parametrize("status", [200, 403, 404, 500])
def test_a_store_that_gives_nothing_is_left_aside(
    service: Any, store: Store, status: int, capsys: pytest.CaptureFixture[str]
) -> None:
    store.answer = lambda name: status
    assert pull() == OK
    told = capsys.readouterr().err
    assert "is read through the service alone" in told
    assert SIGNATURE not in told
    assert service.ranges != []
    assert is_whole(service)


def test_a_store_that_nobody_reaches_is_left_aside_without_a_word(
    service: Any, store: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    made = service.listing()
    for part in made["parts"]:
        part["url"] = part["url"] and "http://127.0.0.1:1/a?X-Signature=" + SIGNATURE
    service.listing = lambda: made
    assert run(["pull", "gate-smoke@1.2.0", "--out", "gate"]) == OK
    assert "alone" not in capsys.readouterr().err
    assert is_whole(service)


@pytest.mark.parametrize(
    "answer",
    [
        {"parts": None, "detail": "clients cannot reach this service's store"},
        {"parts": [{"offset": 0, "length": 9, "url": "http://s/", "start": 0, "data": None}], "size": 10, "etag": "x"},
        {"parts": [{"offset": 0, "length": 10, "url": None, "start": 0, "data": "eA=="}], "size": 10, "etag": "x"},
        {"parts": [{"offset": 0, "length": 10, "url": None, "start": 0, "data": None}], "size": 10, "etag": "x"},
        {"parts": [{"offset": 0}], "size": 10, "etag": '"x"'},
        [],
        None,
    ],
)
def test_a_service_without_parts_is_read_as_before(
    service: Any, store: Store, answer: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    service.listing = None if answer is None else lambda: answer
    assert pull() == OK
    assert "is read through the service alone" in capsys.readouterr().err
    assert store.asked == []
    assert is_whole(service)


def test_what_the_store_has_wrong_is_found(service: Any, store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    made = service.listing()
    service.listing = lambda: made
    damaged = bytearray(store.objects["a"])
    damaged[6 + 512 + 100] ^= 1
    store.objects["a"] = bytes(damaged)
    assert pull() == UNVERIFIED
    assert f"{service.rows[0].file}: what " in capsys.readouterr().err
    assert not (Path("gate") / "manifest.json").exists()


def test_parts_of_another_archive_are_not_mixed_with_it(
    service: Any, store: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    made = {**service.listing(), "etag": '"another"'}
    service.listing = lambda: made
    store.answer = lambda name: 500 if len(store.asked) > 2 else None  # so that both are read
    assert pull("--workers", "1") == UNVERIFIED
    assert "has changed while it was read" in capsys.readouterr().err
