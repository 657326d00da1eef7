"""Releases over memory: made once, pinned, withdrawn; with faults at every operation, and against deletion."""

import json
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import pytest

from app.config import LimitSettings
from app.dataset.keys import DatasetKeys, ReleaseKeys, unfinished
from app.dataset.release import Release, ReleaseRequest, WithdrawalRequest
from app.errors import Conflict, FacsimileError, NotFound, RequestRefused, StoreUnavailable, Withdrawn
from app.jobs.audit import Action, AuditLog
from app.jobs.datasets.removal import IN_FLIGHT_S, remove_dataset
from app.jobs.datasets.retention import Retention
from app.jobs.datasets.service import DatasetService
from app.jobs.reconcile import HALF_ACCEPTED_S, reconcile
from app.jobs.releases.products import ReleaseProducts
from app.jobs.releases.service import ReleaseService
from app.jobs.uploads import UploadService

Make = Callable[..., tuple[Release, bool]]


@pytest.fixture
def releases(memory_store: Any, clock: Any) -> ReleaseService:
    return ReleaseService(memory_store, clock)


@pytest.fixture
def finished(submit: Callable[..., str], finish_any: Callable[..., None], memory_store: Any) -> Callable[..., str]:
    """Submits a dataset, does the workers' work, and returns its id."""

    def make(**fields: Any) -> str:
        dataset = submit(**fields)
        finish_any(memory_store, "acme", dataset)
        return dataset

    return make


@pytest.fixture
def release(releases: ReleaseService) -> Make:
    def make(dataset: str, version: str = "1.0.0", name: str = "gate", notes: str = "") -> tuple[Release, bool]:
        return releases.create("acme", name, version, ReleaseRequest(dataset=dataset, notes=notes), by="0" * 16)

    return make


@pytest.fixture
def withdraw(releases: ReleaseService) -> Callable[..., Any]:
    def make(version: str = "1.0.0", name: str = "gate", reason: str = "look-alikes") -> Any:
        request = WithdrawalRequest(reason=reason, confirm=f"{name}@{version}")
        return releases.withdraw("acme", name, version, request, by="1" * 16)

    return make


def objects_of(store: Any, dataset: str) -> list[str]:
    return [key for key in store.objects if f"/datasets/{dataset}/" in key]


def settle(store: Any, queue: Any) -> None:
    """Let the reconciler and retention look, after everything that may be on its way has run out."""
    for _ in range(3):
        store.now += IN_FLIGHT_S + HALF_ACCEPTED_S + 1
        queue.wipe()
        reconcile(store, queue, UploadService(store, LimitSettings()), lambda: float(store.now))
        Retention(store, LimitSettings(), lambda: float(store.now)).run()


def test_a_release_is_made_once_and_tells_what_it_is(finished: Any, release: Make, releases: ReleaseService) -> None:
    dataset = finished(name="gate 7")
    made, new = release(dataset, notes="first")
    assert new
    assert (made.name, made.version, made.dataset, made.dataset_name) == ("gate", "1.0.0", dataset, "gate 7")
    assert (made.created_at, made.created_by, made.notes) == ("1970-01-12T13:46:40.000+00:00", "0" * 16, "first")
    assert made.counts["samples"] == 10
    assert release(dataset, notes="first") == (made, False)
    assert release(dataset) == (made, False)
    assert releases.get("acme", "gate", "1.0.0") == made
    assert releases.get("acme", "gate", "latest") == made
    assert releases.by_digest("acme", made.digest) == [made]


def test_two_datasets_of_one_content_have_one_digest(finished: Any, release: Make, releases: ReleaseService) -> None:
    # Here the files carry no dataset's id, as real ones do.
    one, _ = release(finished(name="one"), "1.0.0")
    other, _ = release(finished(name="other"), "2.0.0")
    third, _ = release(finished(name="one", subjects=3), "3.0.0")
    assert one.dataset != other.dataset
    assert (one.digest, one.pixels_digest) == (other.digest, other.pixels_digest)
    assert third.digest != one.digest
    assert [found.version for found in releases.by_digest("acme", one.digest)] == ["1.0.0", "2.0.0"]


