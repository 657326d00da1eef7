"""The other commands: what they write, and the codes that they end on."""

import importlib.metadata
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
import typer

from app.cli import plugins
from app.cli.main import app, run

CARD = {
    "name": "parametric",
    "version": "1.0.0",
    "kind": "parametric",
    "description": "[drawn] heads",
    "sizes": [[128, 160]],
    "latent": {"identity": 8, "observation": {"pose": [0, 3], "age": [3, 4]}},
    "attributes": {"sex": {"kind": "choice", "values": {"female": [None, 0], "male": [0, None]}}},
    "licence": "CC0",
    "provenance": "no photograph",
}


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--version"]) == 0
    assert capsys.readouterr().out.strip() == f"facsimile {importlib.metadata.version('facsimile-faces')}"


def test_help_lists_every_command_and_the_exit_codes(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--help"]) == 0
    shown = capsys.readouterr().out
    for name in ("up", "generate", "status", "cancel", "delete", "models", "preview", "keys", "quickstart"):
        assert name in shown
    assert "verification failed" in shown


@pytest.mark.parametrize("arguments", [["nonsense"], ["status", "--nonsense"], ["delete"], ["generate"]])
def test_wrong_usage(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(arguments) == 2
    assert "Traceback" not in capsys.readouterr().err


def test_every_command_writes_json_where_it_is_asked_to() -> None:
    def leaves(command: Any, name: str) -> list[tuple[str, Any]]:
        below = command.list_commands(context(command)) if hasattr(command, "list_commands") else []
        found = [leaf for one in below for leaf in leaves(command.get_command(context(command), one), f"{name} {one}")]
        return found or [(name, command)]

    def context(command: Any) -> Any:
        return command.context_class(command)

    found = leaves(typer.main.get_command(app), "facsimile")
    assert len(found) > 40
    assert [name for name, leaf in found if "--json" not in {o for p in leaf.params for o in p.opts}] == []


def test_status_lists(service: Any, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["status"]) == 0
    shown = capsys.readouterr().out
    assert "ds_1" in shown
    assert "0/6" in shown
    assert run(["status", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["datasets"][0]["id"] == "ds_1"


def test_status_of_one(service: Any, capsys: pytest.CaptureFixture[str]) -> None:
    service.states = ["failed"]
    assert run(["status", "ds_1"]) == 0
    assert "a shard died five times" in capsys.readouterr().out
    assert run(["status", "ds_2"]) == 1
    assert "there is nothing at" in capsys.readouterr().err


def test_cancel_and_delete(service: Any, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["cancel", "ds_1", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["state"] == "cancelled"
    assert run(["delete", "ds_1"]) == 0
    assert ("DELETE", "/v1/datasets/ds_1") in service.calls


def test_models(service: Any, capsys: pytest.CaptureFixture[str]) -> None:
    service.fault = lambda request: httpx.Response(
        200, json=CARD if request.url.path.endswith("/parametric") else {"default": "parametric", "models": [CARD]}
    )
    assert run(["models"]) == 0
    shown = capsys.readouterr().out
    assert "default" in shown
    assert "128×160" in shown
    assert run(["models", "parametric"]) == 0
    shown = capsys.readouterr().out
    assert "female | male" in shown
    assert "no photograph" in shown
    assert run(["models", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["default"] == "parametric"


def test_preview(service: Any, tmp_path: Path) -> None:
    service.fault = lambda request: httpx.Response(200, content=b"png", headers={"Content-Type": "image/png"})
    assert run(["preview", "--out", str(tmp_path / "sheet.png"), "--scale", "1.5"]) == 0
    assert [path.name for path in tmp_path.iterdir()] == ["sheet.png"]
    assert (tmp_path / "sheet.png").read_bytes() == b"png"
    assert run(["preview", "--out", str(tmp_path / "no" / "sheet.png")]) == 2


def test_a_wrong_key_is_told(service: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FACSIMILE_API_KEY", "fcs_wrong")
    assert run(["status"]) == 2
    monkeypatch.setenv("FACSIMILE_API_KEY", "füchse")
    assert run(["status"]) == 2


def test_the_service_is_found_by_flags_then_environment_then_folder(
    service: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    hosts: list[str] = []

    def note(request: httpx.Request) -> None:
        hosts.append(f"{request.url.host} {request.headers['Authorization']}")

    service.fault = note
    monkeypatch.chdir(tmp_path)
    (tmp_path / "facsimile-data").mkdir()
    (tmp_path / "facsimile-data" / "service.json").write_text('{"url": "http://127.0.0.1:1234"}')
    (tmp_path / "facsimile-data" / "api-key").write_text("local-key\n")
    run(["status", "--url", "http://flag.test", "--key", "k"])
    run(["status"])
    monkeypatch.delenv("FACSIMILE_URL")
    monkeypatch.delenv("FACSIMILE_API_KEY")
    run(["status"])
    assert [host.split()[0] for host in hosts] == ["flag.test", "service.test", "127.0.0.1"]
    assert hosts[0].endswith("Bearer k")
    assert hosts[2].endswith("Bearer local-key")
    (tmp_path / "facsimile-data" / "service.json").unlink()
    capsys.readouterr()
    assert run(["status"]) == 3
    assert "facsimile up" in capsys.readouterr().err
    # A key of this machine's service is not sent to another one.
    assert run(["status", "--url", "http://other.test"]) == 2
    assert len(hosts) == 3


def test_operators_settings_are_needed_for_keys(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    for name in ("FACSIMILE_STORE__ACCESS_KEY", "FACSIMILE_STORE__SECRET_KEY", "FACSIMILE_ENVIRONMENT"):
        monkeypatch.delenv(name, raising=False)
    assert run(["keys", "issue", "acme"]) == 2
    assert "FACSIMILE_STORE__ACCESS_KEY" in capsys.readouterr().err
    assert run(["keys", "issue", "acme", "--data", str(tmp_path)]) == 2
    assert run(["keys", "revoke", "what"]) == 2


class Entry:
    """An entry point."""

    def __init__(self, load: Callable[[], Any]) -> None:
        self.load = load


def contribute(monkeypatch: pytest.MonkeyPatch, name: str, load: Callable[[], Any]) -> None:
    class Points(list[Entry]):
        names = frozenset({name})

    def entry_points(*, group: str, name: str | None = None) -> Points:
        ours = group == plugins.COMMANDS and name in (None, wanted)
        return Points([Entry(load)] if ours else [])

    wanted = name
    monkeypatch.setattr(importlib.metadata, "entry_points", entry_points)


def test_a_contributed_function_is_a_command(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def colour(name: str, much: bool = False) -> None:
        """Colour something."""
        typer.echo(f"{name} {much}")

    contribute(monkeypatch, "colour", lambda: colour)
    assert run(["colour", "red", "--much"]) == 0
    assert capsys.readouterr().out == "red True\n"
    assert run(["--help"]) == 0
    assert "Colour something" in capsys.readouterr().out


def test_a_contributed_typer_keeps_its_subcommands(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    train = typer.Typer()

    @train.command()
    def start() -> None:
        typer.echo("started")

    @train.command()
    def resume() -> None:
        typer.echo("resumed")

    contribute(monkeypatch, "school", lambda: train)
    assert run(["school", "resume"]) == 0
    assert capsys.readouterr().out == "resumed\n"


def test_a_contributed_command_without_its_packages_says_what_is_missing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def load() -> Any:
        raise ImportError("No module named 'torch'")

    contribute(monkeypatch, "schooling", load)
    assert run(["--help"]) == 0
    assert run(["schooling", "--epochs", "3"]) == 2
    assert "No module named 'torch'" in capsys.readouterr().err


REPORT: dict[str, Any] = {
    "summary": ["[3] subjects, 6 samples.", "Nothing is missing."],
    "dataset": {
        "id": "ds_1",
        "name": "faces",
        "created_at": "2026-01-02",
        "seed": 7,
        "request": {},
        "width": 8,
        "height": 8,
        "format": "png",
        "sigma": {},
    },
    "model": dict.fromkeys(("name", "version", "digest", "kind", "description", "licence", "provenance"), "x"),
    "comparisons": {"selection": "none", "mated": 0, "non_mated": 0, "left_out": 0, "sha256": ""},
    "counts": dict.fromkeys(
        (
            "asked_subjects",
            "asked_samples",
            "asked_distractors",
            "subjects",
            "distractors",
            "samples",
            "bytes",
            "rejected_samples",
            "rejected_identities",
            "shortfall",
        ),
        0,
    ),
    "filter": None,
    "rejected_samples": [],
    "rejected_identities": [],
    "shortfall": [],
    "judged": {"subjects": 0, "distractors": 0, "samples": 0},
    "judges": [],
    "drift": [],
    "quality": None,
    "contract": None,
    "calibration": None,
    "limits": [],
    "absent": {},
    "of a later version": 1,
}


def test_a_report_is_told_in_sentences_or_written_into_a_file(
    service: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    forms = {"json": json.dumps(REPORT), "html": "<!doctype html>"}

    def answer(request: httpx.Request) -> httpx.Response | None:
        if request.url.path == "/v1/datasets/ds_1/report":
            return httpx.Response(200, text=forms[request.url.params["format"]])
        return None

    service.fault = answer
    assert run(["report", "ds_1"]) == 0
    assert capsys.readouterr().out.splitlines() == ["[3] subjects, 6 samples.", "Nothing is missing."]
    assert run(["report", "ds_1", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["dataset"]["seed"] == 7
    for form, text in forms.items():
        path = tmp_path / "deep" / f"r.{form}"
        assert run(["report", "ds_1", "--out", str(path)]) == 0
        assert path.read_text() == text
    assert run(["report", "ds_1", "--out", str(tmp_path / "r.pdf")]) == 2
    assert "ends in .html or .json" in capsys.readouterr().err
