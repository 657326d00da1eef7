"""From shards' reports to comparisons, contact sheet and manifest."""

import csv
import hashlib
import io
import json
from collections.abc import Callable
from typing import Any

import pytest

from app.dataset.keys import DatasetKeys
from app.dataset.plan import Plan
from app.errors import ObjectNotFound
from app.jobs.records import Accepted, write_json
from workers.images import decode
from workers.matchers.detector import load_detector
from workers.pipeline import run
from workers.pipeline.close import close, publish
from workers.pipeline.run import run_shard
from workers.pipeline.store import ShardTar

PlanFor = Callable[..., Plan]
AT = DatasetKeys("acme", "ds_test")


def build(plan: Plan, paint: Any, store: Any, still_wanted: Callable[[], bool] = lambda: True) -> dict[str, Any]:
    """Run all shards, assemble, and return the manifest ({} if there is none)."""
    for number in range(plan.shards):
        with ShardTar() as tar:
            shard = run_shard(
                plan,
                number,
                generator=paint,
                choice=None,
                detector=load_detector(),
                tar=tar,
                batch_size=4,
                encoder_threads=1,
            )
            tar.put(store, AT.shard_samples(number))
        write_json(store, AT.shard_report(number), shard)
    accepted = Accepted(id="ds_test", tenant="acme", name="n", created_at="2026-01-01T00:00Z", request={"name": "n"})
    write_json(store, AT.plan, plan)
    close(store, AT, accepted, plan.final(), paint.card, matchers={})
    publish(store, AT, still_wanted)
    return json.loads(store.get(AT.manifest)) if store.exists(AT.manifest) else {}


def comparisons(store: Any) -> list[tuple[str, str, str]]:
    rows = list(csv.reader(io.StringIO(store.get(AT.comparisons).decode())))
    assert rows[0] == ["reference", "probe", "mated"]
    return [tuple(row) for row in rows[1:]]


def test_the_manifest_lists_every_sample_and_counts_them(paint: Any, plan_for: PlanFor, memory_store: Any) -> None:
    plan = plan_for(paint.card, subjects=3, samples_per_subject=4, distractors=2, shard_size=5)
    manifest = build(plan, paint, memory_store)
    assert manifest["counts"]["subjects"] == 3
    assert manifest["counts"]["distractors"] == 2
    assert manifest["counts"]["samples"] == len(manifest["samples"]) == 14
    assert manifest["counts"]["shortfall"] == 0
    lines = "".join(f"{row['id']} {row['pixel_sha256']}\n" for row in manifest["samples"])
    assert manifest["digests"]["pixels"] == hashlib.sha256(lines.encode()).hexdigest()
    assert manifest["synthetic"]["digital_source_type"].endswith("/algorithmicMedia"), "paint has no weights"
    assert manifest["model"]["digest"] == paint.card.digest


def test_mated_comparisons_are_mated_and_the_list_is_what_the_manifest_says(
    paint: Any, plan_for: PlanFor, memory_store: Any
) -> None:
    manifest = build(
        plan_for(paint.card, subjects=4, samples_per_subject=3, comparisons={"selection": "balanced"}),
        paint,
        memory_store,
    )
    listed = comparisons(memory_store)
    assert len(set(listed)) == len(listed) == 24
    for reference, probe, mated in listed:
        assert (reference[:8] == probe[:8]) == (mated == "1")
    assert manifest["comparisons"]["mated"] == manifest["comparisons"]["non_mated"] == 12
    assert manifest["comparisons"]["sha256"] == hashlib.sha256(memory_store.get(AT.comparisons)).hexdigest()


def test_more_comparisons_than_are_written_at_once_all_arrive(
    paint: Any, plan_for: PlanFor, memory_store: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("workers.pipeline.report.CSV_ROWS", 7)
    plan = plan_for(paint.card, subjects=4, samples_per_subject=3, comparisons={"selection": "complete"})
    build(plan, paint, memory_store)
    assert len(set(comparisons(memory_store))) == 12 * 11 // 2


def test_comparisons_with_a_missing_sample_are_left_out_and_counted(
    paint: Any, plan_for: PlanFor, memory_store: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = iter(range(1000))
    # The first sample fails in all its attempts, which come one batch later each.
    fails = (0, 4, 5, 6, 7)
    monkeypatch.setattr(run, "check", lambda *_: (None, "odd" if next(calls) in fails else None))
    plan = plan_for(paint.card, subjects=2, samples_per_subject=2, comparisons={"selection": "complete"})
    manifest = build(plan, paint, memory_store)
    assert [item["id"] for item in manifest["shortfall"]] == ["S0000000_0000"]
    assert manifest["counts"]["shortfall"] == 1
    assert manifest["comparisons"]["left_out"] == 3
    listed = comparisons(memory_store)
    assert len(listed) == 3
    assert not any("S0000000_0000" in row for row in listed)


def test_the_contact_sheet_has_a_row_a_subject(paint: Any, plan_for: PlanFor, memory_store: Any) -> None:
    build(plan_for(paint.card, subjects=3, samples_per_subject=2, distractors=1), paint, memory_store)
    assert decode(memory_store.get(AT.contact_sheet)).shape == (4 * 128, 2 * 128, 3)


def test_closing_twice_leaves_the_same_bytes(paint: Any, plan_for: PlanFor, memory_store: Any) -> None:
    plan = plan_for(paint.card, subjects=3, samples_per_subject=2)
    build(plan, paint, memory_store)
    before = dict(memory_store.objects)
    build(plan, paint, memory_store)
    assert memory_store.objects == before


def test_a_dataset_that_is_called_off_gets_no_manifest(paint: Any, plan_for: PlanFor, memory_store: Any) -> None:
    plan = plan_for(paint.card, subjects=1, samples_per_subject=1)
    assert build(plan, paint, memory_store, still_wanted=lambda: False) == {}
    assert not memory_store.exists(AT.summary)


def test_every_shards_report_is_read_once_and_the_manifest_is_made_once(
    paint: Any, plan_for: PlanFor, memory_store: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    reads: list[str] = []
    read = memory_store.read

    def noted(key: str, *span: int) -> Any:
        reads.append(key)
        return read(key, *span)

    monkeypatch.setattr(memory_store, "read", noted)
    plan = plan_for(paint.card, subjects=6, samples_per_subject=4, shard_size=5)
    build(plan, paint, memory_store)
    assert plan.shards == 5
    assert sorted(key for key in reads if key.endswith("/report.json")) == [AT.shard_report(k) for k in range(5)]
    assert reads.count(AT.laid_aside) == 2, "its summary, and then the whole of it on its way"
    assert not memory_store.exists(AT.laid_aside)


def test_published_without_what_was_laid_aside_nothing_succeeds(memory_store: Any) -> None:
    with pytest.raises(ObjectNotFound):
        publish(memory_store, AT, lambda: True)
    assert memory_store.objects == {}
