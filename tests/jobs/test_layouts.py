"""Layouts on demand: put on their way once, again if they are lost, and given up with a reason."""

from collections.abc import Callable
from typing import Any

import pytest

from app.dataset.keys import DatasetKeys
from app.dataset.layout import Layout
from app.errors import Conflict, NotFound, RequestRefused
from app.jobs.datasets.on_demand import TRY_AGAIN_S, LayoutService
from app.jobs.phases import LAYOUT
from app.jobs.records import write_json

Submit = Callable[..., str]


@pytest.fixture
def layouts(memory_store: Any, memory_queue: Any, clock: Any) -> LayoutService:
    return LayoutService(memory_store, memory_queue, clock)


@pytest.fixture
def finished(memory_store: Any, memory_queue: Any, submit: Submit) -> str:
    dataset = submit()
    memory_store.put(DatasetKeys("acme", dataset).manifest, b"{}")
    memory_queue.wipe()
    return dataset


def test_it_is_put_on_its_way_once_and_is_there_when_it_is_made(
    memory_store: Any, memory_queue: Any, layouts: LayoutService, finished: str
) -> None:
    assert layouts.ask("acme", finished, Layout.PLAIN)
    for _ in range(3):
        assert not layouts.ask("acme", finished, Layout.PARQUET)
    assert memory_queue.sent == [LAYOUT.task("acme", finished, "parquet")]
    memory_store.put(DatasetKeys("acme", finished).layout(Layout.PARQUET), b"made")
    assert layouts.ask("acme", finished, Layout.PARQUET)


def test_one_that_is_lost_is_sent_again(memory_queue: Any, layouts: LayoutService, finished: str) -> None:
    layouts.ask("acme", finished, Layout.BOB)
    memory_queue.wipe()
    layouts.ask("acme", finished, Layout.BOB)
    assert len(memory_queue.sent) == 1


def test_one_that_was_given_up_is_told_of_and_may_be_tried_again_later(
    memory_store: Any, memory_queue: Any, layouts: LayoutService, finished: str, clock: Any
) -> None:
    at = DatasetKeys("acme", finished)
    clock.now = memory_store.now
    write_json(memory_store, at.layout_failed(Layout.BOB), {"reason": "given up after 5 attempts"})
    mark = at.attempts("lay_out_dataset-bob") + "1"
    memory_store.put(mark, b"{}")
    with pytest.raises(Conflict, match=r"'bob' could not be made: given up after 5 attempts; ask again in 60 min"):
        layouts.ask("acme", finished, Layout.BOB)
    assert memory_queue.sent == []
    assert not layouts.ask("acme", finished, Layout.ZIP), "others are not concerned"
    clock.now += TRY_AGAIN_S + 1
    assert not layouts.ask("acme", finished, Layout.BOB)
    assert not memory_store.exists(mark)
    assert len(memory_queue.sent) == 2


def test_what_the_set_cannot_be_had_in(layouts: LayoutService, finished: str, memory_queue: Any) -> None:
    with pytest.raises(RequestRefused, match="layout: 'lfw' has 10 folds"):
        layouts.ask("acme", finished, Layout.LFW)
    assert memory_queue.sent == []


def test_only_of_ones_own_that_has_succeeded(layouts: LayoutService, finished: str, submit: Submit) -> None:
    with pytest.raises(NotFound):
        layouts.ask("rival", finished, Layout.ZIP)
    with pytest.raises(Conflict, match="only once it has succeeded"):
        layouts.ask("acme", submit(), Layout.ZIP)
