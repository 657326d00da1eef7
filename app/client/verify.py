"""Holding a downloaded dataset against its manifest: every file, every pixel, and the digests over all."""

import hashlib
import itertools
import json
import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from app.client.errors import VerificationFailed
from app.client.manifest import Manifest
from app.client.paths import inside
from app.client.records import read_release, wrong_products, wrong_record
from app.client.templates import template_rows
from app.client.verifiers import PixelDigest
from app.dataset.content import Content, ContentDigest
from app.dataset.products import CROISSANT, Kind
from app.dataset.release import RELEASE_FILE, Release
from app.dataset.shard import SampleRow
from app.errors import FacsimileError

WINDOW = 256
"""Samples looked at together; bounds what is held in memory."""

NAMED = 10
"""How many wrong files an error text names."""


@dataclass
class Verified:
    """What a verification found."""

    kind: Kind = "images"
    """What the set is delivered as."""
    files: int = 0
    """Files whose digest is right; of a set of templates, templates."""
    pixels: int | None = None
    """Files whose pixels' digest is right; None where no image reader is installed, or no image kept."""
    wrong: list[tuple[str, str]] = field(default_factory=list)
    """File and what is wrong with it."""
    rows: list[SampleRow] = field(default_factory=list)
    """The samples that are wrong or missing."""
    content: Content | None = None
    """Digests of the content, computed; None where the manifest does not say enough."""
    release: Release | None = None
    """The release that the folder says it is."""

    def demand(self) -> None:
        """Raise VerificationFailed if anything is wrong."""
        if self.wrong:
            lines = [f"  {name}: {why}" for name, why in self.wrong[:NAMED]]
            if len(self.wrong) > NAMED:
                lines.append(f"  and {len(self.wrong) - NAMED} more")
            raise VerificationFailed(
                f"{len(self.wrong)} of the dataset's files are not what its manifest says:\n" + "\n".join(lines),
                [name for name, _ in self.wrong],
            )

    def as_json(self) -> dict[str, Any]:
        """For machines."""
        return {
            "product": self.kind,
            "files": self.files,
            "pixels": self.pixels,
            "digest": self.content.digest if self.content else None,
            "release": str(self.release.ref) if self.release else None,
            "wrong": [{"file": name, "reason": why} for name, why in self.wrong],
        }


def verify(
    folder: Path,
    manifest: Manifest,
    pixel_digest: PixelDigest | None,
    *,
    expected: dict[str, str] | None = None,
    on_progress: Callable[[int], None] = lambda done: None,
) -> Verified:
    """Read every file of a dataset once. `expected` are the digests over all that the service reports.

    Where no images are kept, every sample's template is held against its digest.
    """
    kind = manifest.summary.kind
    found = Verified(kind=kind, pixels=0 if pixel_digest and kind == "images" else None)
    over_pixels, over_files, over_content = hashlib.sha256(), hashlib.sha256(), ContentDigest()
    rows = manifest.samples()
    count = beside = 0
    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
        wrong = _TemplatesWrong(folder) if kind == "templates" else None
        while window := list(itertools.islice(rows, WINDOW)):
            if wrong is not None:
                reasons: Iterable[str | None] = map(wrong, window)
            else:
                reasons = pool.map(lambda row: _wrong_with(folder, row, pixel_digest), window)
            for row, reason in zip(window, reasons, strict=True):
                over_pixels.update(f"{row.id} {row.pixel_sha256}\n".encode())
                over_files.update(f"{row.id} {row.file_sha256}\n".encode())
                over_content.add(row)
                if reason:
                    found.wrong.append((row.file if wrong is None else row.id, reason))
                    found.rows.append(row)
                else:
                    found.files += 1
                    if found.pixels is not None:
                        found.pixels += 1
            count += len(window)
            beside += sum(row.c2pa is not None for row in window)
            on_progress(count)
    listed = {"pixels": over_pixels.hexdigest(), "files": over_files.hexdigest()}
    for whose, digests in (("it gives itself", manifest.digests), ("the service reports", expected or listed)):
        for what, digest in digests.items():
            if what in listed and listed[what] != digest:
                found.wrong.append(("manifest.json", f"its lines do not have the digest of {what} that {whose}"))
    found.wrong.extend(wrong_products(folder, manifest))
    found.wrong.extend(_wrong_pin(folder, manifest))
    _hold_against_record(folder, manifest, over_content, found)
    if _count_files(folder / "samples") > count + beside - len(found.rows):
        found.wrong.extend(_unlisted(folder, manifest))
    return found


