"""The HTTP client: what is tried again, for how long, and what its errors say."""

from collections.abc import Callable
from typing import Any

import httpx
import pytest

from app.cli.endings import FAILED, UNREACHABLE, USAGE, exit_code
from app.client.errors import ServiceRefused, ServiceUnreachable, UsageProblem
from app.client.http import CONNECT_PATIENCE_S, PATIENCE_S
from app.client.service import Client

Refuse = Callable[..., httpx.Response]


def test_retry_after_is_honoured(service: Any, client: Client, clock: Any, refuse: Refuse) -> None:
    answers = [refuse(503, "StoreUnavailable", "later", Retry_After="7"), refuse(429, "QuotaExceeded", "slowly")]
    service.fault = lambda request: answers.pop(0) if answers else None
    assert client.dataset("ds_1")["id"] == "ds_1"
    assert clock.slept[0] == 7.0
    assert 0 < clock.slept[1] < 1


def test_trying_again_has_an_end(service: Any, client: Client, clock: Any, refuse: Refuse) -> None:
    service.fault = lambda request: refuse(503, "StoreUnavailable", "the object store does not answer")
    with pytest.raises(ServiceRefused, match=r"the object store does not answer \(request r1\)") as caught:
        client.dataset("ds_1")
    assert exit_code(caught.value) == UNREACHABLE
    assert PATIENCE_S <= clock.now < PATIENCE_S + 1


def test_nobody_listening_is_told_soon(service: Any, client: Client, clock: Any) -> None:
    def nobody(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("Connection refused")

    service.fault = nobody
    with pytest.raises(ServiceUnreachable, match=r"service\.test does not answer .*facsimile up") as caught:
        client.dataset("ds_1")
    assert exit_code(caught.value) == UNREACHABLE
    assert clock.now < CONNECT_PATIENCE_S + 1


def test_who_never_answered_is_given_up_sooner_than_who_did(service: Any, client: Client, clock: Any) -> None:
    def reset(request: httpx.Request) -> httpx.Response:
        raise httpx.ReadError("Connection reset by peer")

    service.fault = reset
    with pytest.raises(ServiceUnreachable, match=r"reset by peer; does it want https://\?\)"):
        client.dataset("ds_1")
    assert CONNECT_PATIENCE_S <= clock.now < CONNECT_PATIENCE_S + 1
    begun, service.fault = clock.now, lambda request: httpx.Response(200, json={"models": []})
    client.models()
    service.fault = reset
    with pytest.raises(ServiceUnreachable):
        client.dataset("ds_1")
    assert clock.now - begun >= PATIENCE_S


@pytest.mark.parametrize(
    ("status", "code"), [(401, USAGE), (422, USAGE), (404, FAILED), (409, FAILED), (500, UNREACHABLE)]
)
def test_a_refusal_is_not_tried_again(service: Any, client: Client, refuse: Refuse, status: int, code: int) -> None:
    service.fault = lambda request: refuse(status, "Some", "why not")
    with pytest.raises(ServiceRefused, match="why not") as caught:
        client.dataset("ds_1")
    assert len(service.calls) == 1
    assert exit_code(caught.value) == code


def test_another_server_at_the_url_is_told(service: Any, client: Client) -> None:
    service.fault = lambda request: httpx.Response(200, text="<html>")
    with pytest.raises(ServiceUnreachable, match="is the URL right"):
        client.dataset("ds_1")
    service.fault = lambda request: httpx.Response(404, text="<html>")
    with pytest.raises(ServiceUnreachable, match="is the URL right"):
        client.dataset("ds_1")


@pytest.mark.parametrize("url", ["service.test", "ftp://service.test", "http://"])
def test_what_is_no_url_is_told(url: str) -> None:
    with pytest.raises(UsageProblem, match="no URL"):
        Client(url, "key")


@pytest.mark.parametrize("name", ["../models", "a/b", "", "a?b"])
def test_an_id_cannot_change_the_path(client: Client, name: str) -> None:
    with pytest.raises(UsageProblem):
        client.dataset(name)


def test_lists_go_on_to_the_limit(service: Any, client: Client) -> None:
    def page(request: httpx.Request) -> httpx.Response:
        after = int(request.url.params.get("after", 0))
        limit = int(request.url.params["limit"])
        found = [{"id": number} for number in range(after, after + limit)]
        return httpx.Response(200, json={"datasets": found, "next": str(after + limit)})

    service.fault = page
    assert [item["id"] for item in client.datasets(state=None, name=None, limit=250)] == list(range(250))
    assert len(service.calls) == 3


def test_a_preview_is_waited_for(service: Any, client: Client, clock: Any, refuse: Refuse) -> None:
    answers = [
        httpx.Response(
            202, json={"id": "p1"}, headers={"Location": "http://elsewhere.test/v1/previews/p1", "Retry-After": "2"}
        ),
        refuse(404, "NotFound", "not made yet"),
        httpx.Response(202, json={"id": "p1"}, headers={"Retry-After": "2"}),
        httpx.Response(200, content=b"png", headers={"Content-Type": "image/png"}),
    ]
    hosts: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        hosts.append(request.url.host)
        return answers.pop(0)

    service.fault = answer
    assert client.preview({}) == b"png"
    assert set(hosts) == {"service.test"}  # the key goes nowhere else
    assert clock.slept == [2.0, 2.0]


def test_a_preview_that_never_comes_is_given_up(service: Any, client: Client) -> None:
    service.fault = lambda request: httpx.Response(202, json={}, headers={"Location": "/v1/previews/p1"})
    with pytest.raises(ServiceUnreachable, match="is a worker running"):
        client.preview({})
