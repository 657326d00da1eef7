"""What surrounds a task: counting attempts, giving up, coming back, and leaving nothing of what was deleted."""

import uuid
from collections.abc import Callable
from typing import Any

import pytest
from celery.exceptions import SoftTimeLimitExceeded

from app.config import Settings
from app.dataset import keys
from app.dataset.keys import DatasetKeys
from app.dataset.layout import Layout
from app.dataset.plan import Plan
from app.errors import Cancelled, Misconfigured, OutOfReach, StoreUnavailable, Unfinished
from app.figures import Figures
from app.jobs import attempts
from app.jobs.eta import pace_name
from app.jobs.phases import GENERATE, LAYOUT
from app.jobs.records import Accepted, read_json, read_plan, write_json
from app.queue import Kind, Task
from app.tracing import Tracing
from workers.attempt import Attempt, attempt_dataset
from workers.tasks import perform

AT = DatasetKeys("acme", "ds_test")
TASK = GENERATE.task("acme", "ds_test", "000001")


class Place:
    """Resources over memory."""

    def __init__(self, store: Any, queue: Any, paint: Any) -> None:
        self.store, self.queue, self._paint = store, queue, paint
        self.figures, self.tracing = Figures(), Tracing()
        self.settings = Settings.model_validate({"environment": "development", "worker": {"max_deaths": 3}})

    def generator(self, plan: Plan) -> Any:
        return self._paint


@pytest.fixture
def place(memory_store: Any, memory_queue: Any, paint: Any, plan_for: Callable[..., Plan]) -> Place:
    plan = plan_for(paint.card, subjects=4, samples_per_subject=2, shard_size=2)
    write_json(memory_store, AT.plan, plan)
    accepted = Accepted(id="ds_test", tenant="acme", name="n", created_at="2026-01-01", request={})
    write_json(memory_store, AT.request, accepted)
    memory_store.put(keys.unfinished("acme", "ds_test"), b"")
    return Place(memory_store, memory_queue, paint)


def marks(place: Place) -> list[str]:
    return [info.key for info in place.store.list(AT.all_attempts)]


def test_work_that_ends_well_leaves_no_mark(place: Place) -> None:
    seen: list[Attempt] = []
    attempt_dataset(place, TASK, seen.append)
    assert seen[0].task == TASK
    assert marks(place) == []
    assert TASK.marker not in place.queue.markers


def test_how_long_a_part_took_is_noted_once_it_is_stored(place: Place) -> None:
    attempt_dataset(place, TASK, lambda attempt: None)  # left nothing
    assert place.queue.noted == {}
    attempt_dataset(place, TASK, lambda attempt: place.store.put(AT.shard_report(1), b"{}"))
    ((name, pace),) = place.queue.noted.items()
    assert name == pace_name(GENERATE, read_plan(place.store, "acme", "ds_test"), "000001")
    assert 0 < pace < 1


def test_the_attempt_is_counted_while_it_lasts(place: Place) -> None:
    attempt_dataset(place, TASK, lambda attempt: len(marks(place)) == 1 or pytest.fail("not counted"))


def test_failures_are_counted_and_at_last_fail_the_dataset_with_their_reason(place: Place) -> None:
    calls = []

    def break_down(attempt: Attempt) -> None:
        calls.append(1)
        raise ValueError("the ink is dry")

    for _ in range(3):
        attempt_dataset(place, TASK, break_down)
        assert not place.store.exists(AT.failed)
    attempt_dataset(place, TASK, break_down)
    assert len(calls) == 3
    reason = read_json(place.store, AT.failed)["reason"]
    assert "given up after 3 attempts at generate_shard 1;" in reason
    assert "ValueError: the ink is dry" in reason
    assert not place.store.exists(keys.unfinished("acme", "ds_test"))


def pin(place: Place) -> None:
    """Make the dataset a release, as far as the store tells."""
    place.store.put(AT.pin("gate", "1.0.0", "mark"), b"")
    write_json(place.store, keys.ReleaseKeys("acme", "gate", "1.0.0").record, {"pin": "mark"})


def test_what_was_deleted_and_lives_on_as_a_release_is_worked_on_and_not_swept(place: Place) -> None:
    pin(place)
    place.store.delete(AT.request)
    called_off: list[bool] = []
    attempt_dataset(place, TASK, lambda attempt: called_off.append(attempt.called_off()))
    assert called_off == [False]
    assert place.store.exists(AT.plan)