def _hold_against_record(folder: Path, manifest: Manifest, digest: ContentDigest, found: Verified) -> None:
    """Finish the content's digest, and hold it against release.json where there is one."""
    found.content = manifest.summary.content_by(digest)
    try:
        found.release = read_release(folder / RELEASE_FILE)
    except VerificationFailed as exc:
        found.wrong.append((RELEASE_FILE, str(exc)))
        return
    if found.release is not None:
        found.wrong.extend((RELEASE_FILE, why) for why in wrong_record(found.release, manifest, found.content))


def _wrong_with(folder: Path, row: SampleRow, pixel_digest: PixelDigest | None) -> str | None:
    path = inside(folder, row.file)
    try:
        size = path.stat().st_size
        if size != row.bytes:
            return f"it has {size} bytes instead of {row.bytes}"
        with path.open("rb") as file:
            if hashlib.file_digest(file, "sha256").hexdigest() != row.file_sha256:
                return "its bytes have another digest"
        if pixel_digest and pixel_digest(path) != row.pixel_sha256:
            return "its pixels have another digest"
        if row.c2pa is not None:
            beside = inside(folder, row.c2pa.file)
            if not beside.is_file():
                return f"the C2PA manifest beside it, {beside.name}, is missing"
            if hashlib.sha256(beside.read_bytes()).hexdigest() != row.c2pa.sha256:
                return f"the C2PA manifest beside it, {beside.name}, has another digest"
    except FileNotFoundError:
        return "it is missing"
    except (OSError, ValueError, FacsimileError) as exc:
        return f"it cannot be read: {exc}"
    return None


class _TemplatesWrong:
    """Says of one row after another, in the manifest's order, what is wrong with its template."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._rows: Iterator[tuple[str, bytes]] | None = None
        self._broken: str | None = None

    def __call__(self, row: SampleRow) -> str | None:
        if self._rows is None:
            self._rows = template_rows(self._folder, row.bytes)
        try:
            name, template = next(self._rows, ("", b"")) if self._broken is None else ("", b"")
        except VerificationFailed as exc:
            self._broken = str(exc)
        if self._broken is not None:
            return self._broken
        if name != row.id:
            return f"in its place is the template of {name or 'nobody'}"
        return None if hashlib.sha256(template).hexdigest() == row.file_sha256 else "its template has another digest"


def _wrong_pin(folder: Path, manifest: Manifest) -> Iterator[tuple[str, str]]:
    """The Croissant file, which comes last, pins the manifest and through it everything else."""
    name = CROISSANT.file
    try:
        listed = json.loads((folder / name).read_bytes())["distribution"]
        pinned = {node["@id"]: node["sha256"] for node in listed if "sha256" in node}["manifest.json"]
    except FileNotFoundError:
        return  # a set of old, or it is named as missing already
    except (OSError, ValueError, KeyError, TypeError) as exc:
        yield name, f"it does not say which manifest it is of: {exc!r}"
        return
    with manifest.path.open("rb") as file:
        if hashlib.file_digest(file, "sha256").hexdigest() != pinned:
            yield name, "it is of another manifest"


def _count_files(folder: Path) -> int:
    return sum(1 for _ in _files(folder))


def _files(folder: Path) -> Iterator[Path]:
    # Hidden files are not ours to judge: an operating system's folder settings, say.
    return (path for path in folder.rglob("[!.]*") if not path.is_dir())


def _unlisted(folder: Path, manifest: Manifest) -> Iterator[tuple[str, str]]:
    listed = {file for row in manifest.samples() for file in (row.file, row.c2pa and row.c2pa.file)}
    for path in sorted(_files(folder / "samples")):
        name = path.relative_to(folder).as_posix()
        if name not in listed:
            yield name, "the manifest does not list it"
