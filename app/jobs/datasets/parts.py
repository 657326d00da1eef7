"""A plain archive as parts: presigned URLs of stored objects, for clients to read, and the few bytes between."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from app.dataset import keys
from app.errors import Corrupt
from app.jobs.datasets.products import Download
from app.storage import ObjectStore


@dataclass(frozen=True, kw_only=True)
class Part:
    """A run of an archive's bytes."""

    offset: int
    """Where in the archive it begins."""
    length: int
    url: str | None
    """Presigned, of the object that holds it, and a secret while it holds; None where `data` has it."""
    start: int
    """Where in the object it begins; 0 without one."""
    data: bytes | None
    """The bytes themselves, where they lie in no object: tar headers, a release's record."""


@dataclass(frozen=True, kw_only=True)
class Parts:
    """All of an archive, in order and without gaps."""

    parts: tuple[Part, ...]
    expires_at: datetime


class PartList:
    """Lists parts, each call of one tenant's product."""

    def __init__(self, store: ObjectStore, lifetime_s: int, clock: Callable[[], float]) -> None:
        self._store = store
        self._lifetime_s = lifetime_s
        self._clock = clock

    def of(self, tenant: str, product: Download) -> Parts | None:
        """The parts of a product, signed now; None if clients cannot reach the store."""
        own = keys.datasets(tenant)
        expires_at = datetime.fromtimestamp(int(self._clock()) + self._lifetime_s, UTC)
        parts, offset = [], 0
        for segment in product.segments:
            url = None
            if segment.literal is None:
                if not segment.key.startswith(own):
                    raise Corrupt("a part of the archive lies outside of its tenant's objects")
                url = self._store.presigned(segment.key, self._lifetime_s)
                if url is None:
                    return None
            parts.append(
                Part(offset=offset, length=segment.length, url=url, start=segment.offset, data=segment.literal)
            )
            offset += segment.length
        return Parts(parts=tuple(parts), expires_at=expires_at)
