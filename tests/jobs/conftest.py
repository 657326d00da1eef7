"""The services over memory, and a dataset to work on."""

from collections.abc import Callable
from typing import Any

import pytest

from app.config import Settings
from app.dataset.model import ModelCard
from app.dataset.request import DatasetRequest
from app.jobs.catalogues.models import ModelCatalogue
from app.jobs.datasets.service import DatasetService

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


@pytest.fixture
def job_settings() -> Settings:
    return Settings.model_validate(
        {"environment": "development", "shard_size": 4, "limits": {"unfinished_datasets_per_tenant": 3}}
    )


@pytest.fixture
def models(memory_store: Any) -> ModelCatalogue:
    catalogue = ModelCatalogue(memory_store)
    catalogue.publish([ModelCard.model_validate(CARD)], "toy")
    memory_store.journal.clear()
    return catalogue


@pytest.fixture
def datasets(
    memory_store: Any,
    memory_queue: Any,
    models: ModelCatalogue,
    job_settings: Settings,
    clock: Any,
) -> DatasetService:
    return DatasetService(memory_store, memory_queue, models, job_settings, clock)


@pytest.fixture
def submit(datasets: DatasetService) -> Callable[..., str]:
    """Submits a dataset of 10 samples in 3 shards (or what the fields say) and returns its id."""

    def make(tenant: str = "acme", key: str | None = None, **fields: Any) -> str:
        body = {"name": "set", "subjects": 4, "samples_per_subject": 2, "distractors": 2, "seed": 7} | fields
        return datasets.submit(tenant, DatasetRequest.model_validate(body), body, key)[0].id

    return make
