"""Taking datasets away, and what keeps their objects: a release pins its dataset, whose bytes it shares.

Two may meet at a dataset, one to release it and one to delete it; no lock is needed for either to be right:

    release: writes its pin,               then looks whether the request is there; if not, it takes its pin back
    delete:  takes the request away first, then looks for pins;                     if there are, it leaves the objects

Whichever comes second sees what the first has done. If both see each other the release is refused and the objects are
removed later, by the reconciler. A dataset without its request is gone for the API of datasets, pinned or not.
"""

from enum import Enum, auto

from app.dataset import keys
from app.dataset.keys import DatasetKeys, ReleaseKeys
from app.dataset.version import ReleaseRef
from app.errors import ObjectNotFound
from app.jobs.records import JSON, read_json, write_json
from app.storage import ObjectStore

IN_FLIGHT_S = 3600.0
"""For so long a pin without a release may belong to one that is just being made: no request takes a tenth of it."""


class Held(Enum):
    """Whether something keeps a dataset's objects."""

    NOT = auto()
    PERHAPS = auto()
    """A release may be on its way."""
    RELEASED = auto()


def held(store: ObjectStore, tenant: str, dataset: str, now: float) -> Held:
    """Look for the releases that need a dataset's objects; `now` in seconds since the epoch."""
    at = DatasetKeys(tenant, dataset)
    found = Held.NOT
    for pin in store.list(at.pins):
        name, version, mark = pin.key.removeprefix(at.pins).split("/")
        release = ReleaseKeys(tenant, name, version)
        try:
            mine = read_json(store, release.record)["pin"] == mark
        except ObjectNotFound:
            if now - pin.modified < IN_FLIGHT_S:
                found = Held.PERHAPS
            continue
        if mine and not store.exists(release.tombstone):
            return Held.RELEASED
    return found


def releases_of(store: ObjectStore, tenant: str, dataset: str) -> list[ReleaseRef]:
    """The releases that a dataset is, in the order of their names."""
    at = DatasetKeys(tenant, dataset)
    found: list[ReleaseRef] = []
    for pin in store.list(at.pins):
        name, version, mark = pin.key.removeprefix(at.pins).split("/")
        release = ReleaseKeys(tenant, name, version)
        try:
            mine = read_json(store, release.record)["pin"] == mark
        except ObjectNotFound:
            continue
        if mine and not store.exists(release.tombstone):
            found.append(ReleaseRef(name, version))
    return found


def remove_dataset(store: ObjectStore, tenant: str, dataset: str, now: float) -> None:
    """Take a dataset away: from the API in any case, and with every object of it unless a release needs them.

    Broken off anywhere it leaves what a broken-off submission leaves, an unfinished marker without a request: by it
    the reconciler finds the rest.
    """
    at = DatasetKeys(tenant, dataset)
    if not store.exists(at.manifest):
        # A worker that is still storing sees this, or that the request is gone.
        write_json(store, at.cancelled, {"at": now})
    store.put(keys.unfinished(tenant, dataset), b"", JSON)
    store.delete(at.request)
    clear_away(store, tenant, dataset, now)


def clear_away(store: ObjectStore, tenant: str, dataset: str, now: float) -> bool:
    """Remove what is there of a dataset that has no request, unless a release needs it; returns whether it is gone."""
    at = DatasetKeys(tenant, dataset)
    holding = held(store, tenant, dataset, now)
    if holding is Held.PERHAPS:
        store.put(keys.unfinished(tenant, dataset), b"", JSON)  # to be looked at again
        return False
    if holding is Held.RELEASED:
        store.delete(at.cancelled)  # it would keep layouts from being made for the release
        store.delete(keys.unfinished(tenant, dataset))
        return False
    store.delete_prefix(at.prefix)
    store.delete(keys.unfinished(tenant, dataset))
    return True


def still_wanted(store: ObjectStore, tenant: str, dataset: str, now: float) -> bool:
    """Whether work on a dataset has a purpose: it was neither cancelled nor deleted, or a release needs it."""
    at = DatasetKeys(tenant, dataset)
    if store.exists(at.cancelled):
        return False
    return store.exists(at.request) or held(store, tenant, dataset, now) is Held.RELEASED
