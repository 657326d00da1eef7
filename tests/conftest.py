"""An object store, a queue and a clock in memory, with faults to be set, and a small model card."""

import hashlib
import io
import json
import os
import sys
import tarfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from hashlib import sha256
from typing import Any, BinaryIO

# Before numpy is loaded: BLAS wakes threads of its own for arrays so small that waking them takes longer than the work.
os.environ["OPENBLAS_NUM_THREADS"] = "1"

import pytest

from app.config import WorkerSettings
from app.dataset.comparisons import list_comparisons
from app.dataset.keys import DatasetKeys, unfinished
from app.dataset.manifest import Summary, Tally, manifest_lines, summarize
from app.dataset.names import role, sample_file, sample_name, subject_name
from app.dataset.plan import Plan
from app.dataset.products import PRODUCTS
from app.dataset.report import Listed
from app.dataset.shard import SampleRow, ShardReport, StoredSample
from app.errors import FacsimileError, ObjectNotFound, QuotaExceeded
from app.jobs.records import read_accepted, read_plan, write_json
from app.queue import QUEUES, Task
from app.storage import ObjectInfo, ObjectStore
from app.turns import Waits


class MemoryStore:
    """ObjectStore over a dict; keeps a journal of writes and fails where it is told to."""

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}
        self.modified: dict[str, float] = {}
        self.journal: list[tuple[str, str]] = []
        """(operation, key) of everything that changed something, in order."""
        self.reads = 0
        self.now = 1_000_000.0
        self.public: str | None = None
        """Where presigned URLs lead."""
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
        # Whether the key is taken is seen at the moment of writing, not before.
        if error := self.fault("put", key):
            raise error
        if key in self.objects:
            return False
        self.journal.append(("put", key))
        self.objects[key] = data
        self.modified[key] = self.now
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
        return self._chunks(key, data)

    def _chunks(self, key: str, data: bytes) -> Iterator[bytes]:
        for at in range(0, len(data), 700):
            if at:
                self._begin("read more", key)
            yield data[at : at + 700]

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

    def folders(self, prefix: str, after: str = "") -> Iterator[str]:
        self._begin("list", prefix + after)
        below = {key[len(prefix) :] for key in self.objects if key.startswith(prefix)}
        yield from sorted({name.split("/")[0] for name in below if "/" in name and name.partition("/")[0] > after})

    def directly_below(self, prefix: str) -> Iterator[ObjectInfo]:
        self._begin("look", prefix)
        below = {key[len(prefix) :] for key in self.objects if key.startswith(prefix)}
        for name in sorted({name.partition("/")[0] + "/" if "/" in name else name for name in below}):
            if name.endswith("/"):
                yield ObjectInfo(prefix + name, 0, "", 0.0)
            else:
                key = prefix + name
                etag = hashlib.md5(self.objects[key], usedforsecurity=False).hexdigest()
                yield ObjectInfo(key, len(self.objects[key]), etag, self.modified[key])

    def delete(self, key: str) -> None:
        self._begin("delete", key)
        self.objects.pop(key, None)

    def delete_prefix(self, prefix: str) -> int:
        doomed = [found.key for found in self.list(prefix)]
        for key in doomed:
            self.delete(key)
        return len(doomed)

    def presigned(self, key: str, lifetime_s: int) -> str | None:
        return None if self.public is None else f"{self.public}/{key}?X-Signature=s3cr3t&X-Expires={lifetime_s}"


