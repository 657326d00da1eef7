"""Bytes by ranges: of an API path, of any URL, or of a file. What a connection does wrong becomes our errors here."""

import logging
from collections.abc import Generator, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Protocol
from urllib.parse import urlsplit

import httpx

from app.client.errors import ServiceRefused, ServiceUnreachable, UsageProblem, VerificationFailed
from app.client.network import ByEnvironment
from app.client.service import Client
from app.numerals import is_count

CHUNK = 256 * 1024


class NoRanges(Exception):
    """The server sends everything whatever part is asked for; it must be read from the beginning."""


class Reader(Protocol):
    """Something whose bytes can be read from any offset on."""

    @property
    def where(self) -> str:
        """What it is, for people; without anything secret."""

    @property
    def size(self) -> int | None:
        """Bytes in all, once something was read."""

    def read(self, start: int, stop: int | None = None) -> Generator[bytes]:
        """Yield the bytes [start, stop), or to the end.

        Raises ServiceUnreachable if that breaks off, NoRanges if it must begin at 0, VerificationFailed if what is
        there has changed since the last read.
        """


class FileReader:
    """A file on this machine."""

    def __init__(self, path: Path) -> None:
        self.where = str(path)
        self._path = path
        self.size: int | None = path.stat().st_size

    def read(self, start: int, stop: int | None = None) -> Generator[bytes]:
        """See Reader."""
        left = (self.size or 0 if stop is None else stop) - start
        with self._path.open("rb", buffering=0) as file:
            file.seek(start)
            while left > 0 and (chunk := file.read(min(CHUNK, left))):
                left -= len(chunk)
                yield chunk


class HttpReader:
    """What lies under one URL, over HTTP; safe to share between threads."""

    def __init__(self, http: httpx.Client, url: str, *, client: Client | None = None) -> None:
        """`client` is asked in place of `http` where the URL is a path of the service that it speaks to."""
        self.where = without_secrets(url)
        self.size: int | None = None
        self._http = http
        self._url = url
        self._client = client
        self.etag: str | None = None
        """Once something was read; None where it does not vouch for ranges."""

    def read(self, start: int, stop: int | None = None) -> Generator[bytes]:
        """See Reader."""
        headers = {"Accept-Encoding": "identity"}
        if start or stop is not None:
            headers["Range"] = f"bytes={start}-{'' if stop is None else stop - 1}"
            if self.etag:
                headers["If-Range"] = self.etag
        with self._open(headers) as answer:
            self._learn(answer, start)
            yield from answer.iter_raw() if stop is None else exactly(answer.iter_raw(), stop - start)

    def expect(self, size: int, etag: str) -> None:
        """Learn size and ETag otherwise; raises VerificationFailed if something else was read so far."""
        if self.size not in (None, size) or self.etag not in (None, etag):
            raise VerificationFailed(f"{self.where} has changed while it was read; repeat the command", [])
        self.size, self.etag = size, etag

    @contextmanager
    def _open(self, headers: dict[str, str]) -> Iterator[httpx.Response]:
        if self._client is not None:
            with self._client.stream("GET", self._url, headers=headers) as answer:
                if answer.status_code not in (301, 302, 303, 307, 308):
                    yield answer
                    return
                location = answer.headers.get("Location", "")
            # A presigned URL of the store: asked for by a client that does not know the key.
            with HttpReader(self._http, location)._open(headers) as answer:
                yield answer
            return
        with broken_off(self.where), self._http.stream("GET", self._url, headers=headers) as answer:
            if answer.status_code in (403, 404, 410):
                raise NotThere(
                    f"{self.where} answers {answer.status_code}: it is not there, or may not be read (any more)"
                )
            if answer.is_error:
                raise ServiceUnreachable(f"{self.where} answers {answer.status_code}")
            yield answer

    def _learn(self, answer: httpx.Response, start: int) -> None:
        """Size and ETag; raises where this is not what was asked for, or no longer what it was."""
        if answer.status_code == 206:
            first, _, size = answer.headers.get("Content-Range", "").removeprefix("bytes ").partition("/")
            if not first.startswith(f"{start}-"):
                raise VerificationFailed(f"{self.where} sends another part than was asked for", [])
            length = size if is_count(size) else ""
        else:
            length = answer.headers.get("Content-Length", "")
        etag = answer.headers.get("ETag")
        if (is_count(length) and self.size not in (None, int(length))) or self.etag not in (None, etag):
            raise VerificationFailed(f"{self.where} has changed while it was read; repeat the command", [])
        self.size = int(length) if is_count(length) else self.size
        # A weak tag does not vouch for ranges.
        self.etag = etag if etag and not etag.startswith("W/") else None
        if answer.status_code != 206 and start:
            raise NoRanges


class NotThere(ServiceRefused):
    """A mirror does not have what was asked for."""

    def __init__(self, text: str) -> None:
        super().__init__(404, "NotThere", text, None)


class _Unsigned(logging.Filter):
    """Takes what is signed out of httpx's own log lines."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Change the line; it always stays."""
        if isinstance(record.args, tuple):
            record.args = tuple(without_secrets(str(arg)) if isinstance(arg, httpx.URL) else arg for arg in record.args)
        return True


_UNSIGNED = _Unsigned()


def open_http(url: str) -> httpx.Client:
    """A client for mirrors: no key, redirects followed; no query of a URL is logged."""
    logging.getLogger("httpx").addFilter(_UNSIGNED)  # added again it is not added
    if not urlsplit(url).hostname:
        raise UsageProblem(f"{url!r} is no URL; it looks like https://mirror.example/gate-smoke")
    return httpx.Client(
        follow_redirects=True,
        timeout=httpx.Timeout(30.0, connect=5.0),
        transport=ByEnvironment(),
        trust_env=False,  # ByEnvironment reads it
    )


def without_secrets(url: str) -> str:
    """A URL without user, password and query: what is signed must not be shown."""
    parts = urlsplit(url)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2], query="", fragment="").geturl()


def exactly(chunks: Iterator[bytes], length: int) -> Generator[bytes]:
    """Yield so many bytes, or as many as there are."""
    for chunk in chunks:
        if len(chunk) >= length:
            if len(chunk) == length:
                # A connection whose end was not seen would not be used again.
                with suppress(httpx.TransportError):
                    next(chunks, None)
            yield chunk[:length]
            return
        length -= len(chunk)
        yield chunk


@contextmanager
def broken_off(where: str) -> Iterator[None]:
    """Turns a connection's errors into ServiceUnreachable."""
    try:
        yield
    except httpx.TransportError as exc:
        raise ServiceUnreachable(f"{where} does not answer ({exc or type(exc).__name__})") from exc
    except httpx.InvalidURL as exc:
        raise UsageProblem(f"{where} is no URL: {exc}") from exc
