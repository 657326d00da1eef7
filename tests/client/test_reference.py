"""The guide's references are what the code says, and every command that a document shows is one."""

import importlib.util
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import typer

from app.cli.main import app
from app.config import Settings

ROOT = Path(__file__).parents[2]
DOCUMENTS = (
    "README.md",
    "deploy/client/README.md",
    *(str(path.relative_to(ROOT)) for path in sorted((ROOT / "deploy" / "guide").glob("*.md"))),
    *(str(path.relative_to(ROOT)) for path in sorted((ROOT / "deploy" / "ci").iterdir())),
)


@pytest.fixture(scope="module")
def reference() -> ModuleType:
    spec = importlib.util.spec_from_file_location("reference", ROOT / ".ci" / "reference.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_references_are_current(reference: ModuleType) -> None:
    for path, made in reference.TEXTS.items():
        assert path.read_text(encoding="utf-8") == made(), "python .ci/reference.py write"


def test_every_setting_has_a_meaning(reference: ModuleType) -> None:
    rows = list(reference._settings(Settings, "FACSIMILE_"))
    assert len(rows) > 40
    assert [variable for variable, _, meaning in rows if len(meaning) < 8] == []


def shown(document: str) -> Iterator[str]:
    """The commands in a document's blocks of code, and those between backticks that have arguments."""
    text = (ROOT / document).read_text(encoding="utf-8")
    text = re.sub(r"\\\n\s*", " ", text)
    command = re.compile(r"(?:^|(?<!namespace)(?<!-n)[\s`])(?:\.venv/bin/)?facsimile ([a-z][^`#|;&]*)")
    for line in text.splitlines():
        yield from (found.strip() for found in command.findall(line.partition(" # ")[0]))


def cases() -> list[tuple[str, str]]:
    return [(document, command) for document in DOCUMENTS for command in dict.fromkeys(shown(document))]


def test_documents_show_commands() -> None:
    assert len(cases()) > 25


@pytest.mark.parametrize(("document", "command"), cases())
def test_a_command_that_a_document_shows_is_one(document: str, command: str) -> None:
    try:
        words = shlex.split(command, comments=True)
    except ValueError:
        words = command.split()
    at: Any = typer.main.get_command(app)
    context = at.make_context("facsimile", ["status"], resilient_parsing=True)
    name = []
    while words and hasattr(at, "list_commands"):
        found = at.get_command(context, words[0].strip("'\".,:()"))
        if found is None:
            break
        at = found
        name.append(words.pop(0))
    assert name, f"{document}: there is no command 'facsimile {command}'"
    if (
        hasattr(at, "commands") and "checkpoint" in at.commands
    ):  # models import SOURCE: what is meant where none is named
        at = at.commands["checkpoint"]
    known = {option for item in at.params for option in (*item.opts, *item.secondary_opts)} | {"--help"}
    for word in words:
        option = word.partition("=")[0].strip("'\".,:()[]…")
        if option.startswith("--"):
            assert option in known, f"{document}: 'facsimile {' '.join(name)}' has no {option}"


OF_OTHERS = {
    "--pool": "celery",
    "--target": "docker build",
    "--require-hashes": "pip",
    "--disk-mib": "tests/chaos/chaos.py",
    "--light": "tests/bench/bench_million.py",
    "--rows": "tests/bench/bench_candidates.py",
}
"""Options that documents name and that are no command's of ours, and whose they are."""


def walked(command: Any, name: tuple[str, ...] = ()) -> Iterator[tuple[str, Any]]:
    """Every command by its words."""
    context = typer.main.get_command(app).make_context("facsimile", ["status"], resilient_parsing=True)
    yield " ".join(name), command
    for word in command.list_commands(context) if hasattr(command, "list_commands") else ():
        yield from walked(command.get_command(context, word), (*name, word))


COMMANDS = dict(walked(typer.main.get_command(app)))


def inline(document: str) -> Iterator[str]:
    """What stands between backticks in a document's sentences, wrapped lines joined."""
    text = re.sub(r"^```.*?^```", "", (ROOT / document).read_text(encoding="utf-8"), flags=re.M | re.S)
    for code in re.findall(r"`([^`]+)`", text):
        yield " ".join(code.replace(".venv/bin/", "").split()).removeprefix("facsimile ")


def command_of(words: list[str]) -> tuple[Any, list[str]]:
    """The command that words begin with, None where they begin with none, and the words after it."""
    most = next((n for n in range(len(words), 0, -1) if " ".join(words[:n]) in COMMANDS), 0)
    found = COMMANDS[" ".join(words[:most])] if most else None
    return getattr(found, "commands", {}).get("checkpoint", found), words[most:]


def options_of(command: Any) -> set[str]:
    return {option for item in command.params for option in (*item.opts, *item.secondary_opts)}


@pytest.mark.parametrize("document", DOCUMENTS)
def test_what_sentences_name_of_a_command_it_has_and_takes(document: str) -> None:
    any_command = set().union(*(options_of(command) for command in COMMANDS.values())) | {"--help"}
    for code in inline(document):
        try:
            command, words = command_of(shlex.split(code))
        except ValueError:
            continue
        named = set(re.findall(r"(?<![\w-])--[a-z][\w-]*", code))
        if command is None:
            assert named <= any_command | set(OF_OTHERS), f"{document}: {code}"
            continue
        assert named <= options_of(command) | {"--help"}, f"{document}: {code}"
        if not words or re.search(r"(?<![-\w])[A-Z]{2,}\b|…|\.\.\.|[|&<>]", " ".join(words)) or words[-1] in named:
            continue  # a placeholder is no value that can be parsed
        try:
            command.make_context(code, words)
        except typer.BadParameter as exc:
            # A sentence may leave out what a command must have (a kind of its own), and no more.
            if type(exc) is typer.BadParameter:
                raise


def test_options_of_others_are_still_named() -> None:
    told = " ".join(code for document in DOCUMENTS for code in inline(document))
    assert [option for option in OF_OTHERS if option not in told] == []


def test_every_variable_that_a_document_names_is_read(reference: ModuleType) -> None:
    text = "\n".join(path.read_text() for path in (ROOT / "deploy" / "guide").glob("settings.md"))
    text += "\n".join(path.read_text() for path in (*ROOT.glob("deploy/**/*.sh"), *ROOT.glob("tests/*/conftest.py")))
    text += "\n".join(
        path.read_text() for path in (ROOT / "deploy" / "compose.env.example", ROOT / "docker-compose.yml")
    )
    for document in DOCUMENTS:
        for name in set(re.findall(r"\bFACSIMILE_[A-Z0-9_]*[A-Z0-9]\b(?!\*|…)", (ROOT / document).read_text())):
            assert name in text, f"{document}: nothing reads {name}"
