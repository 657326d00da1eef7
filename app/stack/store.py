"""`facsimile store`: users of an object store with the rights that API and workers need. For operators."""

import os
from pathlib import Path
from typing import Annotated

import typer

from app.cli.options import JsonOption
from app.cli.output import as_json, say
from app.client.errors import UsageProblem
from app.config import PLACEHOLDERS
from app.stack.credentials import secure
from app.stack.folder import write_private
from app.stack.rights import IDENTITIES, StoreUser, Whose, actions, identities
from app.stack.rights import policy as policy_of

SHORTEST_SECRET = 16

store = typer.Typer(
    no_args_is_help=True,
    help="Users of an object store, for those who run one beside the service (operators).",
    rich_markup_mode="rich",
)

BucketOption = Annotated[str, typer.Option("--bucket", help="The bucket that they are for.")]


@store.command()
def users(
    folder: Annotated[Path, typer.Argument(help="Where to write; the store's server must find it at the same place.")],
    bucket: BucketOption = "facsimile",
    json_: JsonOption = False,
) -> None:
    """Write what a SeaweedFS server needs to know to keep the API's user and the workers' apart.

    Their names and secrets are taken from S3_API_ACCESS_KEY, S3_API_SECRET_KEY, S3_WORKER_ACCESS_KEY and
    S3_WORKER_SECRET_KEY. Beside them it makes keys and certificates by which the store's own servers know each
    other, and nobody else. Called again it writes the users anew, and leaves the rest as it is.
    """
    made = [_user("api", bucket), _user("worker", bucket)]
    if len({user.access_key for user in made}) < 2 or len({user.secret_key for user in made}) < 2:
        raise UsageProblem(
            "API and workers are to be two users: S3_API_* and S3_WORKER_* must differ, names and secrets"
        )
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    write_private(folder / IDENTITIES, identities(made))
    secure(folder, folder / "tls")
    if json_:
        as_json({"folder": str(folder), "bucket": bucket, "users": [user.access_key for user in made]})
    else:
        say(f"{made[0].access_key} (API) and {made[1].access_key} (workers) are in {folder}, for the bucket {bucket}")


@store.command()
def policy(
    whose: Annotated[Whose, typer.Argument(help="api or worker.")],
    bucket: BucketOption = "facsimile",
    json_: JsonOption = False,
) -> None:
    """Write a user's rights as a policy of S3, which is JSON in any case, to give to a server of another make."""
    as_json(policy_of(whose, bucket))


def _user(whose: Whose, bucket: str) -> StoreUser:
    name, secret = (f"S3_{whose.upper()}_{what}_KEY" for what in ("ACCESS", "SECRET"))
    for variable in (name, secret):
        value = os.environ.get(variable, "").strip()
        if value.lower() in PLACEHOLDERS:
            raise UsageProblem(f"{variable} is not set, or left at its placeholder")
    if len(os.environ[secret]) < SHORTEST_SECRET:
        raise UsageProblem(f"{secret} is shorter than {SHORTEST_SECRET} characters; make it a long random one")
    return StoreUser(whose, os.environ[name], os.environ[secret], actions(whose, bucket))
