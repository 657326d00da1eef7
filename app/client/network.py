"""How the network is reached: which proxy, which certificates, as the environment says, and which variable is wrong."""

import functools
import os
import ssl
import threading
from importlib.util import find_spec
from ipaddress import ip_address, ip_network
from typing import NamedTuple
from urllib.request import proxy_bypass_environment  # type: ignore[attr-defined]  # typeshed does not know it

import httpx

from app.client.errors import UsageProblem

LOOPBACK = ("127.0.0.1", "localhost", "::1")
"""A proxy has no business between us and this machine."""

CONNECTIONS = 32


class Proxy(NamedTuple):
    """A proxy, and the variable that names it."""

    variable: str
    url: str

    @property
    def shown(self) -> str:
        """Its URL without user and password."""
        scheme, colon, rest = self.url.rpartition("://")
        return f"{scheme}{colon}{rest.rpartition('@')[2]}"


def proxy_for(url: httpx.URL) -> Proxy | None:
    """The proxy that the environment has for a URL; whatever NO_PROXY holds is only compared, never parsed as a URL."""
    if url.host in LOOPBACK or not url.host:
        return None
    for name in (f"{url.scheme}_proxy", "all_proxy"):
        for variable in (name, name.upper()):
            if value := os.environ.get(variable, "").strip():
                return None if _without_proxy(url) else Proxy(variable, value)
    return None


def _without_proxy(url: httpx.URL) -> bool:
    """Whether NO_PROXY names a URL's host: alone, with its port, by a domain's end, or by a network (10.0.0.0/8)."""
    port = url.port or (443 if url.scheme == "https" else 80)
    if proxy_bypass_environment(url.host) or proxy_bypass_environment(f"{url.host}:{port}"):
        return True
    try:
        address = ip_address(url.host)
    except ValueError:
        return False
    for name in (os.environ.get("no_proxy") or os.environ.get("NO_PROXY", "")).split(","):
        try:
            if "/" in name and address in ip_network(name.strip(), strict=False):
                return True
        except ValueError:
            continue
    return False


class ByEnvironment(httpx.BaseTransport):
    """Sends each request the way that the environment has for its URL; raises UsageProblem where it names none."""

    def __init__(self) -> None:
        self._ways: dict[tuple[Proxy | None, bool], httpx.HTTPTransport] = {}
        self._lock = threading.Lock()

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """See BaseTransport."""
        way = proxy_for(request.url), request.url.scheme == "https"
        with self._lock:
            if way not in self._ways:
                self._ways[way] = _transport(*way)
            transport = self._ways[way]
        return transport.handle_request(request)

    def close(self) -> None:
        """Close every connection."""
        for transport in self._ways.values():
            transport.close()


def _transport(proxy: Proxy | None, secure: bool) -> httpx.HTTPTransport:
    limits = httpx.Limits(max_connections=CONNECTIONS, max_keepalive_connections=CONNECTIONS)
    if proxy is None:
        return httpx.HTTPTransport(verify=trusted() if secure else False, limits=limits, trust_env=False)
    url = proxy.url if "://" in proxy.url else f"http://{proxy.url}"
    shown = Proxy(proxy.variable, url).shown
    if url.lower().startswith(("socks5:", "socks5h:")) and find_spec("socksio") is None:
        raise UsageProblem(f"{proxy.variable} names a SOCKS proxy, {shown}; that needs the package socksio: install it")
    try:
        if not httpx.URL(url).host or not url.isprintable() or " " in url:
            raise ValueError("it has no host, or a blank")
        return httpx.HTTPTransport(proxy=url, verify=trusted(), limits=limits, trust_env=False)
    except (ValueError, httpx.InvalidURL) as exc:
        raise UsageProblem(
            f"{proxy.variable} names no proxy that can be used, {shown!r}: {exc}; it looks like http://proxy.example:3128"
        ) from exc


def trusts() -> str:
    """Who says which certificates are trusted, as a sentence ends: the first variable that is set, as in httpx."""
    for variable in ("SSL_CERT_FILE", "SSL_CERT_DIR"):
        if value := os.environ.get(variable):
            return f"{variable}, {value!r}"
    return "the usual authorities; SSL_CERT_FILE may name a file of others"


@functools.cache
def trusted() -> ssl.SSLContext:
    """Which certificates are trusted. Reading them takes as long as fetching megabytes, so it is done once.

    Raises UsageProblem that names the variable with which OpenSSL cannot do anything.
    """
    try:
        return httpx.create_ssl_context()
    except (OSError, ValueError) as exc:  # SSLError is an OSError
        for variable in ("SSLKEYLOGFILE", "SSL_CERT_FILE", "SSL_CERT_DIR"):
            if value := os.environ.get(variable):
                if variable == "SSLKEYLOGFILE" and _can_be_appended_to(value):
                    continue
                why = getattr(exc, "strerror", None) or exc
                raise UsageProblem(
                    f"{variable} names {value!r}, which cannot be used: {why}; mend it or unset it"
                ) from exc
        raise UsageProblem(f"no certificates can be read: {exc}") from exc


def _can_be_appended_to(path: str) -> bool:
    try:
        with open(path, "ab"):  # noqa: PTH123  (as OpenSSL does)
            return True
    except OSError:
        return False
