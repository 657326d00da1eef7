"""The courier: takes what lies ready to the tenants' servers, in order, and again later where one does not answer.

One process of the API does it at a time. Tenants are served side by side, each for a short while, so none waits for
another's server; a server that does not answer is asked again after ten seconds, then twice as long, up to an hour.
"""

import time
from collections.abc import Callable
from functools import partial

import anyio
import structlog
from anyio import to_thread

from app.config import WebhookSettings
from app.dataset import keys
from app.errors import FacsimileError, Unavailable
from app.jobs.audit import iso
from app.jobs.records import write_json
from app.jobs.webhooks.records import Telling, Webhook, read_event, read_telling, read_webhook
from app.jobs.webhooks.sender import NotDelivered, Resolve, send
from app.queue import TaskQueue
from app.storage import ObjectInfo, ObjectStore

log = structlog.get_logger()

EVERY_S = 2.0
FIRST_PAUSE_S, LONGEST_PAUSE_S = 10.0, 3600.0
AT_A_TIME = 10
"""Events that one tenant is told in a pass."""
TENANTS_AT_ONCE = 16
LOCK_S = 300.0
"""After so long a pass counts as dead; it takes AT_A_TIME × the time-out at the most, for each TENANTS_AT_ONCE."""


class Courier:
    """Delivers events from a store."""

    def __init__(
        self,
        store: ObjectStore,
        queue: TaskQueue,
        settings: WebhookSettings,
        clock: Callable[[], float] = time.time,
        resolve: Resolve | None = None,
    ) -> None:
        self._store = store
        self._queue = queue
        self._settings = settings
        self._clock = clock
        self._resolve = resolve

    async def run(self) -> None:
        """Deliver until cancelled."""
        while True:
            try:
                await self.deliver()
            except Unavailable as exc:  # the store or the queue is away, which others tell of
                log.debug("webhooks_put_off", error=str(exc))
            except Exception as exc:
                log.error("webhooks_failed", exc_info=exc)
            await anyio.sleep(EVERY_S)

    async def deliver(self) -> int:
        """Tell what is to be told now; returns how many events were taken, 0 where another process is at it."""
        found = await to_thread.run_sync(self._waiting)
        if not found or not await to_thread.run_sync(self._queue.only_one, "webhooks", LOCK_S):
            return 0
        taken: list[int] = []
        limiter = anyio.CapacityLimiter(TENANTS_AT_ONCE)

        async def serve(tenant: str, events: list[ObjectInfo]) -> None:
            async with limiter:
                try:
                    taken.append(await self._serve(tenant, events))
                except Unavailable as exc:  # the store went away, which others tell of
                    log.debug("webhooks_put_off", tenant=tenant, error=str(exc))
                except Exception as exc:
                    log.error("webhook_failed", tenant=tenant, exc_info=exc)

        try:
            async with anyio.create_task_group() as group:
                for tenant, events in found.items():
                    group.start_soon(serve, tenant, events)
        finally:
            with anyio.CancelScope(shield=True):
                await to_thread.run_sync(self._free)
        return sum(taken)

    def _free(self) -> None:
        try:
            self._queue.free("webhooks")
        except FacsimileError:
            log.debug("lock_left")  # it ends by itself

    def _waiting(self) -> dict[str, list[ObjectInfo]]:
        """Events by tenant, the oldest first."""
        found: dict[str, list[ObjectInfo]] = {}
        for info in self._store.list(keys.WEBHOOK_EVENTS):
            found.setdefault(keys.owner_of(info.key, keys.WEBHOOK_EVENTS)[0], []).append(info)
        return {tenant: sorted(events, key=lambda info: info.modified) for tenant, events in found.items()}

    async def _serve(self, tenant: str, events: list[ObjectInfo]) -> int:
        webhook, telling = await to_thread.run_sync(self._look, tenant)
        now = self._clock()
        late = [info for info in events if now - info.modified > self._settings.give_up_hours * 3600]
        if webhook is None or late:
            await to_thread.run_sync(self._drop, tenant, events if webhook is None else late, telling)
            return 0
        if now < telling.next_try:
            return 0
        taken = 0
        for info in events[:AT_A_TIME]:
            try:
                taken += await self._tell(webhook, info)
            except NotDelivered as exc:
                await to_thread.run_sync(self._failed, tenant, info, telling, str(exc))
                return taken
        told = telling.model_copy(update={"last_delivered_at": iso(self._clock()), "failures": 0, "last_error": None})
        await to_thread.run_sync(write_json, self._store, keys.webhook_telling(tenant), told)
        return taken

    def _look(self, tenant: str) -> tuple[Webhook | None, Telling]:
        return read_webhook(self._store, tenant), read_telling(self._store, tenant)

    async def _tell(self, webhook: Webhook, info: ObjectInfo) -> bool:
        event = await to_thread.run_sync(partial(read_event, self._store, info.key))
        if event is None:
            return False
        subject = info.key.rpartition("/")[2]
        body = event.model_dump_json().encode()
        # The same whenever it is sent; a subject ends once. Without dots, which separate what is signed.
        stamp = "".join(filter(str.isdigit, event.timestamp)) if event.type == "webhook.registered" else ""
        event_id = f"evt_{subject}{stamp}"
        await send(webhook.url, webhook.secret, event_id, body, self._settings, self._resolve)
        await to_thread.run_sync(self._store.delete, info.key)
        return True

    def _failed(self, tenant: str, info: ObjectInfo, telling: Telling, error: str) -> None:
        pause_s = min(FIRST_PAUSE_S * 2 ** min(telling.failures, 20), LONGEST_PAUSE_S)
        told = telling.model_copy(
            update={"failures": telling.failures + 1, "last_error": error, "next_try": self._clock() + pause_s}
        )
        write_json(self._store, keys.webhook_telling(tenant), told)
        log.warning("webhook_not_delivered", tenant=tenant, subject=info.key.rpartition("/")[2], error=error)

    def _drop(self, tenant: str, events: list[ObjectInfo], telling: Telling) -> None:
        for info in events:
            self._store.delete(info.key)
        told = telling.model_copy(update={"dropped": telling.dropped + len(events)})
        write_json(self._store, keys.webhook_telling(tenant), told)
        log.warning("webhook_events_dropped", tenant=tenant, events=len(events))
