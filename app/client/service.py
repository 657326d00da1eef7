"""The service as an object: HTTP calls with bounded retries, and errors that can be shown."""

import functools
import json
import random
import ssl
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import httpx

from app.client.errors import ServiceRefused, ServiceUnreachable, UsageProblem

Json = dict[str, Any]

RETRY_STATUSES = frozenset({429, 502, 503, 504})
PATIENCE_S = 60.0
"""How long a call that meets no answer, 429 or 5xx of passing nature is repeated."""
CONNECT_PATIENCE_S = 8.0
"""The same where nobody listens at all: that is seldom a matter of waiting."""
LONGEST_PAUSE_S = 10.0
SILENCE_S = 45.0
"""An event stream silent for longer counts as broken."""


@functools.cache
def trusted() -> ssl.SSLContext:
    """Which certificates are trusted. Reading them takes as long as fetching megabytes, so it is done once."""
    return httpx.create_ssl_context()


class ServerEvent(NamedTuple):
    """One server-sent event."""

    name: str
    data: str


class Client:
    """Calls one service with one API key. Raises ServiceUnreachable, ServiceRefused."""

    def __init__(
        self,
        url: str,
        key: str | None,
        *,
        transport: httpx.BaseTransport | None = None,
        patience_s: float = PATIENCE_S,
        sleep: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise UsageProblem(f"{url!r} is no URL of a service; it looks like http://127.0.0.1:8000")
        self.url = url.rstrip("/")
        self._patience_s = patience_s
        self._sleep = sleep
        self._clock = clock
        self._http = httpx.Client(
            base_url=self.url,
            headers={"Authorization": f"Bearer {key}"} if key else {},
            timeout=httpx.Timeout(30.0, connect=5.0),
            transport=transport,
            # A proxy has no business between us and this machine.
            trust_env=parts.hostname not in ("127.0.0.1", "localhost", "::1"),
            verify=trusted(),
        )

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def submit(self, request: Json, idempotency_key: str) -> Json:
        """Ask for a dataset; repeated with the same key it is the same dataset."""
        return self._json("POST", "/v1/datasets", json=request, headers={"Idempotency-Key": idempotency_key})

    def dataset(self, dataset: str) -> Json:
        """One dataset."""
        return self._json("GET", f"/v1/datasets/{_segment(dataset)}")

    def datasets(self, *, state: str | None, name: str | None, limit: int) -> Iterator[Json]:
        """Up to `limit` datasets, newest first."""
        params: dict[str, str] = {key: value for key, value in (("state", state), ("name", name)) if value is not None}
        while limit > 0:
            page = self._json("GET", "/v1/datasets", params={**params, "limit": str(min(limit, 100))})
            yield from page["datasets"][:limit]
            limit -= len(page["datasets"])
            if not page.get("next"):
                return
            params["after"] = page["next"]

    def cancel(self, dataset: str) -> Json:
        """Stop a dataset."""
        return self._json("POST", f"/v1/datasets/{_segment(dataset)}/cancel")

    def delete(self, dataset: str) -> None:
        """Remove a dataset and every object of it."""
        self._call("DELETE", f"/v1/datasets/{_segment(dataset)}")

    def create_release(self, name: str, version: str, dataset: str, notes: str) -> tuple[Json, bool]:
        """Make a dataset a release; returns the record, and whether it is new."""
        body = {"dataset": dataset, **({"notes": notes} if notes else {})}
        answer = self._call("PUT", f"/v1/releases/{_segment(name)}/{_segment(version)}", json=body)
        found: Json = answer.json()
        return found, answer.status_code == 201

    def release_names(self) -> Iterator[Json]:
        """Every name with its versions."""
        params = {"limit": "100"}
        while True:
            page = self._json("GET", "/v1/releases", params=params)
            yield from page["releases"]
            if not page.get("next"):
                return
            params["after"] = page["next"]

    def release_versions(self, name: str) -> Json:
        """All releases of a name, and those withdrawn."""
        return self._json("GET", f"/v1/releases/{_segment(name)}")

    def withdraw_release(self, name: str, version: str, reason: str) -> Json:
        """Take a release back for good."""
        body = {"reason": reason, "confirm": f"{name}@{version}"}
        return self._json("DELETE", f"/v1/releases/{_segment(name)}/{_segment(version)}", json=body)

    def models(self) -> Json:
        """The models on offer, and which one is the default."""
        return self._json("GET", "/v1/models")

    def model(self, name: str) -> Json:
        """One model's card."""
        return self._json("GET", f"/v1/models/{_segment(name)}")

    def matchers(self) -> Json:
        """The matchers on offer."""
        return self._json("GET", "/v1/matchers")

    def calibrate(self, request: Json) -> Json:
        """Ask for a calibration; asked again, it tells how far it is."""
        return self._json("POST", "/v1/calibrations", json=request)

    def calibration(self, calibration: str) -> Json:
        """One calibration."""
        return self._json("GET", f"/v1/calibrations/{_segment(calibration)}")

    def preview(self, request: Json, timeout_s: float = 120.0) -> bytes:
        """A contact sheet as PNG; waits until it is made."""
        deadline = self._clock() + timeout_s
        answer = self._call("POST", "/v1/previews", json=request)
        # Its path alone: the key is not to be sent to another host.
        location = urlsplit(answer.headers.get("Location", "")).path
        while answer.headers.get("Content-Type", "").partition(";")[0] != "image/png":
            if self._clock() > deadline:
                raise ServiceUnreachable(f"the preview is not made after {timeout_s:g} s; is a worker running?")
            self._sleep(min(_retry_after(answer) or 1.0, LONGEST_PAUSE_S))
            try:
                answer = self._call("GET", location) if location else answer
            except ServiceRefused as exc:
                if exc.status != 404:
                    raise
                # Not made yet; to ask again is to wait for it, and puts it on its way if it was lost.
                answer = self._call("POST", "/v1/previews", json=request)
        return answer.content

    def events(self, dataset: str) -> Iterator[ServerEvent]:
        """The event stream of a dataset until it ends or breaks; breaking raises ServiceUnreachable."""
        path = f"/v1/datasets/{_segment(dataset)}/events"
        with self.stream("GET", path, headers={"Accept": "text/event-stream"}, read_s=SILENCE_S) as answer:
            if answer.headers.get("Content-Type", "").partition(";")[0] != "text/event-stream":
                raise ServiceUnreachable("the service sends no event stream")
            name = "message"
            data: list[str] = []
            for line in answer.iter_lines():
                if not line:
                    if data:
                        yield ServerEvent(name, "\n".join(data))
                    name, data = "message", []
                elif not line.startswith(":"):
                    field, _, value = line.partition(":")
                    value = value.removeprefix(" ")
                    if field == "event":
                        name = value
                    elif field == "data":
                        data.append(value)

    def archive(self, dataset: str, layout: str = "plain") -> str:
        """Path of a dataset's archive, for `stream`."""
        return f"/v1/datasets/{_segment(dataset)}/archive?layout={_segment(layout)}"

    def await_archive(self, archive: str) -> None:
        """Wait until an archive, by its path, is made, however long it takes; raises ServiceRefused if it cannot be."""
        first = {"Range": "bytes=0-0"}
        while (answer := self._call("GET", archive, headers=first)).status_code == 202:
            self._sleep(min(_retry_after(answer) or 1.0, LONGEST_PAUSE_S))

    def product(self, dataset: str, name: str) -> bytes:
        """A product by the last part of its path: comparisons, contact-sheet, report?format=html."""
        return self._call("GET", f"/v1/datasets/{_segment(dataset)}/{name}").content

    def sample(self, dataset: str, name: str) -> bytes:
        """One sample's file."""
        return self._call("GET", f"/v1/datasets/{_segment(dataset)}/samples/{_segment(name)}").content

    def upload(self, digest: str, chunks: Callable[[], Iterator[bytes]]) -> Json:
        """Send a file by the SHA-256 of its bytes, unless it is there; `chunks` is called anew for every try."""
        path = f"/v1/uploads/{_segment(digest)}"
        try:
            return self._json("GET", path)
        except ServiceRefused as exc:
            if exc.status != 404:
                raise
        patient = httpx.Timeout(30.0, connect=5.0, write=120.0, read=600.0)
        return self._json("PUT", path, content=chunks, timeout=patient)

    def evaluate(self, request: Json, idempotency_key: str) -> Json:
        """Ask for an evaluation; repeated with the same key it is the same evaluation."""
        return self._json("POST", "/v1/evaluations", json=request, headers={"Idempotency-Key": idempotency_key})

    def evaluation(self, evaluation: str) -> Json:
        """One evaluation."""
        return self._json("GET", f"/v1/evaluations/{_segment(evaluation)}")

    def release(self, name: str, version: str) -> Json:
        """A release's record; the version may be `latest`."""
        return self._json("GET", f"/v1/releases/{_segment(name)}/{_segment(version)}")

    def release_archive(self, name: str, version: str, layout: str = "plain") -> str:
        """Path of a release's archive, for `stream`."""
        return f"/v1/releases/{_segment(name)}/{_segment(version)}/archive?layout={_segment(layout)}"

    def release_part(self, name: str, version: str, part: str) -> str:
        """Path of a release's product by its last part (manifest, report), for `stream`."""
        return f"/v1/releases/{_segment(name)}/{_segment(version)}/{part}"

    def release_parts(self, name: str, version: str) -> Json:
        """A release's plain archive as presigned URLs: secrets, none of which may be sent the key."""
        return self._json("GET", self.release_part(name, version, "parts"))

    def release_diff(self, name: str, version: str, to: str) -> Json:
        """What changed from one release to another, which is named NAME@VERSION."""
        return self._json("GET", f"/v1/releases/{_segment(name)}/{_segment(version)}/diff", params={"to": to})

    @contextmanager
    def stream(
        self, method: str, path: str, *, headers: dict[str, str] | None = None, read_s: float = 30.0
    ) -> Iterator[httpx.Response]:
        """Open an answer whose body is read as it comes; one try, no retries. A break raises too."""
        timeout = httpx.Timeout(30.0, connect=5.0, read=read_s)
        with self.translated(), self._http.stream(method, path, headers=headers, timeout=timeout) as answer:
            if answer.is_error:
                answer.read()
                raise self._error(answer)
            yield answer

    @contextmanager
    def translated(self) -> Iterator[None]:
        """Turns a connection's errors into ours; for bodies that are read outside of `stream`'s own block."""
        try:
            yield
        except httpx.TransportError as exc:
            raise self._unreachable(exc) from exc

    def _json(self, method: str, path: str, **more: Any) -> Json:
        answer = self._call(method, path, **more)
        try:
            found: Json = answer.json()
        except ValueError as exc:
            raise ServiceUnreachable(f"{self.url} answers, but not as Facsimile does; is the URL right?") from exc
        return found

    def _call(self, method: str, path: str, **more: Any) -> httpx.Response:
        """Call, and repeat what may pass by itself. Every call of ours may be repeated: see submit."""
        begun = self._clock()
        pause_s = 0.25
        while True:
            try:
                content = more.get("content")
                # A body that is made while it is sent has to be made anew for every try.
                fresh = {**more, "content": content()} if callable(content) else more
                answer = self._http.request(method, path, **fresh)
            except httpx.TransportError as exc:
                error: Exception = self._unreachable(exc)
                error.__cause__ = exc
                asked_s = None
                may_pass = True
                patience_s = self._patience_s
                if isinstance(exc, httpx.ConnectError):
                    patience_s = min(patience_s, CONNECT_PATIENCE_S)
            else:
                if not answer.is_error:
                    return answer
                error = self._error(answer)
                asked_s = _retry_after(answer)
                may_pass = answer.status_code in RETRY_STATUSES
                patience_s = self._patience_s
            if not may_pass or self._clock() - begun > patience_s:
                raise error
            # Spread, so that clients refused together do not come back together.
            self._sleep(min(asked_s or pause_s * random.uniform(0.7, 1.3), LONGEST_PAUSE_S))
            pause_s = min(pause_s * 2, LONGEST_PAUSE_S)

    def _error(self, answer: httpx.Response) -> Exception:
        try:
            body = answer.json()
            error, detail = str(body["error"]), body.get("detail", "")
        except (ValueError, KeyError, TypeError, AttributeError):
            return ServiceUnreachable(
                f"{self.url} answers {answer.status_code}, but not as Facsimile does; is the URL right?"
            )
        text = detail if isinstance(detail, str) else json.dumps(detail, ensure_ascii=False)
        return ServiceRefused(answer.status_code, error, text, body.get("request_id"))

    def _unreachable(self, exc: httpx.TransportError) -> ServiceUnreachable:
        why = str(exc) or type(exc).__name__
        return ServiceUnreachable(f"{self.url} does not answer ({why}); start a service with: facsimile up")


def _retry_after(answer: httpx.Response) -> float | None:
    try:
        return max(float(answer.headers["Retry-After"]), 0.1)
    except (KeyError, ValueError):
        return None


def _segment(value: str) -> str:
    if not value or any(letter in value for letter in "/?#%\\") or value in (".", ".."):
        raise UsageProblem(f"{value!r} is no name or id")
    return value