def test_what_was_deleted_and_withdrawn_is_swept(place: Place) -> None:
    pin(place)
    write_json(place.store, keys.ReleaseKeys("acme", "gate", "1.0.0").tombstone, {})
    called_off: list[bool] = []

    def work(attempt: Attempt) -> None:
        place.store.delete(AT.request)
        called_off.append(attempt.called_off())

    attempt_dataset(place, TASK, work)
    assert called_off == [True]
    assert list(place.store.list(AT.prefix)) == []


def test_a_layout_that_fails_leaves_a_dataset_that_has_succeeded_as_it_is(place: Place) -> None:
    def break_down(attempt: Attempt) -> None:
        raise ValueError("no ink for this layout")

    place.store.put(AT.manifest, b"{}")
    task = LAYOUT.task("acme", "ds_test", "lfw")
    for _ in range(4):
        attempt_dataset(place, task, break_down)
    assert not place.store.exists(AT.failed)
    assert "no ink for this layout" in read_json(place.store, AT.layout_failed(Layout.LFW))["reason"]
    assert place.queue.sent == []


def test_unfinished_work_goes_on_in_another_task(place: Place) -> None:
    def stop(attempt: Attempt) -> None:
        raise Unfinished("half of it is done")

    for _ in range(10):
        attempt_dataset(place, TASK, stop)
        assert place.queue.sent == [TASK]
        place.queue.wipe()
    assert marks(place) == []
    assert not place.store.exists(AT.failed)


def test_a_time_limit_that_is_reached_is_named(place: Place) -> None:
    def stop(attempt: Attempt) -> None:
        raise SoftTimeLimitExceeded

    for _ in range(4):
        attempt_dataset(place, TASK, stop)
    assert "1,740 s" in read_json(place.store, AT.failed)["reason"]