def test_a_manifest_made_before_it_told_its_digests_gives_the_same(
    finished: Any, release: Make, memory_store: Any
) -> None:
    dataset = finished()
    made, _ = release(dataset)
    at = DatasetKeys("acme", dataset)
    summary = json.loads(memory_store.get(at.summary))
    del summary["content"]
    memory_store.put(at.summary, json.dumps(summary).encode())
    again, _ = release(dataset, "1.0.1")
    assert (again.digest, again.samples_digest) == (made.digest, made.samples_digest)
    assert (again.pixels_digest, again.manifest_sha256) == (made.pixels_digest, made.manifest_sha256)


def test_a_version_is_taken_for_ever(finished: Any, release: Make) -> None:
    first, other = finished(), finished(subjects=3)
    made, _ = release(first)
    with pytest.raises(Conflict, match=made.digest):
        release(other)
    with pytest.raises(Conflict, match="other notes"):
        release(first, notes="changed")


@pytest.mark.parametrize(
    ("name", "version", "field"),
    [("Gate", "1.0.0", "name"), ("gate", "v1.0.0", "version"), ("gate", "latest", "version")],
)
def test_a_wrong_name_or_version_is_refused(finished: Any, release: Make, name: str, version: str, field: str) -> None:
    with pytest.raises(RequestRefused, match=f"{field}: "):
        release(finished(), version, name)


def test_only_what_has_succeeded_can_be_released(
    submit: Any, release: Make, datasets: DatasetService, finished: Any
) -> None:
    dataset = submit()
    with pytest.raises(Conflict, match="is accepted"):
        release(dataset)
    datasets.cancel("acme", dataset)
    with pytest.raises(Conflict, match="is cancelled"):
        release(dataset)
    gone = finished()
    datasets.delete("acme", gone)
    for missing in (gone, "ds_" + "0" * 20):
        with pytest.raises(NotFound, match="there is no dataset"):
            release(missing)


def test_one_tenant_never_sees_anothers(finished: Any, release: Make, releases: ReleaseService) -> None:
    made, _ = release(finished())
    for look in (
        lambda: releases.get("rival", "gate", "1.0.0"),
        lambda: releases.get("rival", "gate", "latest"),
        lambda: releases.versions("rival", "gate"),
        lambda: releases.by_digest("rival", made.digest),
        lambda: releases.create("rival", "gate", "1.0.0", ReleaseRequest(dataset=made.dataset), by="2" * 16),
    ):
        with pytest.raises(NotFound):
            look()
    assert releases.names("rival", limit=10, after=None) == ([], None)


def test_versions_are_listed_by_precedence(finished: Any, release: Make, releases: ReleaseService) -> None:
    dataset = finished()
    for version in ("1.10.0", "1.9.0", "2.0.0-rc.1", "1.0.0"):
        release(dataset, version)
    release(dataset, "0.1.0-a", "other")
    release(dataset, "0.1.0", "third")
    found = releases.versions("acme", "gate")
    assert [item.version for item in found.releases] == ["2.0.0-rc.1", "1.10.0", "1.9.0", "1.0.0"]
    assert found.latest == "1.10.0"
    page, cursor = releases.names("acme", limit=2, after=None)
    assert [(item.name, item.latest) for item in page] == [("gate", "1.10.0"), ("other", None)]
    page, cursor = releases.names("acme", limit=2, after=cursor)
    assert [item.name for item in page] == ["third"]
    assert cursor is None
    with pytest.raises(NotFound, match=r"only pre-releases.*0\.1\.0-a"):
        releases.get("acme", "other", "latest")


def test_a_release_outlives_its_dataset(
    finished: Any,
    release: Make,
    releases: ReleaseService,
    datasets: DatasetService,
    memory_store: Any,
    memory_queue: Any,
) -> None:
    dataset = finished()
    products = ReleaseProducts(memory_store, releases)
    release(dataset)

    def whole() -> bytes:
        product = products.archive("acme", "gate", "latest")
        return b"".join(products.products.read(product, 0, product.size))

    before = whole()
    datasets.delete("acme", dataset)
    with pytest.raises(NotFound):
        datasets.get("acme", dataset)
    assert datasets.list("acme", state=None, name=None, limit=10, after=None) == ([], None)
    settle(memory_store, memory_queue)
    assert whole() == before
    assert products.sample("acme", "gate", "1.0.0", "S0000001_0001").size > 0
    assert not memory_store.exists(unfinished("acme", dataset))  # it counts for no quota
    assert memory_queue.sent[1:] == []


