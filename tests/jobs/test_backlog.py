"""How much work is left, over all tenants, as a cluster is told."""

from collections.abc import Callable
from typing import Any

from fastapi.testclient import TestClient

from app.config import Settings
from app.dataset import keys
from app.dataset.keys import DatasetKeys
from app.jobs.backlog import MAX_AGE_S, Backlog, BacklogCount, count_backlog
from app.main import create_app

Submit = Callable[..., str]


def test_it_is_what_can_be_done_now_queued_or_not(memory_store: Any, memory_queue: Any, submit: Submit) -> None:
    first = submit(checks={"unique": False})
    submit("other", checks={"unique": False})
    memory_queue.wipe()
    assert count_backlog(memory_store, memory_queue) == Backlog(tasks=6, datasets=2, evaluations=0)
    memory_store.put(DatasetKeys("acme", first).shard_report(1), b"{}")
    memory_store.put(keys.unfinished_evaluation("acme", "ev_1"), b"")
    assert count_backlog(memory_store, memory_queue) == Backlog(tasks=6, datasets=2, evaluations=1)
    memory_store.put(DatasetKeys("acme", first).cancelled, b"{}")
    assert count_backlog(memory_store, memory_queue) == Backlog(tasks=4, datasets=1, evaluations=1)


def test_a_set_that_is_half_there_stops_no_count(memory_store: Any, memory_queue: Any, submit: Submit) -> None:
    submit(checks={"unique": False})
    broken = submit(checks={"unique": False})
    memory_store.put(DatasetKeys("acme", broken).plan, b"{")
    memory_store.put(keys.unfinished("acme", "ds_half"), b"")
    assert count_backlog(memory_store, memory_queue) == Backlog(tasks=3, datasets=1, evaluations=0)


def test_many_askers_cost_one_look(memory_store: Any, memory_queue: Any, submit: Submit, clock: Any) -> None:
    submit(checks={"unique": False})
    count = BacklogCount(memory_store, memory_queue, clock)
    assert count.look().tasks == 3
    submit(checks={"unique": False})
    assert count.look().tasks == 3
    clock.now += MAX_AGE_S + 1
    assert count.look().tasks == 6


def test_the_api_tells_it_to_whoever_scales(memory_store: Any, memory_queue: Any, submit: Submit) -> None:
    submit(checks={"unique": False})
    settings = Settings.model_validate({"environment": "development"})
    client = TestClient(create_app(settings, store=memory_store, queue=memory_queue))
    assert client.get("/backlog").json() == {"tasks": 3, "datasets": 1, "evaluations": 0}
