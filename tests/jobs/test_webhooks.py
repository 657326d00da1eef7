"""Webhooks: what ends is told once or more, signed, in order, to public addresses only, again until it is taken."""

import base64
import hashlib
import hmac
import json
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import anyio
import pytest

from app.config import WebhookSettings
from app.dataset import keys
from app.dataset.evaluation import Rule
from app.dataset.keys import DatasetKeys, EvaluationKeys
from app.errors import NotFound, RequestRefused, StoreUnavailable
from app.jobs.datasets.advance import advance, fail
from app.jobs.datasets.service import DatasetService
from app.jobs.evaluations.ends import fail_evaluation, settle
from app.jobs.evaluations.records import AcceptedEvaluation, Handed
from app.jobs.uploads import UploadService
from app.jobs.webhooks.courier import FIRST_PAUSE_S, LONGEST_PAUSE_S, Courier
from app.jobs.webhooks.records import WebhookRequest
from app.jobs.webhooks.sender import NotDelivered, check_url, is_public, send
from app.jobs.webhooks.service import WebhookService

OPEN = WebhookSettings(allow_private=True, timeout_s=2)
CLOSED = WebhookSettings(timeout_s=2)


class Receiver:
    """A tenant's own server."""

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self.got: list[tuple[dict[str, str], bytes]] = []
        self.answer = 204
        self.wait_s = 0.0
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                receiver.got.append(({name.lower(): value for name, value in self.headers.items()}, body))
                time.sleep(receiver.wait_s)
                self.send_response(receiver.answer)
                self.send_header("Location", "http://127.0.0.1:1/elsewhere")
                self.end_headers()

            def log_message(self, format: str, *args: Any) -> None:
                """Quietly."""

        self.server = HTTPServer(("127.0.0.1", 0), Handler)
        if tls:
            self.server.socket = tls.wrap_socket(self.server.socket, server_side=True)
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()
        self.port = self.server.server_port
        self.url = f"http://127.0.0.1:{self.port}/hooks?of=facsimile"

    @property
    def told(self) -> list[dict[str, Any]]:
        return [json.loads(body) for _, body in self.got]

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    made = Receiver()
    yield made
    made.close()


@pytest.fixture
def webhooks(memory_store: Any, clock: Any) -> WebhookService:
    return WebhookService(memory_store, OPEN, clock)


@pytest.fixture
def courier(memory_store: Any, memory_queue: Any, clock: Any) -> Courier:
    return Courier(memory_store, memory_queue, OPEN, clock)


def deliver(courier: Courier) -> int:
    return anyio.run(courier.deliver)


def post(url: str, settings: WebhookSettings, addresses: list[str] | None = None) -> None:
    secret = "whsec_" + base64.b64encode(b"s" * 32).decode()

    async def go() -> None:
        resolve = None if addresses is None else lambda host, port: addresses
        await send(url, secret, "evt_1", b"{}", settings, resolve)

    anyio.run(go)


def test_ends_are_told_signed_and_in_order(
    receiver: Receiver,
    webhooks: WebhookService,
    courier: Courier,
    datasets: DatasetService,
    submit: Callable[..., str],
    finish_any: Callable[..., None],
    memory_store: Any,
    memory_queue: Any,
) -> None:
    secret = webhooks.set("acme", WebhookRequest(url=receiver.url), by="k").secret
    good, bad, off = (submit() for _ in range(3))
    other = submit("rival")
    finish_any(memory_store, "acme", good)
    memory_store.put(keys.unfinished("acme", good), b"")  # as it is until somebody sees that it has ended
    memory_store.now += 1
    for _ in range(2):  # to look once too often tells nothing twice
        advance(memory_store, memory_queue, "acme", good)
    memory_store.now += 1
    fail(memory_store, "acme", bad, "the model has no such factor")
    memory_store.now += 1
    datasets.cancel("acme", off)
    datasets.cancel("rival", other)
    assert deliver(courier) == 4
    assert deliver(courier) == 0
    assert [event["type"] for event in receiver.told] == [
        "webhook.registered",
        "dataset.succeeded",
        "dataset.failed",
        "dataset.cancelled",
    ]
    assert [event["data"]["id"] for event in receiver.told[1:]] == [good, bad, off]
    assert receiver.told[1]["data"] == {"id": good, "name": "set", "failure": None}
    assert receiver.told[2]["data"]["failure"] == "the model has no such factor"
    # The receiver's side, by the specification of Standard Webhooks.
    key = base64.b64decode(secret.removeprefix("whsec_"))
    for headers, body in receiver.got:
        signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
        expected = base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
        assert headers["webhook-signature"] == f"v1,{expected}"
        assert abs(int(headers["webhook-timestamp"]) - time.time()) < 60
        assert "." not in headers["webhook-id"]
    assert len({headers["webhook-id"] for headers, _ in receiver.got}) == 4
    assert webhooks.get("acme").waiting == 0
    assert webhooks.get("acme").last_delivered_at
    assert not list(memory_store.list(keys.UNFINISHED))


