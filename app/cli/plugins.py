"""Commands that other installed packages add (group `facsimile.commands`).

Loaded only when they are called, so that a client without their packages works, and starts quickly.
"""

import functools
import importlib.metadata
import inspect
import typing
from pathlib import Path
from typing import Any

import typer
from typer.core import TyperGroup

from app.client.distribution import COMMANDS, how_to_get
from app.client.errors import UsageProblem
from app.numerals import is_number


def command_names(below: str = "") -> list[str]:
    """Names of the commands that are contributed; nothing is loaded for that.

    With `below`, those of a command's own: an entry point `models.evaluate` is `evaluate` below `models`.
    """
    prefix = f"{below}." if below else ""
    names = importlib.metadata.entry_points(group=COMMANDS).names
    own = (name.removeprefix(prefix) for name in names if name.startswith(prefix))
    return sorted(name for name in own if "." not in name)


def load_command(name: str, below: str = "") -> Any | None:
    """The contributed command, ready to be mounted; None if there is none of that name.

    One whose packages are not installed is still listed; it says what it needs when it is called.
    """
    found = importlib.metadata.entry_points(group=COMMANDS, name=f"{below}.{name}" if below else name)
    if not found:
        return None
    entry = next(iter(found))
    try:
        return as_command(name, entry.load())
    except ImportError as exc:
        return _unavailable(name, exc)


def contributed_group(below: str, text: str) -> typer.Typer:
    """A group of commands that other packages contribute as `BELOW.VERB`."""

    class Contributed(TyperGroup):
        def list_commands(self, ctx: Any) -> list[str]:
            return [*self.commands, *command_names(below)]

        def get_command(self, ctx: Any, cmd_name: str) -> Any:
            return self.commands.get(cmd_name) or load_command(cmd_name, below)

    return typer.Typer(cls=Contributed, add_completion=False, help=text)


def _unavailable(name: str, cause: ImportError) -> Any:
    def explain() -> None:
        raise UsageProblem(
            f"'facsimile {name}' needs a package that is not installed ({cause}); {how_to_get(name)}"
        ) from cause

    explain.__doc__ = "(needs a package that is not installed)"
    single = typer.Typer(add_completion=False)
    single.command(
        name, context_settings={"allow_extra_args": True, "ignore_unknown_options": True}, add_help_option=False
    )(explain)
    return typer.main.get_command(single)


def as_command(name: str, contributed: Any) -> Any:
    """Make a command out of a function or a typer.Typer."""
    if not isinstance(contributed, typer.Typer):
        single = typer.Typer(add_completion=False)
        single.command(name)(contributed)
        contributed = single
    command = typer.main.get_command(contributed)
    command.name = name
    _check_values(command)
    return command


def _check_values(command: Any) -> None:
    """Let no option or argument that is a path be empty (it would be taken for the folder that one stands in).

    And no number be written otherwise than in plain digits.
    """
    for inner in getattr(command, "commands", {}).values():
        _check_values(inner)
    if command.callback is None:
        return
    hints = typing.get_type_hints(inspect.unwrap(command.callback))
    for parameter in command.params:
        kinds = _kinds(hints.get(parameter.name))
        option = max(parameter.opts, key=len)
        shown = option if option.startswith("-") else option.strip("_").upper()
        if Path in kinds or parameter.name in ("file", "source"):
            parameter.process_value = functools.partial(_demand_path, shown, parameter.process_value)
        elif kinds & {int, float}:
            parameter.process_value = functools.partial(_demand_numbers, shown, parameter.process_value)


def _kinds(hint: Any) -> set[Any]:
    """The types that a hint is made of: `list[float] | None` of list, float and None."""
    return {hint}.union(*(_kinds(inner) for inner in typing.get_args(hint)))


def _demand_path(name: str, process: Any, context: Any, value: Any) -> Any:
    if value == "":
        raise UsageProblem(f"{name} is empty, where a path is wanted")
    return process(context, value)


def _demand_numbers(name: str, process: Any, context: Any, value: Any) -> Any:
    for text in value if isinstance(value, list | tuple) else [value]:
        if isinstance(text, str) and not is_number(text):
            raise UsageProblem(f"{name}: {text[:40]!r} is no number in plain digits")
    return process(context, value)
