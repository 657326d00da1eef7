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
