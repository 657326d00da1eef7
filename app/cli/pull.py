"""`facsimile pull`: releases into folders, every sample verified; repeated, it goes on where it was."""

from pathlib import Path
from typing import Annotated, Any

import typer

from app.cli.bars import Bars
from app.cli.options import JsonOption, KeyOption, UrlOption
from app.cli.output import as_json, fields, megabytes, say
from app.client.cache import default_cache
from app.client.connect import Lazily, connect
from app.client.distribution import how_to_get
from app.client.errors import NotCached, UsageProblem
from app.client.lockfile import LOCK, LockFile
from app.client.pull import Puller
from app.client.service import Client
from app.client.verifiers import pixel_digest
from app.dataset.layout import Layout
from app.dataset.version import ReleaseRef, parse_ref

Json = dict[str, Any]

FOLDER = Path("facsimile-datasets")
"""Where releases go that are given no folder, each into one of its own name."""

FromOption = Annotated[
    str | None,
    typer.Option(
        "--from",
        help="Instead of a service: a folder, a .tar, the URL of a public folder, or a presigned URL of a .tar.",
    ),
]
LayoutOption = Annotated[Layout | None, typer.Option(help="In which layout; left out: as locked, or plain.")]
LockOption = Annotated[Path, typer.Option("--lock", help="The lock file.")]


def pull(
    releases: Annotated[
        list[str] | None, typer.Argument(metavar="[NAME@VERSION]…", help="Left out: everything that is locked.")
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", help=f"Folder for one release; of several or none: for theirs. [{FOLDER}]"),
    ] = None,
    layout: LayoutOption = None,
    source: FromOption = None,
    lock: LockOption = LOCK,
    locked: Annotated[bool, typer.Option("--locked", help="Refuse what facsimile.lock does not hold.")] = False,
    verify_pixels: Annotated[
        bool, typer.Option("--verify-pixels", help="Decode every sample too and check its pixels' digest.")
    ] = False,
    offline: Annotated[
        bool, typer.Option("--offline", help="Ask nobody: what is locked, out of the cache, or not at all.")
    ] = False,
    workers: Annotated[int, typer.Option(min=1, max=32, help="Connections at a time.")] = 8,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Tell which way the bytes come.")] = False,
    url: UrlOption = None,
    key: KeyOption = None,
    json_: JsonOption = False,
) -> None:
    """Fetch releases into folders, every sample verified. Broken off, the same command goes on where it was.

    What is in the folder and right is not fetched again; nor is what the cache has of this or another release
    ($FACSIMILE_CACHE, by default ~/.cache/facsimile): with all of it there, a locked release needs no service. Files
    may be hard links into the cache: copy what you want to change.
    """
    if offline and source:
        raise UsageProblem("--offline asks nobody, and --from names whom to ask: give one of them")
    cache = default_cache()

    def client() -> Client:
        if offline:
            raise NotCached(
                f"--offline, and the cache ({cache.folder}) does not have all of it, or it is not locked: pull it once "
                "with the service, and lock it (facsimile lock)"
            )
        return connect(url, key)

    held = LockFile(lock)
    wanted = [parse_ref(text) for text in releases or []] or [item.ref for item in held]
    if not wanted:
        raise UsageProblem(f"which release? {lock} holds none; name one (NAME@VERSION), or lock some: facsimile lock")
    if source and len(wanted) > 1:
        raise UsageProblem("--from names where one release is; pull one at a time with it")
    if verify_pixels and pixel_digest() is None:
        raise UsageProblem(f"--verify-pixels needs an image reader; {how_to_get('match')}")
    results = []
    with Bars() as bars:
        puller = Puller(
            cache=cache,
            workers=workers,
            client=Lazily(client),
            digest=pixel_digest() if verify_pixels else None,
            tell=say if verbose else lambda text: None,
            say=say,
            report=bars,
        )
        for ref in wanted:
            entry = held.demand(ref) if locked else held.get(ref)
            chosen = layout or (entry.layout if entry else Layout.PLAIN)
            folder = out if out and len(releases or []) == 1 else (out or FOLDER) / folder_name(ref, chosen)
            results.append(puller.pull(ref, folder, layout=chosen, source=source, locked=entry))
            bars.end()
            if not json_:
                _show(results[-1])
    if json_:
        as_json({"releases": results})


def folder_name(ref: ReleaseRef, layout: Layout) -> str:
    """What the folder of a release is called among others."""
    return str(ref) if layout is Layout.PLAIN else f"{ref}.{layout.value}"


def _show(result: Json) -> None:
    verified = result["verified"]
    checked = f"{verified['files']} file digests"
    if verified.get("pixels") is not None:
        checked += f" and {verified['pixels']} pixel digests"
    origin = ""
    if result.get("product") == "templates":
        origin, checked = "templates alone, and no images", "the digests of templates.npz and all beside it"
    elif "there" in result:
        origin = (
            f"{result['samples']}: {result['there']} were there, {result['cached']} came out of the cache, "
            f"{result['fetched']} were fetched ({megabytes(result['bytes_fetched'])})"
        )
    fields(
        [
            ("release", result["release"] or "(its source has no release.json)"),
            ("digest", result["digest"]),
            ("samples", origin),
            ("verified", f"{checked} are right"),
            ("folder", result["out"]),
            ("time", f"{result['seconds']} s"),
        ]
    )
