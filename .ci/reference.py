"""Write or check the guide's references: deploy/guide/commands.md and deploy/guide/settings.md, made from the code.

python .ci/reference.py write    make them anew
python .ci/reference.py check    exit 1 unless they are what the code says
"""

import ast
import inspect
import itertools
import os
import sys
import textwrap
from collections.abc import Iterator
from enum import Enum
from pathlib import Path
from typing import Any, get_args

import typer
from pydantic import BaseModel, SecretStr
from pydantic.fields import FieldInfo

from app.cli.endings import ENDINGS, EVALUATE_EXIT_CODES
from app.cli.main import app
from app.config import Settings

ROOT = Path(__file__).resolve().parent.parent
GUIDE = ROOT / "deploy" / "guide"

OF_THE_CLIENT = (
    ("FACSIMILE_URL", "Service to speak to; left out, the one started in `./facsimile-data`."),
    ("FACSIMILE_API_KEY", "Key of `FACSIMILE_URL` or `--url`; never sent to an address that a folder names."),
    ("FACSIMILE_CACHE", "Folder of the shared cache; left out, `facsimile` in `$XDG_CACHE_HOME` or `~/.cache`."),
    ("HTTPS_PROXY, HTTP_PROXY, ALL_PROXY, NO_PROXY", "Proxies, in capitals or not; none for loopback."),
    ("SSL_CERT_FILE, SSL_CERT_DIR", "Whose certificates are trusted."),
)


REPLACES = """
A set is never written over: no folder, no archive, no file that a downloaded set consists of. Any other file that a
command is told to write replaces one that is there, whole or not at all, and the command says so before its work. No
file is written that the command reads, and none twice.
"""


def settings() -> str:
    """The reference of settings."""
    lines = [
        "# Settings",
        "",
        "Made by `.ci/reference.py` from `app/config.py`; do not edit. Environment variables of the API and of the",
        "workers; `facsimile up` sets what its own servers need, and everything else may be set for it too.",
        "",
        *_table(("variable", "default", "meaning"), _settings(Settings, "FACSIMILE_")),
        "",
        "## Of the client",
        "",
        *_table(("variable", "meaning"), [(f"`{name}`", text) for name, text in OF_THE_CLIENT]),
    ]
    return "\n".join(lines) + "\n"


def _settings(model: type[BaseModel], prefix: str) -> Iterator[tuple[str, str, str]]:
    meanings = _docstrings(model)
    for name, field in model.model_fields.items():
        variable = f"{prefix}{name.upper()}"
        if inspect.isclass(field.annotation) and issubclass(field.annotation, BaseModel):
            yield from _settings(field.annotation, f"{variable}__")
        else:
            yield f"`{variable}`", _default(field), " ".join(filter(None, (meanings.get(name, ""), _allowed(field))))


def _docstrings(model: type[BaseModel]) -> dict[str, str]:
    """The text under each field of a class."""
    (body,) = ast.parse(textwrap.dedent(inspect.getsource(model))).body
    statements = body.body if isinstance(body, ast.ClassDef) else []
    found = {}
    for node, after in itertools.pairwise(statements):
        if (
            isinstance(node, ast.AnnAssign)
            and isinstance(node.target, ast.Name)
            and isinstance(after, ast.Expr)
            and isinstance(after.value, ast.Constant)
        ):
            found[node.target.id] = " ".join(str(after.value.value).split())
    return found


def _default(field: FieldInfo) -> str:
    value = field.default
    if isinstance(value, SecretStr):
        value = value.get_secret_value()
    return "" if value is None else f"`{value}`"


def _allowed(field: FieldInfo) -> str:
    words = {"gt": "more than", "ge": "at least", "lt": "less than", "le": "at most"}
    limits = [
        f"{text} {getattr(item, name):g}"
        for item in field.metadata
        for name, text in words.items()
        if getattr(item, name, None) is not None and (name, getattr(item, name)) != ("gt", 0)
    ]
    choices = [f"`{choice}`" for choice in get_args(field.annotation) if isinstance(choice, str)]
    return f"({', '.join(limits or choices)})" if limits or choices else ""


def commands() -> str:
    """The reference of commands."""
    root = typer.main.get_command(app)
    context = root.make_context("facsimile", ["status"], resilient_parsing=True)
    lines = [
        "# Commands",
        "",
        "Made by `.ci/reference.py` from the commands themselves; do not edit. `facsimile COMMAND --help` tells the",
        "same, and `facsimile --install-completion` teaches your shell their names.",
        "",
        *(f"- [`facsimile {name}`](#{'facsimile-' + name.replace(' ', '-')})" for name, _ in _walk(root, "", context)),
    ]
    for name, command in _walk(root, "", context):
        lines += ["", f"## facsimile {name}", "", inspect.cleandoc(command.help or "").partition("\f")[0]]
        rows = [_parameter(item) for item in command.params if not getattr(item, "hidden", False)]
        if rows:
            lines += ["", *_table(("", "meaning", "left out"), rows)]
    lines += ["", "## Files that are there already", "", " ".join(REPLACES.split())]
    lines += ["", "## Exit codes", "", *_table(("code", "meaning"), [(str(one.code), one.meaning) for one in ENDINGS])]
    lines += ["", EVALUATE_EXIT_CODES.replace("\n", " ")]
    return "\n".join(lines) + "\n"


def _walk(command: Any, name: str, context: Any) -> Iterator[tuple[str, Any]]:
    inner = command.list_commands(context) if hasattr(command, "list_commands") else []
    if name and (not inner or getattr(command, "invoke_without_command", False)):
        yield name, command
    for one in inner:
        yield from _walk(command.get_command(context, one), f"{name} {one}".strip(), context)


def _parameter(parameter: Any) -> tuple[str, str, str]:
    if parameter.opts[0].startswith("-"):
        shown = ", ".join(f"`{option}`" for option in (*parameter.opts, *parameter.secondary_opts))
    else:
        shown = f"`{parameter.metavar or parameter.name.upper()}`"
    return shown, " ".join((parameter.help or "").split()), "needed" if parameter.required else _left_out(parameter)


def _left_out(parameter: Any) -> str:
    value = parameter.default
    if isinstance(value, Enum):
        value = value.value
    if value is None or isinstance(value, bool) or value in ("", [], ()):
        return ""
    return "one a core" if value == os.cpu_count() and parameter.name == "processes" else f"`{value}`"


def _table(head: tuple[str, ...], rows: Any) -> list[str]:
    lines = [f"| {' | '.join(head)} |", f"|{'---|' * len(head)}"]
    return lines + [f"| {' | '.join(cell.replace('|', '∣') for cell in row)} |" for row in rows]


TEXTS = {GUIDE / "commands.md": commands, GUIDE / "settings.md": settings}


def main() -> None:
    """Write or check."""
    stale = [path for path, made in TEXTS.items() if not path.exists() or path.read_text(encoding="utf-8") != made()]
    if sys.argv[1:] == ["write"]:
        for path in stale:
            path.write_text(TEXTS[path](), encoding="utf-8")
    elif stale:
        sys.exit(f"not what the code says: {', '.join(path.name for path in stale)}; python .ci/reference.py write")


if __name__ == "__main__":
    main()
