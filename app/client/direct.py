"""A release's archive read past the service: what is stored from the store, by presigned URLs.

What comes from the store is checked as what comes from the service is: by the manifest's digests. Whenever the store
does not give a part, the service does.
"""

import threading
from base64 import b64decode
from bisect import bisect_right
from collections.abc import Callable, Generator
from typing import Any, NamedTuple

import httpx

from app.client.errors import ServiceRefused, ServiceUnreachable, UsageProblem
from app.client.readers import HttpReader, broken_off, exactly, open_http, without_secrets

Json = dict[str, Any]


class Part(NamedTuple):
    """A run of the archive's bytes."""

    offset: int
    length: int
    url: str | None
    start: int
    """Where in the URL's object it begins."""
    data: bytes | None
    """The bytes themselves, where they lie in no object."""

    @property
    def end(self) -> int:
        """Where in the archive the next one begins."""
        return self.offset + self.length


class Listing:
    """All parts of an archive, as the service listed them once."""

    def __init__(self, answer: Json) -> None:
        """Raises KeyError, TypeError, ValueError if that is no list of parts without gaps."""
        self.etag, self.size = str(answer["etag"]), int(answer["size"])
        self._parts = [
            Part(
                int(part["offset"]),
                int(part["length"]),
                part["url"],
                int(part["start"]),
                None if part["data"] is None else b64decode(part["data"]),
            )
            for part in answer["parts"]
            if part["length"]
        ]
        self._offsets = [part.offset for part in self._parts]
        if [*self._offsets, self.size] != [0, *(part.end for part in self._parts)]:
            raise ValueError("its parts do not make up the archive")
        if not all(part.url if part.data is None else len(part.data) == part.length for part in self._parts):
            raise ValueError("its parts do not make up the archive")
        self.host = next((str(httpx.URL(part.url).netloc, "ascii") for part in self._parts if part.url), None)

    def at(self, offset: int) -> Part:
        """The part that holds a byte of the archive."""
        return self._parts[bisect_right(self._offsets, offset) - 1]


class _Refused(Exception):
    """The store answers 403: the URL holds no longer."""


class DirectReader:
    """A Reader of a release's plain archive; safe to share between threads."""

    def __init__(
        self, service: HttpReader, ask: Callable[[], Json], tell: Callable[[str], None] = lambda text: None
    ) -> None:
        """`ask` lists the parts anew; `tell` is told which way the bytes come."""
        self.where = service.where
        self._service = service
        self._ask = ask
        self._tell = tell
        self._lock = threading.Lock()
        self._listing: Listing | None = None
        self._off = False
        self._http: httpx.Client | None = None

    @property
    def size(self) -> int | None:
        """See Reader."""
        return self._service.size

    def read(self, start: int, stop: int | None = None) -> Generator[bytes]:
        """See Reader. Without `stop` it is the service that is read."""
        at, renewed_at = start, -1
        while stop is None or at < stop:
            listing = None if stop is None else self._current()
            if stop is None or listing is None or at >= listing.size:
                yield from self._service.read(at, stop)
                return
            stop = min(stop, listing.size)
            part = listing.at(at)
            before, end = at, min(stop, part.end)
            if part.data is not None:
                at = end
                yield part.data[before - part.offset : end - part.offset]
                continue
            try:
                for chunk in self._stored(part, at, end):
                    at += len(chunk)
                    yield chunk
            except _Refused:
                if renewed_at == at:
                    self._give_up(f"{without_secrets(str(part.url))} answers 403 to what was signed just now")
                else:
                    renewed_at = at
                    self._renew(listing)
            except (ServiceUnreachable, UsageProblem) as exc:
                if at == before:
                    self._give_up(str(exc))

    def _stored(self, part: Part, start: int, stop: int) -> Generator[bytes]:
        """The archive's bytes [start, stop), which lie in one part, from the store."""
        url, first = str(part.url), part.start + start - part.offset
        last = first + stop - start - 1
        # By a client that does not know the API key: the store is another party.
        headers = {"Accept-Encoding": "identity", "Range": f"bytes={first}-{last}"}
        with broken_off(without_secrets(url)), self._client(url).stream("GET", url, headers=headers) as answer:
            if answer.status_code == 403:
                raise _Refused
            sent = answer.headers.get("Content-Range", "")
            if answer.status_code != 206 or not sent.startswith(f"bytes {first}-{last}/"):
                raise ServiceUnreachable(
                    f"{without_secrets(url)} answers {answer.status_code} {sent or 'without a range'}"
                )
            yield from exactly(answer.iter_raw(), stop - start)

    def _client(self, url: str) -> httpx.Client:
        with self._lock:
            if self._http is None:
                self._http = open_http(url)
            return self._http

    def _current(self) -> Listing | None:
        """The parts, asked for at the first use; None where there are none, or they are of no use."""
        with self._lock:
            if self._listing is None and not self._off:
                self._list()
            return None if self._off else self._listing

    def _renew(self, old: Listing) -> None:
        """Ask anew, unless another thread has done so since."""
        with self._lock:
            if self._listing is old and not self._off:
                self._list()

    def _list(self) -> None:
        first = self._listing is None
        try:
            answer = self._ask()
            listing = Listing(answer) if answer["parts"] is not None else None
        except (ServiceRefused, ServiceUnreachable) as exc:
            # Older services have no such list; whatever else it is, reading the archive will tell.
            self._give_up(f"it lists no parts ({exc})")
            return
        except (KeyError, TypeError, ValueError, httpx.InvalidURL):
            self._give_up("it lists parts in a way that this program does not know")
            return
        if listing is None or listing.host is None:
            self._give_up(str(answer.get("detail", "it names no store")))
            return
        self._service.expect(listing.size, listing.etag)
        self._listing = listing
        if first:
            self._tell(f"{self.where} is read from the store itself, at {listing.host}")

    def _give_up(self, why: str) -> None:
        """Read everything from the service from now on."""
        if not self._off:
            self._off = True
            self._tell(f"{self.where} is read through the service alone: {why}")
