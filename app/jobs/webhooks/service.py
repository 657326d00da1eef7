"""What a tenant's admins can do with its webhook: name it, look how it goes, take it away."""

import base64
import secrets
import time
from collections.abc import Callable

from pydantic import BaseModel, ConfigDict, Field

from app.config import WebhookSettings
from app.dataset import keys
from app.errors import NotFound
from app.jobs.audit import Action, AuditLog, iso
from app.jobs.records import write_json
from app.jobs.webhooks.outbox import tell_registered
from app.jobs.webhooks.records import Webhook, WebhookRequest, read_telling, read_webhook
from app.jobs.webhooks.sender import SECRET, check_url
from app.storage import ObjectStore


class WebhookShown(BaseModel):
    """A tenant's webhook as the API shows it."""

    model_config = ConfigDict(frozen=True)

    url: str
    made_at: str
    waiting: int
    """Events that are to be told."""
    last_delivered_at: str | None
    failures: int
    """Tries that failed since one last succeeded."""
    last_error: str | None
    dropped: int
    """Events that nobody took in time."""


class WebhookMade(BaseModel):
    """A webhook that was set, with what its events are signed with."""

    model_config = ConfigDict(frozen=True)

    url: str
    secret: str = Field(description="`whsec_…`, as Standard Webhooks writes it. It is shown this once.")


class WebhookService:
    """The use cases of webhooks; each call is one tenant's, which has one at the most."""

    def __init__(self, store: ObjectStore, settings: WebhookSettings, clock: Callable[[], float] = time.time) -> None:
        self._store = store
        self._settings = settings
        self._clock = clock
        self._audit = AuditLog(store, clock)

    def set(self, tenant: str, request: WebhookRequest, *, by: str) -> WebhookMade:
        """Set where events are sent, with a new secret; raises RequestRefused."""
        check_url(request.url, self._settings)
        made_at = iso(self._clock())
        made = Webhook(
            url=request.url, secret=SECRET + base64.b64encode(secrets.token_bytes(32)).decode(), made_at=made_at
        )
        self._audit.note(tenant, Action.WEBHOOK_SET, "webhook", by=by, details={"url": request.url})
        write_json(self._store, keys.webhook(tenant), made)
        self._store.delete(keys.webhook_telling(tenant))
        tell_registered(self._store, tenant, made_at)
        return WebhookMade(url=made.url, secret=made.secret)

    def get(self, tenant: str) -> WebhookShown:
        """Show it and how it goes; raises NotFound."""
        webhook = read_webhook(self._store, tenant)
        if webhook is None:
            raise NotFound("no webhook is set; PUT /v1/webhook sets one")
        telling = read_telling(self._store, tenant)
        return WebhookShown(
            url=webhook.url,
            made_at=webhook.made_at,
            waiting=sum(1 for _ in self._store.list(keys.webhook_event(tenant, ""))),
            last_delivered_at=telling.last_delivered_at,
            failures=telling.failures,
            last_error=telling.last_error,
            dropped=telling.dropped,
        )

    def remove(self, tenant: str, *, by: str) -> None:
        """Take it away, with what was to be told; raises NotFound."""
        if not self._store.exists(keys.webhook(tenant)):
            raise NotFound("no webhook is set")
        self._audit.note(tenant, Action.WEBHOOK_REMOVED, "webhook", by=by)
        self._store.delete(keys.webhook(tenant))
        self._store.delete(keys.webhook_telling(tenant))
        self._store.delete_prefix(keys.webhook_event(tenant, ""))
