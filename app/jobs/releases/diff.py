"""What changed from one release to another: read side by side, subject by subject, so that size is no matter."""

from typing import Any

from app.dataset.differences import SampleCount, changes, figures
from app.dataset.keys import DatasetKeys
from app.dataset.manifest import read_manifest
from app.dataset.release import (
    DiffSide,
    Release,
    ReleaseDiff,
)
from app.errors import ObjectNotFound
from app.storage import ObjectStore

MAX_MEASURES = 200
"""Changes of figures that are listed."""


def diff_releases(
    store: ObjectStore, releases: tuple[Release, Release], at: tuple[DatasetKeys, DatasetKeys]
) -> ReleaseDiff:
    """Compare two releases, `at` being where their datasets' objects lie."""
    before, after = releases
    (old, old_rows), (new, new_rows) = (read_manifest(store.read(keys.manifest)) for keys in at)
    count = SampleCount()
    if before.digest == after.digest:
        count.same(before.counts)
    else:
        count.compare(old_rows, new_rows)
    return ReleaseDiff(
        before=_side(before),
        after=_side(after),
        same_content=before.digest == after.digest,
        same_pixels=before.pixels_digest == after.pixels_digest,
        same_comparisons=before.comparisons_sha256 == after.comparisons_sha256,
        request=changes(_without_name(old.request), _without_name(new.request)),
        model=changes(old.model.model_dump(), new.model.model_dump()),
        sigma=changes(old.sigma, new.sigma),
        subjects=count.subjects(),
        samples=count.samples(),
        measures=changes(*(_figures(store, keys) for keys in at))[:MAX_MEASURES],
    )


def _figures(store: ObjectStore, at: DatasetKeys) -> dict[str, Any]:
    """A report without its curves; empty where there is none."""
    try:
        return figures(store.get(at.report))
    except ObjectNotFound:
        return figures(None)


def _without_name(request: dict[str, Any]) -> dict[str, Any]:
    return {field: value for field, value in request.items() if field != "name"}


def _side(release: Release) -> DiffSide:
    return DiffSide(**release.model_dump(include=set(DiffSide.model_fields)))
