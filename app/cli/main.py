"""The console script: commands by name, each loaded when it is called, and errors made into exit codes."""

import importlib
import importlib.metadata
import sys
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from app.cli.errors import EXIT_CODES, INTERRUPTED, exit_code
from app.cli.output import err
from app.cli.plugins import as_command, command_names, load_command
from app.errors import FacsimileError

BUILT_IN = {
    "up": "app.stack.commands:up",
    "down": "app.stack.commands:down",
    "quickstart": "app.stack.quickstart:quickstart",
    "generate": "app.cli.generate:generate",
    "fetch": "app.cli.layouts:fetch",
    "status": "app.cli.datasets:status",
    "cancel": "app.cli.datasets:cancel",
    "report": "app.cli.report:report",
    "delete": "app.cli.datasets:delete",
    "release": "app.cli.release:release",
    "pull": "app.cli.releases.pull:pull",
    "lock": "app.cli.releases.lock:lock",
    "verify": "app.cli.releases.verify:verify",
    "diff": "app.cli.releases.diff:diff",
    "models": "app.cli.models:models",
    "preview": "app.cli.models:preview",
    "matchers": "app.cli.calibrate:matchers",
    "calibrate": "app.cli.calibrate:calibrate",
    "keys": "app.cli.keys:keys",
}
"""Name to module:attribute. Loaded late: asking for a status needs neither Celery nor an S3 client."""


class Commands(TyperGroup):
    """Our commands, then those that other packages contribute."""

    def list_commands(self, ctx: Any) -> list[str]:
        """Every name."""
        return [*BUILT_IN, *(name for name in command_names() if name not in BUILT_IN)]

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """Load one command; None if there is none of that name."""
        if cmd_name not in self.commands:
            if cmd_name in BUILT_IN:
                module, _, attribute = BUILT_IN[cmd_name].partition(":")
                found = as_command(cmd_name, getattr(importlib.import_module(module), attribute))
            else:
                found = load_command(cmd_name)
            if found is None:
                return None
            self.commands[cmd_name] = found
        return self.commands[cmd_name]


app = typer.Typer(
    cls=Commands,
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    epilog=EXIT_CODES,
    help="Biometric test data: sets of mated images of faces of people who do not exist.",
)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"facsimile {importlib.metadata.version('facsimile')}")
        raise typer.Exit


@app.callback()
def root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """Take what stands before the command."""


def run(arguments: list[str] | None = None) -> int:
    """Run a command and return its exit code. Errors of ours are shown without a traceback."""
    try:
        app(arguments, prog_name="facsimile")
    except SystemExit as ended:
        return ended.code if isinstance(ended.code, int) else int(bool(ended.code))
    except KeyboardInterrupt:
        err().print("interrupted")
        return INTERRUPTED
    except FacsimileError as error:
        err().print(f"facsimile: {error}", markup=False)
        return exit_code(error)
    return 0


def main() -> None:
    """The console script."""
    sys.exit(run())


if __name__ == "__main__":
    main()
