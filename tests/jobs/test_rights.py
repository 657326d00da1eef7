"""The workers' user of the store may do all that happens on a worker by the clock, or at an end, and no more."""

from collections.abc import Callable
from typing import Any

import pytest

from app.access import ApiKeys
from app.config import LimitSettings
from app.dataset import keys
from app.dataset.keys import DatasetKeys, UploadKeys
from app.jobs.attempts import note_orderly_stop
from app.jobs.datasets.advance import fail
from app.jobs.datasets.retention import DAY_S, Retention
from app.jobs.reconcile import reconcile
from app.jobs.records import write_json
from app.jobs.uploads import UploadService
from app.stack.rights import WORKERS_READ, WORKERS_WRITE, actions, policy


@pytest.fixture
def as_worker(memory_store: Any) -> Callable[[], None]:
    """From now on the store refuses what a worker's user may not do."""

    def refuse(operation: str, key: str) -> None:
        readable = operation in ("read", "read more", "stat", "exists") and key.startswith(WORKERS_READ)
        assert readable or key.startswith(WORKERS_WRITE), f"{operation} of {key!r}"

    def become() -> None:
        memory_store.fault = refuse

    return become


def test_what_comes_by_the_clock_and_at_an_end(
    memory_store: Any,
    memory_queue: Any,
    clock: Any,
    submit: Callable[..., str],
    finish_any: Callable[..., None],
    as_worker: Callable[[], None],
) -> None:
    ApiKeys(memory_store).issue("acme", "")
    memory_store.put(keys.webhook("acme"), b"{}")
    old, bad, going = submit(retention_days=1), submit(), submit()
    finish_any(memory_store, "acme", old)
    upload = UploadKeys("acme", "0" * 64)
    memory_store.put(upload.data("x"), b"scores")
    memory_queue.markers.clear()  # the queue was wiped
    as_worker()
    uploads = UploadService(memory_store, LimitSettings(), clock)
    assert reconcile(memory_store, memory_queue, uploads, clock)["looked_at"]
    fail(memory_store, "acme", bad, "the model has no such factor")
    assert any(key.startswith(keys.webhook_event("acme", bad)) for key in memory_store.objects)
    note_orderly_stop(memory_store)
    clock.now += 30 * DAY_S
    memory_store.now += 30 * DAY_S
    assert Retention(memory_store, LimitSettings(), clock).run()["deleted"] == 1
    assert uploads.sweep() == 1
    write_json(memory_store, DatasetKeys("acme", going).failed, {"reason": "x"})


def test_a_worker_would_be_refused(memory_store: Any, as_worker: Callable[[], None]) -> None:
    key = ApiKeys(memory_store).issue("acme", "")
    as_worker()
    with pytest.raises(AssertionError, match="read of 'api-keys/"):
        ApiKeys(memory_store).tenant_of(key)
    with pytest.raises(AssertionError, match="put of 'webhooks/acme"):
        memory_store.put(keys.webhook("acme"), b"{}")


def test_no_right_reaches_keys_sessions_or_another_bucket() -> None:
    for secret in (keys.API_KEYS, keys.API_KEYS_USED, keys.SESSIONS):
        assert not any(
            secret.startswith(prefix) or prefix.startswith(secret) for prefix in WORKERS_WRITE + WORKERS_READ
        )
    assert all(action.split(":")[1].startswith("box/") for action in actions("worker", "box"))
    assert set(actions("api", "box")) == {"Read:box", "Write:box", "List:box"}


def test_a_policy_of_s3_says_the_same() -> None:
    written, read, named = policy("worker", "box")["Statement"]
    assert written["Resource"] == [f"arn:aws:s3:::box/{prefix}*" for prefix in WORKERS_WRITE]
    assert (read["Action"], read["Resource"]) == (["s3:GetObject"], ["arn:aws:s3:::box/webhooks/*"])
    assert named["Resource"] == ["arn:aws:s3:::box"]
    whole, _ = policy("api", "box")["Statement"]
    assert whole["Resource"] == ["arn:aws:s3:::box/*"]
