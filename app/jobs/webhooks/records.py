"""What the store keeps of a tenant's webhook: where it leads, what is to be told, and how telling goes."""

from typing import Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from app.dataset import keys
from app.errors import Corrupt, ObjectNotFound
from app.storage import ObjectStore

EventType = Literal[
    "webhook.registered",
    "dataset.succeeded",
    "dataset.failed",
    "dataset.cancelled",
    "evaluation.succeeded",
    "evaluation.failed",
]


class WebhookRequest(BaseModel):
    """Where events shall be sent."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", json_schema_extra={"examples": [{"url": "https://qa.example/hooks/facsimile"}]}
    )

    url: str = Field(max_length=2_000)
    """An https address, without user and fragment. It is sent POST requests."""


class Webhook(BaseModel):
    """`webhooks/TENANT.json`."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    url: str
    secret: str = Field(repr=False)
    """`whsec_` and base64 of the bytes that events are signed with."""
    made_at: str


class Event(BaseModel):
    """What is told. It lies in the store until the receiver has confirmed it."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    type: EventType
    timestamp: str
    """When it happened, ISO 8601 in UTC."""
    data: dict[str, Any]


class Telling(BaseModel):
    """How telling a tenant's server goes; kept apart, for it changes with every try."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    last_delivered_at: str | None = None
    failures: int = 0
    """Tries that failed since one last succeeded."""
    last_error: str | None = None
    next_try: float = 0.0
    """Seconds since the epoch."""
    dropped: int = 0
    """Events that nobody took in time."""


_Record = TypeVar("_Record", bound=BaseModel)


def read_webhook(store: ObjectStore, tenant: str) -> Webhook | None:
    """A tenant's webhook; None where it has none. Raises Corrupt."""
    return _read(store, keys.webhook(tenant), Webhook)


def read_event(store: ObjectStore, key: str) -> Event | None:
    """An event; None where it is gone. Raises Corrupt."""
    return _read(store, key, Event)


def read_telling(store: ObjectStore, tenant: str) -> Telling:
    """How it goes; raises Corrupt."""
    return _read(store, keys.webhook_telling(tenant), Telling) or Telling()


def _read(store: ObjectStore, key: str, kind: type[_Record]) -> _Record | None:
    try:
        return kind.model_validate_json(store.get(key))
    except ObjectNotFound:
        return None
    except ValidationError as exc:
        raise Corrupt(f"the stored object {key!r} cannot be read") from exc
