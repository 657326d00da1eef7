"""Two releases, folders, or a release and a folder, compared by their manifests and reports."""

import tempfile
from pathlib import Path
from typing import NamedTuple

from pydantic import ValidationError

from app.client.connect import Lazily
from app.client.errors import ServiceRefused, ServiceUnreachable, UsageProblem
from app.client.manifest import Manifest
from app.client.paths import set_folder
from app.client.records import content_of_manifest, read_release
from app.client.service import Client
from app.dataset.differences import SampleCount, changes, figures
from app.dataset.release import RELEASE_FILE, DiffSide, ReleaseDiff, ReleasedModel
from app.dataset.version import ReleaseRef, parse_ref


class Side(NamedTuple):
    """One of the two."""

    folder: Path
    """Its manifest.json lies here, and report.json and release.json if it has them."""
    name: str
    version: str


def compare(before: str, after: str, client: Lazily) -> ReleaseDiff:
    """Compare two releases, or folders; only what is no folder is asked of the service."""
    if not Path(before).is_dir() and not Path(after).is_dir():
        old, new = parse_ref(before), parse_ref(after)
        try:
            return ReleaseDiff.model_validate(client().release_diff(*old, str(new)))
        except ValidationError as exc:
            raise ServiceUnreachable(f"the service sends no comparison of releases; is the URL right? ({exc})") from exc
    with tempfile.TemporaryDirectory() as temporary:
        sides = [
            _of_folder(Path(text)) if Path(text).is_dir() else _of_service(parse_ref(text), Path(temporary), client())
            for text in (before, after)
        ]
        return compare_folders(*sides)


def _of_folder(folder: Path) -> Side:
    folder = set_folder(folder)
    if not (folder / "manifest.json").is_file():
        raise UsageProblem(f"{folder} holds no manifest.json: only folders in the plain layout can be compared")
    release = read_release(folder / RELEASE_FILE)
    if release is None:
        return Side(folder, Manifest(folder / "manifest.json").dataset, "")
    return Side(folder, release.name, release.version)


def _of_service(ref: ReleaseRef, folder: Path, client: Client) -> Side:
    manifest = client.stream("GET", client.release_part(*ref, "manifest"))
    with manifest as answer, client.translated(), (folder / "manifest.json").open("wb") as file:
        for chunk in answer.iter_bytes():
            file.write(chunk)
    try:
        with client.stream("GET", client.release_part(*ref, "report")) as answer, client.translated():
            (folder / "report.json").write_bytes(answer.read())
    except ServiceRefused as exc:
        if exc.status != 404:
            raise
    return Side(folder, ref.name, ref.version)


def compare_folders(before: Side, after: Side) -> ReleaseDiff:
    """Compare two folders by their manifests and reports; the samples' own files are not read."""
    manifests = [Manifest(side.folder / "manifest.json") for side in (before, after)]
    old, new = (manifest.summary for manifest in manifests)
    sides = [_described(side, manifest) for side, manifest in zip((before, after), manifests, strict=True)]
    count = SampleCount()
    if sides[0].digest == sides[1].digest:
        count.same(sides[0].counts)
    else:
        count.compare(manifests[0].samples(), manifests[1].samples())
    reports = [_report(side.folder) for side in (before, after)]
    return ReleaseDiff(
        before=sides[0],
        after=sides[1],
        same_content=sides[0].digest == sides[1].digest,
        same_pixels=sides[0].pixels_digest == sides[1].pixels_digest,
        same_comparisons=sides[0].comparisons_sha256 == sides[1].comparisons_sha256,
        request=changes(*({**summary.request, "name": None} for summary in (old, new))),
        model=changes(old.model.model_dump(), new.model.model_dump()),
        sigma=changes(old.sigma, new.sigma),
        subjects=count.subjects(),
        samples=count.samples(),
        measures=changes(*map(figures, reports)),
    )


def _described(side: Side, manifest: Manifest) -> DiffSide:
    content = content_of_manifest(manifest)
    return DiffSide(
        name=side.name,
        version=side.version,
        digest=content.digest,
        samples_digest=content.samples,
        pixels_digest=content.pixels,
        comparisons_sha256=manifest.summary.comparisons_sha256,
        model=ReleasedModel.of(manifest.summary.model),
        counts=manifest.summary.counts.as_dict(),
    )


def _report(folder: Path) -> bytes | None:
    try:
        return (folder / "report.json").read_bytes()
    except FileNotFoundError:
        return None
