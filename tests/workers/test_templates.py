"""A set of which templates alone are kept: the same templates as of its images, joined, described and verified."""

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from app.client.manifest import Manifest
from app.client.verify import verify
from app.dataset.keys import DatasetKeys
from app.dataset.layout import Layout, why_not
from app.dataset.plan import Plan, PlannedMatcher
from app.dataset.products import PRODUCTS
from app.errors import Cancelled, Corrupt
from app.jobs.datasets.archive import lay_out_archive, read_segments
from app.jobs.phases import JUDGE, NOTHING
from app.jobs.records import Accepted, write_json
from workers.images import decode
from workers.matchers.base import Failure, Role
from workers.matchers.detector import load_detector
from workers.matchers.extraction import extract_one
from workers.pipeline.close import close, publish
from workers.pipeline.judgements import read_judgements
from workers.pipeline.run import run_shard
from workers.pipeline.store import ShardTar
from workers.pipeline.templates import run_template_shard, write_templates
from workers.verdict.npz import open_npz

PlanFor = Callable[..., Plan]
AT = DatasetKeys("acme", "ds_test")
FIELDS: dict[str, Any] = {"subjects": 7, "samples_per_subject": 3, "distractors": 4}


def templates_plan(plan_for: PlanFor, blocks: Any, reader: Any, **more: Any) -> Plan:
    """A plan of templates, judged by their own matcher."""
    theirs = PlannedMatcher(name=reader.name, digest=reader.digest)
    judged = more.pop("judged", 0)
    kept = {"templates": theirs, "judges": (theirs,) if judged else (), "judged_subjects": judged}
    return plan_for(blocks.card, **{**FIELDS, **more}).model_copy(update=kept)


def make(plan: Plan, blocks: Any, reader: Any, store: Any, batch_size: int = 4) -> dict[str, Any]:
    """Make all shards; returns rows by sample."""
    rows: dict[str, Any] = {}
    for number in range(plan.shards):
        report, data = run_template_shard(
            plan.final(),
            number,
            generator=blocks,
            choice=None,
            detector=load_detector(),
            matcher=reader,
            batch_size=batch_size,
        )
        store.put(AT.shard_templates(number), data)
        write_json(store, AT.shard_report(number), report)
        rows |= {stored.row.id: stored.row for stored in report.samples}
    return rows


def finish(plan: Plan, blocks: Any, store: Any) -> dict[str, Any]:
    """Close and publish; returns the manifest."""
    request = {"name": "n", "product": "templates"}
    accepted = Accepted(id="ds_test", tenant="acme", name="n", created_at="2026-01-01T00:00Z", request=request)
    write_json(store, AT.plan, plan)
    close(store, AT, accepted, plan.final(), blocks.card, matchers={})
    publish(store, AT, lambda: True)
    return dict(json.loads(store.get(AT.manifest)))


def in_folder(store: Any, folder: Path) -> Path:
    """The set as a download of it lies there."""
    for product in PRODUCTS:
        if store.exists(AT.product(product)):
            (folder / product.file).write_bytes(store.get(AT.product(product)))
    return folder


def test_they_are_the_templates_of_the_images_that_the_same_request_makes(
    blocks: Any, reader: Any, plan_for: PlanFor, memory_store: Any
) -> None:
    plan = templates_plan(plan_for, blocks, reader)
    rows = make(plan, blocks, reader, memory_store)
    write_templates(memory_store, AT, plan, len(rows))
    found = np.load(io.BytesIO(memory_store.get(AT.templates)), allow_pickle=False)
    with ShardTar() as tar:
        images = run_shard(
            plan_for(blocks.card, **FIELDS).final(),
            0,
            generator=blocks,
            choice=None,
            detector=load_detector(),
            tar=tar,
            batch_size=8,
            encoder_threads=1,
        )
        tar.put(memory_store, "images")
    assert found["ids"].tolist() == [stored.row.id for stored in images.samples]
    assert found["subjects"].tolist() == [f"ds_test/{stored.row.subject}" for stored in images.samples]
    assert found["roles"].tolist() == [stored.row.role for stored in images.samples]
    assert "algorithmicMedia" in found["synthetic"][0] or "trainedAlgorithmicMedia" in found["synthetic"][0]
    for stored, template in zip(images.samples, found["templates"], strict=True):
        data = memory_store.get("images")[stored.offset : stored.offset + stored.row.bytes]
        theirs: Any = extract_one(reader, decode(data), Role.PROBE)
        assert np.array_equal(template, theirs)
        assert rows[stored.row.id].pixel_sha256 == stored.row.pixel_sha256