class MemoryQueue:
    """TaskQueue over a list; what is in `sent` has not been worked on yet."""

    def __init__(self) -> None:
        self.sent: list[Task] = []
        self.previews: list[tuple[str, str, str]] = []
        self.markers: set[str] = set()
        self.counted: dict[str, int] = {}
        """Requests by tenant; minutes never pass."""
        self.most_ahead = 1_000
        self.remembers = False
        """Whether it keeps what it is told; else everybody looks at the store."""
        self.notes: dict[tuple[str, str], dict[str, set[str]]] = {}
        self.locks: set[str] = set()
        self.noted: dict[str, float] = {}
        """Paces: seconds for one."""
        self.counts: dict[str, float] = {}
        """What workers counted."""
        self.fault: Callable[[str], FacsimileError | None] = lambda operation: None
        """Asked before every operation; an error that it returns is raised."""
        self.on_preview: Callable[[str, str], None] = lambda tenant, digest: None

    def _begin(self, operation: str) -> None:
        if error := self.fault(operation):
            raise error

    def ping(self) -> None:
        self._begin("ping")

    def enqueue(self, task: Task) -> bool:
        self._begin("enqueue")
        if task.marker in self.markers:
            return False
        self.markers.add(task.marker)
        self.sent.append(task)
        return True

    def enqueue_preview(self, tenant: str, digest: str, preview: str, most: int) -> bool:
        self._begin("enqueue")
        if any(waiting[:2] == (tenant, digest) for waiting in self.previews):
            return False
        if sum(waiting[0] == tenant for waiting in self.previews) >= most:
            raise QuotaExceeded(f"{most} previews wait already")
        self.previews.append((tenant, digest, preview))
        self.on_preview(tenant, digest)
        return True

    def forget_preview(self, tenant: str, digest: str) -> None:
        self.previews = [waiting for waiting in self.previews if waiting[:2] != (tenant, digest)]

    def preview(self, tenant: str, digest: str) -> str | None:
        return next((text for *whose, text in self.previews if whose == [tenant, digest]), None)

    def take(self, ticket: str, *, previews_only: bool = False) -> Task | None:
        return self.sent.pop(0) if self.sent and not previews_only else None

    def give_back(self, ticket: str) -> None:
        """See TaskQueue."""

    def working(self, task: Task) -> None:
        self.markers.add(task.marker)

    def done(self, task: Task, seconds: float = 0.0) -> None:
        self.markers.discard(task.marker)

    def on_their_way(self, subjects: Sequence[tuple[str, str]]) -> list[int]:
        self._begin("on_their_way")
        return [sum(f":{tenant}:{subject}:" in marker for marker in self.markers) for tenant, subject in subjects]

    def at_work(self, tenant: str, subject: str) -> int:
        self._begin("at_work")
        return 1

    def workers(self) -> int:
        self._begin("workers")
        return 1

    def flights(self) -> dict[str, tuple[int, int]]:
        self._begin("flights")
        found: dict[str, tuple[int, int]] = {}
        for marker in self.markers:
            kind = marker.partition(":")[0]
            waiting, at_work = found.get(kind, (0, 0))
            waits = any(task.marker == marker for task in self.sent)
            found[kind] = (waiting + waits, at_work + (not waits))
        return found

    def note_pace(self, name: str, amount: float, seconds: float) -> None:
        self.noted[name] = seconds / amount

    def paces(self, names: Sequence[str]) -> list[float | None]:
        self._begin("paces")
        return [self.noted.get(name) for name in names]

    def ahead(self) -> int:
        return self.most_ahead

    def told(self, tenant: str, subject: str) -> dict[str, set[str]] | None:
        self._begin("told")
        return self.notes.get((tenant, subject)) if self.remembers else None

    def tell(self, tenant: str, subject: str, done: Iterable[tuple[str, str]], *, all_of_it: bool) -> None:
        self._begin("tell")
        if all_of_it or (tenant, subject) in self.notes:
            known = self.notes.setdefault((tenant, subject), {})
            for kind, part in done:
                known.setdefault(kind, set()).add(part)

    def forget(self, tenant: str, subject: str) -> None:
        self.notes.pop((tenant, subject), None)

    def only_one(self, what: str, for_s: float) -> bool:
        self._begin("only_one")
        taken = what in self.locks
        self.locks.add(what)
        return not taken

    def free(self, what: str) -> None:
        self.locks.discard(what)

    def replenish(self) -> int:
        return 0

    def depth(self) -> dict[str, int]:
        self._begin("depth")
        return {name: len(self.sent) if name == "control" else 0 for name in QUEUES}

    def allow(self, tenant: str, per_minute: int) -> bool:
        self._begin("allow")
        self.counted[tenant] = self.counted.get(tenant, 0) + 1
        return self.counted[tenant] <= per_minute

    def waits(self) -> list[Waits]:
        self._begin("waits")
        found: dict[tuple[str, str], int] = {}
        for task in self.sent:
            key = task.tenant, task.kind.queue
            found[key] = found.get(key, 0) + 1
        return [Waits(*key, count, 7.0) for key, count in found.items()]

    def note(self, figures: Mapping[str, float]) -> None:
        self._begin("note")
        for name, value in figures.items():
            self.counts[name] = self.counts.get(name, 0.0) + value

    def figures(self) -> dict[str, float]:
        self._begin("figures")
        return dict(self.counts)

    def wipe(self) -> None:
        """Lose everything, as Redis may."""
        self.sent.clear()
        self.markers.clear()
        self.notes.clear()
        self.locks.clear()
        self.noted.clear()
        self.counts.clear()


