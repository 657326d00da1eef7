"""Submitting, listing, cancelling and deleting datasets, with faults in between."""

from collections.abc import Callable
from typing import Any

import pytest

from app.config import LimitSettings
from app.dataset import keys
from app.dataset.keys import DatasetKeys
from app.dataset.marking import CertificateCard, MarkingCard
from app.dataset.plan import Plan
from app.dataset.request import DatasetRequest
from app.errors import (
    Conflict,
    Corrupt,
    NotFound,
    QueueUnavailable,
    QuotaExceeded,
    RequestRefused,
    StoreUnavailable,
    Unavailable,
)
from app.jobs.catalogues.marking import publish_marking
from app.jobs.datasets.service import DatasetService
from app.jobs.idempotency import RESERVED_S
from app.jobs.ids import new_id
from app.jobs.reconcile import reconcile
from app.jobs.records import read_plan, write_json
from app.jobs.state import State
from app.jobs.uploads import UploadService
from app.queue import ADVANCE, Task

Submit = Callable[..., str]


def test_acceptance_is_in_the_store_before_anything_is_enqueued(
    memory_store: Any, memory_queue: Any, submit: Submit
) -> None:
    order: list[str] = []
    enqueue = memory_queue.enqueue
    memory_queue.enqueue = lambda task: (order.extend(key for _, key in memory_store.journal), enqueue(task))[1]
    dataset = submit()
    at = DatasetKeys("acme", dataset)
    # The marker first, so that nothing accepted can be overlooked; the request, which is the acceptance, last.
    assert order == [keys.unfinished("acme", dataset), at.plan, at.request]
    assert memory_queue.sent == [Task(ADVANCE, "acme", dataset)]


def test_what_is_shown_is_what_was_asked(datasets: DatasetService, submit: Submit) -> None:
    shown = datasets.get("acme", submit(name="gate 7"))
    assert shown.name == "gate 7"
    assert shown.state is State.ACCEPTED
    assert shown.created_at == "1970-01-12T13:46:40.000+00:00"
    assert shown.seed == 7
    assert shown.request["distractors"] == 2
    assert (shown.progress.samples_done, shown.progress.samples_total) == (0, 10)
    assert shown.counts is None


def test_a_seed_is_drawn_and_shown_where_none_was_given(datasets: DatasetService, submit: Submit) -> None:
    first, second = (datasets.get("acme", submit(seed=None)) for _ in range(2))
    assert first.seed != second.seed
    assert datasets.get("acme", first.id).seed == first.seed


@pytest.mark.parametrize("failing", ["plan.json", "request.json"])
def test_a_store_that_fails_midway_leaves_nothing_accepted(
    memory_store: Any, memory_queue: Any, submit: Submit, failing: str
) -> None:
    before = dict(memory_store.objects)
    memory_store.fault = lambda operation, key: (
        StoreUnavailable("down") if operation == "put" and key.endswith(failing) else None
    )
    with pytest.raises(StoreUnavailable):
        submit(key="once")
    assert memory_queue.sent == []
    assert memory_store.objects == before


def test_a_queue_that_is_down_leaves_nothing_accepted(
    memory_store: Any, memory_queue: Any, submit: Submit, datasets: DatasetService
) -> None:
    before = dict(memory_store.objects)
    memory_queue.fault = lambda operation: QueueUnavailable("down")
    with pytest.raises(QueueUnavailable):
        submit(key="once")
    # It may also go down between the look at it and the first task.
    memory_queue.ping = lambda: None
    with pytest.raises(QueueUnavailable):
        submit(key="once")
    assert memory_store.objects == before
    memory_queue.fault = lambda operation: None
    assert datasets.get("acme", submit(key="once")).state is State.ACCEPTED


def test_a_crash_after_the_marker_is_cleared_by_the_reconciler(
    memory_store: Any, memory_queue: Any, submit: Submit
) -> None:
    before = dict(memory_store.objects)
    memory_store.fault = lambda operation, key: (
        StoreUnavailable("down") if operation == "delete" or key.endswith("request.json") else None
    )
    with pytest.raises(StoreUnavailable):
        submit()
    assert len(memory_store.objects) == len(before) + 2
    memory_store.fault = lambda operation, key: None
    uploads = UploadService(memory_store, LimitSettings())
    memory_queue.wipe()
    assert reconcile(memory_store, memory_queue, uploads, lambda: memory_store.now + 3600)["cleared"] == 1
    assert memory_store.objects == before


