"""`facsimile models` and `preview`: what can be asked for, and how it looks."""

import os
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from app.cli import request as requests
from app.cli.connect import JsonOption, KeyOption, UrlOption, connect
from app.cli.errors import UsageProblem
from app.cli.output import as_json, fields, say, table
from app.cli.plugins import command_names, load_command

GROUP = "models"


class ModelCommands(TyperGroup):
    """`show`, what other packages contribute as `models.VERB`, and a model's name in place of `show NAME`."""

    def list_commands(self, ctx: Any) -> list[str]:
        """Every name."""
        return [*self.commands, *command_names(GROUP)]

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """Load one command; None if there is none of that name."""
        return self.commands.get(cmd_name) or load_command(cmd_name, GROUP)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Take a word that is no command for a model's name."""
        if args and args[0] not in self.list_commands(ctx):
            args = ["show", *args]
        return super().resolve_command(ctx, args)


models = typer.Typer(
    cls=ModelCommands,
    add_completion=False,
    help="Show the models on offer, or what one of them can do: models NAME.",
)


@models.callback(invoke_without_command=True)
def list_models(ctx: typer.Context, url: UrlOption = None, key: KeyOption = None, json_: JsonOption = False) -> None:
    """Show the models on offer, or what one of them can do: models NAME."""
    if ctx.invoked_subcommand is not None:
        return
    found = connect(url, key).models()
    if json_:
        as_json(found)
        return
    table(
        ["name", "version", "size", "", "description"],
        [
            [
                card["name"],
                str(card["version"]),
                _sizes(card),
                "default" if card["name"] == found["default"] else "",
                card["description"],
            ]
            for card in found["models"]
        ],
    )


@models.command()
def show(
    name: Annotated[str, typer.Argument(help="Model.")],
    url: UrlOption = None,
    key: KeyOption = None,
    json_: JsonOption = False,
) -> None:
    """Show what a model can do."""
    card = connect(url, key).model(name)
    as_json(card) if json_ else _show(card)


def preview(
    out: Annotated[Path, typer.Option("--out", "-o", help="PNG file to write.")],
    model: Annotated[str | None, typer.Option(help="Model; see 'facsimile models'.")] = None,
    subjects: Annotated[int | None, typer.Option(min=1, help="Rows.")] = None,
    samples: Annotated[int | None, typer.Option(min=1, help="Columns.")] = None,
    seed: Annotated[int | None, typer.Option(min=0, help="The same seed gives the same sheet.")] = None,
    scale: Annotated[float | None, typer.Option(help="σ of the observation latents.")] = None,
    factor: Annotated[list[str] | None, typer.Option(help="Multiplies σ of a factor: pose=0.5.")] = None,
    sex: Annotated[str | None, typer.Option(help="female=0.5,male=0.5, or one word for all.")] = None,
    age: Annotated[str | None, typer.Option(help="Range of apparent ages: 18-70.")] = None,
    skin_tone: Annotated[str | None, typer.Option(help="Shares, as with --sex.")] = None,
    glasses: Annotated[float | None, typer.Option(min=0, max=1, help="Share of subjects with glasses.")] = None,
    size: Annotated[str | None, typer.Option(help="Pixels of a sample.")] = None,
    url: UrlOption = None,
    key: KeyOption = None,
    json_: JsonOption = False,
) -> None:
    """Make a small contact sheet, for choosing a variability: a row a subject, a column a sample."""
    request: dict[str, Any] = {}
    for path, value in (
        ("model", model),
        ("subjects", subjects),
        ("samples_per_subject", samples),
        ("seed", seed),
        ("variability.scale", scale),
        ("attributes.sex", requests.shares(sex, "--sex")),
        ("attributes.age", requests.age(age)),
        ("attributes.skin_tone", requests.shares(skin_tone, "--skin-tone")),
        ("attributes.glasses", glasses),
        ("image.size", requests.size(size)),
    ):
        requests.put(request, path, value)
    requests.put_factors(request, factor or [])
    if out.is_dir() or not out.absolute().parent.is_dir():
        raise UsageProblem(f"{out} cannot be written: name a file in a folder that exists")
    sheet = connect(url, key).preview(request)
    beside = out.with_name(f".{out.name}.{os.getpid()}.part")
    try:
        beside.write_bytes(sheet)
        beside.replace(out)
    except OSError as exc:
        beside.unlink(missing_ok=True)
        raise UsageProblem(f"{out} cannot be written: {exc.strerror}") from exc
    if json_:
        as_json({"out": str(out), "bytes": len(sheet)})
    else:
        say(f"contact sheet in {out}")


def _sizes(card: dict[str, Any]) -> str:
    return ", ".join(f"{width}×{height}" for width, height in card["sizes"])


def _show(card: dict[str, Any]) -> None:
    fields(
        [
            ("name", card["name"]),
            ("version", str(card["version"])),
            ("kind", card.get("kind")),
            ("description", card["description"]),
            ("sizes", _sizes(card)),
            ("factors", ", ".join(card["latent"]["observation"])),
            *((f"  {name}", _attribute(item)) for name, item in card.get("attributes", {}).items()),
            ("licence", card["licence"]),
            ("provenance", card["provenance"]),
        ]
    )


def _attribute(attribute: dict[str, Any]) -> str:
    if attribute["kind"] == "choice":
        return " | ".join(attribute["values"])
    if attribute["kind"] == "range":
        return f"{attribute['min']:g} to {attribute['max']:g} {attribute.get('unit', '')}".strip()
    return "share of subjects, 0 to 1"
