"""`facsimile pull`: releases into folders, every sample verified; repeated, it goes on where it was."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from app.cli.connect import JsonOption, KeyOption, UrlOption, connect
from app.cli.errors import UsageProblem
from app.cli.manifest import Manifest
from app.cli.output import as_json, fields, megabytes, say
from app.cli.plugins import PixelDigest, pixel_digest
from app.cli.releases.cache import Cache, default_cache
from app.cli.releases.fetch import MANIFEST, Expected, Fetch, Fetched
from app.cli.releases.layouts import LayoutFetch
from app.cli.releases.lockfile import LOCK, Locked, LockFile
from app.cli.releases.readers import open_http
from app.cli.releases.records import record_of
from app.cli.releases.service import Lazily
from app.cli.releases.sources import Deferred, Source, open_source, service_source
from app.cli.verify import verify
from app.cli.watch import Bars
from app.dataset.layout import Layout
from app.dataset.release import Release
from app.dataset.version import LATEST, ReleaseRef, parse_ref

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
    workers: Annotated[int, typer.Option(min=1, max=32, help="Connections at a time.")] = 8,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Tell which way the bytes come.")] = False,
    url: UrlOption = None,
    key: KeyOption = None,
    json_: JsonOption = False,
) -> None:
    """Fetch releases into folders, every sample verified. Broken off, the same command goes on where it was.

    What is in the folder and right is not fetched again; nor is what the cache has of this or another release
    ($FACSIMILE_CACHE, by default ~/.cache/facsimile). Files may be hard links into it: copy what you want to change.
    """
    held = LockFile(lock)
    wanted = [parse_ref(text) for text in releases or []] or [item.ref for item in held]
    if not wanted:
        raise UsageProblem(f"which release? {lock} holds none; name one (NAME@VERSION), or lock some: facsimile lock")
    if source and len(wanted) > 1:
        raise UsageProblem("--from names where one release is; pull one at a time with it")
    if verify_pixels and pixel_digest() is None:
        raise UsageProblem("--verify-pixels needs an image reader; install it: pip install 'facsimile[worker]'")
    puller = Puller(
        cache=default_cache(),
        workers=workers,
        client=Lazily(lambda: connect(url, key)),
        digest=pixel_digest() if verify_pixels else None,
        tell=say if verbose else lambda text: None,
    )
    results = []
    for ref in wanted:
        entry = held.demand(ref) if locked else held.get(ref)
        chosen = layout or (entry.layout if entry else Layout.PLAIN)
        folder = out if out and len(releases or []) == 1 else (out or FOLDER) / folder_name(ref, chosen)
        results.append(puller.pull(ref, folder, layout=chosen, source=source, locked=entry))
        if not json_:
            _show(results[-1])
    if json_:
        as_json({"releases": results})


def folder_name(ref: ReleaseRef, layout: Layout) -> str:
    """What the folder of a release is called among others."""
    return str(ref) if layout is Layout.PLAIN else f"{ref}.{layout.value}"


@dataclass(frozen=True, kw_only=True)
class Puller:
    """Pulls releases, one after the other."""

    cache: Cache
    client: Lazily
    workers: int = 8
    digest: PixelDigest | None = None
    """Reads pixels, where they are to be checked too."""
    tell: Callable[[str], None] = lambda text: None
    """Is told which way the bytes come."""

    def pull(self, ref: ReleaseRef, folder: Path, *, layout: Layout, source: str | None, locked: Locked | None) -> Json:
        """Pull one release into a folder; returns what was done, for machines."""
        begun = time.monotonic()
        if folder.exists() and not folder.is_dir():
            raise UsageProblem(f"{folder} is no folder")
        if source is None and (locked is None or ref.version == LATEST):
            release = self._resolve(ref)
            ref, expected = release.ref, Expected(ref=release.ref, digest=release.digest)
        elif locked is not None:
            expected = Expected(ref=ref, digest=locked.digest, locked=True)
        else:
            expected = Expected(ref=ref)
        wait = lambda: say(f"another pull is at work in {folder}; waiting for it")  # noqa: E731
        with Bars() as bars, self.cache.alone(folder, wait):
            if layout is Layout.PLAIN:
                fetched = Fetch(
                    self._source(ref, source, locked),
                    folder,
                    self.cache,
                    expected,
                    workers=self.workers,
                    on_bytes=lambda done, total: bars.amount(f"pulling {ref}", done, total, unit="B"),
                ).run()
                bars.end()
                result = self._plain(fetched, folder, bars)
            else:
                result = self._layout(ref, folder, layout, source, locked, expected, bars)
        return {
            **result,
            "layout": layout.value,
            "out": str(folder),
            "locked": locked is not None,
            "seconds": round(time.monotonic() - begun, 2),
        }

    def _resolve(self, ref: ReleaseRef) -> Release:
        release = record_of(self.client().release(*ref))
        if ref.version == LATEST:
            say(f"{ref} is {release.ref}")
        return release

    def _source(self, ref: ReleaseRef, source: str | None, locked: Locked | None) -> Source:
        if source is not None:
            return open_source(source)

        def opened() -> Source:
            client = self.client()
            if locked is not None:
                locked.demand(record_of(client.release(*ref)).digest, client.url)
            return service_source(client, open_http(client.url), *ref, self.tell)

        return Deferred("the service", opened)

    def _plain(self, fetched: Fetched, folder: Path, bars: Bars) -> Json:
        tally = fetched.tally
        pixels = None
        if self.digest is not None:
            verified = verify(
                folder,
                Manifest(folder / MANIFEST),
                self.digest,
                on_progress=lambda done: bars.amount("verifying pixels", done, tally.samples),
            )
            verified.demand()
            pixels = verified.pixels
        return {
            "release": str(fetched.release.ref) if fetched.release else None,
            "digest": fetched.content.digest,
            "pixels_digest": fetched.content.pixels,
            "samples": tally.samples,
            "there": tally.there,
            "cached": tally.cached,
            "fetched": tally.fetched,
            "bytes_fetched": tally.bytes_fetched,
            "verified": {"files": tally.samples, "pixels": pixels},
        }

    def _layout(
        self,
        ref: ReleaseRef,
        folder: Path,
        layout: Layout,
        source: str | None,
        locked: Locked | None,
        expected: Expected,
        bars: Bars,
    ) -> Json:
        if source is not None:
            raise UsageProblem(f"--from serves the plain layout; {layout.value!r} comes from a service")
        client = self.client()
        if locked is not None:
            locked.demand(record_of(client.release(*ref)).digest, client.url)
        return LayoutFetch(
            client,
            ref,
            str(expected.digest),
            layout,
            folder,
            on_bytes=lambda what, done, total: bars.amount(what, done, total, unit="B"),
        ).run()


def _show(result: Json) -> None:
    verified = result["verified"]
    checked = f"{verified['files']} file digests"
    if verified.get("pixels") is not None:
        checked += f" and {verified['pixels']} pixel digests"
    origin = ""
    if "there" in result:
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