@pytest.mark.parametrize(("batch_size", "shard_size"), [(1, 8), (64, 1000), (3, 16)])
def test_neither_batches_nor_shards_change_a_template(
    blocks: Any, reader: Any, plan_for: PlanFor, memory_store: Any, batch_size: int, shard_size: int
) -> None:
    expected = make(templates_plan(plan_for, blocks, reader), blocks, reader, memory_store)
    write_templates(memory_store, AT, templates_plan(plan_for, blocks, reader), len(expected))
    whole = memory_store.get(AT.templates)
    plan = templates_plan(plan_for, blocks, reader, shard_size=shard_size)
    assert make(plan, blocks, reader, memory_store, batch_size) == expected
    write_templates(memory_store, AT, plan, len(expected))
    assert memory_store.get(AT.templates) == whole


def test_a_sample_without_a_template_is_a_row_of_nan_and_counted(
    blocks: Any, plan_for: PlanFor, memory_store: Any, reader: Any, tmp_path: Path
) -> None:
    reader.blind_beyond = 1.0
    plan = templates_plan(plan_for, blocks, reader)
    make(plan, blocks, reader, memory_store)
    manifest = finish(plan, blocks, memory_store)
    found = np.load(io.BytesIO(memory_store.get(AT.templates)))["templates"]
    blind = int(np.isnan(found).all(axis=1).sum())
    assert 0 < blind < len(found)
    assert np.isnan(found).any(axis=1).sum() == blind
    assert manifest["templates"] == {
        "matcher": "reader",
        "matcher_digest": "a" * 64,
        "dimensions": 6,
        "failed": blind,
    }
    assert isinstance(extract_one(reader, np.full((32, 32, 3), 255, np.uint8), Role.PROBE), Failure)
    assert not verify(in_folder(memory_store, tmp_path), Manifest(tmp_path / "manifest.json"), None).wrong


def test_a_closed_set_says_what_is_kept_and_has_no_picture(
    blocks: Any, reader: Any, plan_for: PlanFor, memory_store: Any, tmp_path: Path
) -> None:
    plan = templates_plan(plan_for, blocks, reader, shard_size=8, judged=5)
    rows = make(plan, blocks, reader, memory_store)
    manifest = finish(plan, blocks, memory_store)
    assert not memory_store.exists(AT.contact_sheet)
    assert list(manifest["products"]) == [
        "report.json",
        "report.html",
        "data-card.md",
        "provenance.jsonld",
        "templates.npz",
        "croissant.json",
    ]
    assert {row["file"] for row in manifest["samples"]} == {"templates.npz"}
    assert manifest["counts"]["bytes"] == len(rows) * 6 * 4
    report = json.loads(memory_store.get(AT.report))
    assert report["dataset"]["templates"] == "reader"
    assert [judge["matcher"]["name"] for judge in report["judges"]] == ["reader"]
    assert report["judged"]["samples"] == 15
    assert report["absent"]["quality"] == "no image was kept to be looked at"
    assert any("nobody can look at it" in line for line in report["limits"])
    assert b"templates of reader are kept, and no images" in memory_store.get(AT.report_page)
    card = memory_store.get(AT.data_card).decode()
    assert "6 numbers a sample by reader" in card
    assert "SHA-256 of its template" in card
    described = json.loads(memory_store.get(AT.croissant))
    assert [part["@id"] for part in described["recordSet"]] == ["samples", "comparisons"]
    assert "templates.npz" in {part["@id"] for part in described["distribution"]}
    verified = verify(in_folder(memory_store, tmp_path), Manifest(tmp_path / "manifest.json"), None)
    assert (verified.wrong, verified.files, verified.pixels) == ([], 25, None)


