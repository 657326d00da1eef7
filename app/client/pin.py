"""What a lock file is to hold of a release that lies in a folder, a tar or at a mirror."""

import tempfile
from pathlib import Path

from app.client.errors import UsageProblem
from app.client.lockfile import Locked
from app.client.manifest import Manifest
from app.client.readers import NoRanges
from app.client.records import check_record, content_of_manifest, demand_ref, read_release
from app.client.sources import OtherOrder, Source
from app.dataset.layout import Layout
from app.dataset.release import RELEASE_FILE
from app.dataset.version import LATEST, ReleaseRef


def pin(source: Source, ref: ReleaseRef, layout: Layout) -> Locked:
    """What the lock is to hold of a release that lies somewhere, its digest computed from what lies there."""
    with tempfile.TemporaryDirectory() as folder:
        try:
            source.products(Path(folder), lambda name, size: False)
        except (NoRanges, OtherOrder, EOFError):
            raise UsageProblem(
                f"{source.where} cannot be read in parts; pull it into a folder, and lock it from there (--from FOLDER)"
            ) from None
        manifest = Manifest(Path(folder) / "manifest.json")
        content = content_of_manifest(manifest)
        release = read_release(Path(folder) / RELEASE_FILE)
        if release is not None:
            check_record(release, manifest, content)
            demand_ref(release, ref, source.where)
            return Locked.of(release, layout)
    if ref.version == LATEST:
        raise UsageProblem(f"{source.where} does not say which version it is; name it: NAME@VERSION")
    return Locked(name=ref.name, version=ref.version, digest=content.digest, pixels=content.pixels, layout=layout)
