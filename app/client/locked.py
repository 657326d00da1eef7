"""Locked releases for the tests of a project: pulled into the cache once, and verified once a run."""

from pathlib import Path

from app.client.cache import Cache, default_cache
from app.client.connect import Lazily, connect
from app.client.errors import LockMismatch
from app.client.lockfile import Locked, LockFile
from app.client.pin import pin
from app.client.pull import Puller
from app.client.records import record_of
from app.client.released import ReleasedDataset
from app.client.sources import open_source
from app.dataset.layout import Layout
from app.dataset.version import LATEST, ReleaseRef, parse_ref


class LockedDatasets:
    """What a lock file holds, as folders."""

    def __init__(self, lock: Path, *, update: bool) -> None:
        """With `update`, what the lock does not hold is locked; else it is refused."""
        self._lock = lock
        self._update = update
        self._client = Lazily(lambda: connect(None, None))
        self._ready: dict[ReleaseRef, ReleasedDataset] = {}

    def get(self, release: str, *, source: str | None = None) -> ReleasedDataset:
        """A release (NAME@VERSION; NAME alone where one version is locked), whole and verified.

        `source` is where it lies, as with `pull --from`; else the service is asked if the cache does not have it.
        Raises LockMismatch, and what `pull` raises.
        """
        cache = default_cache()
        ref = parse_ref(release)
        with cache.alone(self._lock, lambda: None):
            entry = self._entry(ref, source)
        if entry.ref not in self._ready:
            self._ready[entry.ref] = self._pull(entry, source, cache)
        return self._ready[entry.ref]

    def _entry(self, ref: ReleaseRef, source: str | None) -> Locked:
        held = LockFile(self._lock)
        if ref.version == LATEST and not self._update:
            versions = [item for item in held if item.name == ref.name]
            if len(versions) > 1:
                names = ", ".join(str(item.ref) for item in versions)
                raise LockMismatch(f"{self._lock} holds several versions ({names}); say which one is meant")
            return versions[0] if versions else held.demand(ref)
        if not self._update:
            return held.demand(ref)
        if source is not None:
            entry = pin(open_source(source), ref, Layout.PLAIN)
        else:
            entry = Locked.of(record_of(self._client().release(*ref)), Layout.PLAIN)
        if entry != held.get(entry.ref):
            held.put(entry)
            held.write()
        return entry

    def _pull(self, entry: Locked, source: str | None, cache: Cache) -> ReleasedDataset:
        folder = cache.tree(entry.digest) / str(entry.ref)
        Puller(cache=cache, client=self._client).pull(
            entry.ref, folder, layout=Layout.PLAIN, source=source, locked=entry
        )
        return ReleasedDataset(ref=str(entry.ref), path=folder, digest=entry.digest)