def test_what_is_withdrawn_is_gone_and_says_why(
    finished: Any, release: Make, withdraw: Any, releases: ReleaseService, datasets: DatasetService, memory_store: Any
) -> None:
    dataset = finished()
    made, _ = release(dataset)
    release(dataset, "0.9.0")
    tombstone = withdraw()
    assert (tombstone.digest, tombstone.reason, tombstone.withdrawn_by) == (made.digest, "look-alikes", "1" * 16)
    with pytest.raises(Withdrawn, match="look-alikes"):
        releases.get("acme", "gate", "1.0.0")
    with pytest.raises(Conflict, match=r"look-alikes.*take another"):
        release(dataset)
    assert releases.get("acme", "gate", "latest").version == "0.9.0"
    assert [found.version for found in releases.by_digest("acme", made.digest)] == ["0.9.0"]
    found = releases.versions("acme", "gate")
    assert [item.version for item in found.releases] == ["0.9.0"]
    assert found.withdrawn == [tombstone]
    # Again it does no harm, and the first reason stays.
    assert withdraw(reason="another") == tombstone
    # Its dataset is as it was.
    assert datasets.get("acme", dataset).state == "succeeded"
    assert objects_of(memory_store, dataset)


@pytest.mark.parametrize("version", ["1.0.0", "latest"])
def test_a_withdrawal_must_be_meant(finished: Any, release: Make, releases: ReleaseService, version: str) -> None:
    release(finished())
    for confirm in ("", "gate", "gate@1.0.1", "gate@latest"):
        with pytest.raises(RequestRefused, match="confirm"):
            releases.withdraw("acme", "gate", version, WithdrawalRequest(reason="x", confirm=confirm), by="1" * 16)
    with pytest.raises(NotFound):
        releases.withdraw("acme", "gate", "9.0.0", WithdrawalRequest(reason="x", confirm="gate@9.0.0"), by="1" * 16)
    assert releases.get("acme", "gate", "1.0.0")


def test_with_its_last_release_a_deleted_dataset_goes_for_good(
    finished: Any, release: Make, withdraw: Any, datasets: DatasetService, memory_store: Any
) -> None:
    dataset = finished()
    release(dataset)
    release(dataset, "1.1.0")
    datasets.delete("acme", dataset)
    withdraw("1.0.0")
    assert objects_of(memory_store, dataset)
    withdraw("1.1.0")
    assert objects_of(memory_store, dataset) == []
    assert not memory_store.exists(unfinished("acme", dataset))


def test_the_audit_log_tells_it_all_once(
    finished: Any, release: Make, withdraw: Any, datasets: DatasetService, memory_store: Any, clock: Any
) -> None:
    dataset = finished()
    for act in (
        lambda: release(dataset),
        lambda: release(dataset),
        withdraw,
        withdraw,
        lambda: datasets.delete("acme", dataset, by="3" * 16),
    ):
        act()
        clock.now += 1
    log = AuditLog(memory_store)
    entries, cursor = log.list("acme", limit=2, after=None)
    more, end = log.list("acme", limit=2, after=cursor)
    assert end is None
    assert [(entry.action, entry.subject, entry.by) for entry in (*entries, *more)] == [
        (Action.DELETED, dataset, "3" * 16),
        (Action.WITHDRAWN, "gate@1.0.0", "1" * 16),
        (Action.RELEASED, "gate@1.0.0", "0" * 16),
    ]
    assert entries[1].reason == "look-alikes"
    assert log.list("rival", limit=2, after=None) == ([], None)


class Stopped(Exception):
    """Raised in place of a store operation: the process has died there."""


