"""Retention: datasets are deleted so many days after they ended, by the request's rule or else the service's.

Releases are never touched: what a release shares with a dataset stays when the dataset goes. An end is when the store
wrote the object that ended the dataset, and not before its acceptance; the time is the earlier of our clock's and the
store's. So a clock that is wrong, or jumps, makes for a late deletion and never for an early one.
"""

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

import structlog
from pydantic import BaseModel, ConfigDict

from app.config import LimitSettings
from app.dataset import keys
from app.dataset.keys import DatasetKeys
from app.errors import Corrupt, NotFound, ObjectNotFound
from app.jobs.audit import Action, AuditLog, iso
from app.jobs.datasets.removal import clear_away, releases_of, remove_dataset
from app.jobs.records import JSON, Accepted, read_accepted
from app.storage import ObjectStore

log = structlog.get_logger()

DAY_S = 86_400.0

BOOTS_KEPT_S = 7 * DAY_S
"""How long it is known that a worker's boot ended in order."""

SKEW_S = 300.0
"""A difference between our clock and the store's that is worth telling."""


@dataclass(frozen=True, kw_only=True)
class Expiry:
    """When a dataset may be deleted, and by which rule."""

    ended: float
    """Seconds since the epoch, by the store's clock."""
    days: int
    rule: Literal["request", "service"]

    @property
    def expires(self) -> float:
        """Seconds since the epoch."""
        return self.ended + self.days * DAY_S

    @property
    def at(self) -> str:
        """The same in ISO 8601, UTC."""
        return iso(self.expires)


class Expiring(BaseModel):
    """A dataset that retention will delete, as the dry run shows it."""

    model_config = ConfigDict(frozen=True)

    dataset: str
    name: str
    ended_at: str
    expires_at: str
    retention_days: int
    rule: Literal["request", "service"]
    """Whose rule it is: the request's `retention_days`, or the service's."""
    due: bool
    """Whether the next run deletes it."""
    released_as: list[str]
    """Releases (NAME@VERSION) that keep its objects when it goes."""


def expiry_of(store: ObjectStore, accepted: Accepted, limits: LimitSettings) -> Expiry | None:
    """When a dataset may be deleted; None where no rule says so, or while it has not ended."""
    own = accepted.request.get("retention_days")
    days = limits.retention_days_per_tenant if own is None else int(own)
    if days is None:
        return None
    at = DatasetKeys(accepted.tenant, accepted.id)
    ends = []
    for key in (at.manifest, at.failed, at.cancelled):
        try:
            ends.append(store.stat(key).modified)
        except ObjectNotFound:
            continue
    if not ends:
        return None
    # Where the store's clock was behind, the time of acceptance is the later one.
    ended = max(*ends, datetime.fromisoformat(accepted.created_at).timestamp())
    return Expiry(ended=ended, days=days, rule="service" if own is None else "request")


class Retention:
    """Deletes what is past its time, or tells what would be deleted."""

    def __init__(self, store: ObjectStore, limits: LimitSettings, clock: Callable[[], float] = time.time) -> None:
        self._store = store
        self._limits = limits
        self._clock = clock
        self._audit = AuditLog(store, clock)

    def show(self, tenant: str, *, limit: int, after: str | None) -> tuple[list[Expiring], str | None]:
        """Dry run: a page of the datasets that have a time to go, oldest first, and the cursor of the next page."""
        found: list[Expiring] = []
        now = self._clock()
        for dataset in sorted(self._store.folders(keys.datasets(tenant))):
            if after is not None and dataset <= after:
                continue
            looked = self._look(tenant, dataset)
            if looked is None:
                continue
            if len(found) == limit:
                return found, found[-1].dataset
            accepted, expiry = looked
            found.append(
                Expiring(
                    dataset=dataset,
                    name=accepted.name,
                    ended_at=iso(expiry.ended),
                    expires_at=expiry.at,
                    retention_days=expiry.days,
                    rule=expiry.rule,
                    due=_due(expiry, now),
                    released_as=[str(ref) for ref in releases_of(self._store, tenant, dataset)],
                )
            )
        return found, None

    def run(self) -> dict[str, int]:
        """Delete every dataset that is past its time; returns how many were looked at, deleted and cleared away.

        Whatever was left of datasets that went before (a release withdrawn since, say) is cleared away too. One that
        cannot be read keeps no other from being deleted; a store that does not answer ends the run.
        """
        now = self._now()
        seen = deleted = cleared = 0
        for tenant in list(self._store.folders(keys.TENANTS)):
            for dataset in list(self._store.folders(keys.datasets(tenant))):
                seen += 1
                if self._left_over(tenant, dataset):
                    cleared += clear_away(self._store, tenant, dataset, now)
                    continue
                try:
                    looked = self._look(tenant, dataset)
                except Corrupt as exc:
                    log.error("dataset_unreadable", tenant=tenant, dataset=dataset, reason=str(exc))
                    continue
                if looked and _due(looked[1], now):
                    self._expire(tenant, *looked, now)
                    deleted += 1
        for boot in list(self._store.list(keys.STOPPED_BOOTS)):
            if now - boot.modified > BOOTS_KEPT_S:
                self._store.delete(boot.key)
        if deleted or cleared:
            log.info("retained", datasets=seen, deleted=deleted, cleared=cleared)
        return {"datasets": seen, "deleted": deleted, "cleared": cleared}

    def _expire(self, tenant: str, accepted: Accepted, expiry: Expiry, now: float) -> None:
        details = {"name": accepted.name, "ended_at": iso(expiry.ended), "rule": expiry.rule}
        reason = f"{expiry.days} days after its end"
        self._audit.note(tenant, Action.EXPIRED, accepted.id, by="retention", reason=reason, details=details)
        remove_dataset(self._store, tenant, accepted.id, now)
        log.info("dataset_expired", tenant=tenant, dataset=accepted.id, days=expiry.days, rule=expiry.rule)

    def _look(self, tenant: str, dataset: str) -> tuple[Accepted, Expiry] | None:
        try:
            accepted = read_accepted(self._store, tenant, dataset)
        except NotFound:  # a release's, or just being accepted or deleted
            return None
        expiry = expiry_of(self._store, accepted, self._limits)
        return (accepted, expiry) if expiry else None

    def _left_over(self, tenant: str, dataset: str) -> bool:
        """Whether nothing but left-overs or a release can be there.

        In this order: a dataset is marked as unfinished before anything else of it is written.
        """
        if self._store.exists(keys.unfinished(tenant, dataset)):
            return False
        return not self._store.exists(DatasetKeys(tenant, dataset).request)

    def _now(self) -> float:
        """The earlier of our time and the store's."""
        ours = self._clock()
        self._store.put(keys.RETENTION, json.dumps({"at": iso(ours)}).encode(), JSON)
        stores = self._store.stat(keys.RETENTION).modified
        if abs(ours - stores) > SKEW_S:
            log.warning("clocks_differ", ours=iso(ours), stores=iso(stores))
        return min(ours, stores)


def _due(expiry: Expiry, now: float) -> bool:
    return now >= expiry.expires