def test_the_model_is_loaded_only_where_it_is_needed(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(place, "generator", lambda plan: pytest.fail("loaded"))
    attempt_dataset(place, TASK, lambda attempt: None)
    assert marks(place) == []


def test_deaths_count_like_failures(place: Place) -> None:
    class Killed(BaseException):
        """Nothing that the attempt can catch, as kill -9."""

    def die(attempt: Attempt) -> None:
        raise Killed

    for _ in range(3):
        with pytest.raises(Killed):
            attempt_dataset(place, TASK, die)
    attempt_dataset(place, TASK, lambda attempt: pytest.fail("tried once too often"))
    assert "the worker was lost" in read_json(place.store, AT.failed)["reason"]


def lost_with_its_worker(place: Place, monkeypatch: pytest.MonkeyPatch, *, in_order: bool) -> None:
    """An attempt in whose midst the whole worker goes, and another worker is started."""

    class Killed(BaseException):
        """As kill -9."""

    def die(attempt: Attempt) -> None:
        if in_order:
            attempts.note_orderly_stop(place.store)
        raise Killed

    with pytest.raises(Killed):
        attempt_dataset(place, TASK, die)
    monkeypatch.setattr(attempts, "BOOT", uuid.uuid4().hex)


def test_orderly_stops_do_not_count_however_many(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    for _ in range(30):
        lost_with_its_worker(place, monkeypatch, in_order=True)
    attempt_dataset(place, TASK, lambda attempt: None)
    assert not place.store.exists(AT.failed)
    assert marks(place) == []


def test_whole_workers_may_be_lost_more_often_than_children_but_not_for_ever(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(11):
        lost_with_its_worker(place, monkeypatch, in_order=False)
        assert not place.store.exists(AT.failed)
    lost_with_its_worker(place, monkeypatch, in_order=False)
    attempt_dataset(place, TASK, lambda attempt: pytest.fail("tried once too often"))
    assert "given up after 12 attempts" in read_json(place.store, AT.failed)["reason"]


def test_a_lost_store_or_queue_is_nobodys_failure(place: Place) -> None:
    def lose(attempt: Attempt) -> None:
        raise StoreUnavailable("gone")

    for _ in range(10):
        attempt_dataset(place, TASK, lose)
    assert marks(place) == []
    assert not place.store.exists(AT.failed)
    assert TASK.marker not in place.queue.markers, "so that the reconciler may give it out again"


def test_a_store_that_goes_away_in_mid_attempt_leaves_no_death_behind(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lose(attempt: Attempt) -> None:
        def away(key: str) -> None:
            raise StoreUnavailable("gone")

        monkeypatch.setattr(place.store, "delete", away)
        raise StoreUnavailable("gone")

    for _ in range(10):
        attempt_dataset(place, TASK, lose)
        monkeypatch.undo()
    assert len(marks(place)) == 1, "of the last, until someone comes by"
    attempt_dataset(place, TASK, lambda attempt: None)
    assert marks(place) == []
    assert not place.store.exists(AT.failed)


def test_a_cancelled_dataset_is_not_worked_on(place: Place) -> None:
    write_json(place.store, AT.cancelled, {})
    attempt_dataset(place, TASK, lambda attempt: pytest.fail("worked on"))


def test_work_sees_that_it_is_called_off(place: Place) -> None:
    def work(attempt: Attempt) -> None:
        assert not attempt.called_off()
        write_json(place.store, AT.cancelled, {})
        assert attempt.called_off()
        raise Cancelled("called off")

    attempt_dataset(place, TASK, work)
    assert marks(place) == []


def test_nothing_stays_of_a_dataset_that_is_deleted_while_a_worker_writes(place: Place) -> None:
    def work(attempt: Attempt) -> None:
        place.store.delete_prefix(AT.prefix)
        attempt.store.put(AT.shard_samples(1), b"late")

    attempt_dataset(place, TASK, work)
    assert list(place.store.list(AT.prefix)) == []


def test_a_dataset_that_is_gone_is_no_error(place: Place) -> None:
    place.store.delete_prefix(AT.prefix)
    attempt_dataset(place, TASK, lambda attempt: pytest.fail("worked on"))


def test_the_last_of_a_phase_sets_the_next_going(place: Place) -> None:
    for number in (0, 2, 3):
        place.store.put(AT.shard_report(number), b"{}")
    attempt_dataset(place, TASK, lambda attempt: attempt.store.put(AT.shard_report(1), b"{}"))
    assert [task.kind.name for task in place.queue.sent] == ["facsimile.close_dataset"]


def test_what_no_repetition_mends_fails_at_once_with_its_reason(place: Place) -> None:
    def refuse(attempt: Attempt) -> None:
        raise OutOfReach("the target is out of reach: FNMR 0.9 is more than 0.4")

    attempt_dataset(place, TASK, refuse)
    assert read_json(place.store, AT.failed)["reason"] == "the target is out of reach: FNMR 0.9 is more than 0.4"
    assert marks(place) == []


def test_a_worker_without_the_model_leaves_it_to_others(place: Place) -> None:
    def lack(attempt: Attempt) -> None:
        raise Misconfigured("there is no model 'sdgan' here")

    attempt_dataset(place, TASK, lack)
    assert not place.store.exists(AT.failed)
    assert len(marks(place)) == 1


def test_a_task_of_another_version_is_left_to_the_reconciler(place: Place) -> None:
    task = Task(Kind("facsimile.report_dataset", "control"), "acme", "ds_test")
    perform(place, task)  # type: ignore[arg-type]
    assert marks(place) == []
    assert not place.store.exists(AT.failed)


def test_what_is_done_is_told_once_it_is_stored(place: Place) -> None:
    place.queue.remembers = True
    place.queue.tell("acme", "ds_test", [], all_of_it=True)
    attempt_dataset(place, TASK, lambda attempt: None)
    assert place.queue.told("acme", "ds_test") == {}
    attempt_dataset(place, TASK, lambda attempt: attempt.store.put(AT.shard_report(1), b"{}"))
    assert place.queue.told("acme", "ds_test") == {GENERATE.kind.name: {"000001"}}


def test_what_was_said_to_be_there_and_is_not_is_looked_for_again(place: Place) -> None:
    place.queue.tell("acme", "ds_test", [], all_of_it=True)

    def miss(attempt: Attempt) -> None:
        attempt.store.get(AT.identities)

    attempt_dataset(place, TASK, miss)
    assert place.queue.notes == {}


def test_between_two_batches_something_else_may_be_done(place: Place) -> None:
    made: list[int] = []
    attempt_dataset(place, TASK, lambda attempt: attempt.called_off() and None, meanwhile=lambda: made.append(1))
    assert made == [1]