def stopping(store: Any, number: int, error: Callable[[], Exception], *, after: bool = False) -> list[str]:
    """Make the store fail at its `number`-th operation from now on; returns what it was asked."""
    asked: list[str] = []

    def fault(operation: str, key: str) -> FacsimileError | None:
        asked.append(f"{operation} {key}")
        if len(asked) == number:
            raise error()
        return None

    store.fault = fault
    return asked


def numbers() -> Iterator[int]:
    yield from range(1, 60)


@pytest.mark.parametrize("error", [lambda: StoreUnavailable("down"), Stopped], ids=["down", "dead"])
def test_making_a_release_breaks_off_anywhere(
    finished: Any,
    release: Make,
    releases: ReleaseService,
    datasets: DatasetService,
    memory_store: Any,
    memory_queue: Any,
    error: Any,
) -> None:
    """Either it is a release, or nothing of it is; the same request again makes it one; and nothing stays for ever."""
    for number in numbers():
        dataset, version = finished(), f"1.0.{number}"
        asked = stopping(memory_store, number, error)
        with suppress(StoreUnavailable, Stopped):
            release(dataset, version)
        memory_store.fault = lambda operation, key: None
        broken = len(asked) >= number
        try:
            there = releases.get("acme", "gate", version)
        except NotFound:
            there = None
        if number % 2:  # it is tried again
            made, new = release(dataset, version)
            assert new == (there is None)
            assert there in (None, made)
            datasets.delete("acme", dataset)
            settle(memory_store, memory_queue)
            assert memory_store.exists(DatasetKeys("acme", dataset).manifest)
            entries, _ = AuditLog(memory_store).list("acme", limit=500, after=None)
            assert [entry.subject for entry in entries].count(f"gate@{version}") == 1
        elif there is None:  # it is not, and the dataset is deleted: then nothing keeps it
            datasets.delete("acme", dataset)
            settle(memory_store, memory_queue)
            assert objects_of(memory_store, dataset) == []
        if not broken:
            break
    assert number > 8
    assert there is not None


@pytest.mark.parametrize("error", [lambda: StoreUnavailable("down"), Stopped], ids=["down", "dead"])
@pytest.mark.parametrize("again", [False, True])
def test_a_withdrawal_breaks_off_anywhere(
    finished: Any,
    release: Make,
    withdraw: Any,
    releases: ReleaseService,
    datasets: DatasetService,
    memory_store: Any,
    memory_queue: Any,
    error: Any,
    again: bool,
) -> None:
    """Either it is withdrawn or it is whole; and if it is withdrawn the objects go, whoever does it."""
    for number in numbers():
        dataset, version = finished(), f"1.0.{number}"
        release(dataset, version)
        datasets.delete("acme", dataset)
        asked = stopping(memory_store, number, error)
        with suppress(StoreUnavailable, Stopped):
            withdraw(version)
        memory_store.fault = lambda operation, key: None
        if again:
            withdraw(version)
        settle(memory_store, memory_queue)
        if memory_store.exists(ReleaseKeys("acme", "gate", version).tombstone):
            assert objects_of(memory_store, dataset) == []
            with pytest.raises(Withdrawn):
                releases.get("acme", "gate", version)
        else:
            assert not again
            assert releases.get("acme", "gate", version)
            assert memory_store.exists(DatasetKeys("acme", dataset).manifest)
        if len(asked) < number:
            break
    assert number > 8


@pytest.mark.parametrize("error", [lambda: StoreUnavailable("down"), Stopped], ids=["down", "dead"])
def test_deleting_a_released_dataset_breaks_off_anywhere(
    finished: Any, release: Make, datasets: DatasetService, memory_store: Any, memory_queue: Any, error: Any
) -> None:
    for number in numbers():
        dataset, version = finished(), f"1.0.{number}"
        release(dataset, version)
        whole = {key for key in objects_of(memory_store, dataset) if not key.endswith("/request.json")}
        asked = stopping(memory_store, number, error)
        with suppress(StoreUnavailable, Stopped):
            datasets.delete("acme", dataset)
        memory_store.fault = lambda operation, key: None
        settle(memory_store, memory_queue)
        assert whole <= set(objects_of(memory_store, dataset))
        if len(asked) < number:
            break
    assert number > 5


