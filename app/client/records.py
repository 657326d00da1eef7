"""A release's record, held against the manifest beside it."""

from collections.abc import Iterator
from pathlib import Path

from pydantic import ValidationError

from app.client.cache import digest_of
from app.client.errors import ServiceUnreachable, UsageProblem, VerificationFailed
from app.client.http import Json
from app.client.manifest import Manifest
from app.client.paths import inside
from app.dataset.content import Content
from app.dataset.manifest import content_of
from app.dataset.products import COMPARISONS, CONTACT_SHEET
from app.dataset.release import RELEASE_FILE, Release
from app.dataset.version import LATEST, ReleaseRef


def record_of(answer: Json) -> Release:
    """The record in the service's answer; raises ServiceUnreachable if there is none."""
    try:
        # A later service may tell more of a release than this program knows.
        return Release.model_validate({name: answer[name] for name in Release.model_fields if name in answer})
    except (ValidationError, TypeError) as exc:
        raise ServiceUnreachable(f"the service sends no release's record; is the URL right? ({exc})") from exc


def read_release(path: Path) -> Release | None:
    """The record of a release in a folder; None if there is none. Raises VerificationFailed."""
    try:
        return Release.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        return None
    except ValidationError as exc:
        raise VerificationFailed(f"{path} is no release's record: {exc}", [path.name]) from exc


def content_of_manifest(manifest: Manifest) -> Content:
    """The digests of a manifest's content; raises VerificationFailed if it is not whole."""
    return content_of(manifest.summary, manifest.samples())


def check_record(release: Release, manifest: Manifest, content: Content) -> None:
    """Raise VerificationFailed unless a release's record and a manifest say the same."""
    if problems := wrong_record(release, manifest, content):
        raise VerificationFailed(f"{RELEASE_FILE}: " + "; ".join(problems), [RELEASE_FILE])


def wrong_record(release: Release, manifest: Manifest, content: Content) -> list[str]:
    """In what a release's record and a manifest beside it do not agree."""
    comparisons = manifest.summary.comparisons_sha256
    pairs = (
        ("digest of the content", release.digest, content.digest),
        ("digest of the samples", release.samples_digest, content.samples),
        ("digest of the pixels", release.pixels_digest, content.pixels),
        ("digest of the manifest", release.manifest_sha256, digest_of(manifest.path)),
        ("digest of the comparisons", release.comparisons_sha256, comparisons),
    )
    return [
        f"the {what} is {found[:16]}… and the record of {release.ref} says {(said or 'none')[:16]}…"
        for what, said, found in pairs
        if found is not None and said != found
    ]


def product_digests(manifest: Manifest) -> dict[str, str | None]:
    """The files that belong beside a manifest, and the digest of each where the manifest says it."""
    digests: dict[str, str | None] = {COMPARISONS.file: None}
    if manifest.summary.kind == "images":  # manifests of old do not say so themselves
        digests[CONTACT_SHEET.file] = None
    digests |= manifest.summary.products
    digests[COMPARISONS.file] = manifest.summary.comparisons_sha256
    return digests


def wrong_products(folder: Path, manifest: Manifest) -> Iterator[tuple[str, str]]:
    """The files beside a manifest that are missing or wrong, and what is wrong with each."""
    for name, expected in product_digests(manifest).items():
        path = inside(folder, name)
        if not path.is_file():
            yield name, "it is missing"
        elif expected and digest_of(path) != expected:
            yield name, "its bytes have another digest"


def demand_ref(release: Release, wanted: ReleaseRef | None, where: str) -> None:
    """Raise UsageProblem unless this is the release that is wanted; `latest` stands for any version."""
    if wanted and wanted not in (release.ref, ReleaseRef(release.name, LATEST)):
        raise UsageProblem(f"{where} holds {release.ref}, not {wanted}")
