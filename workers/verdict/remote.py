"""An evaluation made by the service: files sent, the answer waited for."""

import hashlib
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from app.client.errors import ServiceUnreachable, UsageProblem
from app.client.service import Client
from app.dataset.candidates import SearchesFound
from app.dataset.evaluation import Evaluation
from app.dataset.galleries import GalleriesFound
from workers.verdict.sources import chunks_of

Found = TypeVar("Found", bound=BaseModel)

LOOK_EVERY_S = 1.0

PATIENCE_S = 3_600.0
"""An evaluation that has not ended by then is left to itself."""


def upload(client: Client, path: Path, on_bytes: Callable[[int], None] = lambda count: None) -> dict[str, Any]:
    """Send a file unless it is there; returns what names it in a request."""
    digest = hashlib.sha256()
    for chunk in chunks_of(path):
        digest.update(chunk)

    def chunks() -> Iterator[bytes]:
        sent = 0
        for chunk in chunks_of(path):
            sent += len(chunk)
            on_bytes(sent)
            yield chunk

    client.upload(digest.hexdigest(), chunks)
    return {"upload": digest.hexdigest()}


def evaluate_remotely(client: Client, request: dict[str, Any]) -> Evaluation:
    """Have scores evaluated and wait for it; raises UsageProblem with the reason where it failed."""
    return _read(client, Evaluation, wait_for(client, request)["result"])


def evaluate_lists_remotely(client: Client, request: dict[str, Any]) -> SearchesFound:
    """Have candidate lists evaluated and wait for it; raises UsageProblem with the reason where it failed."""
    return _read(client, SearchesFound, wait_for(client, request).get("searches"))


def evaluate_templates_remotely(client: Client, request: dict[str, Any]) -> GalleriesFound:
    """Have templates searched and wait for it; raises UsageProblem with the reason where it failed."""
    return _read(client, GalleriesFound, wait_for(client, request).get("galleries"))


def wait_for(client: Client, request: dict[str, Any]) -> dict[str, Any]:
    """Ask for an evaluation and wait for its end; raises UsageProblem with the reason where it failed."""
    deadline = time.monotonic() + PATIENCE_S
    found = client.evaluate(request, uuid.uuid4().hex)
    while found.get("state") not in ("succeeded", "failed"):
        if time.monotonic() > deadline:
            late = f"evaluation {found.get('id')} is not made after {PATIENCE_S:g} s"
            raise ServiceUnreachable(f"{late}; is a worker running?")
        time.sleep(LOOK_EVERY_S)
        found = client.evaluation(str(found["id"]))
    if found["state"] == "failed":
        raise UsageProblem(f"evaluation {found['id']} failed: {found['failure']}")
    return found


def _read(client: Client, of: type[Found], answer: Any) -> Found:
    try:
        return of.model_validate(answer)
    except ValidationError as exc:
        raise ServiceUnreachable(f"{client.url} answers with a result of another version; update this client") from exc
