"""Who may do what in the object store: the API in its bucket, workers with what their tasks are about.

A worker loads models and decodes what strangers upload, so it is what an attacker would come in by. It has no business
with the API's keys and sessions, and its user cannot read, replace, delete or list them. Neither user may do anything
outside the bucket, or with buckets and users.
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Literal

from app.dataset import keys

Whose = Literal["api", "worker"]

IDENTITIES = "identities.json"
"""SeaweedFS's list of users, given to it as -s3.config."""

WORKERS_WRITE = (
    keys.TENANTS,
    keys.CALIBRATIONS,
    keys.CURVES,
    keys.UNFINISHED,
    keys.UNFINISHED_EVALUATIONS,
    keys.UPLOADS,
    keys.WEBHOOK_EVENTS,
    keys.MODELS,
    keys.MATCHERS,
    keys.STOPPED_BOOTS,
    keys.default_model(),
    keys.MARKING,
    keys.RETENTION,
)
"""What begins so, workers read, write, delete and list."""

WORKERS_READ = (keys.WEBHOOKS,)
"""What they only look at: whether a tenant is to be told of an end."""


@dataclass(frozen=True)
class StoreUser:
    """A user of SeaweedFS."""

    name: str
    access_key: str
    secret_key: str = field(repr=False)
    actions: tuple[str, ...]


def actions(whose: Whose, bucket: str) -> tuple[str, ...]:
    """A user's rights in SeaweedFS's words: ACTION:BUCKET, or ACTION:BUCKET/PREFIX*."""
    if whose == "api":
        return tuple(f"{action}:{bucket}" for action in ("Read", "Write", "List"))
    within = [f"{action}:{bucket}/{prefix}*" for prefix in WORKERS_WRITE for action in ("Read", "Write", "List")]
    return (*within, *(f"Read:{bucket}/{prefix}*" for prefix in WORKERS_READ))


def identities(users: Iterable[StoreUser]) -> str:
    """SeaweedFS's list of users, as JSON."""
    found = [
        {
            "name": user.name,
            "credentials": [{"accessKey": user.access_key, "secretKey": user.secret_key}],
            "actions": list(user.actions),
        }
        for user in users
    ]
    return json.dumps({"identities": found}, indent=1) + "\n"


def policy(whose: Whose, bucket: str) -> dict[str, Any]:
    """A user's rights as a policy of S3, for a server of another make.

    Unlike SeaweedFS's users a worker's may list every key's name here: without that right S3 answers "forbidden" where
    there is no object, and not that there is none.
    """
    objects = f"arn:aws:s3:::{bucket}/"
    whole = ["s3:GetObject", "s3:PutObject", "s3:DeleteObject", "s3:AbortMultipartUpload"]
    prefixes = ("",) if whose == "api" else WORKERS_WRITE
    statements = [_allow(whole, [f"{objects}{prefix}*" for prefix in prefixes])]
    if whose == "worker":
        statements.append(_allow(["s3:GetObject"], [f"{objects}{prefix}*" for prefix in WORKERS_READ]))
    statements.append(_allow(["s3:ListBucket", "s3:GetBucketLocation"], [objects.rstrip("/")]))
    return {"Version": "2012-10-17", "Statement": statements}


def _allow(what: list[str], where: list[str]) -> dict[str, Any]:
    return {"Effect": "Allow", "Action": what, "Resource": where}
