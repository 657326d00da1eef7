"""The report's task: from stored shards and judgements to report.html and report.json."""

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from app.dataset.keys import DatasetKeys
from app.dataset.plan import Plan
from app.dataset.reference import Reference
from app.dataset.report import RealThreshold, Report
from app.errors import Cancelled
from app.jobs.records import Accepted, write_json
from workers.generator.trained_on import TemplatesOf, TrainedOn
from workers.matchers.detector import load_detector
from workers.matchers.registry import card_of
from workers.pipeline import evidence, run
from workers.pipeline.close import close
from workers.pipeline.judge import judge_shard
from workers.pipeline.run import run_shard
from workers.pipeline.store import ShardTar

AT = DatasetKeys("acme", "ds_test")
PlanFor = Callable[..., Plan]
ACCEPTED = Accepted(
    id="ds_test", tenant="acme", name="<b>gate</b>", created_at="2026-01-01T00:00Z", request={"name": "n"}
)


@pytest.fixture
def judged_plan(blocks: Any, reader: Any, plan_for: PlanFor) -> Callable[..., Plan]:
    """A plan whose judge is the reader."""

    def make(**fields: Any) -> Plan:
        plan = plan_for(blocks.card, **{"subjects": 30, "samples_per_subject": 3, "distractors": 4, **fields})
        judges = ({"name": reader.name, "digest": reader.digest},)
        judged = min(plan.subjects, fields.get("report", {}).get("judged_subjects", 300))
        more = {"judges": judges, "judged_subjects": judged, "judged_distractors": min(judged, plan.distractors)}
        return Plan.model_validate(plan.model_dump() | more)

    return make


def make_set(plan: Plan, blocks: Any, reader: Any, store: Any) -> None:
    """Generate and judge."""
    for number in range(plan.shards):
        with ShardTar() as tar:
            shard = run_shard(
                plan,
                number,
                generator=blocks,
                choice=None,
                detector=load_detector(),
                tar=tar,
                batch_size=8,
                encoder_threads=1,
            )
            tar.put(store, AT.shard_samples(number))
        write_json(store, AT.shard_report(number), shard)
    for number in plan.judged_shards:
        store.put(AT.judgement(number), judge_shard(store, AT, plan, number, judges=[reader], detector=load_detector()))


def write(plan: Plan, blocks: Any, reader: Any, store: Any, **more: Any) -> Report:
    write_json(store, AT.plan, plan)
    close(store, AT, ACCEPTED, plan.final(), blocks.card, matchers={"reader": card_of(reader, judge=True)}, **more)
    return Report.model_validate_json(store.get(AT.report))


def test_a_judged_set_gets_both_forms_the_data_last(
    judged_plan: Any, blocks: Any, reader: Any, memory_store: Any
) -> None:
    plan = judged_plan(shard_size=40)
    make_set(plan, blocks, reader, memory_store)
    found = write(plan, blocks, reader, memory_store)
    written = [key for operation, key in memory_store.journal if operation == "put"]
    assert written[-6:] == [AT.report_page, AT.report, AT.data_card, AT.provenance, AT.croissant, AT.laid_aside]
    page = memory_store.get(AT.report_page).decode()
    assert "<b>gate</b>" not in page
    assert "&lt;b&gt;gate&lt;/b&gt;" in page
    assert found.dataset.name == "<b>gate</b>"
    assert (found.judged.subjects, found.judged.distractors, found.judged.samples) == (30, 4, 94)
    judge = found.judges[0]
    assert (judge.matcher.name, judge.matcher.version, judge.matcher.independent) == ("reader", "1", True)
    assert judge.mated.count == 90
    assert judge.non_mated.count == 90 * 89 // 2 - 90
    assert {group.attribute for group in judge.groups} == {"sex", "age"}
    assert found.counts.samples == 94
    before = dict(memory_store.objects)
    write(plan, blocks, reader, memory_store)
    assert memory_store.objects == before


def test_only_judged_subjects_are_measured_and_the_limits_say_so(
    judged_plan: Any, blocks: Any, reader: Any, memory_store: Any
) -> None:
    plan = judged_plan(report={"judged_subjects": 10}, shard_size=20, distractors=20)
    make_set(plan, blocks, reader, memory_store)
    found = write(plan, blocks, reader, memory_store)
    assert found.judged.model_dump() == {"subjects": 10, "distractors": 10, "samples": 40}
    assert found.judges[0].mated.count == 30
    assert found.judges[0].enrolment.trials == 20
    assert any("first 10 subjects of 30" in limit for limit in found.limits)


