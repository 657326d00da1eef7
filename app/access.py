"""API keys: who is asking. A key is shown once; the store keeps its hash and its tenant."""

import hashlib
import hmac
import json
import re
import secrets
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from app.dataset import keys
from app.errors import NotAuthenticated, ObjectNotFound, RequestRefused
from app.storage import ObjectStore

_KEY = re.compile(r"fcs_([0-9a-f]{16})_([A-Za-z0-9_-]{43})")
_TENANT = re.compile(r"[a-z0-9][a-z0-9-]{0,39}")

REMEMBERED_S = 10.0
"""How long a looked-up record is believed; a revoked key works for as long at the most."""


@dataclass(frozen=True, kw_only=True)
class _Record:
    tenant: str
    digest: str


class ApiKeys:
    """Issues, revokes and recognises API keys."""

    def __init__(self, store: ObjectStore, clock: Callable[[], float] = time.monotonic) -> None:
        self._store = store
        self._clock = clock
        self._remembered: dict[str, tuple[float, _Record | None]] = {}
        self._lock = threading.Lock()

    def issue(self, tenant: str, label: str) -> str:
        """Make a key for a tenant and return it; it cannot be read again. `label` is for people."""
        if not _TENANT.fullmatch(tenant):
            raise RequestRefused(
                [("tenant", f"{tenant!r} must be 1 to 40 of a-z, 0-9 and '-', beginning with a letter or digit")]
            )
        key_id, secret = secrets.token_hex(8), secrets.token_urlsafe(32)
        record = {"tenant": tenant, "label": label, "sha256": _digest(secret)}
        self._store.put_if_absent(keys.api_key(key_id), json.dumps(record).encode())
        return f"fcs_{key_id}_{secret}"

    def revoke(self, key_id: str) -> None:
        """Make a key worthless. `key_id` is the part between the first two underscores."""
        self._store.delete(keys.api_key(key_id))
        with self._lock:
            self._remembered.pop(key_id, None)

    def tenant_of(self, key: str) -> str:
        """Return the tenant a key belongs to; raises NotAuthenticated."""
        match = _KEY.fullmatch(key)
        record = self._record(match[1]) if match else None
        # Compared even where there is no record, so that the time taken tells nothing.
        expected = record.digest if record else _digest("")
        if not hmac.compare_digest(_digest(match[2] if match else "-"), expected) or record is None:
            raise NotAuthenticated("this API key is not known; send 'Authorization: Bearer fcs_…' with a valid key")
        return record.tenant

    def holder(self, key_id: str) -> str | None:
        """The tenant of a key by its id, None where there is no such key; for who has shown the key before."""
        record = self._record(key_id)
        return record.tenant if record else None

    def _record(self, key_id: str) -> _Record | None:
        now = self._clock()
        with self._lock:
            when, record = self._remembered.get(key_id, (-1e9, None))
        if now - when < REMEMBERED_S:
            return record
        try:
            found = json.loads(self._store.get(keys.api_key(key_id)))
            record = _Record(tenant=found["tenant"], digest=found["sha256"])
        except ObjectNotFound:
            record = None
        with self._lock:
            if len(self._remembered) > 10_000:
                self._remembered.clear()
            self._remembered[key_id] = (now, record)
        return record


def key_id_of(key: str) -> str:
    """The id in a key that has been recognised."""
    match = _KEY.fullmatch(key)
    if match is None:
        raise ValueError("this is not the form of a key")
    return match[1]


def _digest(secret: str) -> str:
    # The secret has 256 random bits: a slow password hash would add nothing but latency.
    return hashlib.sha256(secret.encode()).hexdigest()
