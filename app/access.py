"""API keys: who is asking, and what they may do. A key is shown once; the store keeps its hash, tenant and role."""

import hashlib
import hmac
import json
import re
import secrets
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, StrictInt

from app.dataset import keys
from app.errors import NotAuthenticated, NotFound, ObjectNotFound, QuotaExceeded, RequestRefused, Unavailable
from app.storage import ObjectStore

_KEY = re.compile(r"fcs_([0-9a-f]{16})_([A-Za-z0-9_-]{43})")
_KEY_ID = re.compile(r"[0-9a-f]{16}")
_TENANT = re.compile(r"[a-z0-9][a-z0-9-]{0,39}")

REMEMBERED_S = 5.0
"""How long a looked-up record is believed; a revoked key works for as long at the most."""

MOST_REMEMBERED = 10_000
"""Records; and apart from them, so that guessing drives none of them out, ids that are not known."""

GUESSES_PER_S = 20.0
GUESSES_AT_ONCE = 100
"""Ids never seen before that one process looks up: each costs a question to the store."""

USED_EVERY_S = 3600.0
"""When a key was last used is written down so often at the most."""

LONGEST_DAYS = 3_650


def is_tenant(name: str) -> bool:
    """Whether a tenant can be called so."""
    return _TENANT.fullmatch(name) is not None


class Role(StrEnum):
    """What a key may do; each may do what those before it may."""

    READ = "read"
    WRITE = "write"
    ADMIN = "admin"

    def allows(self, needed: "Role") -> bool:
        """Whether this role is the one needed, or above it."""
        order = list(Role)
        return order.index(self) >= order.index(needed)


class Holder(BaseModel):
    """Whose key it is."""

    model_config = ConfigDict(frozen=True)

    tenant: str
    key_id: str
    role: Role
    label: str = ""
    """What the key is for; for people."""
    expires_at: str | None = None
    """UTC, ISO 8601."""


class KeyShown(Holder):
    """A key as it is listed; the key itself is nowhere."""

    created_at: str | None
    """Null for one of an older version."""
    last_used_at: str | None
    """To the hour; null where it was never used, or only with an older version."""
    expired: bool


