"""`facsimile lock`: which releases a project depends on, each pinned to its digest."""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from app.cli.options import JsonOption, KeyOption, UrlOption
from app.cli.output import as_json, say, table
from app.client.connect import connect
from app.client.errors import LockMismatch
from app.client.lockfile import LOCK, Locked, LockFile
from app.client.pin import pin
from app.client.records import record_of
from app.client.sources import open_source
from app.dataset.layout import Layout
from app.dataset.version import LATEST, ReleaseRef, parse_ref


def lock(
    releases: Annotated[list[str] | None, typer.Argument(metavar="[NAME@VERSION]…", help="What to lock.")] = None,
    layout: Annotated[Layout, typer.Option(help="In which layout 'pull' fetches it.")] = Layout.PLAIN,
    source: Annotated[
        str | None, typer.Option("--from", help="Take it from a folder, a .tar or a mirror, as with 'pull'.")
    ] = None,
    check: Annotated[
        bool, typer.Option("--check", help="Change nothing; ask whether everything locked is still so.")
    ] = False,
    remove: Annotated[bool, typer.Option("--remove", help="Take the named ones out.")] = False,
    file: Annotated[Path, typer.Option("--lock", help="The lock file.")] = LOCK,
    url: UrlOption = None,
    key: KeyOption = None,
    json_: JsonOption = False,
) -> None:
    """Pin releases in facsimile.lock, or show what it holds.

    `pull` without a name fetches everything that is locked, and refuses what has another digest. A version left out,
    or `latest`, is pinned to the version that is the latest now.
    """
    held = LockFile(file)
    wanted = [parse_ref(text) for text in releases or []]

    def found(ref: ReleaseRef) -> Locked:
        if source is not None:
            return pin(open_source(source), ref, layout)
        return Locked.of(record_of(connect(url, key).release(*ref)), layout)

    if check:
        _check(held, wanted, found)
    elif remove:
        for ref in wanted:
            held.drop(ref)
        held.write()
    elif wanted:
        for ref in wanted:
            _lock(held, found(ref), ref)
        held.write()
    if json_:
        as_json({"releases": [item.model_dump(mode="json") for item in held]})
    elif not list(held):
        say(f"{file} holds nothing; pin a release with: facsimile lock NAME@VERSION")
    else:
        table(
            ["release", "digest", "layout"],
            [[str(item.ref), f"{item.digest[:16]}…", item.layout.value] for item in held],
        )


def _lock(held: LockFile, found: Locked, asked: ReleaseRef) -> None:
    if asked.version == LATEST:
        say(f"{asked} is {found.ref}")
    before = held.get(found.ref)
    if before is not None and before.digest != found.digest:
        say(f"{found.ref} had digest {before.digest[:16]}… in the lock and has {found.digest[:16]}… now")
    held.put(found)
    if others := [str(item.ref) for item in held if item.name == found.name and item.ref != found.ref]:
        say(f"locked beside it: {', '.join(others)}; take out what is no longer needed with --remove")


def _check(held: LockFile, wanted: list[ReleaseRef], found: Callable[[ReleaseRef], Locked]) -> None:
    """Raise LockMismatch, naming all, unless everything locked has its digest still."""
    entries = [held.demand(ref) for ref in wanted] or list(held)
    if not entries:
        raise LockMismatch(f"{held.path} holds nothing that could be checked")
    problems = []
    for entry in entries:
        now = found(entry.ref)
        if now.digest != entry.digest:
            problems.append(f"{entry.ref} is locked with digest {entry.digest[:16]}… and has {now.digest[:16]}…")
        elif now.pixels != entry.pixels:
            problems.append(f"{entry.ref} is locked with another digest of its pixels; the lock file was changed")
    if problems:
        raise LockMismatch("\n".join(problems))
    say(f"{len(entries)} locked releases are what they were")
