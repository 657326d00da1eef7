"""What users can do with releases: make one, look, find, withdraw; and what each is, as the store holds it."""

import hashlib
import secrets
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from app.dataset import keys
from app.dataset.keys import DatasetKeys, ReleaseKeys
from app.dataset.manifest import content_of, read_manifest, read_summary
from app.dataset.release import (
    Release,
    ReleaseDiff,
    ReleasedModel,
    ReleaseRequest,
    Tombstone,
    WithdrawalRequest,
)
from app.dataset.version import LATEST, ReleaseRef, Version, check_ref, latest, parse_ref
from app.errors import Conflict, Corrupt, FacsimileError, NotFound, ObjectNotFound, RequestRefused, Withdrawn
from app.jobs.audit import Action, AuditLog, iso
from app.jobs.datasets.removal import clear_away
from app.jobs.records import JSON, read_accepted
from app.jobs.releases.diff import diff_releases
from app.jobs.state import require_succeeded
from app.storage import ObjectStore


class Stored(BaseModel):
    """A release's object in the store: the record, and the pin that keeps its dataset's objects."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    release: Release
    pin: str
    """Mark of the pin: which of several attempts at this version won."""


@dataclass(frozen=True, kw_only=True)
class Versions:
    """Which versions a name has, highest first."""

    name: str
    versions: list[str]
    withdrawn: list[str]

    @property
    def latest(self) -> str | None:
        """The highest that is no pre-release."""
        return latest(self.versions)


@dataclass(frozen=True, kw_only=True)
class Named:
    """All releases of a name, highest version first, and what is left of those withdrawn."""

    latest: str | None
    releases: list[Release]
    withdrawn: list[Tombstone]


class ReleaseService:
    """The use cases of releases over a store; each call is one tenant's."""

    def __init__(self, store: ObjectStore, clock: Callable[[], float] = time.time) -> None:
        self._store = store
        self._clock = clock
        self._audit = AuditLog(store, clock)

    def create(self, tenant: str, name: str, version: str, request: ReleaseRequest, *, by: str) -> tuple[Release, bool]:
        """Make a succeeded dataset a release, or find that it is that one already (False).

        Of several at a time exactly one makes it. `by` is the id of the API key. Raises RequestRefused, NotFound, and
        Conflict where the version is taken or was withdrawn, or the dataset has not succeeded.
        """
        ref = check_ref(name, version)
        if known := self._known(tenant, ref):
            return self._same(tenant, known, request), False
        at = require_succeeded(self._store, tenant, request.dataset, "what a release needs")
        gone = NotFound(f"there is no dataset {request.dataset!r}; it was deleted just now")
        try:
            release = self._describe(tenant, at, ref, request, by)
        except ObjectNotFound as exc:
            raise gone from exc
        stored = Stored(release=release, pin=secrets.token_hex(8))
        pin = at.pin(*ref, stored.pin)
        self._store.put(pin, b"", JSON)
        # In this order: see app.jobs.datasets.removal.
        if not self._store.exists(at.request):
            with suppress(FacsimileError):
                self._store.delete(pin)
            raise gone
        # What is found by its digest is checked against the record, so one entry too many does no harm.
        self._store.put(f"{keys.released_content(tenant, release.digest)}{name}/{version}", b"", JSON)
        # If this raises it may have been written all the same; then the pin must stay, and else it goes stale.
        record = ReleaseKeys(tenant, *ref).record
        if self._store.put_if_absent(record, stored.model_dump_json().encode()):
            self._note(tenant, stored)
            return release, True
        winner = self._known(tenant, ref)
        if winner is None:
            raise Corrupt(f"the record of {ref} was there and is gone")
        # The client repeats a write whose answer was lost: the winner may be ourselves.
        if winner.pin == stored.pin:
            self._note(tenant, stored)
            return release, True
        with suppress(FacsimileError):
            self._store.delete(pin)
        return self._same(tenant, winner, request), False

    def get(self, tenant: str, name: str, version: str) -> Release:
        """One release by version or `latest`; raises NotFound, and Withdrawn with the reason."""
        ref = self.resolve(tenant, name, version)
        known = self._known(tenant, ref)
        if known is None:
            raise NotFound(f"there is no release {ref}")
        if tombstone := self._tombstone(tenant, ref):
            raise Withdrawn(
                f"{ref} was withdrawn on {tombstone.withdrawn_at[:10]}: {tombstone.reason}; "
                "its version is not used again"
            )
        return known.release

    def resolve(self, tenant: str, name: str, version: str) -> ReleaseRef:
        """Which version `latest` is now; every other is itself. Raises NotFound."""
        if version != LATEST:
            return ReleaseRef(name, version)
        found = self._versions(tenant, name)
        if found.latest is None:
            if found.versions:
                raise NotFound(
                    f"release {name!r} has only pre-releases, of which none is the latest; "
                    f"name one: {', '.join(found.versions[:5])}"
                )
            raise NotFound(f"there is no release {name!r}")
        return ReleaseRef(name, found.latest)

    def names(self, tenant: str, *, limit: int, after: str | None, part: str = "") -> tuple[list[Versions], str | None]:
        """A page of the names that contain `part`, in alphabetical order, and the cursor of the next page (None at the
        end)."""
        found_names = self._store.folders(keys.releases(tenant))
        names = sorted(name for name in found_names if part in name and (after is None or name > after))
        found = [self._versions(tenant, name) for name in names[:limit]]
        return found, names[limit - 1] if len(names) > limit else None

    def versions(self, tenant: str, name: str) -> Named:
        """Everything under a name; raises NotFound."""
        found = self._versions(tenant, name)
        if not found.versions and not found.withdrawn:
            raise NotFound(f"there is no release {name!r}")
        releases = (self._known(tenant, ReleaseRef(name, version)) for version in found.versions)
        tombstones = (self._tombstone(tenant, ReleaseRef(name, version)) for version in found.withdrawn)
        return Named(
            latest=found.latest,
            releases=[stored.release for stored in releases if stored],
            withdrawn=[tombstone for tombstone in tombstones if tombstone],
        )

    def by_digest(self, tenant: str, digest: str) -> list[Release]:
        """The releases with this content, in the order in which they were made; raises NotFound if there is none."""
        prefix = keys.released_content(tenant, digest)
        found: list[Release] = []
        for entry in self._store.list(prefix):
            name, version = entry.key.removeprefix(prefix).split("/")
            with suppress(NotFound, Withdrawn):
                release = self.get(tenant, name, version)
                if release.digest == digest:
                    found.append(release)
        if not found:
            raise NotFound(f"there is no release with the digest {digest}")
        return sorted(found, key=lambda release: (release.created_at, release.ref))

    def withdraw(self, tenant: str, name: str, version: str, request: WithdrawalRequest, *, by: str) -> Tombstone:
        """Take a release back for good; of what it shared with its dataset nothing goes while the dataset is there.

        Again it does no harm, and the first reason stays. Raises NotFound and RequestRefused.
        """
        ref = ReleaseRef(name, version)
        if request.confirm != str(ref) or version == LATEST:
            raise RequestRefused(
                [("confirm", f"must be {name}@VERSION, the very release of the path: withdrawing cannot be undone")]
            )
        known = self._known(tenant, ref)
        if known is None:
            raise NotFound(f"there is no release {ref}")
        tombstone = self._tombstone(tenant, ref)
        if tombstone is None:
            tombstone = Tombstone(
                name=name,
                version=version,
                digest=known.release.digest,
                dataset=known.release.dataset,
                reason=request.reason,
                withdrawn_at=iso(self._clock()),
                withdrawn_by=by,
            )
            key = ReleaseKeys(tenant, *ref).tombstone
            if not self._store.put_if_absent(key, tombstone.model_dump_json().encode()):
                tombstone = self._tombstone(tenant, ref) or tombstone
        dataset = tombstone.dataset
        self._audit.note(
            tenant,
            Action.WITHDRAWN,
            str(ref),
            by=tombstone.withdrawn_by,
            reason=tombstone.reason,
            details={"dataset": dataset, "digest": tombstone.digest},
            done=(tombstone.withdrawn_at, known.pin),
        )
        self._store.delete(DatasetKeys(tenant, dataset).pin(*ref, known.pin))
        # A dataset that was deleted before its release goes now; broken off here, by the next run of retention.
        if not self._store.exists(DatasetKeys(tenant, dataset).request):
            clear_away(self._store, tenant, dataset, self._clock())
        return tombstone

    def diff(self, tenant: str, ref: tuple[str, str], to: str) -> ReleaseDiff:
        """What is other in the release `to`: a version of the same name, `latest`, or NAME@VERSION.

        Raises NotFound, Withdrawn and RequestRefused.
        """
        before = self.get(tenant, *ref)
        try:
            other = parse_ref(to if "@" in to else f"{before.name}@{to}")
        except RequestRefused as exc:
            raise RequestRefused([("to", text) for _, text in exc.problems]) from exc
        after = self.get(tenant, *other)
        at = DatasetKeys(tenant, before.dataset), DatasetKeys(tenant, after.dataset)
        return diff_releases(self._store, (before, after), at)

    def _describe(self, tenant: str, at: DatasetKeys, ref: ReleaseRef, request: ReleaseRequest, by: str) -> Release:
        summary = read_summary(self._store.get(at.summary))
        manifest = hashlib.sha256()
        if content := summary.content:
            for chunk in self._store.read(at.manifest):
                manifest.update(chunk)
        else:  # made before manifests told the digests of their content
            content = content_of(*read_manifest(_hashed(self._store.read(at.manifest), manifest)))
        accepted = read_accepted(self._store, tenant, request.dataset)
        return Release(
            name=ref.name,
            version=ref.version,
            digest=content.digest,
            samples_digest=content.samples,
            pixels_digest=content.pixels,
            manifest_sha256=manifest.hexdigest(),
            comparisons_sha256=summary.comparisons_sha256,
            dataset=request.dataset,
            dataset_name=accepted.name,
            notes=request.notes,
            created_at=iso(self._clock()),
            created_by=by,
            model=ReleasedModel.of(summary.model),
            seed=summary.seed,
            sigma=summary.sigma,
            counts=summary.counts.as_dict(),
            product=summary.kind,
        )

    def _same(self, tenant: str, known: Stored, request: ReleaseRequest) -> Release:
        """The release that is there, if it is the one asked for; raises Conflict, which tells its digest."""
        release = known.release
        if tombstone := self._tombstone(tenant, release.ref):
            raise Conflict(
                f"{release.ref} was withdrawn ({tombstone.reason}), and its version is not used again; take another"
            )
        if release.dataset != request.dataset:
            raise Conflict(
                f"{release.ref} is there already, with the digest {release.digest} (dataset {release.dataset}); "
                "a release never changes: take another version"
            )
        if request.notes and request.notes != release.notes:
            raise Conflict(
                f"{release.ref} is there already, of this dataset (digest {release.digest}) but with other notes; "
                "a release never changes: leave the notes out, or take another version"
            )
        self._note(tenant, known)  # whoever made it may have been broken off before
        return release

    def _note(self, tenant: str, stored: Stored) -> None:
        release = stored.release
        self._audit.note(
            tenant,
            Action.RELEASED,
            str(release.ref),
            by=release.created_by,
            details={"dataset": release.dataset, "digest": release.digest},
            done=(release.created_at, stored.pin),
        )

    def _known(self, tenant: str, ref: ReleaseRef) -> Stored | None:
        try:
            return Stored.model_validate_json(self._store.get(ReleaseKeys(tenant, *ref).record))
        except ObjectNotFound:
            return None
        except ValidationError as exc:
            raise Corrupt(f"the stored record of {ref} cannot be read") from exc

    def _tombstone(self, tenant: str, ref: ReleaseRef) -> Tombstone | None:
        try:
            return Tombstone.model_validate_json(self._store.get(ReleaseKeys(tenant, *ref).tombstone))
        except ObjectNotFound:
            return None
        except ValidationError as exc:
            raise Corrupt(f"what is left of {ref} cannot be read") from exc

    def _versions(self, tenant: str, name: str) -> Versions:
        prefix = f"{keys.releases(tenant)}{name}/"
        there: set[str] = set()
        withdrawn: set[str] = set()
        for found in self._store.list(prefix):
            version, _, what = found.key.removeprefix(prefix).partition("/")
            (withdrawn if what == "withdrawn.json" else there).add(version)
        return Versions(name=name, versions=_ranked(there - withdrawn), withdrawn=_ranked(withdrawn))


def release_file(release: Release) -> bytes:
    """`release.json`: the record, the same bytes for ever."""
    return (release.model_dump_json(indent=1) + "\n").encode()


def _ranked(versions: Iterable[str]) -> list[str]:
    return [str(version) for version in sorted(map(Version, versions), reverse=True)]


def _hashed(chunks: Iterable[bytes], digest: Any) -> Iterator[bytes]:
    for chunk in chunks:
        digest.update(chunk)
        yield chunk