def test_the_same_key_gives_the_same_dataset(memory_queue: Any, submit: Submit) -> None:
    first = submit(key="build 17")
    assert submit(key="build 17") == first
    assert len(memory_queue.sent) == 1
    assert submit(key="build 18") != first
    assert submit(key="build 17", tenant="other") != first


def test_the_same_key_with_another_body_is_a_conflict(submit: Submit) -> None:
    submit(key="build 17")
    with pytest.raises(Conflict, match="another body"):
        submit(key="build 17", seed=8)


def test_a_key_whose_writer_died_before_the_acceptance_can_be_used_again(
    memory_store: Any, datasets: DatasetService, submit: Submit, clock: Any
) -> None:
    # The process is killed right after it has taken the key: no error is handled, nothing is taken back.
    taken = submit(key="build 17")
    for key in [found.key for found in memory_store.list(f"tenants/acme/datasets/{taken}/")]:
        memory_store.delete(key)
    with pytest.raises(Unavailable, match="being accepted now"):
        submit(key="build 17")
    clock.now += RESERVED_S + 1
    made = submit(key="build 17")
    assert made != taken
    assert submit(key="build 17") == made
    with pytest.raises(Conflict):
        submit(key="build 17", seed=8)
    assert datasets.get("acme", made).state is State.ACCEPTED


def test_a_key_that_was_written_twice_by_its_own_writer_is_its_own(memory_store: Any, submit: Submit) -> None:
    # The answer to a conditional write gets lost, the client repeats it, and finds the key taken: by itself.
    write = memory_store.put_if_absent
    memory_store.put_if_absent = lambda key, data, content_type="": write(key, data) and write(key, data)
    dataset = submit(key="build 17")
    assert submit(key="build 17") == dataset


def test_a_refused_request_leaves_nothing(memory_store: Any, memory_queue: Any, submit: Submit) -> None:
    before = dict(memory_store.objects)
    for wrong in ({"subjects": 1_000_000, "samples_per_subject": 3}, {"model": "none"}, {"image": {"size": 31}}):
        with pytest.raises(RequestRefused):
            submit(key="k", **wrong)
    assert memory_store.objects == before
    assert memory_queue.sent == []


def test_a_tenant_may_have_only_so_much_under_way(datasets: DatasetService, submit: Submit) -> None:
    mine = [submit() for _ in range(3)]
    with pytest.raises(QuotaExceeded, match="3 datasets are unfinished"):
        submit()
    submit(tenant="other")
    datasets.cancel("acme", mine[0])
    submit()


def test_one_tenant_never_sees_anothers(datasets: DatasetService, submit: Submit) -> None:
    dataset = submit()
    for use in (datasets.get, datasets.cancel, datasets.delete):
        with pytest.raises(NotFound, match="there is no dataset"):
            use("other", dataset)
    assert datasets.list("other", state=None, name=None, limit=10, after=None) == ([], None)
    assert datasets.get("acme", dataset).state is State.ACCEPTED


def test_pages_go_from_the_newest_to_the_oldest(datasets: DatasetService, submit: Submit, clock: Any) -> None:
    made = []
    for _ in range(7):
        clock.now += 1
        made.append(submit())
        datasets.cancel("acme", made[-1])
    seen, after = [], None
    for expected in (3, 3, 1):
        page, after = datasets.list("acme", state=None, name=None, limit=3, after=after)
        assert len(page) == expected
        seen += [shown.id for shown in page]
    assert after is None
    assert seen == made[::-1]


def test_lists_can_be_narrowed(datasets: DatasetService, submit: Submit) -> None:
    one, two = submit(name="gate 7 smoke"), submit(name="load test")
    datasets.cancel("acme", two)

    def ids(**wanted: Any) -> list[str]:
        narrowed = {"state": None, "name": None} | wanted
        return [shown.id for shown in datasets.list("acme", limit=10, after=None, **narrowed)[0]]

    assert ids(state=State.CANCELLED) == [two]
    assert ids(name="smoke") == [one]
    assert ids(state=State.CANCELLED, name="smoke") == []
    assert len(ids()) == 2