class Clock:
    """A clock that stands still until it is moved."""

    def __init__(self, now: float) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


@pytest.fixture(scope="session")
def routes_read_once() -> Iterator[None]:
    """FastAPI reads a router's signatures anew for each application that includes it; here are a thousand of them."""
    from app.api.openapi import DescribedAPI

    include = DescribedAPI.include_router
    read: dict[int, list[Any]] = {}

    def include_as_read(self: Any, router: Any) -> None:
        if id(router) not in read:
            before = len(self.router.routes)
            include(self, router)
            read[id(router)] = self.router.routes[before:]
        else:
            self.router.routes.extend(read[id(router)])

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(DescribedAPI, "include_router", include_as_read)
        yield


@pytest.fixture(scope="module")
def doubles() -> tuple[MemoryStore, MemoryQueue]:
    """A store and a queue that live as long as a module's tests."""
    return MemoryStore(), MemoryQueue()


@pytest.fixture
def memory_store() -> MemoryStore:
    return MemoryStore()


@pytest.fixture
def memory_queue() -> MemoryQueue:
    return MemoryQueue()


@pytest.fixture
def clock() -> Clock:
    return Clock(1_000_000.0)


@pytest.fixture(scope="session")
def toy_card() -> dict[str, Any]:
    """Card of a model with a factor, an attribute of each kind and two sizes."""
    return {
        "name": "toy",
        "version": "1.0.0",
        "kind": "parametric",
        "description": "For tests",
        "sizes": [[128, 128], [96, 128]],
        "latent": {"identity": 4, "observation": {"pose": [0, 2], "illumination": [2, 5]}},
        "attributes": {
            "sex": {"kind": "choice", "latent": 0, "values": {"female": [None, 0.0], "male": [0.0, None]}},
            "age": {"kind": "range", "latent": 1, "min": 18, "max": 80, "unit": "years"},
            "glasses": {"kind": "share", "latent": 2, "threshold": 0.8},
        },
        "checks": {"unique": {"matcher": "sface", "threshold": 0.5, "basis": "chosen for tests"}},
        "licence": "Apache-2.0",
        "provenance": "none",
        "further": {"capacity": 1000},
    }


SUMMARY: dict[str, Any] = {
    "dataset": "ds_1",
    "name": "gate 7",
    "created_at": "2026-01-01T00:00:00.000+00:00",
    "request": {},
    "model": {"name": "toy", "version": "1.0.0", "digest": "m" * 64},
    "seed": 7,
    "sigma": {"pose": 0.5, "illumination": 1.5},
    "counts": {"subjects": 2, "distractors": 0, "samples": 10, "rejected": 0, "shortfall": 0, "bytes": 10},
    "asked": {"subjects": 2, "samples": 10, "distractors": 0},
    "checks": {"face_found": False, "unique": None},
    "shortfall": [],
    "digests": {"pixels": "p" * 64, "files": "f" * 64},
    "shard_reports": {"count": 1, "sha256": "r" * 64},
    "comparisons": {"selection": "balanced", "mated": 1, "non_mated": 1, "left_out": 0, "sha256": "c" * 64},
    "device": "cpu",
    "synthetic": {"digital_source_type": "http://example/synthetic", "marked": "in every file"},
}


@pytest.fixture(scope="session")
def summary_of() -> Callable[..., Summary]:
    """Makes a manifest's summary, with the fields given in place of the usual ones."""
    return lambda **fields: Summary.model_validate(SUMMARY | fields)


