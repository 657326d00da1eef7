"""S3Store against a server that misbehaves as it is told; what a real one does is seen in tests/integration."""

import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO
from types import MappingProxyType
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, urlsplit

import pytest
from pydantic import SecretStr

from app.config import StoreSettings
from app.errors import Misconfigured, ObjectNotFound, StoreUnavailable
from app.storage import ObjectStore, S3Store, open_store


class Answer(NamedTuple):
    """What the stub answers to one request."""

    status: int
    body: bytes = b""
    headers: Mapping[str, str] = MappingProxyType({})
    says_length: int | None = None
    delay_s: float = 0.0


def s3_error(status: int, code: str) -> Answer:
    body = f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>m</Message><Resource>/r</Resource></Error>"
    return Answer(status, body.encode(), {"Content-Type": "application/xml"})


class Stub(ThreadingHTTPServer):
    """Answers every request with `answer(method, path)` and remembers what it was asked."""

    daemon_threads = True

    def __init__(self) -> None:
        self.answer: Callable[[str, str], Answer] = lambda method, path: Answer(200)
        self.asked: list[tuple[str, str, dict[str, str], bytes]] = []
        super().__init__(("127.0.0.1", 0), Handler)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of clients that have hung up: some of these tests make them."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Stub

    def handle_any(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.server.asked.append((self.command, self.path, dict(self.headers), body))
        answer = self.server.answer(self.command, self.path)
        time.sleep(answer.delay_s)
        self.send_response(answer.status)
        for name, value in answer.headers.items():
            self.send_header(name, value)
        length = len(answer.body) if answer.says_length is None else answer.says_length
        self.send_header("Content-Length", str(length))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(answer.body)
        if answer.says_length is not None:
            self.close_connection = True

    do_GET = do_PUT = do_HEAD = do_DELETE = do_POST = handle_any  # noqa: N815 -- names that the base class calls

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def stub() -> Iterator[Stub]:
    server = Stub()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def store_at(port: int, timeout_s: float = 5.0) -> S3Store:
    return open_store(
        StoreSettings(
            endpoint=f"127.0.0.1:{port}",
            access_key="AKTEST",
            secret_key=SecretStr("sk-test"),
            bucket="facsimile",
            timeout_s=timeout_s,
        )
    )


@pytest.fixture
def s3(stub: Stub) -> S3Store:
    return store_at(stub.server_port)


OPERATIONS: dict[str, Callable[[ObjectStore], Any]] = {
    "put": lambda store: store.put("a/b", b"data"),
    "get": lambda store: store.get("a/b"),
    "read": lambda store: list(store.read("a/b", 1, 2)),
    "stat": lambda store: store.stat("a/b"),
    "exists": lambda store: store.exists("a/b"),
    "list": lambda store: list(store.list("a/")),
    "folders": lambda store: list(store.folders("a/")),
    "delete": lambda store: store.delete("a/b"),
    "delete_prefix": lambda store: store.delete_prefix("a/"),
    "put_stream": lambda store: store.put_stream("a/b", BytesIO(b"data")),
    "put_if_absent": lambda store: store.put_if_absent("a/b", b"data"),
    "ping": lambda store: store.ping(),
    "ensure_bucket": lambda store: store.ensure_bucket(),
}


@pytest.mark.parametrize("operation", OPERATIONS)
def test_nobody_listens(operation: str) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
    with pytest.raises(StoreUnavailable, match="does not answer") as failed:
        OPERATIONS[operation](store_at(port))
    assert failed.value.__cause__ is not None


@pytest.mark.parametrize("operation", OPERATIONS)
def test_a_server_that_is_overloaded(stub: Stub, s3: S3Store, operation: str) -> None:
    stub.answer = lambda method, path: s3_error(503, "SlowDown")
    with pytest.raises(StoreUnavailable):
        OPERATIONS[operation](s3)
    assert len(stub.asked) >= 2  # it was tried again before it was given up


@pytest.mark.parametrize("operation", sorted(OPERATIONS.keys() - {"put_if_absent", "stat", "exists"}))
@pytest.mark.parametrize("code", ["SignatureDoesNotMatch", "InvalidAccessKeyId", "AccessDenied"])
def test_wrong_credentials_are_our_own_fault(stub: Stub, s3: S3Store, operation: str, code: str) -> None:
    stub.answer = lambda method, path: s3_error(403, code)
    if operation in ("ping", "ensure_bucket"):
        code = "AccessDenied"  # the answer to HEAD has no body, so the client can only guess
    with pytest.raises(Misconfigured, match=f"{code}.*FACSIMILE_STORE__ACCESS_KEY"):
        OPERATIONS[operation](s3)


@pytest.mark.parametrize("operation", ["get", "read", "stat"])
def test_no_object_under_the_key(stub: Stub, s3: S3Store, operation: str) -> None:
    stub.answer = lambda method, path: s3_error(404, "NoSuchKey")
    with pytest.raises(ObjectNotFound, match="'a/b'") as failed:
        OPERATIONS[operation](s3)
    assert failed.value.__cause__ is not None
    assert s3.exists("a/b") is False


def test_what_is_not_there_is_found_out_before_the_first_chunk(stub: Stub, s3: S3Store) -> None:
    stub.answer = lambda method, path: s3_error(404, "NoSuchKey")
    with pytest.raises(ObjectNotFound):
        s3.read("a/b")


def test_a_missing_bucket_is_not_a_missing_object(stub: Stub, s3: S3Store) -> None:
    stub.answer = lambda method, path: s3_error(404, "NoSuchBucket")
    with pytest.raises(StoreUnavailable, match="NoSuchBucket"):
        s3.get("a/b")


def test_an_answer_that_breaks_off_is_not_a_short_object(stub: Stub, s3: S3Store) -> None:
    stub.answer = lambda method, path: Answer(200, b"half", says_length=8)
    chunks = s3.read("a/b")
    with pytest.raises(StoreUnavailable):
        b"".join(chunks)


def test_an_answer_that_is_no_s3_answer(stub: Stub, s3: S3Store) -> None:
    stub.answer = lambda method, path: Answer(418, b"<html>a proxy's page</html>", {"Content-Type": "text/html"})
    with pytest.raises(StoreUnavailable):
        s3.get("a/b")


def test_a_server_that_is_silent_is_given_up(stub: Stub) -> None:
    stub.answer = lambda method, path: Answer(200, delay_s=1.0)
    began = time.monotonic()
    with pytest.raises(StoreUnavailable):
        store_at(stub.server_port, timeout_s=0.1).get("a/b")
    assert time.monotonic() - began < 5


@pytest.mark.parametrize(("status", "won"), [(200, True), (412, False)])
def test_a_conditional_write_has_one_winner(stub: Stub, s3: S3Store, status: int, won: bool) -> None:
    stub.answer = lambda method, path: Answer(status)
    assert s3.put_if_absent("a/b", b"data") is won
    [(method, path, headers, body)] = stub.asked
    assert (method, body) == ("PUT", b"data")
    assert path.startswith("/facsimile/a/b?")
    assert "X-Amz-Signature=" in path
    assert headers["If-None-Match"] == "*"


@pytest.mark.parametrize("status", [400, 403, 409, 501])
def test_a_conditional_write_that_is_refused_for_another_reason_is_no_loss(
    stub: Stub, s3: S3Store, status: int
) -> None:
    stub.answer = lambda method, path: Answer(status)
    with pytest.raises(StoreUnavailable, match=str(status)):
        s3.put_if_absent("a/b", b"data")


def test_ranges_are_asked_for_as_such(stub: Stub, s3: S3Store) -> None:
    stub.answer = lambda method, path: Answer(206, b"cd")
    assert b"".join(s3.read("a/b", 2, 2)) == b"cd"
    assert stub.asked[-1][2]["Range"] == "bytes=2-3"
    b"".join(s3.read("a/b", 2))
    assert stub.asked[-1][2]["Range"] == "bytes=2-"
    b"".join(s3.read("a/b"))
    assert "Range" not in stub.asked[-1][2]


def test_a_stat_gives_size_etag_and_time(stub: Stub, s3: S3Store) -> None:
    headers = {"ETag": '"abc"', "Last-Modified": formatdate(1_700_000_000, usegmt=True)}
    stub.answer = lambda method, path: Answer(200, b"12345", headers)
    found = s3.stat("a/b")
    assert (found.key, found.size, found.etag, found.modified) == ("a/b", 5, "abc", 1_700_000_000)


def test_a_bucket_is_made_once(stub: Stub, s3: S3Store) -> None:
    stub.answer = lambda method, path: Answer(404 if method == "HEAD" else 200)
    s3.ensure_bucket()
    assert [method for method, *_ in stub.asked] == ["HEAD", "PUT"]
    with pytest.raises(StoreUnavailable, match="no bucket 'facsimile'"):
        s3.ping()
    # Another process was quicker.
    stub.answer = lambda method, path: Answer(404) if method == "HEAD" else s3_error(409, "BucketAlreadyOwnedByYou")
    s3.ensure_bucket()
    stub.answer = lambda method, path: Answer(200)
    stub.asked.clear()
    s3.ensure_bucket()
    s3.ping()
    assert [method for method, *_ in stub.asked] == ["HEAD", "HEAD"]


def test_objects_that_cannot_be_removed_are_not_passed_over(stub: Stub, s3: S3Store) -> None:
    listing = (
        b"<ListBucketResult><Name>facsimile</Name><IsTruncated>false</IsTruncated>"
        b"<Contents><Key>a/1</Key><Size>1</Size><ETag>e</ETag>"
        b"<LastModified>2026-01-01T00:00:00.000Z</LastModified></Contents></ListBucketResult>"
    )

    def answers(code: str) -> Callable[[str, str], Answer]:
        refused = f"<DeleteResult><Error><Key>a/1</Key><Code>{code}</Code></Error></DeleteResult>".encode()
        return lambda method, path: Answer(200, listing if method == "GET" else refused)

    stub.answer = answers("AccessDenied")
    with pytest.raises(StoreUnavailable, match="1 objects below 'a/'"):
        s3.delete_prefix("a/")
    stub.answer = answers("NoSuchKey")
    assert s3.delete_prefix("a/") == 1


@pytest.mark.parametrize(
    ("public", "secure", "begins"),
    [
        ("https://s3.example", False, "https://s3.example/facsimile/a/b%20c?"),
        ("s3.example:9000", True, "https://s3.example:9000/facsimile/a/b%20c?"),
        ("http://s3.example:9000", True, "http://s3.example:9000/facsimile/a/b%20c?"),
    ],
)
def test_urls_are_signed_for_where_clients_are_without_asking(
    stub: Stub, public: str, secure: bool, begins: str
) -> None:
    settings = StoreSettings(
        endpoint=f"127.0.0.1:{stub.server_port}",
        access_key="AKTEST",
        secret_key=SecretStr("sk-test"),
        secure=secure,
        public_endpoint=public,
    )
    url = open_store(settings).presigned("a/b c", 900)
    assert url is not None
    assert url.startswith(begins)
    signed = dict(parse_qsl(urlsplit(url).query))
    assert signed["X-Amz-Expires"] == "900"
    assert signed["X-Amz-SignedHeaders"] == "host"
    assert len(signed["X-Amz-Signature"]) == 64
    assert "sk-test" not in url
    assert stub.asked == []


def test_nothing_is_signed_where_clients_do_not_reach_the_store(s3: S3Store) -> None:
    assert s3.presigned("a/b", 900) is None


def test_secrets_are_not_sent(stub: Stub, s3: S3Store) -> None:
    s3.put("a/b", b"data")
    assert "sk-test" not in repr(stub.asked)
