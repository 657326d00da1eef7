"""A release's record, manifest and comparisons, fetched from the service for an evaluation on this machine."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path

from app.client.connect import connect
from app.client.errors import ServiceUnreachable, UsageProblem, VerificationFailed
from app.client.service import Client

RECORD = "release.json"


def fetch_set(release: str, folder: Path, url: str | None, key: str | None) -> str:
    """Put what `workers.verdict.sources.read_set` reads into a folder and return where the service has the release.

    `latest` is a version too.

    Raises UsageProblem, ServiceUnreachable, ServiceRefused, and VerificationFailed for other comparisons than the
    release has.
    """
    name, at, version = release.partition("@")
    if not (name and at and version) or any(letter in release for letter in "/?#%\\"):
        raise UsageProblem(f"{release!r} names no release; write NAME@VERSION")
    client = connect(url, key)
    _fetch(client, f"/v1/releases/{name}/{version}", folder / RECORD)
    try:
        record = json.loads((folder / RECORD).read_bytes())
        version, expected = str(record["version"]), record.get("comparisons_sha256")
    except (ValueError, KeyError, TypeError, AttributeError) as exc:
        raise ServiceUnreachable(f"{client.url} answers, but not as Facsimile does; is the URL right?") from exc
    _fetch(client, f"/v1/releases/{name}/{version}/manifest", folder / "manifest.json")
    digest = _fetch(client, f"/v1/releases/{name}/{version}/comparisons", folder / "comparisons.csv")
    if expected not in (None, digest):
        raise VerificationFailed("the comparisons fetched are not those of the release", ["comparisons.csv"])
    client.close()
    return f"{client.url}/v1/releases/{name}/{version}"


def place_at(release: str) -> Callable[[str, str], str]:
    """Makes the URL of a sample's picture in a release of the service."""
    return lambda sample, file: f"{release}/samples/{sample}"


def _fetch(client: Client, path: str, to: Path) -> str:
    """Write what is at a path of the service into a file; returns its SHA-256."""
    digest = hashlib.sha256()
    with client.stream("GET", path) as answer, to.open("wb") as file:
        for chunk in answer.iter_bytes():
            digest.update(chunk)
            file.write(chunk)
    return digest.hexdigest()
