"""Whose turn it is, on a real server: fair by tenant, nothing twice, nothing lost."""

import contextlib
import json
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis

from app.stack import binaries
from app.turns import Turns, Waiting

HOLD_S = 30


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A server of the embedded stack's kind, with nothing kept on disk."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [str(binaries.valkey()), "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
    folder: Path = tmp_path_factory.mktemp("valkey")
    process = subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL)
    client = redis.Redis(port=port)
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        with contextlib.suppress(redis.ConnectionError):
            client.ping()
            break
        time.sleep(0.02)
    yield client
    process.terminate()
    process.wait()


@pytest.fixture
def turns(server: Any) -> Turns:
    server.flushall()
    return Turns(server)


def shard(tenant: str, number: int, dataset: str = "ds_1") -> Waiting:
    return Waiting("facsimile.generate_shard", "shards", tenant, dataset, f"{number:06d}")


def preview(tenant: str, number: int) -> Waiting:
    return Waiting("facsimile.make_preview", "previews", tenant, f"{number:064x}", "")


def work(turns: Turns, count: int, seconds: float = 1.0) -> list[Waiting]:
    """One worker's next tasks, each ended before the next is taken."""
    done = []
    for number in range(count):
        task = turns.take(f"t{number}-{time.monotonic()}", "worker", HOLD_S)
        if task is None:
            break
        turns.end(task, seconds)
        done.append(task)
    return done


def test_a_task_is_put_once_taken_once_and_may_come_again_when_it_has_ended(turns: Turns) -> None:
    assert turns.put(shard("a", 0))
    assert not turns.put(shard("a", 0)), "it waits"
    assert turns.depth() == {"shards": 1}
    taken = turns.take("ticket", "worker", HOLD_S)
    assert taken == shard("a", 0)
    assert not turns.put(shard("a", 0)), "it is being worked on"
    assert turns.take("another", "worker", HOLD_S) is None
    assert turns.live([("a", "ds_1"), ("a", "ds_2")]) == [1, 0]
    turns.end(shard("a", 0), 2.0)
    assert turns.live([("a", "ds_1")]) == [0]
    assert turns.put(shard("a", 0))


def test_the_same_ticket_gets_the_same_task_until_it_is_given_back(turns: Turns) -> None:
    turns.put(shard("a", 0))
    turns.put(shard("a", 1))
    assert turns.take("ticket", "worker", HOLD_S) == turns.take("ticket", "worker", HOLD_S) == shard("a", 0)
    turns.give_back("ticket")
    assert turns.take("ticket", "worker", HOLD_S) == shard("a", 1)


def test_what_a_lost_worker_was_at_may_be_put_again(turns: Turns) -> None:
    turns.put(shard("a", 0))
    turns.take("ticket", "worker", 0)
    assert turns.live([("a", "ds_1")]) == [0]
    assert turns.put(shard("a", 0))
    turns.working(shard("a", 7), HOLD_S)
    assert turns.live([("a", "ds_1")]) == [2]


def test_nobody_waits_behind_anothers_backlog(turns: Turns) -> None:
    for number in range(200):
        turns.put(shard("a", number))
    assert {task.tenant for task in work(turns, 20, seconds=10.0)} == {"a"}
    for number in range(3):
        turns.put(shard("b", number))
    first = work(turns, 6, seconds=10.0)
    # Whoever has had least comes next; both began equal when b came.
    assert [task.tenant for task in first].count("b") == 3
    assert first[0].tenant == "b"


def test_turns_are_of_time_not_of_tasks(turns: Turns) -> None:
    """Beside shards of ten seconds, a set of short tasks goes through in one go."""
    for number in range(50):
        turns.put(shard("a", number))
    work(turns, 5, seconds=10.0)
    running = turns.take("long", "worker", HOLD_S)
    assert running is not None
    for number in range(8):
        turns.put(shard("b", number))
    turns.end(running, 10.0)
    assert [task.tenant for task in work(turns, 8, seconds=0.5)] == ["b"] * 8


def test_who_was_away_has_saved_no_turns_up(turns: Turns) -> None:
    for number in range(300):
        turns.put(shard("a", number))
    work(turns, 100, seconds=10.0)
    for number in range(100):
        turns.put(shard("b", number))
    tenants = [task.tenant for task in work(turns, 40, seconds=10.0)]
    assert 19 <= tenants.count("a") <= 21


def test_previews_come_between_and_never_before_all_else(turns: Turns) -> None:
    for number in range(20):
        turns.put(shard("a", number))
        turns.put(preview("a", number))
    lanes = [task.lane for task in work(turns, 20)]
    assert lanes.count("previews") == 10
    for number in range(60):
        turns.put(preview("a", 100 + number))
    turns.put(preview("b", 1))
    assert "b" in {task.tenant for task in work(turns, 3)}


def test_what_waits_can_be_taken_back_and_what_a_worker_has_cannot(turns: Turns) -> None:
    for number in (1, 2):
        turns.put(preview("a", number))
    assert turns.take("t1", "worker", HOLD_S) == preview("a", 1)
    assert not turns.take_back(preview("a", 1))
    assert turns.take_back(preview("a", 2))
    assert not turns.take_back(preview("a", 2))
    assert turns.waiting("previews", "a") == 0
    assert turns.live([("a", preview("a", 1).subject), ("a", preview("a", 2).subject)]) == [1, 0]
    assert turns.take("t2", "worker", HOLD_S) is None
    assert turns.put(preview("a", 2)), "it can be asked for again"


