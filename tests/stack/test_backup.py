"""Backups: all that a store holds, and nothing else, comes back; whatever is wrong is told before a byte is written."""

from pathlib import Path
from typing import Any

import pytest

from app.errors import Conflict, Corrupt, StoreUnavailable
from app.stack.backup import RESTORING, back_up, restore
from app.stack.shelves import INDEX, BucketShelf, FolderShelf


def still(seconds: float) -> None:
    """Waits for nothing."""


@pytest.fixture
def stores(memory_store: Any) -> tuple[Any, Any]:
    """A store with objects, and an empty one."""
    for number in range(20):
        memory_store.put(f"tenants/acme/datasets/ds_{number}/request.json", b"{}")
        memory_store.put(f"tenants/acme/datasets/ds_{number}/shards/000000/samples.tar", bytes([number]) * 2_000)
    memory_store.put("api-keys/0123456789abcdef.json", b'{"tenant": "acme"}')
    memory_store.put("unfinished/acme/ds_0", b"")
    return memory_store, type(memory_store)()


def test_what_is_backed_up_comes_back(stores: tuple[Any, Any], tmp_path: Path) -> None:
    store, empty = stores
    store.put("sessions/0123456789abcdef/x.json", b"{}")
    before = {key: data for key, data in store.objects.items() if not key.startswith("sessions/")}
    assert back_up(store, FolderShelf(tmp_path / "backup"), sleep=still) == 42
    assert restore(empty, FolderShelf(tmp_path / "backup")) == 42
    assert empty.objects == before


def test_broken_off_it_goes_on(stores: tuple[Any, Any], tmp_path: Path) -> None:
    store, empty = stores
    reads = 0

    def fault(operation: str, key: str) -> StoreUnavailable | None:
        nonlocal reads
        reads += operation == "read"
        return StoreUnavailable("away") if operation == "read" and reads == 15 else None

    store.fault = fault
    with pytest.raises(StoreUnavailable):
        back_up(store, FolderShelf(tmp_path), sleep=still)
    with pytest.raises(Corrupt, match="no whole backup"):
        restore(empty, FolderShelf(tmp_path))
    assert back_up(store, FolderShelf(tmp_path), sleep=still) == 42
    assert reads == 43, "what was copied is not read again"
    writes = 0

    def full(operation: str, key: str) -> StoreUnavailable | None:
        nonlocal writes
        writes += operation == "put"
        return StoreUnavailable("away") if operation == "put" and writes == 15 else None

    empty.fault = full
    with pytest.raises(StoreUnavailable):
        restore(empty, FolderShelf(tmp_path))
    assert RESTORING in empty.objects
    restore(empty, FolderShelf(tmp_path))
    assert empty.objects == store.objects


def test_what_changes_meanwhile_is_there_whole_or_not_at_all(stores: tuple[Any, Any], tmp_path: Path) -> None:
    store, _ = stores

    def told(objects: int, size: int) -> None:
        if objects == 30:
            store.delete_prefix("tenants/acme/datasets/ds_0/")
            store.put("tenants/acme/datasets/ds_99/request.json", b"{}")

    assert back_up(store, FolderShelf(tmp_path), told, sleep=still) == 40
    kept = {path.relative_to(tmp_path / "objects").as_posix() for path in (tmp_path / "objects").rglob("*.json")}
    assert not any("/ds_0/" in key or "/ds_99/" in key for key in kept)


def test_a_damaged_backup_is_told_before_a_byte_is_written(stores: tuple[Any, Any], tmp_path: Path) -> None:
    store, empty = stores
    back_up(store, FolderShelf(tmp_path), sleep=still)
    file = tmp_path / "objects/tenants/acme/datasets/ds_7/shards/000000/samples.tar"
    for damage in (lambda: file.write_bytes(b"x" * 2_000), file.unlink):
        damage()
        with pytest.raises(Corrupt, match="ds_7"):
            restore(empty, FolderShelf(tmp_path))
        assert empty.objects == {}
    (tmp_path / INDEX).write_text('{"key": "../../x"}\n')
    with pytest.raises(Corrupt):
        restore(empty, FolderShelf(tmp_path))


