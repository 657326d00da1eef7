"""Sessions: what a cookie is worth, when it ends, and that no other site can use it."""

import re
from hashlib import sha256
from html import unescape
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from app.access import ApiKeys, key_id_of
from app.dataset import keys
from app.errors import NotAuthenticated, StoreUnavailable
from app.sessions import COOKIE, CSRF_HEADER, INVITATION_S, LIFETIME_S, Sessions
from app.web.signin import local

BODY = {"name": "x", "subjects": 2, "samples_per_subject": 2}


def cookie_line(answer: Any) -> str:
    return str(answer.headers["set-cookie"])


def test_a_key_is_exchanged_for_a_cookie_that_scripts_and_other_sites_cannot_use(
    anonymous: TestClient, key: str, memory_store: Any
) -> None:
    answer = anonymous.post("/signin", data={"key": f" {key}\n", "then": "/new?name=x"})
    assert (answer.status_code, answer.headers["location"]) == (303, "/new?name=x")
    line = cookie_line(answer).lower()
    assert "httponly" in line
    assert "samesite=strict" in line
    assert "path=/" in line
    assert key not in line
    assert key.split("_", 2)[2] not in line
    assert "secure" not in line  # plain HTTP on loopback
    cookie = anonymous.cookies[COOKIE]
    assert not any(cookie.encode() in data or cookie in name for name, data in memory_store.objects.items())


def test_over_tls_the_cookie_is_for_tls_only(api: FastAPI, key: str) -> None:
    client = TestClient(api, base_url="https://faces.example", follow_redirects=False)
    assert "secure" in cookie_line(client.post("/signin", data={"key": key})).lower()


@pytest.mark.parametrize("wrong", ["", "nonsense", "fcs_0123456789abcdef_" + "A" * 43, "<script>", "é" * 5000])
def test_a_wrong_key_is_told_and_no_cookie_is_set(anonymous: TestClient, wrong: str) -> None:
    answer = anonymous.post("/signin", data={"key": wrong, "then": "/models"})
    assert answer.status_code == 401
    assert "set-cookie" not in answer.headers
    assert "not known here" in answer.text
    assert 'value="/models"' in answer.text
    assert wrong == "" or wrong not in answer.text


@pytest.mark.parametrize("path", ["/", "/datasets", "/new", "/models", "/datasets/ds_00000000000000000000"])
def test_without_a_session_one_is_sent_to_sign_in_and_comes_back(anonymous: TestClient, path: str) -> None:
    answer = anonymous.get(path)
    assert answer.status_code == 303
    there = urlsplit(answer.headers["location"])
    assert there.path == "/signin"
    assert parse_qs(there.query).get("then", ["/"]) == [path]


@pytest.mark.parametrize(
    "then", ["//evil.example", "https://evil.example/", "/\\evil.example", "javascript:alert(1)", "/\t/evil", "/é"]
)
def test_signing_in_leads_nowhere_else(then: str) -> None:
    assert local(then) == "/"


def test_the_session_asks_the_api_as_its_key_does(browser: TestClient) -> None:
    assert browser.get("/v1/datasets").status_code == 200
    assert browser.get("/v1/whoami").json()["tenant"] == "acme"


def test_what_changes_something_needs_the_secret(browser: TestClient, secret: str) -> None:
    assert browser.post("/v1/datasets", json=BODY).status_code == 401
    assert browser.post("/v1/datasets", json=BODY, headers={CSRF_HEADER: "0" * 32}).status_code == 401
    assert browser.post("/v1/datasets", json=BODY, headers={CSRF_HEADER: secret}).status_code == 202
    assert browser.delete("/v1/datasets/ds_00000000000000000000").status_code == 401


@pytest.mark.parametrize("wrong", [None, "", "0" * 32, "é"])
def test_a_form_without_the_secret_does_nothing_and_is_kept(browser: TestClient, wrong: str | None) -> None:
    form = {"name": "typed & kept", "subjects": "3", "samples_per_subject": "2"}
    answer = browser.post("/new", data={**form, **({} if wrong is None else {"csrf": wrong})})
    assert answer.status_code == 401
    assert "typed+%26+kept" in answer.text
    assert browser.get("/v1/datasets").json()["datasets"] == []


@pytest.mark.parametrize("headers", [{"Sec-Fetch-Site": "cross-site"}, {"Origin": "https://evil.example"}])
def test_no_other_site_signs_anybody_in(anonymous: TestClient, key: str, headers: dict[str, str]) -> None:
    answer = anonymous.post("/signin", data={"key": key}, headers=headers)
    assert answer.status_code == 401
    assert "set-cookie" not in answer.headers


