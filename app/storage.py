"""The object store: one small protocol, and S3 over the `minio` client. The SDK's errors end here."""

import io
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import BinaryIO, NamedTuple, Protocol

import urllib3
from minio import Minio
from minio.datatypes import Object
from minio.deleteobjects import DeleteObject
from minio.error import InvalidResponseError, MinioException, S3Error, ServerError

from app.config import StoreSettings
from app.errors import Misconfigured, ObjectNotFound, StoreUnavailable
from app.figures import Observe, timed

PART_BYTES = 8 * 1024 * 1024
"""Multipart uploads hold one part in memory."""

CHUNK_BYTES = 256 * 1024


class ObjectInfo(NamedTuple):
    """What a listing or a stat tells of one object."""

    key: str
    size: int
    etag: str
    modified: float
    """Seconds since the epoch."""


class ObjectStore(Protocol):
    """All that Facsimile asks of an object store. Raises ObjectNotFound and StoreUnavailable, nothing else."""

    def ensure_bucket(self) -> None:
        """Make the bucket if it does not exist."""

    def ping(self) -> None:
        """Return if the store answers and the bucket is there; raise StoreUnavailable if not."""

    def put(self, key: str, data: bytes, content_type: str = "application/octet-stream") -> None:
        """Write an object, replacing what was there."""

    def put_if_absent(self, key: str, data: bytes, content_type: str = "application/json") -> bool:
        """Write an object unless the key is taken; of several writers exactly one gets True."""

    def put_stream(self, key: str, stream: BinaryIO, content_type: str = "application/octet-stream") -> None:
        """Write an object of unknown length in parts; it appears only when complete."""

    def get(self, key: str) -> bytes:
        """Read a whole object."""

    def read(self, key: str, offset: int = 0, length: int = 0) -> Iterator[bytes]:
        """Yield an object's bytes from `offset`, `length` of them (0: to the end), in chunks."""

    def stat(self, key: str) -> ObjectInfo:
        """Size, ETag and time of an object."""

    def exists(self, key: str) -> bool:
        """Whether there is an object under the key."""

    def list(self, prefix: str, after: str = "") -> Iterator[ObjectInfo]:
        """Yield every object below a prefix in order of keys, those after `after`."""

    def folders(self, prefix: str, after: str = "") -> Iterator[str]:
        """Yield the names directly below a prefix that have objects below them, those after the name `after`."""

    def directly_below(self, prefix: str) -> Iterator[ObjectInfo]:
        """Yield every object directly below a prefix, and for each folder there its prefix, which ends in "/"."""

    def delete(self, key: str) -> None:
        """Remove an object; it is no error if there is none."""

    def delete_prefix(self, prefix: str) -> int:
        """Remove every object below a prefix; returns how many."""

    def presigned(self, key: str, lifetime_s: int) -> str | None:
        """A URL by which anybody may read an object for so long: a secret. None if clients cannot reach the store.

        Nothing is asked of the store: there may be no such object.
        """


class ChunkReader(io.RawIOBase):
    """A readable stream over chunks of bytes that are made while it is read."""

    def __init__(self, chunks: Iterable[bytes]) -> None:
        self._chunks: Iterator[bytes] = iter(chunks)
        self._left = b""

    def readable(self) -> bool:
        """See RawIOBase."""
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        """See RawIOBase."""
        while not self._left:
            chunk = next(self._chunks, None)
            if chunk is None:
                return 0
            self._left = chunk
        count = min(len(buffer), len(self._left))
        buffer[:count] = self._left[:count]
        self._left = self._left[count:]
        return count


@contextmanager
def _translated(key: str) -> Iterator[None]:
    try:
        yield
    except S3Error as exc:
        if exc.code in ("NoSuchKey", "NoSuchObject", "ResourceNotFound"):
            raise ObjectNotFound(f"there is no object {key!r}") from exc
        if exc.code in ("AccessDenied", "InvalidAccessKeyId", "SignatureDoesNotMatch"):
            raise Misconfigured(
                f"the object store refuses us {key!r} ({exc.code}); check FACSIMILE_STORE__ACCESS_KEY, "
                "FACSIMILE_STORE__SECRET_KEY and what that user may do (facsimile store policy)"
            ) from exc
        raise StoreUnavailable(f"the object store answered {exc.code}") from exc
    except (urllib3.exceptions.HTTPError, InvalidResponseError, ServerError, MinioException, OSError) as exc:
        raise StoreUnavailable("the object store does not answer") from exc


