"""Every error has the one shape, and none tells what it should not."""

import json
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from app import errors
from app.api.error_handlers import STATUSES, answer_error


def test_unknown_paths_and_methods(client: TestClient) -> None:
    for path in ("/v1", "/v1/nothing", "/v1/datasets/", "/v2/datasets", "/%00", "/docs/../../etc/passwd"):
        answer = client.get(path)
        assert answer.status_code == 404, path
        assert answer.json()["error"] == "NotFound"
    answer = client.put("/v1/models")
    assert answer.status_code == 405
    assert answer.json()["error"] == "MethodNotAllowed"
    assert "GET" in answer.headers["allow"]
    assert client.request("BREW", "/v1/models").status_code == 405


def test_a_crash_tells_nothing(
    client: TestClient, memory_store: Any, finished: str, capfd: pytest.CaptureFixture[str]
) -> None:
    def crash(operation: str, key: str) -> None:
        raise ZeroDivisionError("secret fcs_0123")

    memory_store.fault = crash
    answer = client.get(f"/v1/datasets/{finished}", headers={"X-Request-Id": "r-7"})
    assert answer.status_code == 500
    assert answer.json() == {
        "error": "InternalError",
        "detail": "something went wrong here; it is logged under this request_id",
        "request_id": "r-7",
    }
    assert answer.headers["x-request-id"] == "r-7"
    assert "ZeroDivisionError" in "".join(capfd.readouterr())


@pytest.mark.parametrize("kind", [errors.Misconfigured, errors.Corrupt])
def test_what_only_operators_can_mend_is_500_without_its_text(
    client: TestClient, memory_store: Any, kind: type[errors.FacsimileError]
) -> None:
    assert client.get("/v1/models").status_code == 200
    memory_store.fault = lambda operation, key: kind("the bucket's name is secret")
    answer = client.get("/v1/datasets")
    assert answer.status_code == 500
    assert answer.json()["error"] == kind.__name__
    assert "secret" not in answer.text


def test_corrupt_records_are_no_riddle_but_a_500(client: TestClient, finished: str, memory_store: Any) -> None:
    memory_store.put(f"tenants/acme/datasets/{finished}/plan.json", b"{")
    answer = client.get(f"/v1/datasets/{finished}")
    assert answer.status_code == 500
    assert answer.json()["error"] == "Corrupt"


def test_the_table_has_every_error() -> None:
    for kind in vars(errors).values():
        if isinstance(kind, type) and issubclass(kind, errors.FacsimileError):
            assert any(ancestor in STATUSES for ancestor in kind.__mro__)
            if kind not in STATUSES:
                assert issubclass(kind, errors.Unavailable)


def test_a_key_of_the_store_is_never_shown(api: FastAPI) -> None:
    from starlette.requests import Request

    request = Request({"type": "http", "method": "GET", "path": "/", "headers": [], "state": {}})
    answer = answer_error(request, errors.ObjectNotFound("there is no object 'tenants/acme/x'"))
    assert answer.status_code == 404
    assert "tenants" not in json.loads(bytes(answer.body))["detail"]


@pytest.mark.parametrize("said", ["", "a" * 65, "a b", "\xe9", "<script>", "a\tb"])
def test_a_request_id_that_is_none_is_replaced(client: TestClient, said: str) -> None:
    answer = client.get("/livez", headers={"X-Request-Id": said.encode("latin-1")})
    assert len(answer.headers["x-request-id"]) == 32
    assert answer.headers["x-request-id"] != said
