"""Which service is spoken to: the one that is named, by the environment, or the one started in this folder."""

import json
import os
from collections.abc import Callable
from pathlib import Path

import httpx

from app.client.errors import ServiceUnreachable, UsageProblem
from app.client.service import Client

DATA = Path("facsimile-data")

TRANSPORT: httpx.BaseTransport | None = None
"""For tests: answers instead of the network."""


def connect(url: str | None, key: str | None) -> Client:
    """Make the client; raises UsageProblem or ServiceUnreachable where there is nothing to connect to.

    A key of the environment goes only where the caller or the environment says: a folder that somebody else prepared
    may name any address, and gets no key but its own.
    """
    url = _given(url, "--url") or _given(os.environ.get("FACSIMILE_URL") or None, "FACSIMILE_URL")
    key = _given(key, "--key")
    if url is None:
        url = _local_url()
        key = key or _read(DATA / "api-key")
        if not key:
            raise UsageProblem(
                f"./{DATA} names the service {url} and holds no api-key; name the service yourself, with --url or "
                "FACSIMILE_URL, or give --key: FACSIMILE_API_KEY is not sent to an address that a folder names"
            )
    else:
        key = key or _given(os.environ.get("FACSIMILE_API_KEY") or None, "FACSIMILE_API_KEY")
        if not key and url.rstrip("/") == _local_url_or_none():
            key = _read(DATA / "api-key")
    if not key:
        raise UsageProblem("an API key is needed; give --key or set FACSIMILE_API_KEY")
    if not key.isascii() or not key.isprintable() or " " in key:
        raise UsageProblem("the API key holds characters that no key has; check --key and FACSIMILE_API_KEY")
    return Client(url, key, transport=TRANSPORT)


def _given(value: str | None, name: str) -> str | None:
    """A value as it was given; raises UsageProblem where it is blank, or holds a blank or a line break."""
    if value is not None and (not value.strip() or value != value.strip() or not value.isprintable()):
        shown = f" ({value!r})" if name.lower().endswith("url") else ""  # a key is not shown
        raise UsageProblem(f"{name} is blank, or has a blank or a line break about it{shown}; mend it or leave it out")
    return value


def _local_url() -> str:
    url = _local_url_or_none()
    if url is None:
        raise ServiceUnreachable(
            "no service was named and none runs in ./facsimile-data; start one with 'facsimile up', "
            "or name one with --url or FACSIMILE_URL"
        )
    return url


def _local_url_or_none() -> str | None:
    try:
        return str(json.loads((DATA / "service.json").read_text())["url"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _read(path: Path) -> str | None:
    try:
        return path.read_text().strip() or None
    except OSError:
        return None


class Lazily:
    """A client of the service that is made at its first use: with everything there already, none is."""

    def __init__(self, made: Callable[[], Client]) -> None:
        self._made = made
        self._client: Client | None = None

    def __call__(self) -> Client:
        """The client; raises UsageProblem or ServiceUnreachable where there is nothing to connect to."""
        if self._client is None:
            self._client = self._made()
        return self._client
