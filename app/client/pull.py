"""Releases into folders, every sample verified; what is there and right, or in the cache, is not fetched again."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from app.client.cache import Cache
from app.client.connect import Lazily
from app.client.errors import UsageProblem
from app.client.fetch import MANIFEST, Expected, Fetch, Fetched
from app.client.http import Json
from app.client.layouts import LayoutFetch
from app.client.lockfile import Locked
from app.client.manifest import Manifest
from app.client.readers import open_http
from app.client.records import record_of
from app.client.service import Client
from app.client.sources import Deferred, Source, open_source, service_source
from app.client.verifiers import PixelDigest
from app.client.verify import verify
from app.client.watch import Quiet, Reporter
from app.dataset.layout import Layout
from app.dataset.release import Release
from app.dataset.version import LATEST, ReleaseRef


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
    say: Callable[[str], None] = lambda text: None
    """Is told what a person should know: which version `latest` is, who is waited for."""
    report: Reporter = field(default_factory=Quiet)
    """Is told how far it is."""

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
        wait = lambda: self.say(f"another pull is at work in {folder}; waiting for it")  # noqa: E731
        with self.cache.alone(folder, wait):
            if layout is Layout.PLAIN:
                fetched = Fetch(
                    self._source(ref, source, locked),
                    folder,
                    self.cache,
                    expected,
                    workers=self.workers,
                    on_bytes=lambda done, total: self.report.amount(f"pulling {ref}", done, total, unit="B"),
                ).run()
                self.report.end()
                result = self._plain(fetched, folder)
            else:
                result = self._layout(ref, folder, layout, source, locked, expected)
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
            self.say(f"{ref} is {release.ref}")
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

    def _plain(self, fetched: Fetched, folder: Path) -> Json:
        tally = fetched.tally
        pixels = None
        if self.digest is not None:
            verified = verify(
                folder,
                Manifest(folder / MANIFEST),
                self.digest,
                on_progress=lambda done: self.report.amount("verifying pixels", done, tally.samples),
            )
            verified.demand()
            pixels = verified.pixels
        return {
            "release": str(fetched.release.ref) if fetched.release else None,
            "product": fetched.release.product if fetched.release else Manifest(folder / MANIFEST).summary.kind,
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
    ) -> Json:
        if source is not None:
            raise UsageProblem(f"--from serves the plain layout; {layout.value!r} comes from a service")

        def client() -> Client:
            found = self.client()
            if locked is not None:
                locked.demand(record_of(found.release(*ref)).digest, found.url)
            return found

        return LayoutFetch(
            client,
            ref,
            str(expected.digest),
            layout,
            folder,
            on_bytes=lambda what, done, total: self.report.amount(what, done, total, unit="B"),
        ).run()