def test_a_service_that_was_just_started_counts_as_empty(stores: tuple[Any, Any], tmp_path: Path) -> None:
    store, empty = stores
    store.put("models/toy/card.json", b"{1}")
    back_up(store, FolderShelf(tmp_path), sleep=still)
    made_at_the_start = {
        "stack/started": b"yes",
        "api-keys/fedcba9876543210.json": b"{}",
        "models/toy/card.json": b"{2}",
    }
    for key, data in made_at_the_start.items():
        empty.put(key, data)
    restore(empty, FolderShelf(tmp_path))
    assert empty.objects == made_at_the_start | store.objects


def test_nothing_is_written_over(stores: tuple[Any, Any], tmp_path: Path) -> None:
    store, empty = stores
    back_up(store, FolderShelf(tmp_path / "one"), sleep=still)
    with pytest.raises(Conflict, match="whole backup"):
        back_up(store, FolderShelf(tmp_path / "one"), sleep=still)
    with pytest.raises(Conflict, match="not empty"):
        back_up(store, FolderShelf(tmp_path), sleep=still)
    with pytest.raises(Conflict, match="not empty"):
        restore(store, FolderShelf(tmp_path / "one"))
    empty.put(RESTORING, b"{}")
    with pytest.raises(Conflict, match="another backup"):
        restore(empty, FolderShelf(tmp_path / "one"))


def test_what_completes_a_set_comes_with_all_its_parts(stores: tuple[Any, Any], tmp_path: Path) -> None:
    """A set is closed while the listing is between the places of its comparisons and its manifest."""
    store, _ = stores
    real, at = store.list, "tenants/acme/datasets/ds_5/"
    listings = 0

    def listing(prefix: str, after: str = "") -> Any:
        nonlocal listings
        listings += 1
        moment = listings == 1
        for info in list(real(prefix, after)):
            if moment and info.key.startswith("unfinished"):
                store.now += 5
                store.put(f"{at}comparisons.csv", b"reference,probe,mated\n")
                store.put(f"{at}manifest.json", b"{}")
                yield store.stat(f"{at}manifest.json")
            yield info

    store.list = listing
    back_up(store, FolderShelf(tmp_path), sleep=still)
    assert (tmp_path / "objects" / at / "manifest.json").is_file()
    assert (tmp_path / "objects" / at / "comparisons.csv").is_file()
    store.list = real
    store.now += 5


def test_what_is_begun_after_the_moment_is_left_out(stores: tuple[Any, Any], tmp_path: Path) -> None:
    store, _ = stores

    def later(seconds: float) -> None:
        store.now += seconds
        store.put("tenants/acme/datasets/ds_9/manifest.json", b"{}")

    assert back_up(store, FolderShelf(tmp_path), sleep=later) == 42


def test_into_another_bucket_and_back(stores: tuple[Any, Any]) -> None:
    store, empty = stores
    bucket = type(store)()
    bucket.put("other/things", b"x")
    assert back_up(store, BucketShelf(bucket, "nightly/1/"), sleep=still) == 42
    assert {key.split("/")[0] for key in bucket.objects} == {"nightly", "other"}
    assert not [key for key in bucket.objects if ".part" in key]
    assert restore(empty, BucketShelf(bucket, "nightly/1/")) == 42
    assert empty.objects == store.objects
    with pytest.raises(Conflict, match="whole backup"):
        back_up(store, BucketShelf(bucket, "nightly/1/"), sleep=still)
    with pytest.raises(Conflict, match="not empty"):
        back_up(store, BucketShelf(bucket, "other/"), sleep=still)
    with pytest.raises(Corrupt, match="no whole backup"):
        restore(empty, BucketShelf(bucket, "nightly/2/"))
    bucket.objects["nightly/1/objects/unfinished/acme/ds_0"] = b"changed"
    with pytest.raises(Corrupt, match="another digest"):
        restore(type(store)(), BucketShelf(bucket, "nightly/1/"))


def test_into_a_bucket_it_goes_on_where_it_was_broken_off(
    stores: tuple[Any, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.stack.shelves.LINES_AT_ONCE", 5)
    store, empty = stores
    bucket, reads = type(store)(), 0

    def fault(operation: str, key: str) -> StoreUnavailable | None:
        nonlocal reads
        reads += operation == "read"
        return StoreUnavailable("away") if operation == "read" and reads == 24 else None

    store.fault = fault
    with pytest.raises(StoreUnavailable):
        back_up(store, BucketShelf(bucket, ""), sleep=still)
    assert back_up(store, BucketShelf(bucket, ""), sleep=still) == 42
    assert reads <= 24 + 42 - 20
    assert restore(empty, BucketShelf(bucket, "")) == 42
    assert empty.objects == store.objects