def test_an_evaluations_end_is_told_with_its_verdict(
    receiver: Receiver, webhooks: WebhookService, courier: Courier, memory_store: Any, job_settings: Any
) -> None:
    webhooks.set("acme", WebhookRequest(url=receiver.url), by="k")
    accepted = AcceptedEvaluation(
        id="ev_1",
        tenant="acme",
        name="nightly",
        created_at="2026-01-01",
        dataset="ds_1",
        release="gate@1.0.0",
        rule=Rule(),
        scores=Handed(upload="a" * 64),
        baseline=None,
        keep_uploads=False,
        request={},
    )
    memory_store.now += 1
    memory_store.put(keys.unfinished_evaluation("acme", "ev_1"), b"")
    fail_evaluation(memory_store, EvaluationKeys("acme", "ev_1"), "Refused", "row 3 has no score")
    for _ in range(2):
        settle(memory_store, UploadService(memory_store, job_settings.limits), accepted)
    deliver(courier)
    told = receiver.told[-1]
    assert told["type"] == "evaluation.failed"
    assert told["data"] == {
        "id": "ev_1",
        "name": "nightly",
        "dataset": "ds_1",
        "release": "gate@1.0.0",
        "verdict": None,
        "failure": "row 3 has no score",
    }
    assert len(receiver.told) == 2


def test_who_does_not_answer_is_asked_again_later_and_later(
    receiver: Receiver, webhooks: WebhookService, courier: Courier, memory_store: Any, clock: Any
) -> None:
    memory_store.now = clock.now
    webhooks.set("acme", WebhookRequest(url=receiver.url), by="k")
    receiver.answer = 500
    assert deliver(courier) == 0
    for failures in range(1, 12):
        shown = webhooks.get("acme")
        assert (shown.failures, shown.last_error, len(receiver.got)) == (failures, "answered 500", failures)
        pause_s = min(FIRST_PAUSE_S * 2 ** (failures - 1), LONGEST_PAUSE_S)
        clock.now += pause_s - 1
        assert deliver(courier) == 0
        assert len(receiver.got) == failures
        clock.now += 1
        assert deliver(courier) == 0
    ids = {headers["webhook-id"] for headers, _ in receiver.got}
    assert len(ids) == 1
    clock.now += LONGEST_PAUSE_S
    receiver.answer = 200
    assert deliver(courier) == 1
    shown = webhooks.get("acme")
    assert (shown.failures, shown.last_error, shown.waiting) == (0, None, 0)


def test_what_nobody_takes_for_a_day_is_dropped(
    receiver: Receiver, webhooks: WebhookService, courier: Courier, memory_store: Any, clock: Any
) -> None:
    memory_store.now = clock.now
    webhooks.set("acme", WebhookRequest(url=receiver.url), by="k")
    receiver.answer = 404
    deliver(courier)
    clock.now += 25 * 3600
    deliver(courier)
    assert webhooks.get("acme").waiting == 0
    assert webhooks.get("acme").dropped == 1


def test_one_tenants_slow_server_keeps_nobody_waiting(
    receiver: Receiver, webhooks: WebhookService, memory_store: Any, memory_queue: Any, clock: Any
) -> None:
    courier = Courier(memory_store, memory_queue, WebhookSettings(allow_private=True, timeout_s=0.8), clock)
    slow = Receiver()
    slow.wait_s = 1.2
    for number in range(5):
        webhooks.set(f"slow{number}", WebhookRequest(url=slow.url), by="k")
    webhooks.set("acme", WebhookRequest(url=receiver.url), by="k")
    began = time.monotonic()
    assert deliver(courier) == 1
    assert time.monotonic() - began < 5 * 0.8
    assert webhooks.get("slow0").last_error == "no answer within 0.8 s"
    slow.close()


def test_two_couriers_do_not_tell_the_same(
    receiver: Receiver, webhooks: WebhookService, courier: Courier, memory_queue: Any
) -> None:
    webhooks.set("acme", WebhookRequest(url=receiver.url), by="k")
    assert memory_queue.only_one("webhooks", 60)
    assert deliver(courier) == 0
    memory_queue.free("webhooks")
    assert deliver(courier) == 1
    assert not memory_queue.locks


def test_a_store_that_is_away_loses_no_event(
    receiver: Receiver, webhooks: WebhookService, courier: Courier, memory_store: Any, memory_queue: Any
) -> None:
    webhooks.set("acme", WebhookRequest(url=receiver.url), by="k")
    gone = StoreUnavailable("away")
    memory_store.fault = lambda operation, key: gone if operation == "delete" else None
    assert deliver(courier) == 0
    memory_store.fault = lambda operation, key: None
    assert not memory_queue.locks
    assert deliver(courier) == 1
    assert len({headers["webhook-id"] for headers, _ in receiver.got}) == 1


