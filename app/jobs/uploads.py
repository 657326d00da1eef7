"""Uploads: files of scores or templates, each called by the SHA-256 of its bytes.

The bytes go into an object of the attempt's own and the record is written last, if they have the digest: so an upload
that was broken off or is wrong does not exist, and of several at a time one counts. Evaluations that are not finished
keep what they need by a marker of their own.
"""

import hashlib
import io
import secrets
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import BinaryIO, cast

from pydantic import BaseModel, ConfigDict

from app.config import LimitSettings
from app.dataset import keys
from app.dataset.keys import UploadKeys
from app.errors import Conflict, NotFound, ObjectNotFound, QuotaExceeded, RequestRefused
from app.jobs.places import Places
from app.jobs.records import JSON, write_json
from app.storage import ObjectStore

PIECE = 1024 * 1024


class Upload(BaseModel):
    """An upload that is whole."""

    model_config = ConfigDict(frozen=True)

    id: str
    size: int
    created_at: str


class _Record(Upload):
    data: str
    """Key of its bytes."""


class UploadService:
    """Receives, keeps and removes uploads; each call is one tenant's."""

    def __init__(self, store: ObjectStore, limits: LimitSettings, clock: Callable[[], float] = time.time) -> None:
        self._store = store
        self._limits = limits
        self._clock = clock
        self._under_way = Places(limits.uploads_at_once, limits.uploads_at_once_per_tenant, "uploads")

    def put(self, tenant: str, digest: str, stream: BinaryIO) -> tuple[Upload, bool]:
        """Take in bytes, and tell whether they were new here.

        Raises RequestRefused where they have another digest, QuotaExceeded, and Unavailable while too many others are
        being received; whatever `stream` raises breaks it off.
        """
        at = UploadKeys(tenant, digest)
        with self._under_way.taken(tenant):
            if known := self._record(at):
                _read_out(stream)  # a client that is cut off while it sends would not see the answer
                return _shown(known), False
            self._check_room(tenant)
            key = at.data(secrets.token_hex(8))
            counted = _Counted(stream)
            self._store.put_stream(key, cast(BinaryIO, io.BufferedReader(counted, PIECE)))
            if counted.digest.hexdigest() != digest:
                self._store.delete(key)
                found = counted.digest.hexdigest()
                raise RequestRefused(
                    [("upload_id", f"the bytes that came have the SHA-256 {found}; the path must end in it")]
                )
            now = datetime.fromtimestamp(self._clock(), UTC).isoformat(timespec="milliseconds")
            record = _Record(id=digest, size=counted.size, created_at=now, data=key)
            if self._store.put_if_absent(at.record, record.model_dump_json().encode()):
                return _shown(record), True
            winner = self._record(at)
            if winner is None or winner.data != key:  # else the answer to our own write was lost
                self._store.delete(key)
            return _shown(winner or record), False

    def get(self, tenant: str, digest: str) -> Upload:
        """Show an upload; raises NotFound."""
        return _shown(self._find(tenant, digest))

    def delete(self, tenant: str, digest: str) -> None:
        """Remove an upload; raises NotFound, and Conflict while an evaluation needs it."""
        self._find(tenant, digest)
        at = UploadKeys(tenant, digest)
        self._store.delete(at.kept)
        if not self._remove(at):
            raise Conflict("an evaluation that is not finished needs this upload; delete that, or wait for its end")

    def hold(self, tenant: str, digest: str, evaluation: str) -> str:
        """Keep an upload until `let_go`; returns the key of its bytes. Raises NotFound."""
        at = UploadKeys(tenant, digest)
        self._store.put(at.user(evaluation), b"", JSON)
        try:
            # Only now: a removal that did not see the marker has taken the record away before.
            return self._find(tenant, digest).data
        except NotFound:
            self._store.delete(at.user(evaluation))
            raise

    def let_go(self, tenant: str, digest: str, evaluation: str, *, keep: bool) -> None:
        """An evaluation has ended: remove what it held, unless it is to be kept or another needs it."""
        at = UploadKeys(tenant, digest)
        if keep:
            self._store.put(at.kept, b"", JSON)
        self._store.delete(at.user(evaluation))
        if not keep and not self._store.exists(at.kept):
            self._remove(at)

    def sweep(self) -> int:
        """Remove whatever is older than it may become without being evaluated; returns how many objects went."""
        before = self._clock() - self._limits.upload_hours * 3600
        removed = 0
        for prefix, ages, names in self._all():
            tenant, digest = prefix[len(keys.UPLOADS) :].rstrip("/").split("/")
            at = UploadKeys(tenant, digest)
            if max(ages) < before and "kept" not in names:
                removed += self._remove(at) and len(ages)
        return removed

    def _all(self) -> Iterator[tuple[str, list[float], set[str]]]:
        """Every upload's prefix, the times of its objects and their names."""
        found: dict[str, tuple[list[float], set[str]]] = {}
        for info in self._store.list(keys.UPLOADS):
            tenant, digest, name = info.key[len(keys.UPLOADS) :].split("/", 2)
            ages, names = found.setdefault(f"{keys.UPLOADS}{tenant}/{digest}/", ([], set()))
            ages.append(info.modified)
            names.add(name)
        for prefix, (ages, names) in found.items():
            yield prefix, ages, names

    def _remove(self, at: UploadKeys) -> bool:
        """Remove an upload, unless an evaluation holds it."""
        record = self._record(at)
        self._store.delete(at.record)
        if next(iter(self._store.list(at.users)), None) is not None:
            # It came to be held before the record went: it stays as it was.
            if record is not None:
                write_json(self._store, at.record, record)
            return False
        self._store.delete_prefix(at.prefix)
        return True

    def _find(self, tenant: str, digest: str) -> _Record:
        record = self._record(UploadKeys(tenant, digest))
        if record is None:
            raise NotFound(f"there is no upload {digest!r}; send it with PUT /v1/uploads/{digest}")
        return record

    def _record(self, at: UploadKeys) -> _Record | None:
        try:
            return _Record.model_validate_json(self._store.get(at.record))
        except ObjectNotFound:
            return None

    def _check_room(self, tenant: str) -> None:
        """Count uploads and their bytes; what is being received belongs to them, once it is stored."""
        most, bytes_left = self._limits.uploads_per_tenant, self._limits.upload_bytes_per_tenant
        prefix = f"{keys.UPLOADS}{tenant}/"
        seen: set[str] = set()
        for info in self._store.list(prefix):
            seen.add(info.key[len(prefix) :].partition("/")[0])
            bytes_left -= info.size
            if len(seen) >= most:
                raise QuotaExceeded(f"there are {most} uploads already; evaluate them, or delete some")
            if bytes_left <= 0:
                taken = f"{self._limits.upload_bytes_per_tenant:,} bytes of uploads are kept already"
                raise QuotaExceeded(f"{taken}; evaluate them, or delete some")


class _Counted(io.RawIOBase):
    """A stream that digests and counts what is read of it."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self.digest = hashlib.sha256()
        self.size = 0

    def readable(self) -> bool:
        """See RawIOBase."""
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        """See RawIOBase."""
        piece = self._stream.read(len(buffer))
        buffer[: len(piece)] = piece
        self.digest.update(piece)
        self.size += len(piece)
        return len(piece)


def _read_out(stream: BinaryIO) -> None:
    while stream.read(PIECE):
        pass


def _shown(record: Upload) -> Upload:
    return Upload(id=record.id, size=record.size, created_at=record.created_at)
