"""HTTP to one service: bounded retries, and errors that can be shown."""

import json
import random
import ssl
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

import httpx

from app.client.errors import Problem, ServiceRefused, ServiceUnreachable, UsageProblem
from app.client.network import ByEnvironment, proxy_for, trusts

Json = dict[str, Any]

RETRY_STATUSES = frozenset({429, 502, 503, 504})
PATIENCE_S = 60.0
"""How long a call that meets no answer, 429 or 5xx of passing nature is repeated."""
CONNECT_PATIENCE_S = 8.0
"""The same where nobody listens at all, or nobody ever answered: that is seldom a matter of waiting."""
LONGEST_PAUSE_S = 10.0


class Http:
    """Calls to one service with one API key. Raises UsageProblem, ServiceUnreachable, ServiceRefused."""

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
        self.url = _service_url(url)
        self._patience_s = patience_s
        self._sleep = sleep
        self._clock = clock
        self._answered = False
        self._http = httpx.Client(
            base_url=self.url,
            headers={"Authorization": f"Bearer {key}"} if key else {},
            timeout=httpx.Timeout(30.0, connect=5.0),
            transport=transport or ByEnvironment(),
            trust_env=False,  # ByEnvironment reads it
        )

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

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

    def json(self, method: str, path: str, **more: Any) -> Json:
        """Call as `call` does, and read what is answered."""
        return self.json_of(self.call(method, path, **more))

    def json_of(self, answer: httpx.Response) -> Json:
        """The JSON of an answer; raises ServiceUnreachable for what is none."""
        try:
            found: Json = answer.json()
        except ValueError as exc:
            raise ServiceUnreachable(f"{self.url} answers, but not as Facsimile does; is the URL right?") from exc
        return found

    def call(self, method: str, path: str, **more: Any) -> httpx.Response:
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
                may_pass = not isinstance(error, UsageProblem)
                patience_s = self._patience_s
                slow = isinstance(exc, httpx.ReadTimeout | httpx.WriteTimeout)
                if isinstance(exc, httpx.ConnectError | httpx.ConnectTimeout) or not (self._answered or slow):
                    patience_s = min(patience_s, CONNECT_PATIENCE_S)
            else:
                self._answered = True
                if not answer.is_error:
                    return answer
                error = self._error(answer)
                asked_s = retry_after(answer)
                may_pass = answer.status_code in RETRY_STATUSES
                patience_s = self._patience_s
            left_s = begun + patience_s - self._clock()
            if not may_pass or left_s <= 0:
                raise error
            # Spread, so that clients refused together do not come back together; the last try is at the end.
            self._sleep(min(asked_s or min(pause_s * random.uniform(0.7, 1.3), max(left_s, 0.1)), LONGEST_PAUSE_S))
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
        return ServiceRefused(answer.status_code, error, text, body.get("request_id"), _problems(body.get("problems")))

    def _unreachable(self, exc: httpx.TransportError) -> ServiceUnreachable | UsageProblem:
        """Our error for a connection's; UsageProblem for what no waiting mends."""
        why, root, proxy = str(exc) or type(exc).__name__, _root(exc), proxy_for(httpx.URL(self.url))
        if isinstance(root, ssl.SSLCertVerificationError):
            return UsageProblem(f"{self.url}: its certificate is not trusted ({root}) by {trusts()}")
        if isinstance(root, ssl.SSLError) and not isinstance(root, ssl.SSLEOFError | ssl.SSLZeroReturnError):
            wants = f"the proxy that {proxy.variable} names, {proxy.shown}," if proxy else self.url
            return UsageProblem(
                f"{wants} does not speak TLS with us ({why}); does it want http:// instead of https://?"
            )
        if isinstance(exc, httpx.LocalProtocolError | httpx.UnsupportedProtocol):
            return UsageProblem(f"{self.url} cannot be asked: {why}")
        if proxy:
            if isinstance(exc, httpx.ProxyError):
                return UsageProblem(
                    f"the proxy that {proxy.variable} names, {proxy.shown}, does not let us reach {self.url}: {why}"
                )
            return ServiceUnreachable(
                f"{self.url} does not answer ({why}) by the proxy that {proxy.variable} names, {proxy.shown}; "
                "NO_PROXY names hosts that are reached without"
            )
        if isinstance(exc, httpx.ReadError | httpx.RemoteProtocolError) and self.url.startswith("http:"):
            why += "; does it want https://?"
        return ServiceUnreachable(f"{self.url} does not answer ({why}); start a service with: facsimile up")


def _problems(listed: Any) -> tuple[Problem, ...]:
    """The problems that an error's body lists; none where it lists none that can be read."""
    try:
        return tuple(
            Problem(str(item["field"]), str(item["problem"]), str(item.get("fix", ""))) for item in listed or ()
        )
    except (KeyError, TypeError, AttributeError):
        return ()


def _root(exc: BaseException) -> BaseException:
    while (cause := exc.__cause__ or exc.__context__) is not None:
        exc = cause
    return exc


def _service_url(text: str) -> str:
    """A service's URL as it is used; raises UsageProblem."""
    try:
        parts = urlsplit(text)
        fine = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0 and not parts.username
        httpx.URL(text)
    except (ValueError, httpx.InvalidURL):
        fine = False
    if not fine or not text.isprintable() or " " in text:
        raise UsageProblem(f"{text!r} is no URL of a service; it looks like http://127.0.0.1:8000")
    return text.rstrip("/")


def retry_after(answer: httpx.Response) -> float | None:
    try:
        return max(float(answer.headers["Retry-After"]), 0.1)
    except (KeyError, ValueError):
        return None
