"""Moving datasets on: what is enqueued when, and that a wiped queue costs nothing but time."""

from collections.abc import Callable
from typing import Any

import pytest

from app.config import LimitSettings
from app.dataset import keys
from app.dataset.keys import DatasetKeys
from app.errors import QueueUnavailable
from app.jobs.datasets.advance import advance, advance_after, fail, first_step
from app.jobs.datasets.service import DatasetService
from app.jobs.phases import CHOOSE, CLOSE, GENERATE, PUBLISH, SURVEY, Phase
from app.jobs.reconcile import HALF_ACCEPTED_S
from app.jobs.reconcile import reconcile as reconcile_all
from app.jobs.records import write_json
from app.jobs.state import State
from app.jobs.uploads import UploadService
from app.queue import ADVANCE, Kind, Task

Submit = Callable[..., str]


def reconcile(store: Any, queue: Any, **clock: Any) -> dict[str, int]:
    return reconcile_all(store, queue, UploadService(store, LimitSettings()), **clock)


def sent(queue: Any) -> list[tuple[Kind, str]]:
    """Kinds and parts of what waits; takes it away."""
    found = [(task.kind, task.part) for task in queue.sent]
    for task in queue.sent:
        queue.done(task)
    queue.sent.clear()
    return found


def parts(phase: Phase, *numbers: int) -> list[tuple[Kind, str]]:
    return [(phase.kind, f"{number:06d}") for number in numbers]


def do(store: Any, dataset: str, phase: Phase, part: str | int = "") -> None:
    """Leave what a worker leaves behind when it has done a task."""
    at = DatasetKeys("acme", dataset)
    store.put(at.prefix + phase.stored.format(f"{part:06d}" if isinstance(part, int) else part), b"{}")


def test_a_dataset_goes_through_its_phases(
    memory_store: Any, memory_queue: Any, submit: Submit, datasets: DatasetService, summary_of: Any
) -> None:
    dataset = submit()
    assert sent(memory_queue) == [(ADVANCE, "")]
    phases = [(SURVEY, 0), (CHOOSE, ""), (GENERATE, 0, 1, 2), (CLOSE, ""), (PUBLISH, "")]
    for phase, *numbers in phases:
        assert advance(memory_store, memory_queue, "acme", dataset) == len(numbers)
        assert sent(memory_queue) == ([(phase.kind, "")] if numbers == [""] else parts(phase, *numbers))
        for number in numbers:
            do(memory_store, dataset, phase, number)
    write_json(memory_store, DatasetKeys("acme", dataset).summary, summary_of().as_json())
    assert memory_store.exists(keys.unfinished("acme", dataset))
    assert advance(memory_store, memory_queue, "acme", dataset) == 0
    assert not memory_store.exists(keys.unfinished("acme", dataset))
    assert datasets.get("acme", dataset).state is State.SUCCEEDED


def test_what_is_on_its_way_is_not_sent_again(memory_store: Any, memory_queue: Any, submit: Submit) -> None:
    dataset = submit(checks={"unique": False})
    sent(memory_queue)
    assert advance(memory_store, memory_queue, "acme", dataset) == 3
    assert advance(memory_store, memory_queue, "acme", dataset) == 0
    assert len(memory_queue.sent) == 3


def test_a_wiped_queue_is_filled_again_with_what_is_unfinished(
    memory_store: Any, memory_queue: Any, submit: Submit
) -> None:
    dataset = submit(checks={"unique": False})
    advance(memory_store, memory_queue, "acme", dataset)
    do(memory_store, dataset, GENERATE, 1)
    memory_queue.wipe()
    counts = {"unfinished": 1, "looked_at": 1, "enqueued": 2, "cleared": 0}
    assert reconcile(memory_store, memory_queue) == counts
    assert sent(memory_queue) == parts(GENERATE, 0, 2)


