"""Idempotency keys: a name that a client gives its request, so that a repeat is the same request, not another one."""

import hashlib
import json
from collections.abc import Callable
from typing import Any

from app.dataset import keys
from app.errors import Conflict, ObjectNotFound, Unavailable
from app.jobs.records import JSON, read_json
from app.storage import ObjectStore

RESERVED_S = 60.0
"""For how long a key without what was asked for counts as one whose request is being accepted."""


class IdempotencyKeys:
    """The keys of one kind of thing; each call is one tenant's."""

    def __init__(self, store: ObjectStore, noun: str, clock: Callable[[], float], *, space: str = "") -> None:
        """`noun` is what is made under them, as their records call it; `space` keeps them apart from other kinds'."""
        self._store = store
        self._noun = noun
        self._space = space
        self._clock = clock

    def find(self, tenant: str, key: str, body: dict[str, Any]) -> str | None:
        """Id of what was asked for under a key before, if anything; raises Conflict for another body."""
        try:
            record = read_json(self._store, self._at(tenant, key))
        except ObjectNotFound:
            return None
        if record["body"] != _digest(body):
            raise Conflict("this Idempotency-Key was used with another body; use a new key for a new request")
        return str(record[self._noun])

    def reserve(self, tenant: str, key: str, body: dict[str, Any], made: str, exists: Callable[[str], bool]) -> str:
        """Take a key for `made`, or find the id of what `exists` under it; returns the one or the other.

        A key whose request was never accepted, or is deleted, is taken over; raises Unavailable while another may be
        at it, and Conflict for another body.
        """
        at = self._at(tenant, key)
        record = json.dumps({self._noun: made, "body": _digest(body)}).encode()
        if self._store.put_if_absent(at, record):
            return made
        known = self.find(tenant, key, body)
        # Our own: the answer to the first write was lost on the way and the client wrote a second time.
        if known is not None and known != made:
            if exists(known):
                return known
            if self._age(at) < RESERVED_S:
                raise Unavailable("a request with this Idempotency-Key is being accepted now; repeat it", 1)
        self._store.put(at, record, JSON)
        return made

    def release(self, tenant: str, key: str) -> None:
        """Free a key whose request was not accepted."""
        self._store.delete(self._at(tenant, key))

    def _age(self, at: str) -> float:
        try:
            return self._clock() - self._store.stat(at).modified
        except ObjectNotFound:
            return RESERVED_S

    def _at(self, tenant: str, key: str) -> str:
        return keys.idempotency(tenant, hashlib.sha256(f"{self._space}{key}".encode()).hexdigest())


def _digest(body: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()