@pytest.mark.parametrize(
    "url",
    [
        "http://hooks.example/x",
        "ftp://hooks.example/x",
        "https:///x",
        "https://user:secret@hooks.example/x",
        "https://hooks.example/x#y",
        "https://127.0.0.1/x",
        "https://[::1]/x",
        "https://[::ffff:10.0.0.1]/x",
        "https://169.254.169.254/latest/meta-data",
        "https://localhost:9000/x",
        "https://hooks.example:0/x",
        "https://hooks.example:99999/x",
        "https://hooks.example/ x",
        "https://hóoks.example/x",
        "//hooks.example/x",
        "",
    ],
)
def test_addresses_that_nothing_is_sent_to(webhooks: WebhookService, memory_store: Any, url: str) -> None:
    with pytest.raises(RequestRefused, match="url: "):
        check_url(url, CLOSED)
    assert not memory_store.objects


def test_addresses_that_are_taken() -> None:
    for url in ("https://hooks.example/x?y=z", "https://hooks.example:8443/", "https://8.8.8.8/x"):
        check_url(url, CLOSED)
    check_url("http://127.0.0.1:1/x", OPEN)


@pytest.mark.parametrize(
    "address",
    [
        *("127.0.0.1", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254", "0.0.0.0", "100.64.0.1"),
        *("224.0.0.1", "240.0.0.1", "255.255.255.255", "::1", "::", "fe80::1%eth0", "fc00::1", "ff02::1"),
        *("::ffff:127.0.0.1", "2002:7f00:1::", "64:ff9b::7f00:1", "64:ff9b::a00:1"),
    ],
)
def test_a_name_that_leads_inside_is_not_followed(receiver: Receiver, address: str) -> None:
    assert not is_public(address)
    for found in ([address], ["8.8.8.8", address]):
        with pytest.raises(NotDelivered, match="private"):
            post(f"https://hooks.example:{receiver.port}/x", CLOSED, found)
    assert not receiver.got


def test_public_addresses() -> None:
    for address in ("8.8.8.8", "2606:4700:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808"):
        assert is_public(address)


def test_redirects_are_not_followed(receiver: Receiver) -> None:
    receiver.answer = 307
    with pytest.raises(NotDelivered, match="redirects are not followed"):
        post(receiver.url, OPEN)
    assert len(receiver.got) == 1


def test_who_is_not_there_is_told(receiver: Receiver) -> None:
    receiver.close()
    with pytest.raises(NotDelivered, match="cannot be reached"):
        post(receiver.url, OPEN)
    with pytest.raises(NotDelivered, match="leads nowhere"):
        post("https://hooks.example/x", CLOSED, [])


def test_over_tls_the_certificate_is_the_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The address that was looked at is called, and must prove to be the host that was named."""
    x509 = pytest.importorskip("cryptography.x509")
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "hooks.example")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(7)
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("hooks.example")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    private = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    (tmp_path / "cert.pem").write_bytes(certificate.public_bytes(pem))
    (tmp_path / "both.pem").write_bytes(private + certificate.public_bytes(pem))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "both.pem")
    receiver = Receiver(context)
    url = f"https://hooks.example:{receiver.port}/x"
    with pytest.raises(NotDelivered):
        post(url, OPEN, ["127.0.0.1"])
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "cert.pem"))
    post(url, OPEN, ["127.0.0.1"])
    assert receiver.got[0][0]["host"] == f"hooks.example:{receiver.port}"
    with pytest.raises(NotDelivered):
        post(url.replace("hooks", "others"), OPEN, ["127.0.0.1"])
    receiver.close()


def test_setting_anew_changes_the_secret_and_removing_forgets(
    receiver: Receiver, webhooks: WebhookService, courier: Courier, memory_store: Any, submit: Callable[..., str]
) -> None:
    first = webhooks.set("acme", WebhookRequest(url=receiver.url), by="k")
    second = webhooks.set("acme", WebhookRequest(url=receiver.url), by="k")
    assert first.secret != second.secret
    assert second.secret not in str(webhooks.get("acme"))
    dataset = submit()
    fail(memory_store, "acme", dataset, "no")
    assert memory_store.exists(DatasetKeys("acme", dataset).failed)
    webhooks.remove("acme", by="k")
    assert deliver(courier) == 0
    assert not receiver.got
    assert not [key for key in memory_store.objects if key.startswith("webhook")]
    for act in (lambda: webhooks.get("acme"), lambda: webhooks.remove("acme", by="k")):
        with pytest.raises(NotFound):
            act()