@pytest.mark.parametrize(
    ("done", "ended", "expected"),
    [
        ([0], 0, []),  # two shards of the phase are still out
        ([0, 2], 2, []),
        ([0, 1, 2], 1, [(CLOSE.kind, "")]),
    ],
)
def test_the_last_task_of_a_phase_starts_the_next(
    memory_store: Any, memory_queue: Any, submit: Submit, done: list[int], ended: int, expected: Any
) -> None:
    dataset = submit(checks={"unique": False})
    sent(memory_queue)
    for number in done:
        do(memory_store, dataset, GENERATE, number)
    for number in {0, 1, 2} - set(done):
        memory_queue.working(GENERATE.task("acme", dataset, f"{number:06d}"))
    advance_after(memory_store, memory_queue, GENERATE.task("acme", dataset, f"{ended:06d}"))
    assert sent(memory_queue) == expected


def test_the_end_of_a_dataset_takes_its_marker_away(memory_store: Any, memory_queue: Any, submit: Submit) -> None:
    dataset = submit()
    sent(memory_queue)
    do(memory_store, dataset, PUBLISH)
    advance_after(memory_store, memory_queue, PUBLISH.task("acme", dataset))
    assert not memory_store.exists(keys.unfinished("acme", dataset))
    assert sent(memory_queue) == []


def test_nothing_is_sent_for_a_dataset_that_is_not_there(memory_store: Any, memory_queue: Any) -> None:
    assert advance(memory_store, memory_queue, "acme", "ds_none") == 0
    assert memory_queue.sent == []


@pytest.mark.parametrize("end", ["cancelled", "failed"])
def test_nothing_is_sent_after_the_end(
    memory_store: Any, memory_queue: Any, submit: Submit, datasets: DatasetService, end: str
) -> None:
    dataset = submit()
    sent(memory_queue)
    if end == "cancelled":
        datasets.cancel("acme", dataset)
    else:
        fail(memory_store, "acme", dataset, "shard 1 died 5 times")
    assert not memory_store.exists(keys.unfinished("acme", dataset))
    assert advance(memory_store, memory_queue, "acme", dataset) == 0
    assert reconcile(memory_store, memory_queue)["unfinished"] == 0
    shown = datasets.get("acme", dataset)
    assert shown.state == end
    assert shown.failure == (None if end == "cancelled" else "shard 1 died 5 times")


def test_reconciling_looks_at_every_unfinished_dataset_of_every_tenant(
    memory_store: Any, memory_queue: Any, submit: Submit
) -> None:
    made = {("acme", submit()), ("acme", submit()), ("other", submit(tenant="other"))}
    memory_queue.wipe()
    assert reconcile(memory_store, memory_queue) == {"unfinished": 3, "looked_at": 3, "enqueued": 3, "cleared": 0}
    assert {(task.tenant, task.subject) for task in memory_queue.sent} == made


def test_a_half_made_acceptance_is_cleared_once_it_is_old(memory_store: Any, memory_queue: Any) -> None:
    at, marker = DatasetKeys("acme", "ds_half"), keys.unfinished("acme", "ds_half")
    memory_store.put(marker, b"")
    memory_store.put(at.plan, b"{}")
    began = memory_store.now
    young = reconcile(memory_store, memory_queue, clock=lambda: began + HALF_ACCEPTED_S - 1)
    assert young == {"unfinished": 1, "looked_at": 1, "enqueued": 0, "cleared": 0}
    assert memory_store.exists(at.plan)
    old = reconcile(memory_store, memory_queue, clock=lambda: began + HALF_ACCEPTED_S + 1)
    assert old == {"unfinished": 1, "looked_at": 1, "enqueued": 0, "cleared": 1}
    assert memory_store.objects == {}


def test_a_queue_that_is_down_stops_a_reconciliation_and_the_next_one_goes_on(
    memory_store: Any, memory_queue: Any, submit: Submit
) -> None:
    submit()
    memory_queue.wipe()
    memory_queue.fault = lambda operation: QueueUnavailable("the queue does not answer")
    with pytest.raises(QueueUnavailable):
        reconcile(memory_store, memory_queue)
    memory_queue.fault = lambda operation: None
    assert reconcile(memory_store, memory_queue)["enqueued"] == 1


