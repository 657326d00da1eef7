"""What the first version wrote is read by this one: a plan, a manifest (its first samples) and a report of its own."""

from pathlib import Path

from app.dataset.manifest import read_manifest
from app.dataset.plan import Plan
from app.dataset.report import Report

BEFORE = Path(__file__).parent / "before"


def test_a_plan_of_before_plans_the_same() -> None:
    plan = Plan.model_validate_json((BEFORE / "plan.json").read_bytes())
    assert (plan.seed, plan.samples, plan.shards, plan.survey_blocks) == (11, 54, 7, 1)
    assert plan.final().sigma == plan.sigma
    assert plan.sigma["illumination"] == 1.5
    assert [layout.value for layout in plan.layouts] == ["plain", "lfw"]


def test_a_manifest_of_before_tells_what_it_told() -> None:
    summary, rows = read_manifest([(BEFORE / "manifest.json").read_bytes()])
    assert summary.counts.as_dict() == {
        "subjects": 12,
        "distractors": 6,
        "samples": 54,
        "rejected": 0,
        "shortfall": 0,
        "bytes": 998139,
        "rejected_identities": 0,
    }
    assert summary.digests.pixels == "a5f80d2cd896acbadc494903cc40ec2e0dbff20007816e79c048da522cb5e015"
    assert summary.content is not None
    assert summary.content.digest == "4c69b6f7b72400a6d8421f470f94ca980ae47067ee3d3feed34f6ae058fc7595"
    assert summary.products["croissant.json"] is None
    assert [row.id for row in rows] == ["S0000000_0000", "S0000000_0001", "S0000000_0002"]


def test_a_report_of_before_is_read() -> None:
    report = Report.model_validate_json((BEFORE / "report.json").read_bytes())
    assert report.comparisons.mated == 72
    assert report.dataset.seed == 11
