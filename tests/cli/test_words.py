"""What is told in the words of whoever gave the command: options instead of fields, names instead of ids, --json."""

import importlib
import inspect
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import typer

from app.cli.main import BUILT_IN, app, run
from app.cli.request import OPTIONS, age, shares, size

PROBLEMS = [
    {"field": "attributes.age", "problem": "the range is too narrow", "fix": "ask for at least 19 to 21"},
    {"field": "variability.target.fmr", "problem": "is missing", "fix": "add it"},
    {"field": "variability.factors.bogus", "problem": "there is no such factor", "fix": ""},
    {"field": "variability.target", "problem": "cannot be met", "fix": ""},
    {"field": "", "problem": "and 3 more", "fix": ""},
]


def refuse(request: httpx.Request) -> httpx.Response | None:
    if request.method != "POST":
        return None
    body = {"error": "RequestRefused", "detail": "fields", "request_id": "r7", "problems": PROBLEMS}
    return httpx.Response(422, json=body)


@pytest.mark.parametrize("command", [["generate", "--subjects", "3", "--samples", "2", "--out"], ["preview", "--out"]])
def test_a_refusal_names_the_options(
    service: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str], command: list[str]
) -> None:
    service.fault = refuse
    assert run([*command, str(tmp_path / "out")]) == 2
    told = capsys.readouterr().err
    assert "--age: the range is too narrow; ask for at least 19 to 21" in told
    assert "--fmr: is missing; add it" in told
    assert "--factor bogus: there is no such factor" in told
    assert "--fnmr, --fmr, --matcher, --tolerance: cannot be met; and 3 more (request r7)" in told
    assert "attributes.age" not in told


@pytest.mark.parametrize(
    ("command", "field", "named"),
    [
        (["release", "create", "gate@1.0.0", "ds_1"], "dataset", "ID"),
        (["release", "create", "gate@1.0.0", "ds_1", "--notes", "x"], "notes", "--notes"),
        (["release", "withdraw", "gate@1.0.0", "--reason", "x", "--confirm", "gate@1.0.0"], "reason", "--reason"),
        (["status", "--state", "asleep"], "state", "--state"),
        (["status", "--limit", "5"], "limit", "--limit"),
        (["fetch", "ds_1", "--layout", "lfw"], "layout", "--layout"),
        (["calibrate", "--fnmr", "0.1"], "target.fnmr", "--fnmr"),
    ],
)
def test_whatever_sends_a_request_is_refused_in_its_own_words(
    service: Any, capsys: pytest.CaptureFixture[str], command: list[str], field: str, named: str
) -> None:
    def no(request: httpx.Request) -> httpx.Response:
        problem = {"field": field, "problem": "it will not do", "fix": "take another"}
        body = {"error": "RequestRefused", "detail": f"{field}: no", "request_id": "r7", "problems": [problem]}
        return httpx.Response(422, json=body)

    service.fault = no
    assert run(command) == 2
    assert f"facsimile: {named}: it will not do; take another (request r7)" in capsys.readouterr().err


def test_with_a_request_file_the_field_stands_beside_the_option(
    service: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    service.fault = refuse
    (tmp_path / "r.json").write_text('{"subjects": 3, "samples_per_subject": 2}')
    assert run(["generate", str(tmp_path / "r.json"), "--out", str(tmp_path / "out")]) == 2
    assert "--age (attributes.age in a request file): the range is too narrow" in capsys.readouterr().err


def test_every_option_that_sets_a_field_is_one(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["generate", "--help"]) == 0
    shown = capsys.readouterr().out
    for option in set(OPTIONS.values()):
        assert option[:16] in shown, option


def test_examples_in_the_help_are_what_every_model_takes() -> None:
    cards = [json.loads(path.read_text()) for path in Path(__file__).parents[2].glob("workers/**/models/*/card.json")]
    reached = [card["attributes"]["age"] for card in cards if "age" in card.get("attributes", {})]
    assert reached
    for name in ("generate", "preview", "calibrate"):
        text = inspect.getsource(importlib.import_module(f"app.cli.{name}"))
        (example,) = re.findall(r"apparent ages: ([0-9]+-[0-9]+)", text)
        asked = age(example)
        assert asked is not None
        assert all(card["min"] <= asked["min"] < asked["max"] <= card["max"] for card in reached)
        assert shares("female=0.5,male=0.5", "--sex") == {"female": 0.5, "male": 0.5}
        assert (size("128"), size("480x600")) == (128, [480, 600])


@pytest.mark.parametrize(("named", "code"), [("faces", 0), ("ds_1", 0), ("nothing", 2)])
def test_a_dataset_has_a_name(
    service: Any, named: str, code: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["status", named]) == code
    assert run(["fetch", named, "--out", str(tmp_path / "a.tar")]) == code
    assert run(["cancel", named, "--json"]) == code
    if code:
        assert "no dataset of the id or name 'nothing'" in capsys.readouterr().err


def test_a_name_that_several_have_names_none(service: Any, capsys: pytest.CaptureFixture[str]) -> None:
    def two(request: httpx.Request) -> httpx.Response | None:
        if request.url.path != "/v1/datasets":
            return None
        found = [{"id": f"ds_{number}", "name": name} for number, name in enumerate(("faces", "faces", "faces 2"))]
        return httpx.Response(200, json={"datasets": found, "next": None})

    service.fault = two
    assert run(["delete", "faces"]) == 2
    assert "2 datasets are called 'faces': ds_0, ds_1; name one by its id" in capsys.readouterr().err
    assert not [call for call in service.calls if call[0] == "DELETE"]


def commands() -> Iterator[tuple[str, Any]]:
    """Every command that ends, with its full name."""
    root = typer.main.get_command(app)
    context = root.make_context("facsimile", ["status"], resilient_parsing=True)

    def walk(command: Any, name: str) -> Iterator[tuple[str, Any]]:
        names = command.list_commands(context) if hasattr(command, "list_commands") else []
        for inner in names:
            yield from walk(command.get_command(context, inner), f"{name} {inner}".strip())
        if not names or getattr(command, "invoke_without_command", False):
            yield name, command

    yield from walk(root, "")


def test_every_command_speaks_json() -> None:
    found = dict(commands())
    assert set(BUILT_IN) - {"models", "release"} <= set(found)
    assert {
        name for name, command in found.items() if not any("--json" in item.opts for item in command.params)
    } == set()
