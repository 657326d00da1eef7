"""Sending one event: signed, to a public address only, without following where the answer leads.

Signed as Standard Webhooks says: `webhook-signature: v1,` and base64 of HMAC-SHA256 over `ID.TIMESTAMP.BODY`. Whoever
receives it checks the signature, that the timestamp (seconds) is of the last minutes, and whether it knows the id.
"""

import base64
import hmac
import ipaddress
import socket
import ssl
import time
from collections.abc import Callable
from urllib.parse import urlsplit

import anyio
import httpx
from anyio import to_thread

from app.config import WebhookSettings
from app.errors import FacsimileError, RequestRefused

SECRET = "whsec_"  # noqa: S105  (what every secret begins with)

Resolve = Callable[[str, int], list[str]]
"""Host and port to the addresses that they stand for; raises OSError."""


class NotDelivered(FacsimileError):
    """The receiver did not take an event; trying again later may help."""


def check_url(url: str, settings: WebhookSettings) -> None:
    """Raises RequestRefused unless events can be sent to this URL; what its name leads to is seen when sending."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError as exc:
        raise RequestRefused([("url", f"is no URL ({exc}); write https://host/path")]) from exc
    problem = None
    if parts.scheme != "https" and not (settings.allow_private and parts.scheme == "http"):
        problem = "must begin with https://; what is sent must not be read on the way"
    elif not host or port == 0 or not url.isascii() or not url.isprintable() or " " in url:
        problem = "names no host; write https://host/path, in ASCII"
    elif parts.username is not None or parts.password is not None or parts.fragment:
        problem = "has a user or a fragment; leave them out, the signature says who sends"
    elif not settings.allow_private and (host == "localhost" or _is_private_literal(host)):
        problem = "leads to this machine or a private network; name a public host, or let the operator allow it"
    if problem:
        raise RequestRefused([("url", problem)])


def signature(secret: str, event_id: str, timestamp: int, body: bytes) -> str:
    """What stands in `webhook-signature`."""
    key = base64.b64decode(secret.removeprefix(SECRET))
    signed = b".".join((event_id.encode(), str(timestamp).encode(), body))
    return "v1," + base64.b64encode(hmac.digest(key, signed, "sha256")).decode()


async def send(
    url: str, secret: str, event_id: str, body: bytes, settings: WebhookSettings, resolve: Resolve | None = None
) -> None:
    """POST an event; raises NotDelivered unless the receiver answers 2xx, all within `timeout_s`."""
    try:
        with anyio.fail_after(settings.timeout_s):
            status = await _post(url, secret, event_id, body, settings, resolve or resolve_host)
    except TimeoutError as exc:
        raise NotDelivered(f"no answer within {settings.timeout_s:g} s") from exc
    except (httpx.HTTPError, httpx.InvalidURL, OSError, UnicodeError) as exc:
        raise NotDelivered(f"cannot be reached ({type(exc).__name__})") from exc
    if not 200 <= status < 300:
        hint = "; redirects are not followed, name the address itself" if 300 <= status < 400 else ""
        raise NotDelivered(f"answered {status}{hint}")


async def _post(url: str, secret: str, event_id: str, body: bytes, settings: WebhookSettings, resolve: Resolve) -> int:
    known = httpx.URL(url)
    port = known.port or (443 if known.scheme == "https" else 80)
    found = await to_thread.run_sync(resolve, known.host, port, abandon_on_cancel=True)
    if not settings.allow_private and not all(is_public(address) for address in found):
        raise NotDelivered("its name leads to a private address")
    if not found:
        raise NotDelivered("its name leads nowhere")
    timestamp = int(time.time())
    # The address that was looked at is the one that is called: a name may lead elsewhere a moment later.
    called = known.copy_with(host=found[0])
    headers = {
        "Host": known.netloc.decode("ascii"),
        "Content-Type": "application/json",
        "User-Agent": "Facsimile-Webhook/1",
        "webhook-id": event_id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": signature(secret, event_id, timestamp, body),
    }
    async with (
        httpx.AsyncClient(
            trust_env=False, verify=ssl.create_default_context(), follow_redirects=False, timeout=settings.timeout_s
        ) as client,
        client.stream("POST", called, content=body, headers=headers, extensions={"sni_hostname": known.host}) as answer,
    ):
        return answer.status_code  # its body is not read


def resolve_host(host: str, port: int) -> list[str]:
    """The addresses of a host; IPv4 first, for not every machine has the other."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [str(entry[4][0]) for entry in sorted(found, key=lambda entry: entry[0] != socket.AF_INET)]


def is_public(address: str) -> bool:
    """Whether an address is one of the public Internet's, as it is or wrapped in another."""
    found = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(found, ipaddress.IPv6Address):
        inner = [found.ipv4_mapped, found.sixtofour, *(found.teredo or ())]
        if found in _NAT64:
            inner.append(ipaddress.IPv4Address(int(found) & 0xFFFFFFFF))
        wrapped = [each for each in inner if each is not None]
        if wrapped:
            return all(is_public(str(each)) for each in wrapped)
    return found.is_global and not found.is_multicast and not found.is_reserved


_NAT64 = ipaddress.ip_network("64:ff9b::/96")


def _is_private_literal(host: str) -> bool:
    try:
        return not is_public(host)
    except ValueError:
        return False  # a name; what it leads to is looked at when it is called
