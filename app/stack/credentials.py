"""Secrets of one stack, made on its first start and kept in files that only their owner can read."""

import json
import secrets
import shutil
import tomllib
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from app.stack.authority import grpc_sections
from app.stack.errors import StackError
from app.stack.folder import DataFolder, read_json, write_private
from app.stack.rights import IDENTITIES, StoreUser, actions, identities

JWT_SECTIONS = ("jwt.signing", "jwt.signing.read", "jwt.filer_signing", "jwt.filer_signing.read")
"""With these keys set, the volume and filer ports answer only to tokens that the S3 server signs."""


@dataclass(frozen=True, kw_only=True)
class Credentials:
    """What the children need to know to speak to each other."""

    access_key: str
    """Of the object store's administrator, which makes the bucket and is used for nothing else."""
    secret_key: str = field(repr=False)
    api_access_key: str
    """Of the API's own user of the object store."""
    api_secret_key: str = field(repr=False)
    worker_access_key: str
    """Of the workers'."""
    worker_secret_key: str = field(repr=False)
    valkey_password: str = field(repr=False)
    watermark_key: str = field(repr=False)


def load_or_make(folder: DataFolder) -> Credentials:
    """Read the stack's secrets, or make them where there are none."""
    if not folder.credentials.exists():
        made = Credentials(
            **_store_users(),
            valkey_password=secrets.token_hex(24),
            watermark_key=secrets.token_urlsafe(24),
        )
        write_private(folder.credentials, json.dumps(asdict(made), indent=1) + "\n")
    elif known := read_json(folder.credentials):
        # A version before had no watermarks, or one user of the store.
        whole = _store_users() | {"watermark_key": secrets.token_urlsafe(24)} | known
        if whole != known:
            write_private(folder.credentials, json.dumps(whole, indent=1) + "\n")
    secure(folder.s3, folder.s3_tls)
    folder.credentials.chmod(0o600)  # a restored backup may have widened it
    try:
        return Credentials(**read_json(folder.credentials))
    except TypeError as exc:
        raise StackError(
            f"{folder.credentials} cannot be read; delete it and new secrets are made (no data is lost)"
        ) from exc


def _store_users() -> dict[str, str]:
    """Names and secrets of the object store's users."""
    made = {}
    for whose in ("", "api_", "worker_"):
        made[f"{whose}access_key"] = f"FCS{secrets.token_hex(8).upper()}"
        made[f"{whose}secret_key"] = secrets.token_urlsafe(30)
    return made


def write_users(folder: DataFolder, credentials: Credentials, bucket: str) -> Path:
    """Write down who may do what in the object store; returns the file."""
    users = (
        StoreUser("administrator", credentials.access_key, credentials.secret_key, ("Admin",)),
        StoreUser("api", credentials.api_access_key, credentials.api_secret_key, actions("api", bucket)),
        StoreUser("worker", credentials.worker_access_key, credentials.worker_secret_key, actions("worker", bucket)),
    )
    path = folder.s3 / IDENTITIES
    write_private(path, identities(users))
    return path


def renew(folder: DataFolder) -> None:
    """Forget the secrets by which servers know each other, so that new ones are made; what marks samples stays."""
    known = read_json(folder.credentials)
    (folder.s3 / "security.toml").unlink(missing_ok=True)
    shutil.rmtree(folder.s3_tls, ignore_errors=True)
    if known:
        known |= {**_store_users(), "valkey_password": secrets.token_hex(24)}
        write_private(folder.credentials, json.dumps(known, indent=1) + "\n")


def secure(folder: Path, certificates: Path) -> None:
    """Write security.toml, by which the store's servers know their own; the keys in it stay as they are."""
    path = folder / "security.toml"
    try:
        known = tomllib.loads(path.read_text())
    except (OSError, ValueError):
        known = {}
    lines = []
    for section in JWT_SECTIONS:
        found: Any = known
        for part in section.split("."):
            found = found.get(part, {}) if isinstance(found, dict) else {}
        key = found.get("key") if isinstance(found, dict) else None
        lines.append(f'[{section}]\nkey = "{key or secrets.token_hex(32)}"\n')
    write_private(path, "\n".join([*lines, grpc_sections(certificates)]))