def test_a_bad_key_is_not_made_good_by_a_cookie(browser: TestClient) -> None:
    assert browser.get("/v1/datasets", headers={"Authorization": "Bearer nonsense"}).status_code == 401
    assert browser.get("/v1/datasets", headers={"Authorization": "Basic Zm9v"}).status_code == 401


def test_a_session_ends_by_itself_and_what_was_typed_is_kept(browser: TestClient, secret: str, clock: Any) -> None:
    clock.now += LIFETIME_S + 60
    assert browser.get("/v1/datasets").status_code == 401
    assert browser.get("/datasets").headers["location"].startswith("/signin")
    answer = browser.post("/new", data={"csrf": secret, "name": "long thought about", "subjects": "30"})
    assert answer.status_code == 401
    assert "name=long+thought+about&amp;subjects=30" in answer.text
    assert secret not in answer.text


def test_signing_out_ends_it_in_the_store_too(browser: TestClient, secret: str) -> None:
    cookie = browser.cookies[COOKIE]
    assert browser.post("/signout", data={"csrf": secret}).status_code == 303
    browser.cookies.set(COOKIE, cookie)
    assert browser.get("/v1/datasets").status_code == 401


def test_with_its_key_a_session_ends(browser: TestClient, api: FastAPI, key: str) -> None:
    api.state.services.api_keys.revoke(key_id_of(key))
    assert browser.get("/v1/datasets").status_code == 401


@pytest.mark.parametrize(
    "cookie", ["", "x", "0123456789abcdef." + "A" * 43, "0123456789abcdef", "../../api-keys.x", "\x7f" * 60]
)
def test_a_made_up_cookie_is_worthless(anonymous: TestClient, cookie: str) -> None:
    anonymous.cookies.set(COOKIE, cookie)
    assert anonymous.get("/v1/datasets").status_code == 401


def test_an_invitation_signs_in_once(anonymous: TestClient, memory_store: Any, key: str, clock: Any) -> None:
    sessions = Sessions(memory_store, ApiKeys(memory_store), clock)
    link = sessions.invite(key)
    assert link not in str(memory_store.objects)
    answer = anonymous.get(f"/signin?link={link}&then=/models")
    assert (answer.status_code, answer.headers["location"]) == (303, "/models")
    assert anonymous.get("/v1/whoami").json()["key_id"] == key_id_of(key)
    anonymous.cookies.clear()
    again = anonymous.get(f"/signin?link={link}")
    assert again.status_code == 401
    assert "used before" in again.text
    assert "set-cookie" not in again.headers


def test_of_many_who_follow_an_invitation_at_once_one_gets_in(memory_store: Any, key: str, clock: Any) -> None:
    sessions = Sessions(memory_store, ApiKeys(memory_store), clock)
    link = sessions.invite(key)
    record = keys.invitation(key_id_of(key), sha256(link.encode()).hexdigest())
    data = memory_store.objects[record]
    sessions.accept(link)
    memory_store.objects[record] = data  # as one saw it who read it just before
    with pytest.raises(NotAuthenticated):
        sessions.accept(link)


def test_an_old_invitation_is_worthless_and_swept(memory_store: Any, key: str, clock: Any) -> None:
    sessions = Sessions(memory_store, ApiKeys(memory_store), clock)
    link = sessions.invite(key)
    clock.now += INVITATION_S + 1
    with pytest.raises(NotAuthenticated):
        sessions.accept(link)
    sessions.begin(key)
    assert len(list(memory_store.list(keys.sessions(key_id_of(key))))) == 1


def test_a_store_that_is_away_is_no_wrong_key(browser: TestClient, memory_store: Any, clock: Any) -> None:
    browser.get("/datasets")
    clock.now += 60
    memory_store.fault = lambda operation, key: StoreUnavailable("the object store does not answer")
    answer = browser.get("/datasets")
    assert answer.status_code == 503
    assert "tries again by itself" in answer.text
    assert 'data-retry="5"' in answer.text
    assert answer.headers["retry-after"] == "5"


def test_a_form_that_the_store_was_away_for_is_come_back_to_as_it_was(
    browser: TestClient, secret: str, memory_store: Any
) -> None:
    typed = {"name": "long & thought about", "subjects": "7", "samples_per_subject": "2", "key": "k" * 32}
    memory_store.fault = lambda operation, key: StoreUnavailable("the object store does not answer")
    away = browser.post("/new", data={"csrf": secret, **typed})
    assert away.status_code == 503
    again = re.search(r'data-again="([^"]*)"', away.text)
    assert again is not None
    memory_store.fault = lambda operation, key: None
    page = browser.get(unescape(again[1]))
    assert page.status_code == 200
    assert secret not in again[1]
    assert 'value="long &amp; thought about"' in page.text
    assert f'name="key" value="{typed["key"]}"' in page.text  # sent again it is the same request
