"""Fetching a set's plain files into a folder: what is there and right stays, the rest comes in parallel.

What is there *is* the state: a pull that was killed at any byte goes on with the files that are missing. manifest.json
gets its name last, so a folder that has one is whole; until then the folder `.facsimile` within holds it.
"""

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from app.client.cache import Cache, digest_of, make_durable, told
from app.client.errors import LockMismatch, UsageProblem, VerificationFailed
from app.client.manifest import Manifest
from app.client.patience import Patience
from app.client.readers import NoRanges
from app.client.records import (
    check_record,
    content_of_manifest,
    demand_ref,
    product_digests,
    read_release,
    wrong_products,
    wrong_record,
)
from app.client.samples import Samples, Tally
from app.client.sources import OtherOrder, Source, Wanted
from app.dataset.content import Content
from app.dataset.release import RELEASE_FILE, Release
from app.dataset.version import ReleaseRef

ASIDE = ".facsimile"
MANIFEST = "manifest.json"
NOTE = "pull.json"
"""Whose the folder is while it is not whole."""


@dataclass(frozen=True, kw_only=True)
class Expected:
    """What a pull must turn out to be."""

    ref: ReleaseRef | None = None
    """The version may be `latest`."""
    digest: str | None = None
    """Of the content."""
    locked: bool = False
    """Whether facsimile.lock says so."""
    dataset: str | None = None
    """Id of the dataset, where it need not be a release."""
    digests: dict[str, str] | None = None
    """Digests over all pixels and files that the service reports of it."""


@dataclass(frozen=True, kw_only=True)
class Fetched:
    """What a pull has brought."""

    content: Content
    release: Release | None
    """Its record, where the source has one."""
    tally: Tally


def demand_free(folder: Path, dataset: str) -> None:
    """Raise UsageProblem for a folder that holds something else than this dataset, or a part of it."""
    if (folder / MANIFEST).exists():
        held = Manifest(folder / MANIFEST).dataset
        if held != dataset:
            raise UsageProblem(f"{folder} holds dataset {held} already; choose another folder with --out")
        return
    try:
        held = json.loads((folder / ASIDE / NOTE).read_text()).get("dataset")
    except (OSError, ValueError, AttributeError):
        if (folder / "samples").exists():
            raise UsageProblem(
                f"{folder} holds a folder 'samples' of another origin; choose another with --out"
            ) from None
        return
    if held and held != dataset:
        raise UsageProblem(f"{folder} holds a part of dataset {held}; choose another folder with --out, or remove it")


