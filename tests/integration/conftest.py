"""The whole service on real servers: one stack for most tests, fresh ones for those that break it."""

import json
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from app.config import WorkerSettings
from app.dataset.model import ModelCard
from app.dataset.planning import make_plan
from app.dataset.request import DatasetRequest
from app.stack.embedded import EmbeddedStack
from workers.generator.registry import load_generator, model_cards
from workers.matchers.detector import load_detector
from workers.pipeline.run import run_shard
from workers.pipeline.store import ShardTar

FAST_RECOVERY = {"FACSIMILE_QUEUE__RECONCILE_INTERVAL_S": "1", "FACSIMILE_QUEUE__RUNNING_MARKER_S": "4"}
"""Production waits longer before it takes silence for death; nothing else differs."""

BY_ITSELF = {
    **FAST_RECOVERY,
    "FACSIMILE_STORE__TIMEOUT_S": "3",
    "FACSIMILE_SHARD_SIZE": "24",
    "FACSIMILE_SHARDS_PER_DATASET": "1",
    "FACSIMILE_WORKER__BATCH_SIZE": "8",
    "FACSIMILE_WORKER__ENCODER_THREADS": "1",
    "FACSIMILE_WORKER__MAX_DEATHS": "2",
    "FACSIMILE_QUEUE__RETAIN_INTERVAL_S": "2",
    "FACSIMILE_LIMITS__RETENTION_DAYS_PER_TENANT": "7",
}
"""Of the stack with one worker process: as unlike the other as can be, and soon at an end with what it gives up."""

UNCHECKED = {"unique": False, "face_found": False}


class Service:
    """A client of a stack, with the words that the tests use."""

    def __init__(self, url: str, api_key: str, stack: EmbeddedStack | None = None) -> None:
        self._stack = stack
        self.http = httpx.Client(base_url=url, headers={"Authorization": f"Bearer {api_key}"}, timeout=30)

    @property
    def stack(self) -> EmbeddedStack:
        """The stack, where it is of this process."""
        assert self._stack is not None
        return self._stack

    def submit(self, **fields: Any) -> str:
        """Submit a request and return the dataset's id."""
        # Judging costs more than making: only tests of it ask for it.
        body = {"name": "test", "report": {"judged_subjects": 0}, **fields}
        answer = self.http.post("/v1/datasets", json=body)
        assert answer.status_code == 202, answer.text
        return str(answer.json()["id"])

    def show(self, dataset: str) -> dict[str, Any]:
        """The dataset; waits out a service that is down for the moment."""
        for _ in range(200):
            try:
                answer = self.http.get(f"/v1/datasets/{dataset}")
            except httpx.TransportError:
                time.sleep(0.2)
                continue
            if answer.status_code == 503:
                time.sleep(0.2)
                continue
            assert answer.status_code == 200, answer.text
            found: dict[str, Any] = answer.json()
            return found
        raise AssertionError("the service did not come back")

    def wait(self, dataset: str, until: Callable[[dict[str, Any]], bool], within_s: float = 400) -> dict[str, Any]:
        """Look at the dataset until it is so."""
        deadline = time.monotonic() + within_s
        while not until(found := self.show(dataset)):
            assert time.monotonic() < deadline, f"not in time: {found}"
            time.sleep(0.1)
        return found

    def finish(self, dataset: str, within_s: float = 400) -> dict[str, Any]:
        """Wait for the dataset's success and return its manifest."""
        end = self.wait(dataset, lambda found: found["state"] in ("succeeded", "failed", "cancelled"), within_s)
        assert end["state"] == "succeeded", end["failure"]
        manifest: dict[str, Any] = self.http.get(f"/v1/datasets/{dataset}/manifest").json()
        return manifest

    def keys(self, prefix: str) -> list[str]:
        """Keys in the store below a prefix."""
        from app.storage import open_store

        return [found.key for found in open_store(self.stack.settings().store).list(prefix)]


@pytest.fixture(scope="session")
def models() -> dict[str, ModelCard]:
    """Cards of the models that run here."""
    return {card.name: card for card in model_cards(WorkerSettings())}


@pytest.fixture(scope="session", autouse=True)
def one_torch_thread() -> None:
    """As the workers have it."""
    os.environ.setdefault("OMP_NUM_THREADS", "1")


@pytest.fixture(scope="session")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """The stack that most tests share: two worker processes."""
    data = tmp_path_factory.mktemp("stack")
    with EmbeddedStack(data, workers=2, env_overrides={**FAST_RECOVERY, "FACSIMILE_SHARD_SIZE": "10"}) as stack:
        yield Service(stack.url, stack.api_key, stack)


@pytest.fixture(scope="session")
def lone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """The stack with one worker process, which faults befall: each test finds it as the last one left it."""
    data = tmp_path_factory.mktemp("lone")
    with EmbeddedStack(data, workers=1, env_overrides=BY_ITSELF) as stack:
        yield Service(stack.url, stack.api_key, stack)


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Service]]:
    """Start stacks of a test's own; they are stopped after it."""
    running: list[EmbeddedStack] = []

    def begin(workers: int = 1, data: Path = tmp_path / "data") -> Service:
        stack = EmbeddedStack(data, workers=workers, env_overrides=BY_ITSELF)
        running.append(stack.start())
        return Service(stack.url, stack.api_key, stack)

    yield begin
    for stack in running:
        stack.stop()


@pytest.fixture
def connect() -> Callable[[str, str], Service]:
    """A client of a stack that runs elsewhere, by its URL and key."""
    return Service


@pytest.fixture(scope="session")
def undisturbed(models: dict[str, ModelCard]) -> Callable[..., dict[str, str]]:
    """Pixel digests by sample of a request without checks, made in this process: one batch, one shard."""
    made: dict[str, dict[str, str]] = {}

    def of(seed: int, model: str, **fields: Any) -> dict[str, str]:
        asked = json.dumps([seed, model, fields], sort_keys=True)
        if asked not in made:
            made[asked] = make(seed, model, **fields)
        return made[asked]

    def make(seed: int, model: str, **fields: Any) -> dict[str, str]:
        request = DatasetRequest.model_validate({"name": "test", "model": model, "checks": UNCHECKED, **fields})
        card = models[model]
        plan = make_plan(request, card, dataset="ds", seed=seed, shard_size=10_000, max_comparisons=10**9)
        settings = WorkerSettings(device="cpu")
        with ShardTar() as tar:
            report = run_shard(
                plan,
                0,
                generator=load_generator(model, settings),
                choice=None,
                detector=load_detector(),
                tar=tar,
                batch_size=64,
                encoder_threads=2,
            )
        return {stored.row.id: stored.row.pixel_sha256 for stored in report.samples}

    return of


@pytest.fixture
def pixel_digests() -> Callable[[dict[str, Any]], dict[str, str]]:
    """Pixel digests by sample of a manifest."""
    return lambda manifest: {row["id"]: row["pixel_sha256"] for row in manifest["samples"]}
