"""Administration: for admins alone, who see what waits and who has what, and make and revoke keys."""

import re
from collections.abc import Callable
from html import unescape
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from app.access import ApiKeys, Role
from app.errors import QueueUnavailable

HOSTILE = '"><script>alert(1)</script>'


def signed_in(api: FastAPI, store: Any, role: Role) -> TestClient:
    key = ApiKeys(store).issue("acme", f"{role}'s", role=role)
    client = TestClient(api, follow_redirects=False)
    assert client.post("/signin", data={"key": key}).status_code == 303
    return client


@pytest.fixture
def admin(api: FastAPI, memory_store: Any) -> TestClient:
    return signed_in(api, memory_store, Role.ADMIN)


@pytest.fixture
def send(admin: TestClient) -> Callable[..., Any]:
    """Posts the form of keys as the page would."""
    secret = re.search(r'name="csrf" value="([0-9a-f]{32})"', admin.get("/service/keys").text)
    assert secret
    return lambda **fields: admin.post("/service/keys", data={"csrf": secret[1], **fields})


@pytest.mark.parametrize("role", [Role.READ, Role.WRITE])
@pytest.mark.parametrize("path", ["/service", "/service/keys"])
def test_others_than_admins_are_refused(api: FastAPI, memory_store: Any, role: Role, path: str) -> None:
    client = signed_in(api, memory_store, role)
    answer = client.get(path)
    assert answer.status_code == 403
    assert "Your key may not do this" in answer.text
    assert "needs a key with the role" in answer.text
    assert 'href="/service"' not in client.get("/datasets").text


@pytest.mark.parametrize("role", list(Role))
def test_the_role_is_shown(api: FastAPI, memory_store: Any, role: Role) -> None:
    client = signed_in(api, memory_store, role)
    assert f'acme <span class="pill">{role.value}</span>' in client.get("/datasets").text
    page = unescape(client.get("/you").text)
    assert f"<b>{role.value}</b>" in page
    assert f"{role.value}'s" in page


def test_an_admin_sees_what_waits_and_what_there_is(admin: TestClient, ask: Callable[..., str]) -> None:
    ask()
    page = admin.get("/service").text
    assert ">advance</th>" in page
    assert '<th scope="row">acme</th><td class="n">1</td><td class="n">1</td>' in page
    part = admin.get("/service", headers={"X-Fragment": "1"}).text
    assert part.startswith('<div id="service"')


def test_a_queue_that_is_away_is_told(admin: TestClient, memory_queue: Any) -> None:
    memory_queue.fault = lambda what: QueueUnavailable("away") if what in ("depth", "flights") else None
    page = admin.get("/service")
    assert page.status_code == 200
    assert "work goes on once it answers" in page.text


def test_a_key_is_made_shown_once_and_revoked(
    admin: TestClient, send: Callable[..., Any], memory_store: Any, clock: Any
) -> None:
    answer = send(do="make", label=HOSTILE, role="read", days="90")
    assert answer.status_code == 200
    assert "<script>alert" not in answer.text
    (key,) = set(re.findall(r"fcs_[0-9a-f]{16}_[\w-]{43}", answer.text))
    holder = ApiKeys(memory_store, wall=clock).holder_of(key)
    assert (holder.tenant, holder.role, holder.label) == ("acme", Role.READ, HOSTILE)
    assert holder.expires_at
    listed = admin.get("/service/keys").text
    assert key not in listed
    assert holder.key_id in listed
    assert send(do="revoke", key_id=holder.key_id).status_code == 422
    assert send(do="revoke", key_id=holder.key_id, confirm="yes").status_code == 303
    assert holder.key_id not in admin.get("/service/keys").text
    assert send(do="revoke", key_id=holder.key_id, confirm="yes").status_code == 422
    assert "key made" in admin.get("/service").text


@pytest.mark.parametrize("wrong", [{"days": "soon"}, {"days": "0"}, {"role": "root"}])
def test_a_key_that_cannot_be_keeps_what_was_typed(send: Callable[..., Any], wrong: dict[str, str]) -> None:
    answer = send(**{"do": "make", "label": "nightly", "role": "read", **wrong})
    assert answer.status_code == 422
    assert 'value="nightly"' in answer.text
    assert next(iter(wrong)) in answer.text


def test_who_asked_for_a_set_is_told(browser: TestClient, ask: Callable[..., str]) -> None:
    dataset = ask()
    shown = browser.get(f"/v1/datasets/{dataset}").json()["asked_by"]
    assert shown["label"] == "test"
    for path in ("/datasets", f"/datasets/{dataset}"):
        assert "test</span>" in browser.get(path).text or "with the key “test”" in browser.get(path).text