class Fetch:
    """One set on its way into one folder."""

    def __init__(
        self,
        source: Source,
        folder: Path,
        cache: Cache,
        expected: Expected,
        *,
        workers: int = 8,
        on_bytes: Callable[[int, int], None] = lambda done, total: None,
        patience: Callable[[], Patience] = Patience,
    ) -> None:
        """`on_bytes` is told (bytes of samples so far, bytes in all)."""
        self._source = source
        self._folder = folder
        self._cache = cache
        self._expected = expected
        self._on_bytes = on_bytes
        self._patience = patience
        self._total = 0
        self._located = False
        """Whether the source has told where its samples are."""
        self._aside = folder / ASIDE
        self._staged = self._aside / "products"
        self._samples = Samples(
            source, folder, cache, workers=workers, patience=patience, on_bytes=lambda done: on_bytes(done, self._total)
        )

    def run(self) -> Fetched:
        """Fetch what is missing. Raises VerificationFailed, LockMismatch, ServiceUnreachable, FolderProblem."""
        with told(self._folder):
            whole = self._whole()
            manifest, content, release = whole or self._products()
            if whole:
                # Whatever else is fetched must belong to what is here.
                self._expected = replace(self._expected, digest=content.digest)
            self._total = manifest.summary.counts.bytes
            try:
                self._samples.bring(manifest.files(), lambda: self._locate(manifest))
            except (NoRanges, OtherOrder):
                self._take_all()
                self._samples.bring_cached(manifest.files())
            self._samples.tally.demand()
            if not whole and release is not None:
                self._cache.keep(content.digest, self._beside_samples())
            self._finish()
        return Fetched(content=content, release=release, tally=self._samples.tally)

    def _whole(self) -> tuple[Manifest, Content, Release | None] | None:
        """What a finished pull has left; None if there was none, or if a file beside the samples is damaged."""
        try:
            manifest = Manifest(self._folder / MANIFEST)
            content = content_of_manifest(manifest)
            release = read_release(self._folder / RELEASE_FILE)
        except VerificationFailed:
            return None
        expected, digests = self._expected, {content.digest, release.digest if release else content.digest}
        if expected.digest is not None and expected.digest not in digests:
            raise UsageProblem(
                f"{self._folder} holds {release.ref if release else manifest.dataset} already, with digest "
                f"{content.digest[:16]}… and not {expected.digest[:16]}…; choose another folder with --out, "
                "or remove it"
            )
        if expected.dataset not in (None, manifest.dataset):
            raise UsageProblem(f"{self._folder} holds dataset {manifest.dataset}; choose another folder with --out")
        if release is None and expected.dataset is None:
            return None  # a dataset that was downloaded before it was a release
        if release is not None:
            demand_ref(release, expected.ref, str(self._folder))
            if wrong_record(release, manifest, content):
                return None
        self._demand_digests(manifest)
        if any(True for _ in wrong_products(self._folder, manifest)):
            return None
        return manifest, content, release

    def _products(self, *, by_cache: bool = True) -> tuple[Manifest, Content, Release | None]:
        """Everything beside the samples, from the cache or the source, checked."""
        self._begin()
        self._located = False
        if not (by_cache and self._expected.digest and self._cache.bring(self._expected.digest, self._staged)):
            self._patience().call(self._read_products)
            self._located = True
        manifest = Manifest(self._staged / MANIFEST)
        content = content_of_manifest(manifest)
        expected, where = self._expected, self._source.where
        if expected.digest not in (None, content.digest):
            text = (
                f"{where} has content of digest {content.digest[:16]}…, and {str(expected.digest)[:16]}… was asked for"
            )
            if expected.locked:
                raise LockMismatch(f"{text} by facsimile.lock for {expected.ref}: it is another set, or a changed one")
            raise VerificationFailed(text, [MANIFEST])
        release = read_release(self._staged / RELEASE_FILE)
        self._demand_digests(manifest)
        if release is not None:
            check_record(release, manifest, content)
            demand_ref(release, expected.ref, where)
        if wrong := list(wrong_products(self._staged, manifest)):
            for name, _ in wrong:
                (self._staged / name).unlink(missing_ok=True)  # it must not be kept by the next try
            raise VerificationFailed(f"{wrong[0][0]} of {where}: {wrong[0][1]}", [name for name, _ in wrong])
        return manifest, content, release

    def _demand_digests(self, manifest: Manifest) -> None:
        """Raise VerificationFailed unless the manifest has the digests over all that the service reports."""
        for kind, digest in (self._expected.digests or {}).items():
            if manifest.digests.get(kind, digest) != digest:
                text = f"its lines do not have the digest of {kind} that the service reports"
                raise VerificationFailed(f"{MANIFEST}: {text}", [MANIFEST])

    def _begin(self) -> None:
        """Make the folder this pull's own; raises UsageProblem if it is something else's."""
        self._folder.mkdir(parents=True, exist_ok=True)
        note = self._aside / NOTE
        mine = {
            "release": str(self._expected.ref or ""),
            "digest": self._expected.digest or "",
            "dataset": self._expected.dataset or "",
        }
        try:
            held = json.loads(note.read_text())
        except (OSError, ValueError):
            if not (self._folder / MANIFEST).exists() and (self._folder / "samples").exists():
                raise UsageProblem(
                    f"{self._folder} holds a folder 'samples' of another origin; choose another with --out"
                ) from None
        else:
            compared = "digest" if held["digest"] and mine["digest"] else "dataset" if mine["dataset"] else "release"
            if held.get(compared) != mine[compared]:
                raise UsageProblem(
                    f"{self._folder} holds a part of {held['release'] or held['digest'] or held.get('dataset')}; "
                    "choose another folder with --out, or remove it"
                )
        self._staged.mkdir(parents=True, exist_ok=True)
        note.write_text(json.dumps(mine))

    def _read_products(self) -> None:
        try:
            self._source.products(self._staged, self._kept)
        except (NoRanges, OtherOrder, EOFError):
            self._take_all()
        if not (self._staged / MANIFEST).is_file():
            raise VerificationFailed(f"{self._source.where} holds no {MANIFEST}", [MANIFEST])

    def _kept(self, name: str, size: int) -> bool:
        """Whether a product that an earlier try has staged can stay."""
        path = self._staged / name
        try:
            if path.stat().st_size != size:
                return False
            manifest = Manifest(self._staged / MANIFEST)
            if name == MANIFEST:
                return content_of_manifest(manifest).digest == self._expected.digest
            return digest_of(path) == product_digests(manifest).get(name)
        except (OSError, VerificationFailed, KeyError, TypeError):
            return False

    def _locate(self, manifest: Manifest) -> None:
        """Learn where the samples begin, if that is not known, and that they can all be there."""
        if not self._located:
            self._products(by_cache=False)
        self._source.check_length(sum(Wanted(row, 0).end for row in manifest.files()))

    def _take_all(self) -> None:
        """Read the archive from end to end into the cache."""
        taken = 0

        def on_bytes(count: int) -> None:
            nonlocal taken
            taken += count
            self._on_bytes(min(taken, self._total), self._total)

        self._patience().call(lambda: self._source.take_all(self._staged, self._cache, on_bytes))

    def _beside_samples(self) -> list[Path]:
        """What is staged, manifest.json last."""
        products = [path for path in sorted(self._staged.iterdir()) if not path.name.startswith(".")]
        return sorted(products, key=lambda path: path.name == MANIFEST)

    def _finish(self) -> None:
        """Name the products, manifest.json last: the folder is whole."""
        if self._staged.is_dir():
            products = self._beside_samples()
            make_durable(products)
            for path in products:
                path.replace(self._folder / path.name)
        if self._aside.is_dir():
            shutil.rmtree(self._aside)
        self._on_bytes(self._total, self._total)
