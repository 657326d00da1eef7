"""Retention: what goes when, by whose rule, and that a wrong clock never makes it earlier."""

from collections.abc import Callable
from typing import Any

import pytest

from app.config import LimitSettings
from app.dataset.keys import DatasetKeys
from app.dataset.release import ReleaseRequest
from app.errors import StoreUnavailable
from app.jobs.audit import Action, AuditLog
from app.jobs.datasets.retention import DAY_S, Retention
from app.jobs.datasets.service import DatasetService
from app.jobs.releases.service import ReleaseService

KEEP = LimitSettings()
A_WEEK = LimitSettings(retention_days_per_tenant=7)


@pytest.fixture
def finished(submit: Callable[..., str], finish_any: Callable[..., None], memory_store: Any) -> Callable[..., str]:
    def make(tenant: str = "acme", **fields: Any) -> str:
        dataset = submit(tenant, **fields)
        finish_any(memory_store, tenant, dataset)
        return dataset

    return make


@pytest.fixture
def later(memory_store: Any, clock: Any) -> Callable[[float], None]:
    """Let so many days pass, by both clocks."""

    def move(days: float) -> None:
        clock.now += days * DAY_S
        memory_store.now += days * DAY_S

    return move


def there(store: Any, dataset: str, tenant: str = "acme") -> bool:
    return bool(store.exists(DatasetKeys(tenant, dataset).request))


@pytest.mark.parametrize(("limits", "own", "days"), [(KEEP, 3, 3), (A_WEEK, None, 7), (A_WEEK, 30, 30), (A_WEEK, 1, 1)])
def test_a_dataset_goes_so_many_days_after_its_end(
    memory_store: Any, clock: Any, later: Any, finished: Any, limits: LimitSettings, own: int | None, days: int
) -> None:
    dataset = finished(**({} if own is None else {"retention_days": own}))
    retention = Retention(memory_store, limits, clock)
    later(days - 0.001)
    assert retention.run()["deleted"] == 0
    assert there(memory_store, dataset)
    later(0.002)
    assert retention.run() == {"datasets": 1, "deleted": 1, "cleared": 0}
    assert [key for key in memory_store.objects if dataset in key] == []
    [entry], _ = AuditLog(memory_store).list("acme", limit=10, after=None)
    assert (entry.action, entry.subject, entry.by) == (Action.EXPIRED, dataset, "retention")
    assert entry.reason == f"{days} days after its end"
    assert entry.details["rule"] == ("service" if own is None else "request")


def test_without_a_rule_everything_stays(memory_store: Any, clock: Any, later: Any, finished: Any) -> None:
    dataset = finished()
    later(10_000)
    assert Retention(memory_store, KEEP, clock).run()["deleted"] == 0
    assert there(memory_store, dataset)


def test_what_has_not_ended_stays_and_what_was_cancelled_or_failed_goes(
    memory_store: Any, clock: Any, later: Any, submit: Any, datasets: DatasetService
) -> None:
    waiting, cancelled, failed = submit(), submit(), submit()
    datasets.cancel("acme", cancelled)
    memory_store.put(DatasetKeys("acme", failed).failed, b'{"reason": "x"}')
    later(8)
    assert Retention(memory_store, A_WEEK, clock).run()["deleted"] == 2
    assert [there(memory_store, dataset) for dataset in (waiting, cancelled, failed)] == [True, False, False]


def test_releases_are_never_touched(memory_store: Any, clock: Any, later: Any, finished: Any) -> None:
    dataset = finished(retention_days=1)
    releases = ReleaseService(memory_store, clock)
    releases.create("acme", "gate", "1.0.0", ReleaseRequest(dataset=dataset), by="0" * 16)
    retention = Retention(memory_store, KEEP, clock)
    for _ in range(3):
        later(400)
        retention.run()
    assert not there(memory_store, dataset)
    assert memory_store.exists(DatasetKeys("acme", dataset).manifest)
    assert releases.get("acme", "gate", "latest").dataset == dataset
    entries, _ = AuditLog(memory_store).list("acme", limit=10, after=None)
    assert [entry.action for entry in entries] == [Action.EXPIRED, Action.RELEASED]