class KeyRequest(BaseModel):
    """What key is wanted."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        json_schema_extra={"examples": [{"label": "nightly gate", "role": "read", "days": 90}]},
    )

    label: Annotated[str, Field(max_length=100)] = ""
    """What it is for; for people."""
    role: Role = Role.WRITE
    """`read`, `write` (and read), or `admin` (and write)."""
    days: Annotated[StrictInt, Field(ge=1, le=LONGEST_DAYS)] | None = None
    """It ends after so many; null: when it is revoked."""


class _Record(BaseModel):
    """As it is stored; an older version knew neither roles nor dates."""

    tenant: str
    sha256: str
    label: str = ""
    role: Role = Role.WRITE
    created_at: str | None = None
    expires_at: str | None = None


@dataclass
class _Budget:
    """How many guesses are left."""

    left: float
    when: float


class ApiKeys:
    """Issues, lists, revokes and recognises API keys."""

    def __init__(
        self,
        store: ObjectStore,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        """`clock` is for what is remembered, `wall` for dates: seconds since the epoch."""
        self._store = store
        self._clock = clock
        self._wall = wall
        self._known: OrderedDict[str, tuple[float, _Record]] = OrderedDict()
        self._unknown: OrderedDict[str, float] = OrderedDict()
        self._used: dict[str, float] = {}
        self._guesses = _Budget(GUESSES_AT_ONCE, clock())
        self._lock = threading.Lock()

    def issue(self, tenant: str, label: str, *, role: Role = Role.WRITE, days: float | None = None) -> str:
        """Make a key for a tenant and return it; it cannot be read again. `label` is for people.

        It ends after so many `days`, None: when it is revoked. Raises RequestRefused.
        """
        problems = []
        if not _TENANT.fullmatch(tenant):
            problems.append(
                ("tenant", f"{tenant!r} must be 1 to 40 of a-z, 0-9 and '-', beginning with a letter or digit")
            )
        if days is not None and not 0 < days <= LONGEST_DAYS:
            problems.append(("days", f"{days} must be above 0 and at most {LONGEST_DAYS}; leave it out for no end"))
        if problems:
            raise RequestRefused(problems)
        key_id, secret = secrets.token_hex(8), secrets.token_urlsafe(32)
        now = self._wall()
        record = _Record(
            tenant=tenant,
            label=label,
            sha256=_digest(secret),
            role=role,
            created_at=_date(now),
            expires_at=None if days is None else _date(now + days * 86_400),
        )
        self._store.put_if_absent(keys.api_key(key_id), record.model_dump_json().encode())
        with self._lock:
            self._known[key_id] = (self._clock(), record)
        return f"fcs_{key_id}_{secret}"

    def revoke(self, key_id: str, tenant: str | None = None) -> None:
        """Make a key worthless. `key_id` is the part between the first two underscores.

        With a `tenant` it must be one of that tenant's; raises NotFound.
        """
        if tenant is not None:
            record = self._read(key_id) if _KEY_ID.fullmatch(key_id) else None
            if record is None or record.tenant != tenant:
                raise NotFound("there is no such key; GET /v1/keys lists them")
        self._store.delete(keys.api_key(key_id))
        self._store.delete(keys.api_key_used(key_id))
        with self._lock:
            self._known.pop(key_id, None)

    def list(self, tenant: str | None = None) -> Iterator[KeyShown]:
        """Yield all keys, or a tenant's, by their ids."""
        for info in self._store.list(keys.API_KEYS):
            key_id = info.key[len(keys.API_KEYS) :].removesuffix(".json")
            record = self._read(key_id)
            if record is not None and tenant in (None, record.tenant):
                yield KeyShown(
                    tenant=record.tenant,
                    key_id=key_id,
                    role=record.role,
                    label=record.label,
                    created_at=record.created_at,
                    expires_at=record.expires_at,
                    expired=self._expired(record),
                    last_used_at=self._last_used(key_id),
                )

    def tenant_of(self, key: str) -> str:
        """Return the tenant a key belongs to; raises NotAuthenticated."""
        return self.holder_of(key).tenant

    def holder_of(self, key: str) -> Holder:
        """Return whose a key is; raises NotAuthenticated, and QuotaExceeded while too many unknown ones are tried."""
        match = _KEY.fullmatch(key)
        record = self._record(match[1]) if match else None
        # Compared even where there is no record, so that the time taken tells nothing.
        expected = record.sha256 if record else _digest("")
        right = hmac.compare_digest(_digest(match[2] if match else "-"), expected)
        if not right or record is None or match is None:
            raise NotAuthenticated("this API key is not known; send 'Authorization: Bearer fcs_…' with a valid key")
        if self._expired(record):
            raise NotAuthenticated(f"this API key ended at {record.expires_at}; ask for a new one")
        self._note_use(match[1])
        return _holder(match[1], record)

    def by_id(self, key_id: str) -> Holder | None:
        """Whose a key is by its id, None where there is none that holds; for who has shown the key before."""
        record = self._record(key_id)
        return None if record is None or self._expired(record) else _holder(key_id, record)

    def _expired(self, record: _Record) -> bool:
        return record.expires_at is not None and datetime.fromisoformat(record.expires_at).timestamp() <= self._wall()

    def _record(self, key_id: str) -> _Record | None:
        now = self._clock()
        with self._lock:
            when, record = self._known.get(key_id, (-1e9, None))
            if now - when < REMEMBERED_S:
                return record
            if now - self._unknown.get(key_id, -1e9) < REMEMBERED_S:
                return None
            if record is None:
                self._guess(now)
        record = self._read(key_id)
        with self._lock:
            if record is None:
                self._known.pop(key_id, None)
                self._unknown[key_id] = now
                self._unknown.move_to_end(key_id)
            else:
                self._known[key_id] = (now, record)
                self._known.move_to_end(key_id)
                self._unknown.pop(key_id, None)
            for remembered in (self._known, self._unknown):
                while len(remembered) > MOST_REMEMBERED:
                    remembered.popitem(last=False)
        return record

    def _guess(self, now: float) -> None:
        budget = self._guesses
        budget.left = min(GUESSES_AT_ONCE, budget.left + (now - budget.when) * GUESSES_PER_S)
        budget.when = now
        if budget.left < 1:
            raise QuotaExceeded("too many keys that are not known are being tried; try again in a moment", 5)
        budget.left -= 1

    def _read(self, key_id: str) -> _Record | None:
        try:
            return _Record.model_validate_json(self._store.get(keys.api_key(key_id)))
        except ObjectNotFound:
            return None

    def _last_used(self, key_id: str) -> str | None:
        try:
            return str(json.loads(self._store.get(keys.api_key_used(key_id)))["at"])
        except ObjectNotFound:
            return None

    def _note_use(self, key_id: str) -> None:
        now = self._wall()
        with self._lock:
            if now - self._used.get(key_id, -1e18) < USED_EVERY_S:
                return
            if len(self._used) > MOST_REMEMBERED:
                self._used.clear()
            self._used[key_id] = now
        with suppress(Unavailable):  # it is for people, and no reason to turn anybody away
            said = self._last_used(key_id)
            if said is None or now - datetime.fromisoformat(said).timestamp() >= USED_EVERY_S:
                self._store.put(keys.api_key_used(key_id), json.dumps({"at": _date(now)}).encode(), "application/json")


def key_id_of(key: str) -> str:
    """The id in a key that has been recognised."""
    match = _KEY.fullmatch(key)
    if match is None:
        raise ValueError("this is not the form of a key")
    return match[1]


def _holder(key_id: str, record: _Record) -> Holder:
    return Holder(
        tenant=record.tenant, key_id=key_id, role=record.role, label=record.label, expires_at=record.expires_at
    )


def _date(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")


def _digest(secret: str) -> str:
    # The secret has 256 random bits: a slow password hash would add nothing but latency.
    return hashlib.sha256(secret.encode()).hexdigest()
