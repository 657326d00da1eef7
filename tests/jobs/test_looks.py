"""How often a dataset is asked after: once where it has ended; and nothing that has changed is missed for it."""

from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from app.config import Settings
from app.dataset.keys import DatasetKeys
from app.errors import NotFound
from app.jobs.datasets import service
from app.jobs.datasets.advance import fail
from app.jobs.datasets.service import DatasetService
from app.jobs.remembered import Remembered
from app.jobs.state import State


@pytest.fixture
def asked(memory_store: Any) -> Counter[str]:
    """Questions to the store by what is done."""
    counted: Counter[str] = Counter()

    def count(operation: str, key: str) -> None:
        counted[operation] += operation != "read more"

    memory_store.fault = count
    return counted


@pytest.fixture
def job_settings() -> Settings:
    limits = {"unfinished_datasets_per_tenant": 100, "retention_days_per_tenant": 30}
    return Settings.model_validate({"environment": "development", "shard_size": 4, "limits": limits})


@pytest.fixture
def ended(submit: Callable[..., str], finish_any: Callable[..., None], memory_store: Any) -> list[str]:
    """25 sets, most of them finished; the newest first."""
    made = [submit() for _ in range(25)]
    for number, dataset in enumerate(made):
        if number % 5 == 4:
            fail(memory_store, "acme", dataset, "a worker died")
        else:
            finish_any(memory_store, "acme", dataset)
    return sorted(made, reverse=True)


def page(datasets: DatasetService) -> dict[str, State]:
    found, _ = datasets.list("acme", state=None, name=None, limit=25, after=None)
    return {dataset.id: dataset.state for dataset in found}


def test_a_page_of_what_has_ended_is_one_question_each(
    datasets: DatasetService, ended: list[str], asked: Counter[str]
) -> None:
    asked.clear()
    first = page(datasets)
    assert list(first) == ended
    assert set(first.values()) == {State.SUCCEEDED, State.FAILED}
    assert (asked["look"], asked["list"]) == (25, 1 + 25), "while nothing was told of a set, all of it is listed once"
    asked.clear()
    assert page(datasets) == first
    assert asked == {"list": 1, "look": 25}
    shown = datasets.get("acme", next(one for one in first if first[one] is State.SUCCEEDED))
    assert shown.counts is not None
    assert shown.expires_at is not None


def test_what_goes_on_is_read_and_asked_after_by_few_questions(
    datasets: DatasetService, submit: Callable[..., str], memory_queue: Any, asked: Counter[str]
) -> None:
    memory_queue.remembers = True
    dataset = submit()
    datasets.get("acme", dataset)
    asked.clear()
    assert datasets.get("acme", dataset).state is State.ACCEPTED
    assert asked == {"look": 1, "read": 2}


def test_what_another_process_does_is_seen_at_once(
    datasets: DatasetService,
    ended: list[str],
    memory_store: Any,
    memory_queue: Any,
    models: Any,
    job_settings: Settings,
    clock: Any,
) -> None:
    page(datasets)
    other = DatasetService(memory_store, memory_queue, models, job_settings, clock)
    gone, pinned, off, failed = ended[0], ended[2], ended[3], ended[4]
    other.delete("acme", gone)
    memory_store.delete(DatasetKeys("acme", pinned).request)  # its objects stay for a release
    memory_store.put(DatasetKeys("acme", off).cancelled, b'{"at": 1}')  # it was just being published
    memory_store.put(DatasetKeys("acme", failed).failed, b'{"reason": "another one"}')
    found = page(datasets)
    assert not {gone, pinned} & set(found)
    assert len(found) == 23
    assert found[off] is State.CANCELLED
    assert datasets.get("acme", failed).failure == "another one"
    for dataset in (gone, pinned):
        with pytest.raises(NotFound):
            datasets.get("acme", dataset)
    with pytest.raises(NotFound):
        datasets.get("rival", ended[1])


def test_with_no_room_to_remember_everything_is_read_anew(
    datasets: DatasetService, ended: list[str], asked: Counter[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(datasets, "_ended", Remembered(0))
    first = page(datasets)
    asked.clear()
    assert page(datasets) == first
    assert asked["read"] > 50


def test_what_was_asked_for_longest_ago_goes_first() -> None:
    kept: Remembered[str] = Remembered(80)
    for name in "abcdefgh":
        kept.put(name, name, 10)
    assert kept.get("a") == "a"
    kept.put("i", "i", 10)
    assert [name for name in "abcdefghi" if kept.get(name)] == list("acdefghi")
    kept.put("large", "x", 11)
    assert kept.get("large") is None, "one that is an eighth of all is not kept"
    kept.put("i", "again", 5)
    kept.put("j", "j", 5)
    assert kept.get("i") == "again"
    assert [name for name in "acdefgh" if kept.get(name)] == list("acdefgh")
    assert service.REMEMBERED_BYTES > 1_000_000