def test_the_dry_run_tells_what_would_go_and_deletes_nothing(
    memory_store: Any, clock: Any, later: Any, finished: Any, submit: Any, datasets: DatasetService
) -> None:
    first = finished(name="old", retention_days=2)
    later(1)
    second = finished(name="new", retention_days=2)
    finished(name="kept")
    submit(name="not ended", retention_days=1)
    finished(tenant="rival", retention_days=1)
    ReleaseService(memory_store, clock).create("acme", "gate", "1.0.0", ReleaseRequest(dataset=first), by="0" * 16)
    later(1.5)
    retention = Retention(memory_store, KEEP, clock)
    before = dict(memory_store.objects)
    shown, cursor = retention.show("acme", limit=1, after=None)
    more, end = retention.show("acme", limit=1, after=cursor)
    assert end is None
    assert memory_store.objects == before
    old, new = *shown, *more
    assert (old.dataset, old.name, old.retention_days, old.rule, old.due) == (first, "old", 2, "request", True)
    assert (old.ended_at, old.expires_at) == ("1970-01-12T13:46:40.000+00:00", "1970-01-14T13:46:40.000+00:00")
    assert old.released_as == ["gate@1.0.0"]
    assert (new.dataset, new.due, new.released_as) == (second, False, [])
    # And a dataset itself tells when it goes.
    assert datasets.get("acme", second).expires_at == new.expires_at
    assert retention.run()["deleted"] == 2  # the rival's too


@pytest.mark.parametrize("ours", [-1e6, -3e4, 0.0, 1e3])
def test_a_clock_that_is_behind_deletes_nothing(memory_store: Any, clock: Any, finished: Any, ours: float) -> None:
    dataset = finished(retention_days=1)
    clock.now += ours
    memory_store.now += 400 * DAY_S
    assert Retention(memory_store, KEEP, clock).run()["deleted"] == 0
    assert there(memory_store, dataset)


def test_a_clock_that_has_jumped_ahead_deletes_nothing(memory_store: Any, clock: Any, finished: Any) -> None:
    dataset = finished(retention_days=1)
    clock.now += 400 * DAY_S
    assert Retention(memory_store, KEEP, clock).run()["deleted"] == 0
    assert there(memory_store, dataset)


def test_a_store_whose_clock_was_behind_when_the_dataset_ended(
    memory_store: Any, clock: Any, finished: Any, later: Any
) -> None:
    memory_store.now = 5.0  # 1970; the dataset was accepted after its end, so it says
    dataset = finished(retention_days=5)
    memory_store.now = clock.now
    later(4.9)
    assert Retention(memory_store, KEEP, clock).run()["deleted"] == 0
    later(0.2)
    assert Retention(memory_store, KEEP, clock).run()["deleted"] == 1
    assert not there(memory_store, dataset)


def test_one_that_cannot_be_read_keeps_no_other(memory_store: Any, clock: Any, later: Any, finished: Any) -> None:
    broken, sound = finished(retention_days=1), finished(retention_days=1)
    memory_store.put(DatasetKeys("acme", broken).request, b"{")
    later(2)
    assert Retention(memory_store, KEEP, clock).run()["deleted"] == 1
    assert there(memory_store, broken)
    assert not there(memory_store, sound)


def test_a_submission_that_is_being_accepted_is_no_left_over(
    memory_store: Any, clock: Any, submit: Any, datasets: DatasetService
) -> None:
    """Retention looks between any two of its writes."""
    retention = Retention(memory_store, A_WEEK, lambda: clock.now + 1e9)
    looking = False

    def look(operation: str, key: str) -> None:
        nonlocal looking
        if operation == "put" and not looking:
            looking = True
            retention.run()
            looking = False

    memory_store.fault = look
    dataset = submit()
    memory_store.fault = lambda operation, key: None
    assert datasets.get("acme", dataset).state == "accepted"


def test_a_store_that_fails_anywhere_leaves_the_rest_for_the_next_run(
    memory_store: Any, clock: Any, later: Any, finished: Any
) -> None:
    for number in range(1, 200):
        dataset = finished(retention_days=1)
        later(2)
        asked: list[str] = []

        def fault(operation: str, key: str, asked: list[str] = asked, number: int = number) -> StoreUnavailable | None:
            asked.append(key)
            return StoreUnavailable("down") if len(asked) == number else None

        memory_store.fault = fault
        retention = Retention(memory_store, KEEP, clock)
        try:
            retention.run()
        except StoreUnavailable:
            memory_store.fault = lambda operation, key: None
            for key in [key for key in memory_store.objects if key.startswith("unfinished/")]:
                memory_store.delete(key)  # what the reconciler sees to
            retention.run()
        memory_store.fault = lambda operation, key: None
        assert [key for key in memory_store.objects if dataset in key] == []
        if len(asked) < number:
            break
    assert number > 8