@pytest.fixture(scope="session")
def finish_any() -> Callable[[ObjectStore, str, str], None]:
    """Does what workers do for a dataset, with texts for images."""
    return finish_dataset


def finish_dataset(store: ObjectStore, tenant: str, dataset: str) -> None:
    """Write every product of a dataset."""
    plan, at = read_plan(store, tenant, dataset), DatasetKeys(tenant, dataset)
    tally = Tally()
    rows: list[SampleRow] = []
    for shard in range(plan.shards):
        report = write_shard(store, plan, at, shard)
        tally.add(report, "0" * 64)
        rows.extend(stored.row for stored in report.samples)
    shape = (plan.subjects, plan.samples_per_subject, plan.distractors)
    compared = list(list_comparisons(plan.comparisons, *shape, plan.seed))
    lines = [f"{sample_name(*pair.reference)},{sample_name(*pair.probe)},{int(pair.mated)}" for pair in compared]
    listed = "\n".join(["reference,probe,mated", *lines, ""]).encode()
    store.put(at.comparisons, listed)
    store.put(at.contact_sheet, b"\x89PNG a contact sheet")
    store.put(at.report, b'{"schema_version": 1}')
    store.put(at.report_page, b"<!doctype html><title>a report</title>")
    for product in PRODUCTS:
        if product.late:
            store.put(at.product(product), json.dumps({"what": product.label}).encode())
    accepted = read_accepted(store, tenant, dataset)
    summary = summarize(
        plan.final(),
        accepted.request,
        name=accepted.name,
        created_at=accepted.created_at,
        tally=tally,
        choice=None,
        comparisons=Listed(
            selection=plan.comparisons,
            mated=sum(pair.mated for pair in compared),
            non_mated=sum(not pair.mated for pair in compared),
            left_out=0,
            sha256=sha256(listed).hexdigest(),
        ),
    )
    write_json(store, at.summary, summary.as_json())
    store.put(at.manifest, b"".join(manifest_lines(summary, rows)))
    store.delete(unfinished(tenant, dataset))


def write_shard(store: ObjectStore, plan: Plan, at: DatasetKeys, shard: int) -> ShardReport:
    """Write a shard's tar and its report."""
    tar, samples = io.BytesIO(), []
    with tarfile.open(fileobj=tar, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for subject, sample in plan.places(plan.shard(shard)):
            data = f"sample {sample} of subject {subject}".encode() * 60
            info = tarfile.TarInfo(f"{plan.folder}/{sample_file(plan, subject, sample)}")
            info.size = len(data)
            start = tar.tell()
            archive.addfile(info, io.BytesIO(data))
            digest = sha256(data).hexdigest()
            row = SampleRow.model_validate(
                {
                    "id": sample_name(subject, sample),
                    "subject": subject_name(subject),
                    "role": role(plan, subject, sample),
                    "file": sample_file(plan, subject, sample),
                    "width": 128,
                    "height": 128,
                    "bytes": len(data),
                    "pixel_sha256": digest,
                    "file_sha256": digest,
                    "identity_attempt": 0,
                    "attempt": 0,
                    "attributes": {},
                }
            )
            samples.append(StoredSample(row=row, offset=start + tarfile.BLOCKSIZE))
        members = tar.tell()
    report = ShardReport(shard=shard, samples=tuple(samples), rejected=(), missing=(), tar_bytes=members, device="cpu")
    # tarfile fills its last record up; the workers' own writer ends in exactly two zero blocks.
    store.put(at.shard_samples(shard), tar.getvalue()[:members] + bytes(2 * tarfile.BLOCKSIZE))
    write_json(store, at.shard_report(shard), report)
    return report


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> None:
    """torch as workers have it: its threads wait by spinning, and would cost twice the time beside any other work."""
    if torch := sys.modules.get("torch"):
        torch.set_num_threads(1)


@pytest.fixture(scope="session")
def renderer() -> Any:
    """The parametric model; its tests are skipped where it cannot run."""
    from workers.generator.registry import FAMILIES, load_generator

    if reason := FAMILIES["parametric"].why_unavailable():
        pytest.skip(reason)
    return load_generator("parametric", WorkerSettings())