@pytest.mark.parametrize("order", ["release", "delete"])
def test_deleting_between_any_two_steps_of_making_a_release(
    order: str, finished: Any, release: Make, releases: ReleaseService, memory_store: Any, memory_queue: Any
) -> None:
    """One runs up to its n-th operation, the other whole, then the first goes on: never a release without objects."""
    outcomes = set()
    for number in numbers():
        dataset, version = finished(), f"1.0.{number}"
        asked: list[str] = []

        def make(dataset: str = dataset, version: str = version) -> None:
            with suppress(NotFound, Conflict):
                release(dataset, version)

        def delete(dataset: str = dataset) -> None:
            with suppress(NotFound):
                remove_dataset(memory_store, "acme", dataset, memory_store.now)

        first, second = (make, delete) if order == "release" else (delete, make)

        def fault(
            operation: str, key: str, asked: list[str] = asked, number: int = number, second: Any = second
        ) -> None:
            asked.append(f"{operation} {key}")
            if len(asked) == number:
                second()

        memory_store.fault = fault
        first()
        memory_store.fault = lambda operation, key: None
        if len(asked) < number:
            break
        settle(memory_store, memory_queue)
        try:
            releases.get("acme", "gate", version)
        except NotFound:
            outcomes.add("refused")
            assert objects_of(memory_store, dataset) == [], asked
        else:
            outcomes.add("released")
            products = ReleaseProducts(memory_store, releases)
            archive = products.archive("acme", "gate", version)
            assert sum(map(len, products.products.read(archive, 0, archive.size))) == archive.size
    assert outcomes == {"refused", "released"}
    assert number > 8


@pytest.mark.parametrize("other", ["same", "another"])
def test_another_between_any_two_steps_of_making_a_release(
    other: str,
    finished: Any,
    release: Make,
    releases: ReleaseService,
    datasets: DatasetService,
    memory_store: Any,
    memory_queue: Any,
) -> None:
    """Two make one version, one in the middle of the other: one winner, whose objects stay when all is deleted."""
    for number in numbers():
        mine = finished()
        theirs, version = mine if other == "same" else finished(subjects=3), f"1.0.{number}"
        asked: list[str] = []
        made: list[Any] = []

        def make(dataset: str, version: str = version, made: list[Any] = made) -> None:
            try:
                made.append(release(dataset, version))
            except Conflict as exc:
                made.append(exc)

        def fault(
            operation: str,
            key: str,
            asked: list[str] = asked,
            number: int = number,
            theirs: str = theirs,
            make: Any = make,
        ) -> None:
            asked.append(f"{operation} {key}")
            if len(asked) == number:
                make(theirs)

        memory_store.fault = fault
        make(mine)
        memory_store.fault = lambda operation, key: None
        if len(asked) < number:
            break
        there = releases.get("acme", "gate", version)
        results = [item for item in made if not isinstance(item, Conflict)]
        assert [found for found, _ in results] == [there] * len(results)
        assert sum(new for _, new in results) == 1
        assert len(results) == (2 if other == "same" else 1)
        assert all(there.digest in str(item) for item in made if isinstance(item, Conflict))
        for dataset in {mine, theirs}:
            datasets.delete("acme", dataset)
        settle(memory_store, memory_queue)
        assert memory_store.exists(DatasetKeys("acme", there.dataset).manifest)
        if other == "another":
            lost = theirs if there.dataset == mine else mine
            assert objects_of(memory_store, lost) == []
    assert number > 8


def test_an_answer_that_was_lost_is_no_lost_race(finished: Any, release: Make, memory_store: Any) -> None:
    """The S3 client repeats a write by itself: the first one was us."""
    write = memory_store.put_if_absent

    def twice(key: str, data: bytes, content_type: str = "application/json") -> bool:
        write(key, data)
        return bool(write(key, data))

    memory_store.put_if_absent = twice
    dataset = finished()
    made, new = release(dataset)
    assert new
    assert made.dataset == dataset