class S3Store:
    """An S3 server's bucket as an ObjectStore; safe to share between threads."""

    def __init__(self, settings: StoreSettings, observe: Observe = lambda operation, seconds, failed: None) -> None:
        """`observe` is told how long each call takes; of reading and listing, how long until something comes."""
        self._observe = observe
        self._bucket = settings.bucket
        self._region = settings.region
        self._http = urllib3.PoolManager(
            timeout=urllib3.Timeout(connect=settings.timeout_s / 3, read=settings.timeout_s),
            retries=urllib3.Retry(total=2, backoff_factor=0.1, status_forcelist=(500, 502, 503, 504)),
            maxsize=64,
        )
        self._client = Minio(
            settings.endpoint,
            access_key=settings.access_key,
            secret_key=settings.secret_key.get_secret_value(),
            secure=settings.secure,
            region=settings.region,  # without it the client asks the server for it at every start
            http_client=self._http,
        )
        self._public = _public_client(settings)

    def ensure_bucket(self) -> None:
        """See ObjectStore."""
        with _translated(self._bucket):
            if not self._client.bucket_exists(self._bucket):
                try:
                    self._client.make_bucket(self._bucket, location=self._region)
                except S3Error as exc:
                    # Somebody else made it in between: that is what we wanted.
                    if exc.code not in ("BucketAlreadyOwnedByYou", "BucketAlreadyExists"):
                        raise

    def ping(self) -> None:
        """See ObjectStore."""
        with self._call("ping", self._bucket):
            if not self._client.bucket_exists(self._bucket):
                raise StoreUnavailable(f"the object store has no bucket {self._bucket!r}")

    def put(self, key: str, data: bytes, content_type: str = "application/octet-stream") -> None:
        """See ObjectStore."""
        with self._call("put", key):
            self._client.put_object(self._bucket, key, io.BytesIO(data), len(data), content_type=content_type)

    def put_if_absent(self, key: str, data: bytes, content_type: str = "application/json") -> bool:
        """See ObjectStore. The client's own put cannot send If-None-Match, so a presigned PUT does."""
        with self._call("put", key):
            url = self._client.presigned_put_object(self._bucket, key, expires=timedelta(minutes=5))
            answer = self._http.request(
                "PUT", url, body=data, headers={"If-None-Match": "*", "Content-Type": content_type}
            )
        if answer.status == 412:
            return False
        if answer.status != 200:
            raise StoreUnavailable(f"the object store answered {answer.status} to a conditional write")
        return True

    def put_stream(self, key: str, stream: BinaryIO, content_type: str = "application/octet-stream") -> None:
        """See ObjectStore."""
        with self._call("put_stream", key):
            self._client.put_object(
                self._bucket,
                key,
                stream,
                -1,
                part_size=PART_BYTES,
                content_type=content_type,
                num_parallel_uploads=1,
            )

    def get(self, key: str) -> bytes:
        """See ObjectStore."""
        return b"".join(self.read(key))

    def read(self, key: str, offset: int = 0, length: int = 0) -> Iterator[bytes]:
        """See ObjectStore. An object that is not there is found out before the first chunk is asked for."""
        with self._call("read", key):
            answer = self._client.get_object(self._bucket, key, offset=offset, length=length)
        return self._chunks(key, answer)

    def _chunks(self, key: str, answer: urllib3.BaseHTTPResponse) -> Iterator[bytes]:
        try:
            with _translated(key):
                yield from answer.stream(CHUNK_BYTES)
        finally:
            answer.close()
            answer.release_conn()

    @contextmanager
    def _call(self, operation: str, key: str) -> Iterator[None]:
        with timed(self._observe, operation, StoreUnavailable), _translated(key):
            yield

    def _listed(self, prefix: str, *, recursive: bool, after: str = "") -> Iterator[Object]:
        found = self._client.list_objects(self._bucket, prefix=prefix, recursive=recursive, start_after=after or None)
        with self._call("list", prefix):
            first = next(found, None)
        if first is not None:
            yield first
            yield from found

    def stat(self, key: str) -> ObjectInfo:
        """See ObjectStore."""
        with self._call("stat", key):
            return _info(self._client.stat_object(self._bucket, key))

    def exists(self, key: str) -> bool:
        """See ObjectStore."""
        try:
            self.stat(key)
        except ObjectNotFound:
            return False
        return True

    def list(self, prefix: str, after: str = "") -> Iterator[ObjectInfo]:
        """See ObjectStore."""
        with _translated(prefix):
            yield from map(_info, self._listed(prefix, recursive=True, after=after))

    def folders(self, prefix: str, after: str = "") -> Iterator[str]:
        """See ObjectStore."""
        with _translated(prefix):
            for found in self._listed(prefix, recursive=False, after=after and prefix + after):
                if found.is_dir and found.object_name:
                    yield found.object_name[len(prefix) :].rstrip("/")

    def directly_below(self, prefix: str) -> Iterator[ObjectInfo]:
        """See ObjectStore."""
        with _translated(prefix):
            yield from map(_info, self._listed(prefix, recursive=False))

    def delete(self, key: str) -> None:
        """See ObjectStore."""
        with self._call("delete", key):
            self._client.remove_object(self._bucket, key)

    def delete_prefix(self, prefix: str) -> int:
        """See ObjectStore."""
        keys = [found.key for found in self.list(prefix)]
        with _translated(prefix):
            errors = [
                error
                for error in self._client.remove_objects(self._bucket, map(DeleteObject, keys))
                if error.code != "NoSuchKey"
            ]
        if errors:
            raise StoreUnavailable(f"{len(errors)} objects below {prefix!r} could not be removed")
        return len(keys)

    def presigned(self, key: str, lifetime_s: int) -> str | None:
        """See ObjectStore."""
        if self._public is None:
            return None
        return self._public.presigned_get_object(self._bucket, key, expires=timedelta(seconds=lifetime_s))


def _info(found: Object) -> ObjectInfo:
    modified = found.last_modified.timestamp() if found.last_modified else 0.0
    return ObjectInfo(found.object_name or "", found.size or 0, found.etag or "", modified)


def _public_client(settings: StoreSettings) -> Minio | None:
    """Signs for the address that clients know: the host is part of what is signed. It never connects."""
    if settings.public_endpoint is None:
        return None
    scheme, _, host = settings.public_endpoint.rpartition("://")
    return Minio(
        host,
        access_key=settings.access_key,
        secret_key=settings.secret_key.get_secret_value(),
        secure=scheme == "https" if scheme else settings.secure,
        region=settings.region,  # without it the client would ask the server for it
    )


def open_store(settings: StoreSettings, observe: Observe = lambda operation, seconds, failed: None) -> S3Store:
    """Make the store that the settings name; nothing is connected yet. `observe` is told how long each call takes."""
    return S3Store(settings, observe)
