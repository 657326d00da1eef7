"""A release's comparisons and manifest, fetched from the service for an evaluation on this machine."""

from pathlib import Path

from app.cli.connect import connect
from app.cli.errors import UsageProblem

PRODUCTS = {"comparisons.csv": "comparisons", "manifest.json": "manifest"}


def fetch_set(release: str, folder: Path, url: str | None, key: str | None) -> None:
    """Put a release's manifest and comparisons into a folder; raises UsageProblem, ServiceRefused and so on."""
    name, at, version = release.partition("@")
    if not (name and at and version) or "/" in release:
        raise UsageProblem(f"{release!r} names no release; write NAME@VERSION")
    client = connect(url, key)
    for file_name, product in PRODUCTS.items():
        with (
            client.stream("GET", f"/v1/releases/{name}/{version}/{product}") as answer,
            (folder / file_name).open("wb") as file,
        ):
            for chunk in answer.iter_bytes():
                file.write(chunk)
    client.close()
