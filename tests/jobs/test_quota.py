"""How many datasets a tenant may have under way."""

from typing import Any

import pytest

from app.dataset import keys
from app.errors import QuotaExceeded
from app.jobs.quota import REMEMBERED_S, UnfinishedQuota


class Ticking:
    """A clock that is moved by hand."""

    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def ticking() -> Ticking:
    return Ticking()


def test_admissions_count_at_once_and_what_ended_counts_no_more(memory_store: Any, ticking: Ticking) -> None:
    quota = UnfinishedQuota(memory_store, 3, ticking)
    for number in range(3):
        quota.admit("acme")
        memory_store.put(keys.unfinished("acme", f"ds_{number}"), b"")
    with pytest.raises(QuotaExceeded, match="3 datasets are unfinished"):
        quota.admit("acme")
    memory_store.delete(keys.unfinished("acme", "ds_1"))
    quota.admit("acme")  # counted anew before it would be refused


def test_admissions_that_another_process_made_are_seen_after_a_while(memory_store: Any, ticking: Ticking) -> None:
    quota = UnfinishedQuota(memory_store, 2, ticking)
    quota.admit("acme")
    for number in range(2):
        memory_store.put(keys.unfinished("acme", f"ds_{number}"), b"")
    ticking.now += REMEMBERED_S
    with pytest.raises(QuotaExceeded):
        quota.admit("acme")


def test_tenants_are_counted_apart(memory_store: Any, ticking: Ticking) -> None:
    quota = UnfinishedQuota(memory_store, 1, ticking)
    memory_store.put(keys.unfinished("acme", "ds_1"), b"")
    quota.admit("other")
    with pytest.raises(QuotaExceeded):
        quota.admit("acme")
