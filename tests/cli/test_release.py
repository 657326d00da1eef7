"""`facsimile release`: what is sent, what is written, and the codes it ends on."""

import io
import json
from typing import Any

import httpx
import pytest

from app.cli.main import run

Json = dict[str, Any]
RELEASE: Json = {
    "name": "gate",
    "version": "1.0.0",
    "digest": "d" * 64,
    "counts": {"samples": 6},
    "created_at": "2026-01-02T03:04:05.678+00:00",
    "notes": "first",
}
TOMBSTONE: Json = {
    "name": "gate",
    "version": "0.9.0",
    "digest": "e" * 64,
    "reason": "look-alikes",
    "withdrawn_at": "2026-01-03T03:04:05.678+00:00",
}


@pytest.fixture
def releasing(service: Any, refuse: Any) -> list[tuple[str, str, Json]]:
    """The fake service, with releases; returns what it was sent."""
    sent: list[tuple[str, str, Json]] = []

    def answer(request: httpx.Request) -> httpx.Response | None:
        method, path = request.method, request.url.path
        body = json.loads(request.content) if request.content else {}
        sent.append((method, path, body))
        if method == "PUT" and path == "/v1/releases/gate/1.0.0":
            if body["dataset"] != "ds_1":
                found: httpx.Response = refuse(409, "Conflict", f"it is there already, with the digest {'d' * 64}")
                return found
            return httpx.Response(201 if len(sent) == 1 else 200, json=RELEASE)
        if method == "DELETE":
            return httpx.Response(200, json=TOMBSTONE)
        if path == "/v1/releases/gate":
            found_all = {"name": "gate", "latest": "1.0.0", "releases": [RELEASE], "withdrawn": [TOMBSTONE]}
            return httpx.Response(200, json=found_all)
        if path == "/v1/releases":
            after = request.url.params.get("after")
            name = {"name": "b" if after else "a", "latest": "1.0.0", "versions": ["1.0.0"], "withdrawn": []}
            return httpx.Response(200, json={"releases": [name], "next": None if after else "a"})
        return None

    service.fault = answer
    return sent


def test_a_release_is_made(releasing: list[Any], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["release", "create", "gate@1.0.0", "ds_1", "--notes", "first"]) == 0
    assert releasing == [("PUT", "/v1/releases/gate/1.0.0", {"dataset": "ds_1", "notes": "first"})]
    assert f"ds_1 is now gate@1.0.0, digest {'d' * 64}" in capsys.readouterr().err
    assert run(["release", "create", "gate@1.0.0", "ds_1"]) == 0
    assert "already" in capsys.readouterr().err
    assert run(["release", "create", "gate@1.0.0", "ds_1", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == RELEASE


def test_a_version_that_is_taken(releasing: list[Any], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["release", "create", "gate@1.0.0", "ds_2"]) == 1
    assert "d" * 64 in capsys.readouterr().err


@pytest.mark.parametrize("ref", ["gate", "gate@latest", "Gate@1.0.0", "gate@v1", "../x@1.0.0"])
def test_a_reference_must_name_a_version(releasing: list[Any], ref: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["release", "create", ref, "ds_1"]) == 2
    assert run(["release", "withdraw", ref, "--reason", "x", "--confirm", ref]) == 2
    assert releasing == []
    assert "Traceback" not in capsys.readouterr().err


def test_names_are_listed_over_all_pages(releasing: list[Any], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["release", "list", "--json"]) == 0
    assert [item["name"] for item in json.loads(capsys.readouterr().out)["releases"]] == ["a", "b"]
    assert run(["release", "list"]) == 0
    assert "latest" in capsys.readouterr().out


def test_versions_are_listed_with_those_withdrawn(releasing: list[Any], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["release", "list", "gate"]) == 0
    shown = capsys.readouterr().out
    assert "1.0.0" in shown
    assert "withdrawn" in shown
    assert "look-alikes" in shown


def test_a_withdrawal_is_confirmed(releasing: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    withdraw = ["release", "withdraw", "gate@0.9.0", "--reason", "look-alikes"]
    assert run([*withdraw, "--confirm", "gate@0.9.1"]) == 2
    assert releasing == []
    assert run([*withdraw, "--confirm", "gate@0.9.0"]) == 0
    assert releasing == [("DELETE", "/v1/releases/gate/0.9.0", {"reason": "look-alikes", "confirm": "gate@0.9.0"})]
    for typed, code in (("", 1), ("yes\n", 2), ("gate@0.9.0\n", 0)):
        monkeypatch.setattr("sys.stdin", io.StringIO(typed))
        assert run(withdraw) == code
    assert len(releasing) == 2