def test_cancelling_is_a_marker_and_can_be_repeated(
    memory_store: Any, datasets: DatasetService, submit: Submit
) -> None:
    dataset = submit()
    assert datasets.cancel("acme", dataset).state is State.CANCELLED
    assert memory_store.exists(DatasetKeys("acme", dataset).cancelled)
    assert datasets.cancel("acme", dataset).state is State.CANCELLED


def test_what_has_ended_cannot_be_cancelled(
    memory_store: Any, datasets: DatasetService, submit: Submit, summary_of: Any
) -> None:
    at = DatasetKeys("acme", dataset := submit())
    write_json(memory_store, at.summary, summary_of().as_json())
    memory_store.put(at.manifest, b"{}")
    with pytest.raises(Conflict, match="has succeeded"):
        datasets.cancel("acme", dataset)
    assert datasets.get("acme", dataset).counts == summary_of().counts.as_dict()


def test_deleting_leaves_no_object_and_stops_workers_first(
    memory_store: Any, datasets: DatasetService, submit: Submit
) -> None:
    before = dict(memory_store.objects)
    at = DatasetKeys("acme", dataset := submit())
    other = submit()
    memory_store.put(at.shard_samples(0), b"tar")
    memory_store.journal.clear()
    datasets.delete("acme", dataset)
    # After the audit log's entry.
    assert memory_store.journal[1] == ("put", at.cancelled)
    assert not list(memory_store.list(at.prefix))
    assert not memory_store.exists(keys.unfinished("acme", dataset))
    with pytest.raises(NotFound):
        datasets.get("acme", dataset)
    datasets.delete("acme", other)
    left = {key: data for key, data in memory_store.objects.items() if not key.startswith(keys.audit("acme"))}
    assert left == before


def test_a_plan_that_cannot_be_read_is_said_so_and_holds_up_no_other(
    memory_store: Any, memory_queue: Any, datasets: DatasetService, submit: Submit
) -> None:
    broken, sound = submit(), submit()
    memory_store.put(DatasetKeys("acme", broken).plan, b'{"schema_version": 2}')
    memory_queue.wipe()
    assert reconcile(memory_store, memory_queue, UploadService(memory_store, LimitSettings()))["enqueued"] == 1
    assert [task.subject for task in memory_queue.sent] == [sound]
    with pytest.raises(Corrupt, match="plan"):
        datasets.get("acme", broken)


def test_a_plan_can_be_had_without_a_dataset(memory_store: Any, datasets: DatasetService) -> None:
    before = dict(memory_store.objects)
    plan = datasets.plan_only(DatasetRequest.model_validate({"name": "x", "subjects": 5, "samples_per_subject": 2}))
    assert isinstance(plan, Plan)
    assert plan.samples == 10
    assert memory_store.objects == before


def test_ids_sort_by_age_and_differ() -> None:
    ids = [new_id("ds_", now) for now in (0.0, 1.0, 1.001, 1e9, 1.8e9, 1e12) for _ in range(20)]
    assert len(set(ids)) == len(ids)
    times = [made[:13] for made in ids]
    assert times == sorted(times)
    assert {len(made) for made in ids} == {23}


def test_marks_are_pinned_in_the_plan_and_refused_where_no_worker_has_them(memory_store: Any, submit: Submit) -> None:
    with pytest.raises(RequestRefused) as caught:
        submit(marking={"c2pa": True, "watermark": True})
    assert [field for field, _ in caught.value.problems] == ["marking.c2pa", "marking.watermark"]
    certificate = CertificateCard(
        subject="CN=a", issuer="CN=b", sha256="c" * 64, not_after="2030-01-01", self_made=False, timestamped=False
    )
    publish_marking(memory_store, MarkingCard(c2pa=certificate, watermark="0123456789abcdef"))
    for asked, form in ((True, "embedded"), ("detached", "detached"), (False, None)):
        plan = read_plan(memory_store, "acme", submit(marking={"c2pa": asked, "watermark": True}))
        assert (plan.marking.c2pa, plan.marking.watermark) == (form, "0123456789abcdef")