def test_samples_without_a_template_and_missing_ones_are_told(
    judged_plan: Any, blocks: Any, reader: Any, memory_store: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = iter(range(10_000))
    # The first sample fails in all its attempts, which come one batch later each.
    fails = (0, 8, 9, 10, 11)
    monkeypatch.setattr(run, "check", lambda *_: (None, "odd" if next(calls) in fails else None))
    plan = judged_plan()
    reader.blind_beyond = 1.0
    make_set(plan, blocks, reader, memory_store)
    found = write(plan, blocks, reader, memory_store)
    assert found.counts.shortfall == 1
    assert [(item.reason, item.count) for item in found.shortfall] == [("odd in 5 attempts", 1)]
    assert [(item.reason, item.count) for item in found.rejected_samples] == [("odd", 5)]
    judge = found.judges[0]
    failed = judge.enrolment.errors + judge.extraction.errors
    assert 0 < failed == sum(item.count for item in judge.failures)
    assert judge.enrolment.trials + judge.extraction.trials == 93


def test_leakage_is_measured_with_templates_of_the_same_weights_only(
    judged_plan: Any, blocks: Any, reader: Any, memory_store: Any
) -> None:
    plan = judged_plan()
    make_set(plan, blocks, reader, memory_store)
    rng = np.random.default_rng(0)
    tables = [
        TemplatesOf(templates=rng.normal(size=(50, 6)).astype(np.float32), subjects=np.arange(first, first + 50))
        for first in (0, 50)
    ]

    def told(digest: str) -> Report:
        trained_on = {"reader": TrainedOn(matcher_digest=digest, training=tables[0], held_out=tables[1])}
        return write(plan, blocks, reader, memory_store, trained_on=trained_on)

    assert told(reader.digest).judges[0].leakage.searched == 50
    assert told("b" * 64).judges[0].leakage is None


def test_thresholds_on_real_faces_are_those_of_the_same_weights(
    judged_plan: Any, blocks: Any, reader: Any, memory_store: Any
) -> None:
    plan = judged_plan()
    make_set(plan, blocks, reader, memory_store)
    given = RealThreshold(
        matcher="reader",
        matcher_digest=reader.digest,
        target_fmr=1e-3,
        threshold=-1.0,
        source="ours",
        subjects=50,
        comparisons=1225,
    )
    other = given.model_copy(update={"matcher_digest": "b" * 64})
    (point,) = write(plan, blocks, reader, memory_store, reference=Reference(thresholds=(given, other))).judges[0].real
    assert point.at == given
    assert point.fmr.trials > 0
    assert write(plan, blocks, reader, memory_store).judges[0].real == ()


def test_called_off_it_leaves_no_report(judged_plan: Any, blocks: Any, reader: Any, memory_store: Any) -> None:
    plan = judged_plan()
    make_set(plan, blocks, reader, memory_store)
    with pytest.raises(Cancelled):
        write(plan, blocks, reader, memory_store, should_cancel=lambda: True)
    assert not memory_store.exists(AT.report)


@pytest.mark.parametrize("fields", [{"subjects": 1, "samples_per_subject": 1, "distractors": 0}, {"subjects": 2}])
@pytest.mark.parametrize("blind", [False, True])
def test_however_small_or_blind_there_is_a_report(
    judged_plan: Any, blocks: Any, reader: Any, memory_store: Any, fields: dict[str, Any], blind: bool
) -> None:
    plan = judged_plan(**fields)
    reader.blind_beyond = -1.0 if blind else 99.0
    make_set(plan, blocks, reader, memory_store)
    found = write(plan, blocks, reader, memory_store)
    assert found.judges[0].absent
    assert all(point.fnmr is None for point in found.judges[0].points)
    assert json.loads(memory_store.get(AT.report))["comparisons"]["selection"] in ("none", "complete")


def test_subjects_are_grouped_by_what_their_images_show() -> None:
    assert evidence._worn("headwear", True, [True, False]) == "headwear in some images"
    assert evidence._worn("glasses", True, [True, True]) == "glasses in every image"
    assert evidence._worn("glasses", True, [True, False]) == "glasses in some images"
    assert evidence._worn("glasses", False, [False]) == "glasses in none"
    assert evidence._worn("glasses", True, []) == "with glasses", "a set of before says only what its subjects are"
    assert evidence._worn("hat", None, [None]) is None
    assert evidence._mean([20.0, None, 30.0], 60.0) == 25.0
    assert evidence._mean([None], 60.0) == 60.0
