"""The console script: commands by name, each loaded when it is called, and errors made into exit codes."""

import importlib
import importlib.metadata
import sys
from traceback import format_exc
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from app.cli import streams
from app.cli.endings import EXIT_CODES, INTERRUPTED, OK, USAGE, exit_code
from app.cli.output import say
from app.cli.plugins import as_command, command_names, load_command
from app.client.distribution import NAME, how_to_get
from app.client.errors import UsageProblem
from app.errors import FacsimileError

BUILT_IN = (
    "generate",
    "preview",
    "status",
    "report",
    "fetch",
    "cancel",
    "delete",
    "models",
    "matchers",
    "calibrate",
    "release",
    "lock",
    "pull",
    "verify",
    "diff",
)
"""Each is a module beside this one that holds a function or a typer.Typer of its name."""

WITH_THE_SERVICE = (
    "up",
    "down",
    "console",
    "quickstart",
    "keys",
    "backup",
    "restore",
    "store",
    "train",
    "convert",
    "profile",
    "study",
    "twin",
)
"""What a client alone has not; so that it can be said where it comes from."""

FIRST = ("up", "down", "console", "quickstart")


class Commands(TyperGroup):
    """Our commands, then those that other packages contribute. Each is loaded when it is called."""

    def list_commands(self, ctx: Any) -> list[str]:
        """Every name."""
        contributed = [name for name in command_names() if name not in BUILT_IN]
        first = [name for name in FIRST if name in contributed]
        return [*first, *BUILT_IN, *(name for name in contributed if name not in first)]

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """Load one command; None if there is none of that name."""
        if cmd_name not in self.commands:
            if cmd_name in BUILT_IN:
                module = importlib.import_module(f"{__package__}.{cmd_name}")
                found = as_command(cmd_name, getattr(module, cmd_name))
            else:
                found = load_command(cmd_name)
            if found is None:
                if cmd_name in WITH_THE_SERVICE:
                    raise UsageProblem(f"'facsimile {cmd_name}' is not part of the client; {how_to_get('')}")
                return None
            self.commands[cmd_name] = found
        return self.commands[cmd_name]


app = typer.Typer(
    cls=Commands,
    add_completion=True,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    epilog=EXIT_CODES,
    help="Biometric test data: sets of mated images of faces of people who do not exist.",
)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"facsimile {importlib.metadata.version(NAME)}")
        raise typer.Exit


@app.callback()
def root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """Take what stands before the command."""


def run(arguments: list[str] | None = None) -> int:
    """Run a command and return its exit code. Errors of ours are shown without a traceback.

    Nothing unforeseen ends on 1, which means FAIL or "they differ": a file that cannot be used, a fault of ours.
    """
    try:
        app(arguments, prog_name="facsimile")
    except SystemExit as ended:
        return ended.code if isinstance(ended.code, int) else int(bool(ended.code))
    except KeyboardInterrupt:
        say("interrupted")
        return INTERRUPTED
    except FacsimileError as error:
        say(f"facsimile: {error}")
        return exit_code(error)
    except OSError as error:
        say(f"facsimile: {error.filename or 'a file'}: {error.strerror or error}")
        return USAGE
    except Exception:  # noqa: BLE001  (whatever it is, it is told)
        say(f"facsimile: a fault of Facsimile's own; please report it with the command that was given:\n{format_exc()}")
        return USAGE
    return OK


def main() -> None:
    """The console script."""
    sinks = streams.prepare()
    sys.exit(streams.ended(run(), sinks))


if __name__ == "__main__":
    main()