def test_its_archive_holds_the_products_and_ends(
    blocks: Any, reader: Any, plan_for: PlanFor, memory_store: Any
) -> None:
    import tarfile

    plan = templates_plan(plan_for, blocks, reader)
    make(plan, blocks, reader, memory_store)
    finish(plan, blocks, memory_store)
    archive = lay_out_archive(memory_store, AT, "set")
    data = b"".join(read_segments(memory_store, archive.segments, 0, archive.size))
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        assert tar.getnames()[-1] == "set/templates.npz"
        assert not any("sheet" in name or "samples" in name for name in tar.getnames())


@pytest.mark.parametrize("what", ["value", "swapped", "gone", "short"])
def test_templates_that_were_changed_are_named(
    blocks: Any, reader: Any, plan_for: PlanFor, memory_store: Any, tmp_path: Path, what: str
) -> None:
    plan = templates_plan(plan_for, blocks, reader)
    make(plan, blocks, reader, memory_store)
    finish(plan, blocks, memory_store)
    path = in_folder(memory_store, tmp_path) / "templates.npz"
    arrays = dict(np.load(path))
    if what == "value":
        arrays["templates"][3, 0] += 0.5
    elif what == "swapped":
        arrays["ids"][[3, 4]] = arrays["ids"][[4, 3]]
    else:
        arrays["templates"] = arrays["templates"][:-1]
    path.unlink() if what == "gone" else np.savez(path, **arrays)
    wrong = dict(verify(tmp_path, Manifest(tmp_path / "manifest.json"), None).wrong)
    assert "templates.npz" in wrong
    assert {
        "value": "S0000001_0000" in wrong,
        "swapped": "S0000001_0001" in wrong,
        "gone": wrong["templates.npz"] == "it is missing",
        "short": "fewer templates than ids" in wrong.get("S0000010_0000", ""),
    }[what]


def test_another_number_of_templates_than_samples_is_corrupt(
    blocks: Any, reader: Any, plan_for: PlanFor, memory_store: Any
) -> None:
    plan = templates_plan(plan_for, blocks, reader)
    rows = make(plan, blocks, reader, memory_store)
    with pytest.raises(Corrupt, match="the shards hold 25 templates and the set has 26 samples"):
        write_templates(memory_store, AT, plan, len(rows) + 1)


def test_what_is_judged_of_it_comes_of_its_templates(
    blocks: Any, reader: Any, plan_for: PlanFor, memory_store: Any
) -> None:
    plan = templates_plan(plan_for, blocks, reader, shard_size=8, judged=4)
    make(plan, blocks, reader, memory_store)
    assert JUDGE.missing(plan, NOTHING) == []
    judged = read_judgements(memory_store, AT, plan)
    assert len(judged) == 12
    assert judged.qualities == {}
    assert judged.scores("reader").mated.size == 4 * 3


def test_its_file_is_one_that_searches_read(blocks: Any, reader: Any, plan_for: PlanFor, memory_store: Any) -> None:
    plan = templates_plan(plan_for, blocks, reader)
    rows = make(plan, blocks, reader, memory_store)
    write_templates(memory_store, AT, plan, len(rows))
    arrays = open_npz(io.BytesIO(memory_store.get(AT.templates)))
    assert arrays["templates"].shape == (25, 6)
    assert arrays["ids"].shape == arrays["roles"].shape == arrays["subjects"].shape == (25,)


def test_it_stops_when_called_off(blocks: Any, reader: Any, plan_for: PlanFor) -> None:
    asked = iter([False, True])
    with pytest.raises(Cancelled):
        run_template_shard(
            templates_plan(plan_for, blocks, reader).final(),
            0,
            generator=blocks,
            choice=None,
            detector=load_detector(),
            matcher=reader,
            batch_size=4,
            should_cancel=lambda: next(asked),
        )
    assert blocks.samples == 4


def test_layouts_of_images_are_not_had_of_it(blocks: Any, reader: Any, plan_for: PlanFor) -> None:
    shape = templates_plan(plan_for, blocks, reader).shape
    assert why_not(Layout.PLAIN, shape) is None
    for layout in set(Layout) - {Layout.PLAIN}:
        assert "templates alone are kept; take 'plain'" in (why_not(layout, shape) or "")
