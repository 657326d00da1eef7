"""An object store and a queue in memory, with clocks and faults to be set, and a dataset to work on."""

import hashlib
from collections.abc import Callable, Iterator
from typing import Any, BinaryIO

import pytest

from app.config import Settings
from app.dataset.model import ModelCard
from app.dataset.request import DatasetRequest
from app.errors import FacsimileError, ObjectNotFound
from app.jobs.models import ModelCatalogue
from app.jobs.service import DatasetService
from app.queue import QUEUES, Task
from app.storage import ObjectInfo

CARD: dict[str, Any] = {
    "name": "toy",
    "version": "1.0.0",
    "kind": "parametric",
    "description": "For tests",
    "sizes": [[128, 128]],
    "latent": {"identity": 4, "observation": {"pose": [0, 2]}},
    "attributes": {"glasses": {"kind": "share", "latent": 1, "threshold": 0.8}},
    "checks": {"unique": {"matcher": "sface", "threshold": 0.5, "basis": "chosen for tests"}},
    "licence": "Apache-2.0",
    "provenance": "none",
}


class MemoryStore:
    """ObjectStore over a dict; keeps a journal of writes and fails where it is told to."""

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}
        self.modified: dict[str, float] = {}
        self.journal: list[tuple[str, str]] = []
        """(operation, key) of everything that changed something, in order."""
        self.reads = 0
        self.now = 1_000_000.0
        self.fault: Callable[[str, str], FacsimileError | None] = lambda operation, key: None
        """Asked before every operation; an error that it returns is raised."""

    def _begin(self, operation: str, key: str) -> None:
        if error := self.fault(operation, key):
            raise error
        if operation in ("put", "delete"):
            self.journal.append((operation, key))

    def ensure_bucket(self) -> None:
        self._begin("ensure_bucket", "")

    def ping(self) -> None:
        self._begin("ping", "")

    def put(self, key: str, data: bytes, content_type: str = "application/octet-stream") -> None:
        self._begin("put", key)
        self.objects[key] = data
        self.modified[key] = self.now

    def put_if_absent(self, key: str, data: bytes, content_type: str = "application/json") -> bool:
        if key in self.objects:
            return False
        self.put(key, data)
        return True

    def put_stream(self, key: str, stream: BinaryIO, content_type: str = "application/octet-stream") -> None:
        self.put(key, stream.read())

    def get(self, key: str) -> bytes:
        return b"".join(self.read(key))

    def read(self, key: str, offset: int = 0, length: int = 0) -> Iterator[bytes]:
        self._begin("read", key)
        self.reads += 1
        if key not in self.objects:
            raise ObjectNotFound(f"there is no object {key!r}")
        data = self.objects[key][offset : offset + length if length else None]
        return iter([data[at : at + 700] for at in range(0, len(data), 700)])

    def stat(self, key: str) -> ObjectInfo:
        self._begin("stat", key)
        if key not in self.objects:
            raise ObjectNotFound(f"there is no object {key!r}")
        data = self.objects[key]
        etag = f'"{hashlib.md5(data, usedforsecurity=False).hexdigest()}"'
        return ObjectInfo(key, len(data), etag, self.modified[key])

    def exists(self, key: str) -> bool:
        self._begin("exists", key)
        return key in self.objects

    def list(self, prefix: str, after: str = "") -> Iterator[ObjectInfo]:
        self._begin("list", prefix)
        for key in sorted(self.objects):
            if key.startswith(prefix) and key > after:
                yield ObjectInfo(key, len(self.objects[key]), "", self.modified[key])

    def folders(self, prefix: str) -> Iterator[str]:
        self._begin("list", prefix)
        below = {key[len(prefix) :].split("/")[0] for key in self.objects if key.startswith(prefix)}
        yield from sorted(name for name in below if any(k.startswith(f"{prefix}{name}/") for k in self.objects))

    def delete(self, key: str) -> None:
        self._begin("delete", key)
        self.objects.pop(key, None)

    def delete_prefix(self, prefix: str) -> int:
        doomed = [found.key for found in self.list(prefix)]
        for key in doomed:
            self.delete(key)
        return len(doomed)


class MemoryQueue:
    """TaskQueue over a list; what is in `sent` has not been worked on yet."""

    def __init__(self) -> None:
        self.sent: list[Task] = []
        self.previews: list[tuple[str, str, str]] = []
        self.markers: set[str] = set()
        self.fault: FacsimileError | None = None

    def _begin(self) -> None:
        if self.fault:
            raise self.fault

    def ping(self) -> None:
        self._begin()

    def enqueue(self, task: Task) -> bool:
        self._begin()
        if task.marker in self.markers:
            return False
        self.markers.add(task.marker)
        self.sent.append(task)
        return True

    def enqueue_preview(self, tenant: str, digest: str, preview: str) -> None:
        self._begin()
        self.previews.append((tenant, digest, preview))

    def working(self, task: Task) -> None:
        self.markers.add(task.marker)

    def done(self, task: Task) -> None:
        self.markers.discard(task.marker)

    def depth(self) -> dict[str, int]:
        return dict.fromkeys(QUEUES, len(self.sent))

    def allow(self, tenant: str, per_minute: int) -> bool:
        return True

    def wipe(self) -> None:
        """Lose everything, as Redis may."""
        self.sent.clear()
        self.markers.clear()


class Clock:
    """A clock that stands still until it is moved."""

    def __init__(self, now: float) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock(1_000_000.0)


@pytest.fixture
def memory_store() -> MemoryStore:
    return MemoryStore()


@pytest.fixture
def memory_queue() -> MemoryQueue:
    return MemoryQueue()


@pytest.fixture
def job_settings() -> Settings:
    return Settings.model_validate(
        {"environment": "development", "shard_size": 4, "limits": {"unfinished_datasets_per_tenant": 3}}
    )


@pytest.fixture
def models(memory_store: MemoryStore) -> ModelCatalogue:
    catalogue = ModelCatalogue(memory_store)
    catalogue.publish([ModelCard.model_validate(CARD)], "toy")
    memory_store.journal.clear()
    return catalogue


@pytest.fixture
def datasets(
    memory_store: MemoryStore,
    memory_queue: MemoryQueue,
    models: ModelCatalogue,
    job_settings: Settings,
    clock: Clock,
) -> DatasetService:
    return DatasetService(memory_store, memory_queue, models, job_settings, clock)


@pytest.fixture
def submit(datasets: DatasetService) -> Callable[..., str]:
    """Submits a dataset of 10 samples in 3 shards (or what the fields say) and returns its id."""

    def make(tenant: str = "acme", key: str | None = None, **fields: Any) -> str:
        body = {"name": "set", "subjects": 4, "samples_per_subject": 2, "distractors": 2, "seed": 7} | fields
        return datasets.submit(tenant, DatasetRequest.model_validate(body), body, key).id

    return make

