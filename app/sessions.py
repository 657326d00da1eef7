"""Sessions: a browser's way to ask without holding an API key. The cookie is chance; the store keeps its hash.

A session belongs to the key that it was begun with: with the key it ends. An invitation is a link that begins one
session, once.
"""

import hashlib
import hmac
import json
import re
import secrets
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from app.access import ApiKeys, Holder, Role, key_id_of
from app.dataset import keys
from app.errors import NotAuthenticated, ObjectNotFound
from app.storage import ObjectStore

COOKIE = "facsimile_session"
"""Name of the cookie: `KEYID.CHANCE`."""

CSRF_HEADER = "x-facsimile-csrf"
"""Where a script of the console's own pages says the session's second secret; no other site's can know it."""

LIFETIME_S = 12 * 3600.0
"""A session ends so long after it began: a working day."""

INVITATION_S = 3600.0
"""An invitation that nobody has followed is worthless after so long."""

REMEMBERED_S = 10.0
"""How long a looked-up session is believed."""

_TOKEN = re.compile(r"([0-9a-f]{16})\.([A-Za-z0-9_-]{43})")


@dataclass(frozen=True, kw_only=True)
class Session:
    """Somebody who has signed in."""

    tenant: str
    key_id: str
    role: Role
    label: str
    """Of the key."""
    expires: float
    """Seconds since the epoch."""
    csrf: str
    """To be sent back with whatever changes something."""


class Sessions:
    """Begins, recognises and ends sessions."""

    def __init__(self, store: ObjectStore, api_keys: ApiKeys, clock: Callable[[], float] = time.time) -> None:
        self._store = store
        self._api_keys = api_keys
        self._clock = clock
        self._remembered: dict[str, tuple[float, float | None]] = {}
        """Key in the store to when it was looked up, and what it said: until when, or None."""
        self._lock = threading.Lock()

    def begin(self, api_key: str) -> tuple[str, Session]:
        """Exchange an API key for a cookie's value; raises NotAuthenticated."""
        self._api_keys.tenant_of(api_key)
        return self._begin(key_id_of(api_key))

    def invite(self, api_key: str) -> str:
        """Make the secret of a link that signs in once as this key; raises NotAuthenticated."""
        self._api_keys.tenant_of(api_key)
        token = _token(key_id_of(api_key))
        self._write(keys.invitation(*_parts(token)), self._clock() + INVITATION_S)
        return token

    def accept(self, invitation: str) -> tuple[str, Session]:
        """Begin the session that an invitation is for; raises NotAuthenticated where it was used or is too old."""
        worthless = NotAuthenticated("this link was used before or is too old; ask for a new one, or use the API key")
        match = _TOKEN.fullmatch(invitation)
        if match is None:
            raise worthless
        at = keys.invitation(*_parts(invitation))
        until = self._read(at)
        # Of several who follow it at once exactly one writes the mark; it stays until the key's next session.
        if until is None or until < self._clock() or not self._store.put_if_absent(f"{at}.used", b"{}"):
            raise worthless
        self._store.delete(at)
        return self._begin(match[1])

    def find(self, cookie: str) -> Session:
        """The session of a cookie; raises NotAuthenticated, which says what to do."""
        ended = NotAuthenticated("the session has ended; sign in again")
        match = _TOKEN.fullmatch(cookie)
        if match is None:
            raise ended
        until = self._remembered_until(keys.session(*_parts(cookie)))
        holder = self._api_keys.by_id(match[1])
        if until is None or until < self._clock() or holder is None:
            raise ended
        return _session(holder, until, cookie)

    def end(self, cookie: str) -> None:
        """Make a cookie worthless; no error if it is already."""
        if _TOKEN.fullmatch(cookie):
            at = keys.session(*_parts(cookie))
            self._store.delete(at)
            with self._lock:
                self._remembered.pop(at, None)

    def _begin(self, key_id: str) -> tuple[str, Session]:
        holder = self._api_keys.by_id(key_id)
        if holder is None:
            raise NotAuthenticated("the API key that this is for is not known any more")
        self._sweep(key_id)
        token = _token(key_id)
        until = self._clock() + LIFETIME_S
        self._write(keys.session(*_parts(token)), until)
        return token, _session(holder, until, token)

    def _sweep(self, key_id: str) -> None:
        """Remove what is left of the key's sessions and invitations that are over."""
        for found in self._store.list(keys.sessions(key_id)):
            old = found.modified < self._clock() - max(LIFETIME_S, INVITATION_S)
            if old or (until := self._read(found.key)) is None or 0 < until < self._clock():
                self._store.delete(found.key)

    def _remembered_until(self, at: str) -> float | None:
        now = self._clock()
        with self._lock:
            when, until = self._remembered.get(at, (-1e9, None))
        if now - when < REMEMBERED_S:
            return until
        until = self._read(at)
        with self._lock:
            if len(self._remembered) > 10_000:
                self._remembered.clear()
            self._remembered[at] = (now, until)
        return until

    def _read(self, at: str) -> float | None:
        try:
            return float(json.loads(self._store.get(at)).get("expires", 0.0))
        except ObjectNotFound:
            return None

    def _write(self, at: str, until: float) -> None:
        self._store.put(at, json.dumps({"expires": until}).encode(), "application/json")


def same_csrf(session: Session, said: str) -> bool:
    """Whether what was sent is the session's second secret."""
    return hmac.compare_digest(session.csrf.encode(), said.encode())


def _session(holder: Holder, until: float, token: str) -> Session:
    return Session(
        tenant=holder.tenant,
        key_id=holder.key_id,
        role=holder.role,
        label=holder.label,
        expires=until,
        csrf=_csrf(token),
    )


def _token(key_id: str) -> str:
    return f"{key_id}.{secrets.token_urlsafe(32)}"


def _parts(token: str) -> tuple[str, str]:
    """Key id, and SHA-256 of the whole token."""
    return token.partition(".")[0], hashlib.sha256(token.encode()).hexdigest()


def _csrf(token: str) -> str:
    return hashlib.sha256(f"csrf {token}".encode()).hexdigest()[:32]
