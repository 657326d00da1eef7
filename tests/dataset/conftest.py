"""A model card and plans made from it. Session-wide: cards and plans are immutable."""

from collections.abc import Callable
from typing import Any

import pytest

from app.dataset.model import ModelCard
from app.dataset.plan import Plan
from app.dataset.planning import make_plan
from app.dataset.request import DatasetRequest


@pytest.fixture(scope="session")
def card() -> ModelCard:
    """A small model with an attribute of each kind."""
    return ModelCard.model_validate(
        {
            "name": "toy",
            "version": "1.0.0",
            "kind": "parametric",
            "description": "For tests",
            "sizes": [[128, 128], [64, 80]],
            "latent": {"identity": 8, "observation": {"pose": [0, 2], "illumination": [2, 5], "residual": [5, 6]}},
            "attributes": {
                "sex": {"kind": "choice", "latent": 0, "values": {"female": [None, 0.0], "male": [0.0, None]}},
                "age": {"kind": "range", "latent": 1, "min": 20.0, "max": 70.0, "unit": "years"},
                "skin_tone": {
                    "kind": "choice",
                    "latent": 2,
                    "values": {"light": [None, -0.43], "medium": [-0.43, 0.43], "dark": [0.43, None]},
                },
                "glasses": {"kind": "share", "latent": 3, "threshold": 0.8416},
            },
            "scales": {
                "monk": {"attribute": "skin_tone", "values": {"monk-1": [None, -1.4], "monk-2": [-1.4, None]}},
            },
            "worn": {"mask": {"latent": 5, "threshold": 1.5}},
            "checks": {"unique": {"matcher": "sface", "threshold": 0.5, "basis": "chosen for tests"}},
            "licence": "Apache-2.0",
            "provenance": "none",
        }
    )


@pytest.fixture(scope="session")
def plan_of(card: ModelCard) -> Callable[..., Plan]:
    """Makes a plan from the fields of a request; `seed`, `shard_size` and `max_comparisons` may be given too."""

    def make(seed: int = 7, shard_size: int = 200, max_comparisons: int = 10**13, **fields: Any) -> Plan:
        request = DatasetRequest.model_validate({"name": "test", **fields})
        return make_plan(
            request, card, dataset="ds_test", seed=seed, shard_size=shard_size, max_comparisons=max_comparisons
        )

    return make
