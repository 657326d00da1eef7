"""The application over fakes, a client with a key, and datasets at their various ends."""

import io
import tarfile
from collections.abc import Callable, Iterator
from hashlib import sha256
from typing import Any

import pytest
import structlog
from fastapi import FastAPI
from fastapi.testclient import TestClient

from app.access import ApiKeys
from app.config import Settings
from app.dataset.comparisons import list_comparisons
from app.dataset.keys import DatasetKeys, unfinished
from app.dataset.manifest import Tally, manifest_lines, summarize
from app.dataset.model import ModelCard
from app.dataset.names import role, sample_file, sample_name, subject_name
from app.dataset.plan import Plan
from app.dataset.shard import SampleRow, ShardReport, StoredSample
from app.jobs.models import ModelCatalogue
from app.jobs.records import read_accepted, read_plan, write_json
from app.main import create_app
from app.storage import ObjectStore

BODY: dict[str, Any] = {"name": "gate 7", "subjects": 3, "samples_per_subject": 2, "distractors": 1, "seed": 7}


@pytest.fixture(scope="session", autouse=True)
def plain_tracebacks() -> None:
    """structlog's coloured ones take seconds each, and hours to read."""
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.dev.ConsoleRenderer(colors=False, exception_formatter=structlog.dev.plain_traceback),
        ]
    )


@pytest.fixture
def settings() -> Settings:
    return Settings.model_validate(
        {
            "environment": "development",
            "shard_size": 4,
            "limits": {"preview_wait_s": 0.3, "unfinished_datasets_per_tenant": 50, "body_bytes": 20_000},
        }
    )


@pytest.fixture
def api(memory_store: Any, memory_queue: Any, settings: Settings, clock: Any, toy_card: Any) -> FastAPI:
    ModelCatalogue(memory_store).publish([ModelCard.model_validate(toy_card)], "toy")
    return create_app(settings, store=memory_store, queue=memory_queue, clock=clock)


def _client(api: FastAPI, store: ObjectStore, tenant: str) -> TestClient:
    key = ApiKeys(store).issue(tenant, "test")
    return TestClient(api, headers={"Authorization": f"Bearer {key}"}, raise_server_exceptions=True)


@pytest.fixture
def client(api: FastAPI, memory_store: Any) -> TestClient:
    """Has a key of tenant acme."""
    return _client(api, memory_store, "acme")


@pytest.fixture
def stranger(api: FastAPI, memory_store: Any) -> TestClient:
    """Has a key of another tenant."""
    return _client(api, memory_store, "rival")


@pytest.fixture
def anonymous(api: FastAPI) -> Iterator[TestClient]:
    """Has no key; its application runs through its lifespan."""
    with TestClient(api) as client:
        yield client


@pytest.fixture
def body() -> dict[str, Any]:
    """A request for 7 samples in 2 shards."""
    return dict(BODY)


@pytest.fixture
def submit(client: TestClient) -> Callable[..., str]:
    """Submits a dataset and returns its id."""

    def post(**fields: Any) -> str:
        answer = client.post("/v1/datasets", json=BODY | fields)
        assert answer.status_code == 202, answer.text
        return str(answer.json()["id"])

    return post


@pytest.fixture
def finish(memory_store: Any) -> Callable[[str], None]:
    """Does what workers do, with texts for images."""
    return lambda dataset: finish_dataset(memory_store, "acme", dataset)


@pytest.fixture(scope="module")
def finish_any() -> Callable[[ObjectStore, str, str], None]:
    """`finish` for any store and tenant."""
    return finish_dataset


@pytest.fixture
def finished(submit: Callable[..., str], finish: Callable[[str], None]) -> str:
    """Id of a dataset that has succeeded."""
    dataset = submit()
    finish(dataset)
    return dataset


def finish_dataset(store: ObjectStore, tenant: str, dataset: str) -> None:
    """Write every product of a dataset."""
    plan, at = read_plan(store, tenant, dataset), DatasetKeys(tenant, dataset)
    tally = Tally()
    rows: list[SampleRow] = []
    for shard in range(plan.shards):
        report = write_shard(store, plan, at, shard)
        tally.add(report)
        rows.extend(stored.row for stored in report.samples)
    compared = list_comparisons(
        plan.comparisons, plan.subjects, plan.samples_per_subject, plan.distractors, plan.seed
    )
    lines = [f"{sample_name(*pair.reference)},{sample_name(*pair.probe)},{pair.mated}" for pair in compared]
    store.put(at.comparisons, "\n".join(["reference,probe,mated", *lines, ""]).encode())
    store.put(at.contact_sheet, b"\x89PNG a contact sheet")
    accepted = read_accepted(store, tenant, dataset)
    summary = summarize(
        plan,
        accepted.request,
        name=accepted.name,
        created_at=accepted.created_at,
        tally=tally,
        choice=None,
        comparisons={"selection": plan.comparisons},
        device="cpu",
        report_digests=[],
    )
    write_json(store, at.summary, summary)
    store.put(at.manifest, b"".join(manifest_lines(summary, rows)))
    store.delete(unfinished(tenant, dataset))


def write_shard(store: ObjectStore, plan: Plan, at: DatasetKeys, shard: int) -> ShardReport:
    """Write a shard's tar and its report."""
    tar, samples = io.BytesIO(), []
    with tarfile.open(fileobj=tar, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for subject, sample in plan.places(plan.shard(shard)):
            data = f"sample {sample} of subject {subject}".encode() * 60
            info = tarfile.TarInfo(sample_file(plan, subject, sample))
            info.size = len(data)
            start = tar.tell()
            archive.addfile(info, io.BytesIO(data))
            digest = sha256(data).hexdigest()
            row = SampleRow.model_validate(
                {
                    "id": sample_name(subject, sample),
                    "subject": subject_name(subject),
                    "role": role(plan, subject, sample),
                    "file": info.name,
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
    report = ShardReport(
        shard=shard, samples=tuple(samples), rejected=(), missing=(), tar_bytes=members, device="cpu"
    )
    # tarfile fills its last record up; the workers' own writer ends in exactly two zero blocks.
    store.put(at.shard_samples(shard), tar.getvalue()[:members] + bytes(2 * tarfile.BLOCKSIZE))
    write_json(store, at.shard_report(shard), report)
    return report
