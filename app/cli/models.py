"""`facsimile models`: what can be asked for."""

from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from app.cli.options import JsonOption, KeyOption, UrlOption
from app.cli.output import as_json, fields, table
from app.cli.plugins import command_names, load_command
from app.client.connect import connect

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
