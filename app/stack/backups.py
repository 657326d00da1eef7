"""`facsimile backup` and `facsimile restore`. For operators: they need the store's settings."""

from pathlib import Path
from typing import Annotated

import typer

from app.cli.options import JsonOption
from app.cli.output import as_json, megabytes, say
from app.client.errors import UsageProblem
from app.config import PLACEHOLDERS, Settings, StoreSettings
from app.stack.backup import back_up
from app.stack.backup import restore as put_back
from app.stack.keys import DataOption, store_settings_of
from app.stack.shelves import BucketShelf, FolderShelf, Shelf
from app.storage import open_store

S3 = "s3://"


def backup(
    where: Annotated[
        str,
        typer.Argument(help="A new folder or s3://BUCKET/PREFIX, or one in which a backup was broken off."),
    ],
    data: DataOption = None,
    json_: JsonOption = False,
) -> None:
    """Copy all that the service keeps into a folder or another bucket, with digests; it may run meanwhile."""
    size = 0

    def told(objects: int, so_far: int) -> None:
        nonlocal size
        size = so_far

    settings = store_settings_of(data)
    count = back_up(open_store(settings), _shelf(where, settings), told)
    if json_:
        as_json({"objects": count, "bytes": size, "where": where})
    else:
        say(f"{count:,} objects, {megabytes(size)}, are in {where}")


def restore(
    where: Annotated[str, typer.Argument(help="Folder, or s3://BUCKET/PREFIX, of a whole backup.")],
    data: DataOption = None,
    json_: JsonOption = False,
) -> None:
    """Put a backup into an empty store; every file's digest is checked first. API and workers must not run."""
    settings = store_settings_of(data)
    count = put_back(open_store(settings), _shelf(where, settings))
    if json_:
        as_json({"objects": count, "where": where})
    else:
        say(f"{count:,} objects are restored; start API and workers, and unfinished work goes on")


def _shelf(where: str, kept: StoreSettings) -> Shelf:
    if not where.startswith(S3):
        return FolderShelf(Path(where))
    bucket, _, prefix = where.removeprefix(S3).partition("/")
    if not bucket:
        raise UsageProblem("that names no bucket; write s3://BUCKET/PREFIX")
    # The environment says where backups go; where it says nothing, to another bucket of the same server.
    named = Settings(environment="development").backup
    server = kept if named.access_key in PLACEHOLDERS else named
    target = server.model_copy(update={"bucket": bucket})
    if (target.endpoint, target.bucket) == (kept.endpoint, kept.bucket):
        raise UsageProblem("a backup cannot lie in the bucket that it is of; name another bucket")
    return BucketShelf(open_store(target), f"{prefix.rstrip('/')}/" if prefix.strip("/") else "")
