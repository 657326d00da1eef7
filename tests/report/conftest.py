"""Sets judged by made-up networks, so that what a report must say is known."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from app.dataset.model import ModelCard
from app.dataset.plan import Plan
from app.dataset.planning import make_plan
from app.dataset.report import MatcherFacts, Report
from app.dataset.request import DatasetRequest
from workers.report.build import Outcome, build_report
from workers.report.evidence import Evidence, JudgedBy

CARD = {
    "name": "paint",
    "version": "1.0.0",
    "kind": "paint",
    "description": "For tests",
    "sizes": [[64, 64]],
    "latent": {"identity": 3, "observation": {"pose": [0, 2], "background": [2, 4]}},
    "attributes": {"sex": {"kind": "choice", "latent": 0, "values": {"female": [None, 0.0], "male": [0.0, None]}}},
    "checks": {"unique": {"matcher": "filter", "threshold": 0.9, "basis": "chosen for tests"}},
    "licence": "none",
    "provenance": "made up",
}
COMPARISONS = {"selection": "balanced", "mated": 1, "non_mated": 2, "left_out": 0, "sha256": "0" * 64}

MakeEvidence = Callable[..., Evidence]
MakeReport = Callable[..., Report]


@pytest.fixture(scope="session")
def card() -> ModelCard:
    return ModelCard.model_validate(CARD)


@pytest.fixture(scope="session")
def judged_by() -> Callable[..., JudgedBy]:
    """A judge with templates [N, D]; rows of NaN failed."""

    def make(templates: Any, name: str = "judge", metric: Any = "cosine", **more: Any) -> JudgedBy:
        table = np.asarray(templates, np.float32)
        failed = np.flatnonzero(np.isnan(table[:, 0])).tolist() if len(table) else []
        facts = MatcherFacts(
            name=name,
            version="1",
            digest="a" * 64,
            dimensions=table.shape[1],
            score="made up",
            provenance="nothing",
            independent=more.pop("independent", True),
        )
        return JudgedBy(
            facts=facts,
            metric=metric,
            templates=table,
            failures=dict.fromkeys(failed, "detect: no face found"),
            trained_on=more.pop("trained_on", None),
            **more,
        )

    return make


@pytest.fixture(scope="session")
def evidence(judged_by: Callable[..., JudgedBy]) -> MakeEvidence:
    """Subjects around a direction each, then distractors, judged by cosine and by distance."""

    def make(
        subjects: int = 40, samples: int = 3, distractors: int = 5, spread: float = 0.25, seed: int = 0, **more: Any
    ) -> Evidence:
        rng = np.random.default_rng(seed)
        owners = np.concatenate([np.repeat(np.arange(subjects), samples), np.arange(subjects, subjects + distractors)])
        centres = rng.normal(size=(subjects + distractors, 16))

        def templates() -> Any:
            found = centres[owners] + spread * 2 * rng.normal(size=(len(owners), 16))
            return found / np.linalg.norm(found, axis=1, keepdims=True)

        judges = more.pop("judges", None) or (
            judged_by(templates()),
            judged_by(templates(), name="filter", metric="euclidean", independent=False),
        )
        fields: dict[str, Any] = {
            "labels": {"sex": ["female" if subject % 2 else "male" for subject in range(subjects)]},
            "orders": {},
            "qualities": {"yaw_deg": rng.normal(0, 10, len(owners)), "sharpness": rng.uniform(5, 9, len(owners))},
            "asked_yaw": None,
            "trained": False,
        }
        return Evidence(
            judges=judges,
            subjects=owners,
            samples=np.concatenate([np.tile(np.arange(samples), subjects), np.zeros(distractors, np.int64)]),
            judged_subjects=subjects,
            judged_distractors=distractors,
            samples_per_subject=samples,
            seed=7,
            **fields | more,
        )

    return make


@pytest.fixture(scope="session")
def make_report(card: ModelCard) -> MakeReport:
    """The report of some evidence."""

    def make(evidence: Evidence, *, name: str = "gate 7", outcome: Outcome | None = None, **more: Any) -> Report:
        counts = {
            "subjects": evidence.judged_subjects,
            "distractors": evidence.judged_distractors,
            "samples": len(evidence),
            "bytes": 10,
            "rejected": 0,
            "shortfall": 0,
        }
        return build_report(
            plan_of(card, evidence),
            card,
            evidence,
            outcome or Outcome(counts=counts),
            name=name,
            created_at="2026-01-02T03:04:05+00:00",
            request={"name": name},
            comparisons=COMPARISONS,
            **more,
        )

    return make


def plan_of(card: ModelCard, evidence: Evidence) -> Plan:
    request = DatasetRequest.model_validate(
        {
            "name": "x",
            "subjects": max(evidence.judged_subjects, 1),
            "samples_per_subject": max(evidence.samples_per_subject, 1),
            "checks": {"unique": False},
            "comparisons": {"selection": "none"},
        }
    )
    plan = make_plan(request, card, dataset="ds_test", seed=7, shard_size=100, max_comparisons=10**9)
    judges = tuple({"name": judge.facts.name, "digest": judge.facts.digest} for judge in evidence.judges)
    return Plan.model_validate(plan.model_dump() | {"judges": judges})
