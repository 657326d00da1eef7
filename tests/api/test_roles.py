"""Who may do what: every route that the API has, with a key of every role, and with another tenant's."""

from collections.abc import Callable
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from app.access import ApiKeys, Role
from app.api.deps import ROLES, needed_role

OPEN = {"/livez", "/readyz", "/metrics", "/openapi.json", "/docs"}
"""Asked without a key."""

FILLED = {
    "dataset_id": "ds_" + "0" * 20,
    "preview_id": "a" * 64,
    "calibration_id": "a" * 64,
    "upload_id": "a" * 64,
    "evaluation_id": "ev_" + "0" * 20,
    "key_id": "0" * 16,
    "name": "toy",
    "version": "1.0.0",
    "release": "gate-smoke",
    "digest": "a" * 64,
    "sample": "S0000000_0000",
    "sample_name": "S0000000_0000",
    "sheet": "0",
    "layout": "plain",
    "other": "1.0.0",
}


def routes(api: FastAPI) -> list[tuple[str, str]]:
    """(method, path) of every operation in the API's own document."""
    paths = api.openapi()["paths"]
    return [(method.upper(), path) for path, found in sorted(paths.items()) for method in found if path not in OPEN]


def as_role(api: FastAPI, store: Any, tenant: str, role: Role) -> TestClient:
    key = ApiKeys(store).issue(tenant, role.value, role=role)
    return TestClient(api, headers={"Authorization": f"Bearer {key}"}, raise_server_exceptions=False)


def test_every_route_takes_the_roles_it_should_and_no_others(api: FastAPI, memory_store: Any) -> None:
    clients = {role: as_role(api, memory_store, "acme", role) for role in Role}
    found = routes(api)
    table: dict[tuple[str, str], set[Role]] = {}
    for method, path in found:
        where = path.format_map(FILLED)
        if path.endswith("/events"):
            where = where.replace("0" * 20, "1" * 20)
        for role, client in clients.items():
            answer = client.request(method, where, json={} if method == "POST" else None)
            assert answer.status_code != 401, (method, path)
            assert answer.status_code < 500 or answer.status_code == 503, (method, path, answer.text)
            if answer.status_code != 403:
                table.setdefault((method, path), set()).add(role)
            else:
                assert answer.json()["error"] == "NotAllowed"
    for route in found:
        needed = needed_role(*route)
        assert table.get(route, set()) == {role for role in Role if role.allows(needed)}, route
    assert set(ROLES) <= set(found), "a rule for a route that is not there"
    # What changes something is never for readers, but for what only reckons.
    changing = {route for route in found if route[0] not in ("GET", "HEAD")}
    assert {route for route in changing if Role.READ in table[route]} == {("POST", "/v1/estimates")}


def test_an_admin_makes_lists_and_revokes_keys_of_its_own_tenant(api: FastAPI, memory_store: Any) -> None:
    admin, rival = (as_role(api, memory_store, tenant, Role.ADMIN) for tenant in ("acme", "rival"))
    made = admin.post("/v1/keys", json={"label": "gate", "role": "read", "days": 90})
    assert made.status_code == 201
    key_id = made.json()["key_id"]
    gate = TestClient(api, headers={"Authorization": f"Bearer {made.json()['key']}"})
    who = gate.get("/v1/whoami").json()
    assert (who["tenant"], who["role"], who["key_id"]) == ("acme", "read", key_id)
    assert who["expires_at"]
    listed = {key["key_id"]: key for key in admin.get("/v1/keys").json()["keys"]}
    assert listed[key_id]["label"] == "gate"
    assert listed[key_id]["last_used_at"]
    assert made.json()["key"] not in admin.get("/v1/keys").text
    assert key_id not in rival.get("/v1/keys").text
    assert rival.delete(f"/v1/keys/{key_id}").status_code == 404
    assert admin.delete(f"/v1/keys/{key_id}").status_code == 204
    assert gate.get("/v1/whoami").status_code == 401
    actions = [entry["action"] for entry in admin.get("/v1/audit").json()["entries"]]
    assert sorted(actions) == ["key.made", "key.revoked"]


@pytest.mark.parametrize("wrong", [{"role": "root"}, {"days": 0}, {"days": 1e9}, {"tenant": "rival"}, {"label": 3}])
def test_keys_that_cannot_be(api: FastAPI, memory_store: Any, wrong: dict[str, Any]) -> None:
    answer = as_role(api, memory_store, "acme", Role.ADMIN).post("/v1/keys", json=wrong)
    assert answer.status_code == 422
    assert next(iter(wrong)) in answer.json()["detail"]


def test_a_session_may_what_its_key_may(api: FastAPI, memory_store: Any, submit: Callable[..., str]) -> None:
    key = ApiKeys(memory_store).issue("acme", "reader", role=Role.READ)
    browser = TestClient(api)
    answer = browser.post("/signin", data={"key": key, "then": "/"}, headers={"accept": "application/json"})
    assert answer.status_code in (200, 303), answer.text
    assert browser.get("/v1/whoami").json()["role"] == "read"
    csrf = api.state.services.sessions.find(browser.cookies["facsimile_session"]).csrf
    refused = browser.delete(f"/v1/datasets/{submit()}", headers={"X-Facsimile-CSRF": csrf})
    assert refused.status_code == 403
