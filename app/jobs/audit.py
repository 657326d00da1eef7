"""The audit log: who released, withdrew, deleted, or made a key, when and why. Entries are added, never changed."""

import hashlib
import secrets
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from enum import StrEnum
from types import MappingProxyType

from pydantic import BaseModel, ConfigDict, ValidationError

from app.dataset import keys
from app.errors import Corrupt
from app.storage import ObjectStore

_END_OF_TIME_MS = 10**13
"""Entries' keys count down to it, so that the newest come first in a listing."""


class Action(StrEnum):
    """What was done."""

    RELEASED = "release.created"
    WITHDRAWN = "release.withdrawn"
    DELETED = "dataset.deleted"
    EXPIRED = "dataset.expired"
    KEY_MADE = "key.made"
    KEY_REVOKED = "key.revoked"
    WEBHOOK_SET = "webhook.set"
    WEBHOOK_REMOVED = "webhook.removed"


class Entry(BaseModel):
    """One entry of the log."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str
    at: str
    """ISO 8601, UTC."""
    action: Action
    subject: str
    """A dataset's or key's id, NAME@VERSION of a release, or `webhook`."""
    by: str
    """Id of the API key, or `retention`."""
    reason: str
    details: dict[str, str]


class AuditLog:
    """Writes and reads the log; each call is one tenant's."""

    def __init__(self, store: ObjectStore, clock: Callable[[], float] = time.time) -> None:
        self._store = store
        self._clock = clock

    def note(
        self,
        tenant: str,
        action: Action,
        subject: str,
        *,
        by: str,
        reason: str = "",
        details: Mapping[str, str] = MappingProxyType({}),
        done: tuple[str, str] | None = None,
    ) -> None:
        """Add an entry.

        Where something is left that tells what was done, this comes after it, and `done` is when (ISO 8601) and a mark
        of it: then to note it once more adds nothing. Else this comes before, and `done` is left out: an entry
        too many is better than none.
        """
        at, mark = done or (iso(self._clock()), secrets.token_hex(8))
        # One mark may stand for several acts, of one millisecond even.
        mark = hashlib.sha256(f"{action} {mark}".encode()).hexdigest()[:16]
        since_ms = round(datetime.fromisoformat(at).timestamp() * 1000)
        entry = Entry(
            id=f"{_END_OF_TIME_MS - since_ms:013d}-{mark}",
            at=at,
            action=action,
            subject=subject,
            by=by,
            reason=reason,
            details=dict(details),
        )
        self._store.put_if_absent(keys.audit_entry(tenant, entry.id), entry.model_dump_json().encode())

    def list(self, tenant: str, *, limit: int, after: str | None) -> tuple[list[Entry], str | None]:
        """Show a page of entries, newest first, and the cursor of the next page (None at the end)."""
        found: list[Entry] = []
        after_key = keys.audit_entry(tenant, after) if after else ""
        for info in self._store.list(keys.audit(tenant), after_key):
            if len(found) == limit:
                return found, found[-1].id
            try:
                found.append(Entry.model_validate_json(self._store.get(info.key)))
            except ValidationError as exc:
                raise Corrupt(f"the audit log's entry {info.key!r} cannot be read") from exc
        return found, None


def iso(when: float) -> str:
    """Seconds since the epoch as ISO 8601 in UTC, with milliseconds."""
    return datetime.fromtimestamp(when, UTC).isoformat(timespec="milliseconds")
