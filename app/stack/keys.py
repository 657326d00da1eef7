"""`facsimile keys`: issuing, listing and revoking API keys. For operators: it needs the store's settings."""

import re
from pathlib import Path
from typing import Annotated

import typer
from pydantic_settings import DotEnvSettingsSource

from app.access import ApiKeys, Role
from app.cli.options import JsonOption
from app.cli.output import as_json, say, show
from app.client.errors import UsageProblem
from app.config import Settings, StoreSettings
from app.storage import ObjectStore, open_store

keys = typer.Typer(
    no_args_is_help=True,
    help="Issue, list and revoke API keys (operators; needs FACSIMILE_STORE__* or --data).",
    rich_markup_mode="rich",
)

DataOption = Annotated[
    Path | None, typer.Option("--data", help="Folder of a stack that runs on this machine, instead of settings.")
]


@keys.command()
def issue(
    tenant: Annotated[str, typer.Argument(help="Whom the key is for: a-z, 0-9 and '-'.")],
    label: Annotated[str, typer.Option(help="What for; for people.")] = "",
    role: Annotated[Role, typer.Option(help="What it may do: read, write (and read), admin (and write).")] = Role.WRITE,
    days: Annotated[
        float | None, typer.Option(help="It ends after so many days; left out, when it is revoked.")
    ] = None,
    data: DataOption = None,
    json_: JsonOption = False,
) -> None:
    """Make a key and write it to standard output; it cannot be shown again."""
    key = _api_keys(data).issue(tenant, label, role=role, days=days)
    if json_:
        as_json({"tenant": tenant, "key": key, "role": role.value})
    else:
        typer.echo(key)


@keys.command("list")
def list_keys(
    tenant: Annotated[str | None, typer.Argument(help="Whose; left out, everybody's.")] = None,
    data: DataOption = None,
    json_: JsonOption = False,
) -> None:
    """List keys by their ids: whose they are, what they may do, when they end, and when they were last used."""
    found = list(_api_keys(data).list(tenant))
    if json_:
        as_json({"keys": [key.model_dump(mode="json") for key in found]})
        return
    for key in found:
        ends = "expired" if key.expired else f"until {key.expires_at}" if key.expires_at else "without an end"
        used = f"last used {key.last_used_at}" if key.last_used_at else "never used"
        show("  ".join(filter(None, [key.key_id, key.tenant, key.role.value, ends, used, key.label])))
    if not found:
        say("there is no key")


@keys.command()
def revoke(
    key: Annotated[str, typer.Argument(help="The key, or its id: the part between its underscores.")],
    data: DataOption = None,
    json_: JsonOption = False,
) -> None:
    """Make a key worthless, within seconds."""
    match = re.fullmatch(r"(?:fcs_)?([0-9a-f]{16})(?:_.*)?", key)
    if not match:
        raise UsageProblem("this is neither a key nor the id of one; an id has 16 of 0-9 and a-f")
    _api_keys(data).revoke(match[1])
    if json_:
        as_json({"id": match[1], "revoked": True})
    else:
        say(f"key {match[1]} is revoked")


def store_settings_of(data: Path | None) -> StoreSettings:
    """The store's settings: those of the environment, or of a stack's folder; raises UsageProblem."""
    if data is None:
        return Settings().store
    file = data / "settings.env"
    if not file.is_file():
        raise UsageProblem(f"{data} is not the folder of a stack that has been started")
    # What stands in the file is to win over the environment, as it does for the stack's own children.
    return _settings_in(file).store


def open_store_of(data: Path | None) -> ObjectStore:
    """The store that `store_settings_of` names."""
    return open_store(store_settings_of(data))


def _api_keys(data: Path | None) -> ApiKeys:
    return ApiKeys(open_store_of(data))


def _settings_in(file: Path) -> Settings:
    return Settings(**DotEnvSettingsSource(Settings, env_file=file)())