def test_between_two_batches_only_a_preview_is_taken(turns: Turns) -> None:
    turns.put(shard("a", 0))
    assert turns.take("t1", "worker", HOLD_S, previews_only=True) is None
    turns.put(preview("b", 1))
    assert turns.take("t2", "worker", HOLD_S, previews_only=True) == preview("b", 1)
    assert turns.take("t3", "worker", HOLD_S) == shard("a", 0)


def test_what_is_told_is_kept_only_where_all_was_told_before(turns: Turns) -> None:
    turns.tell("a", "ds_1", [("generate", "000000")], all_of_it=False)
    assert turns.told("a", "ds_1") is None, "it would pass for all that is done"
    turns.tell("a", "ds_1", [], all_of_it=True)
    assert turns.told("a", "ds_1") == {}
    turns.tell("a", "ds_1", [("generate", "000000"), ("layout", "lfw"), ("choose", "")], all_of_it=False)
    assert turns.told("a", "ds_1") == {"generate": {"000000"}, "layout": {"lfw"}, "choose": {""}}
    turns.forget("a", "ds_1")
    assert turns.told("a", "ds_1") is None


def test_workers_are_counted_by_what_they_take(turns: Turns) -> None:
    assert turns.workers() == 0
    for worker in ("one", "two", "one"):
        turns.take(worker, worker, HOLD_S)
    assert turns.workers() == 2


def test_a_pace_is_that_of_the_last_few(turns: Turns) -> None:
    assert turns.paces(["a", "b"]) == [None, None]
    turns.note_pace("a", 100, 50.0)
    assert turns.paces(["a", "b"]) == [pytest.approx(0.5), None]
    turns.note_pace("a", 10, 5.0)  # a small part counts as little as it is
    assert turns.paces(["a"]) == [pytest.approx(0.5)]
    for _ in range(20):
        turns.note_pace("a", 100, 200.0)
    assert turns.paces(["a"]) == [pytest.approx(2.0, rel=0.02)]


def test_those_at_work_are_told_from_those_that_wait(turns: Turns) -> None:
    for number in range(3):
        turns.put(shard("acme", number))
    assert turns.at_work("acme", "ds_1") == 0
    task = turns.take("t1", "worker", HOLD_S)
    turns.take("t2", "other", -1)  # its worker has not been heard of in time
    assert task is not None
    assert turns.at_work("acme", "ds_1") == 1
    turns.put(preview("rival", 1))
    # The third's worker is silent for too long: it is neither waiting nor at work.
    assert turns.flights() == {"facsimile.generate_shard": (1, 1), "facsimile.make_preview": (1, 0)}
    turns.end(task, 1.0)
    assert turns.at_work("acme", "ds_1") == 0


def test_what_waits_is_told_by_tenant_with_its_age(turns: Turns, server: Any) -> None:
    for number in range(3):
        turns.put(shard("a", number))
    turns.put(preview("b", 1))
    time.sleep(0.25)
    turns.put(shard("b", 1))
    found = {(wait.tenant, wait.lane): wait for wait in turns.waits(10)}
    assert {key: wait.tasks for key, wait in found.items()} == {
        ("a", "shards"): 3,
        ("b", "previews"): 1,
        ("b", "shards"): 1,
    }
    assert 0.25 <= found["a", "shards"].oldest_s < 20
    assert found["b", "shards"].oldest_s < found["b", "previews"].oldest_s
    assert len({wait.tenant for wait in turns.waits(1)}) == 1
    # A version before told neither where a task came from nor when; it is served all the same.
    server.flushall()
    server.rpush(
        "facsimile:waiting:shards:a", json.dumps(["facsimile.generate_shard", "a", "ds_1", "000007", "shards"])
    )
    server.zadd("facsimile:turns", {"a": 1})
    assert [wait.oldest_s for wait in turns.waits(10)] == [0.0]
    assert turns.take("old", "worker", HOLD_S) == shard("a", 7)


def test_a_task_brings_where_it_comes_from_and_how_long_it_waited(turns: Turns) -> None:
    turns.put(Waiting("facsimile.advance_dataset", "control", "a", "ds_1", "", 'r-"1]', "00-ab-cd-01"))
    time.sleep(0.1)
    taken, again = turns.take("one", "worker", HOLD_S), turns.take("one", "worker", HOLD_S)
    assert taken is not None
    assert again is not None
    assert (taken.request, taken.traceparent) == ('r-"1]', "00-ab-cd-01")
    assert taken.waited_s == again.waited_s
    assert 0.1 <= taken.waited_s < 20


def test_what_workers_count_adds_up(turns: Turns) -> None:
    turns.note({'["a"]': 1.5, '["b", "x"]': 1})
    turns.note({'["a"]': 2})
    assert turns.figures() == {'["a"]': 3.5, '["b", "x"]': 1.0}
