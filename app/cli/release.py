"""`facsimile release`: making datasets releases, listing them, withdrawing one."""

from typing import Annotated

import typer

from app.cli.options import DatasetArgument, JsonOption, KeyOption, UrlOption
from app.cli.output import as_json, say, table
from app.cli.request import in_callers_words
from app.client.connect import connect
from app.client.errors import UsageProblem
from app.dataset.version import LATEST, ReleaseRef, parse_ref

release = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    help="Give datasets a name and a version for good, list releases, withdraw one.",
)

FIELDS = {"dataset": "ID", "notes": "--notes", "name": "NAME@VERSION", "version": "NAME@VERSION", "reason": "--reason"}
"""Field of what is sent to the argument or option that sets it."""

RefArgument = Annotated[str, typer.Argument(metavar="NAME@VERSION", help="Release, e.g. gate-smoke@1.2.0.")]


@release.command()
def create(
    ref: RefArgument,
    dataset: DatasetArgument,
    notes: Annotated[str, typer.Option(help="What it is for, what is new; for people.")] = "",
    url: UrlOption = None,
    key: KeyOption = None,
    json_: JsonOption = False,
) -> None:
    """Make a dataset a release; it can never be changed, and the version never used for another."""
    name, version = _exact(ref)
    client = connect(url, key)
    dataset = client.dataset_id(dataset)
    with in_callers_words(options=FIELDS):
        found, made = client.create_release(name, version, dataset, notes)
    if json_:
        as_json(found)
    else:
        say(f"{dataset} is {'now' if made else 'already'} {name}@{version}, digest {found['digest']}")
    for warning in found.get("warnings", ()):
        say(f"warning: {warning}")


@release.command(name="list")
def list_releases(
    name: Annotated[str | None, typer.Argument(help="One name, with all its versions; left out: every name.")] = None,
    url: UrlOption = None,
    key: KeyOption = None,
    json_: JsonOption = False,
) -> None:
    """Show the releases' names, or all versions of one."""
    client = connect(url, key)
    if name is None:
        names = list(client.release_names())
        if json_:
            as_json({"releases": names})
        elif not names:
            say("there are no releases")
        else:
            table(
                ["name", "latest", "versions", "withdrawn"],
                [
                    [item["name"], item["latest"] or "", str(len(item["versions"])), str(len(item["withdrawn"]))]
                    for item in names
                ],
            )
        return
    found = client.release_versions(name)
    if json_:
        as_json(found)
        return
    rows = [
        [
            item["version"],
            "latest" if item["version"] == found["latest"] else "",
            item["digest"][:16],
            str(item["counts"]["samples"]),
            item["created_at"][:16],
            item["notes"],
        ]
        for item in found["releases"]
    ]
    rows += [
        [item["version"], "withdrawn", item["digest"][:16], "", item["withdrawn_at"][:16], item["reason"]]
        for item in found["withdrawn"]
    ]
    table(["version", "", "digest", "samples", "when", "notes"], rows)


@release.command()
def withdraw(
    ref: RefArgument,
    reason: Annotated[str, typer.Option(help="Why; shown to everyone who asks for it from now on.")],
    confirm: Annotated[
        str | None, typer.Option(help="NAME@VERSION once more, instead of being asked: it cannot be undone.")
    ] = None,
    url: UrlOption = None,
    key: KeyOption = None,
    json_: JsonOption = False,
) -> None:
    """Take a release back for good: whoever asks for it is told the reason, and its version is never used again."""
    name, version = _exact(ref)
    if confirm is None:
        confirm = typer.prompt(f"This cannot be undone. Type {name}@{version} to withdraw it", err=True)
    if confirm != f"{name}@{version}":
        raise UsageProblem(f"{confirm!r} is not {name}@{version}; nothing was withdrawn")
    client = connect(url, key)
    with in_callers_words(options=FIELDS):
        found = client.withdraw_release(name, version, reason)
    if json_:
        as_json(found)
    else:
        say(f"{name}@{version} is withdrawn: {found['reason']}")


def _exact(text: str) -> ReleaseRef:
    ref = parse_ref(text)
    if "@" not in text or ref.version == LATEST:
        raise UsageProblem(f"{text!r} names no version; write {ref.name}@1.0.0, say")
    return ref