def test_the_first_step_is_one_task_however_large_the_dataset(
    memory_store: Any, memory_queue: Any, submit: Submit
) -> None:
    dataset = submit(subjects=1000)
    assert memory_queue.sent == [Task(ADVANCE, "acme", dataset)]
    first_step(memory_queue, "acme", dataset)
    assert memory_queue.sent == [Task(ADVANCE, "acme", dataset)]


def test_a_huge_set_sends_only_so_much_ahead(memory_store: Any, memory_queue: Any, submit: Submit) -> None:
    dataset = submit(checks={"unique": False})
    sent(memory_queue)
    memory_queue.most_ahead = 2
    assert advance(memory_store, memory_queue, "acme", dataset) == 2
    assert advance(memory_store, memory_queue, "acme", dataset) == 0
    first, _ = memory_queue.sent
    do(memory_store, dataset, GENERATE, 0)
    memory_queue.done(first)
    advance_after(memory_store, memory_queue, first)
    assert sent(memory_queue) == parts(GENERATE, 0, 1, 2)


def test_while_half_of_what_may_be_ahead_is_out_nobody_looks_at_the_store(
    memory_store: Any, memory_queue: Any, submit: Submit
) -> None:
    dataset = submit(checks={"unique": False}, subjects=40)
    sent(memory_queue)
    memory_queue.most_ahead = 8
    assert advance(memory_store, memory_queue, "acme", dataset) == 8
    memory_store.fault = lambda operation, key: pytest.fail("looked")
    for task in memory_queue.sent[:3]:
        memory_queue.done(task)
        advance_after(memory_store, memory_queue, task)


def test_a_pass_looks_only_at_what_nobody_is_at(memory_store: Any, memory_queue: Any, submit: Submit) -> None:
    for _ in range(3):
        submit()
    idle = memory_queue.sent.pop()
    memory_queue.done(idle)
    memory_store.fault = lambda operation, key: None if operation == "list" or idle.subject in key else pytest.fail(key)
    assert reconcile(memory_store, memory_queue)["looked_at"] == 1


def test_one_pass_at_a_time(memory_store: Any, memory_queue: Any, submit: Submit) -> None:
    submit()
    memory_queue.wipe()
    assert memory_queue.only_one("reconcile", 60)
    assert reconcile(memory_store, memory_queue) == {}
    memory_queue.free("reconcile")
    assert reconcile(memory_store, memory_queue)["enqueued"] == 1
    assert memory_queue.only_one("reconcile", 60), "a pass that has ended lets the next one in"


def test_a_pass_keeps_to_its_budget_and_the_next_goes_on(memory_store: Any, memory_queue: Any, submit: Submit) -> None:
    for _ in range(3):
        submit()
    memory_queue.wipe()
    now = [0.0]

    def tick() -> float:
        now[0] += 1
        return now[0]

    assert reconcile(memory_store, memory_queue, clock=tick, budget_s=3)["looked_at"] == 1
    assert reconcile(memory_store, memory_queue)["looked_at"] == 2


def test_what_workers_told_is_believed_and_nothing_is_listed(
    memory_store: Any, memory_queue: Any, submit: Submit, datasets: DatasetService
) -> None:
    memory_queue.remembers = True
    dataset = submit(checks={"unique": False})
    advance(memory_store, memory_queue, "acme", dataset)
    do(memory_store, dataset, GENERATE, 0)
    memory_queue.tell("acme", dataset, [(GENERATE.kind.name, "000000")], all_of_it=False)
    memory_store.fault = lambda operation, key: pytest.fail(key) if operation == "list" else None
    shown = datasets.get("acme", dataset)
    assert (shown.state, shown.progress.samples_done) == (State.RUNNING, 4)
    memory_store.fault = lambda operation, key: None
    memory_queue.wipe()
    assert datasets.get("acme", dataset).progress.samples_done == 4, "out of the store, where it is"
