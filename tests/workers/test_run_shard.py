"""A shard, from plan to tar and report."""

import io
import tarfile
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from app.dataset.names import sample_name
from app.dataset.plan import Plan
from app.dataset.shard import IdentityChoice, ShardReport
from app.dataset.thumbnails import sheet_of
from app.errors import Cancelled
from workers.images import decode, pixel_sha256, read_mark
from workers.matchers.detector import load_detector
from workers.pipeline import run
from workers.pipeline.generate import WrongModel
from workers.pipeline.run import run_shard
from workers.pipeline.store import ShardTar
from workers.pipeline.thumbnails import ThumbnailSheet

PlanFor = Callable[..., Plan]


def make(plan: Plan, paint: Any, store: Any, **options: Any) -> list[ShardReport]:
    """Run every shard of a plan and put its tar under its number."""
    options = {"choice": None, "batch_size": 4, "encoder_threads": 2, **options}
    reports = []
    for number in range(plan.shards):
        with ShardTar() as tar:
            reports.append(run_shard(plan, number, generator=paint, detector=load_detector(), tar=tar, **options))
            tar.put(store, str(number))
    return reports


def digests(reports: list[ShardReport]) -> dict[str, tuple[str, str]]:
    rows = [stored.row for report in reports for stored in report.samples]
    return {row.id: (row.pixel_sha256, row.file_sha256) for row in rows}


@pytest.fixture
def fussy(monkeypatch: pytest.MonkeyPatch) -> None:
    """A check that refuses about a third of all draws, by their pixels."""
    monkeypatch.setattr(
        run,
        "check",
        lambda plan, pixels, detector: (None, "too odd" if int(pixels.astype(int).sum()) % 3 == 0 else None),
    )


def test_samples_come_out_as_asked_in_the_plans_order(paint: Any, plan_for: PlanFor, memory_store: Any) -> None:
    plan = plan_for(paint.card, subjects=3, samples_per_subject=4, distractors=2, shard_size=5)
    rows = [stored.row for report in make(plan, paint, memory_store) for stored in report.samples]
    assert [row.id for row in rows] == [
        *(f"S000000{subject}_000{sample}" for subject in range(3) for sample in range(4)),
        "S0000003_0000",
        "S0000004_0000",
    ]
    assert [row.role for row in rows[:5]] == ["reference", "probe", "probe", "probe", "reference"]
    assert {row.role for row in rows[12:]} == {"distractor"}


@pytest.mark.usefixtures("fussy")
@pytest.mark.parametrize(("batch_size", "threads", "shard_size"), [(1, 1, 10), (64, 3, 1000), (7, 2, 13)])
def test_neither_batches_nor_threads_nor_shards_change_a_byte(
    paint: Any, plan_for: PlanFor, memory_store: Any, batch_size: int, threads: int, shard_size: int
) -> None:
    fields = {"subjects": 9, "samples_per_subject": 5, "distractors": 3}
    expected = make(plan_for(paint.card, **fields), paint, memory_store)
    plan = plan_for(paint.card, shard_size=shard_size, **fields)
    found = make(plan, paint, memory_store, batch_size=batch_size, encoder_threads=threads)
    assert digests(found) == digests(expected)
    assert sum(len(report.rejected) for report in expected) > 5, "the check of this test must refuse something"
    assert sorted(item.id for report in found for item in report.rejected) == [
        item.id for report in expected for item in report.rejected
    ]


def test_the_tar_holds_each_sample_where_the_report_says(paint: Any, plan_for: PlanFor, memory_store: Any) -> None:
    plan = plan_for(paint.card, subjects=2, samples_per_subject=3, image={"format": "jpeg", "quality": 80})
    (report,) = make(plan, paint, memory_store)
    raw = memory_store.get("0")
    assert len(raw) == report.tar_bytes + 1024
    with tarfile.open(fileobj=io.BytesIO(raw)) as tar:
        members = {member.name: tar.extractfile(member).read() for member in tar}  # type: ignore[union-attr]
    assert list(members) == [stored.row.file for stored in report.samples]
    for stored in report.samples:
        row = stored.row
        data = raw[stored.offset : stored.offset + row.bytes]
        assert data == members[row.file]
        assert pixel_sha256(decode(data)) == row.pixel_sha256
        assert (row.width, row.height) == (16, 24)


@pytest.mark.usefixtures("fussy")
def test_what_no_attempt_can_make_is_reported_as_missing(
    paint: Any, plan_for: PlanFor, memory_store: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = plan_for(paint.card, subjects=2, samples_per_subject=3)
    monkeypatch.setattr(run, "check", lambda plan, pixels, detector: (None, "no face found"))
    (report,) = make(plan, paint, memory_store)
    assert report.samples == ()
    assert len(report.missing) == 6
    assert len(report.rejected) == 6 * plan.max_attempts
    assert report.missing[0].reason == f"no face found in {plan.max_attempts} attempts"


def test_another_attempt_is_another_draw_of_the_observation_only(
    paint: Any, plan_for: PlanFor, memory_store: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = plan_for(paint.card, subjects=1, samples_per_subject=1)
    (plain,) = make(plan, paint, memory_store)
    answers = iter(["no", None])
    monkeypatch.setattr(run, "check", lambda plan, pixels, detector: (None, next(answers)))
    (second,) = make(plan, paint, memory_store)
    first_row, second_row = plain.samples[0].row, second.samples[0].row
    assert (first_row.attempt, second_row.attempt) == (0, 1)
    assert first_row.pixel_sha256 != second_row.pixel_sha256
    assert first_row.attributes == second_row.attributes


def test_a_choice_of_identities_is_followed(paint: Any, plan_for: PlanFor, memory_store: Any) -> None:
    plan = plan_for(paint.card, subjects=3, samples_per_subject=2)
    choice = IdentityChoice(
        matcher="sface", matcher_digest="0", threshold=0.9, attempts={1: 2}, rejected=(), missing={2: "alike"}
    )
    (plain,), (chosen,) = make(plan, paint, memory_store), make(plan, paint, memory_store, choice=choice)
    assert [item.reason for item in chosen.missing] == ["alike", "alike"]
    assert [stored.row.identity_attempt for stored in chosen.samples] == [0, 0, 2, 2]
    old, new = digests([plain]), digests([chosen])
    assert [name for name in new if new[name] == old[name]] == ["S0000000_0000", "S0000000_0001"]


def test_attributes_are_those_that_were_asked_for(paint: Any, plan_for: PlanFor, memory_store: Any) -> None:
    plan = plan_for(
        paint.card,
        subjects=10,
        samples_per_subject=1,
        attributes={"sex": {"female": 0.3, "male": 0.7}, "age": {"min": 30, "max": 40}},
    )
    (report,) = make(plan, paint, memory_store)
    rows = [stored.row for stored in report.samples]
    assert sorted(row.attributes["sex"] for row in rows) == ["female"] * 3 + ["male"] * 7
    assert all(30 <= row.attributes["age"] <= 40 for row in rows)


def test_cancelling_stops_before_the_next_batch(paint: Any, plan_for: PlanFor) -> None:
    plan = plan_for(paint.card, subjects=10, samples_per_subject=2)
    asked = iter([False, False, True])
    with pytest.raises(Cancelled), ShardTar() as tar:
        run_shard(
            plan,
            0,
            generator=paint,
            choice=None,
            detector=load_detector(),
            tar=tar,
            batch_size=5,
            encoder_threads=1,
            should_cancel=lambda: next(asked),
        )
    assert paint.batches == [5, 5]


def test_progress_is_told_after_each_batch(paint: Any, plan_for: PlanFor, memory_store: Any) -> None:
    told: list[tuple[int, int]] = []
    plan = plan_for(paint.card, subjects=5, samples_per_subject=2)
    make(plan, paint, memory_store, on_progress=lambda done, total: told.append((done, total)))
    assert told == [(4, 10), (8, 10), (10, 10)]


def test_a_plan_for_another_model_is_refused(paint: Any, plan_for: PlanFor, memory_store: Any) -> None:
    plan = plan_for(paint.card, subjects=1, samples_per_subject=1)
    paint.card = paint.card.model_copy(update={"version": "1.0.1"})
    with pytest.raises(WrongModel, match=r"planned with paint 1\.0\.0"):
        make(plan, paint, memory_store)


def test_a_plan_made_before_the_digest_was_taken_otherwise_goes_on(
    paint: Any, plan_for: PlanFor, memory_store: Any
) -> None:
    plan = plan_for(paint.card, subjects=1, samples_per_subject=1)
    paint.card = paint.card.model_copy(update={"version": "1.0.1", "formerly": (plan.model.digest,)})
    (report,) = make(plan, paint, memory_store)
    assert len(report.samples) == 1


def test_sigma_zero_gives_one_portrait(paint: Any, plan_for: PlanFor, memory_store: Any) -> None:
    plan = plan_for(paint.card, subjects=1, samples_per_subject=3, variability={"scale": 0})
    (report,) = make(plan, paint, memory_store)
    assert len({stored.row.pixel_sha256 for stored in report.samples}) == 1
    assert np.isclose(sum(plan.sigma.values()), 0)


@pytest.mark.usefixtures("fussy")
@pytest.mark.parametrize("threads", [1, 3])
def test_the_sheet_of_thumbnails_shows_each_sample_in_its_place(
    paint: Any, plan_for: PlanFor, memory_store: Any, threads: int
) -> None:
    plan = plan_for(paint.card, subjects=5, samples_per_subject=5, shard_size=20).model_copy(update={"max_attempts": 1})
    seen = 0
    for number, tiles in enumerate((20, 5)):
        sheet, made = sheet_of(plan, number), ThumbnailSheet(plan, number)
        with ShardTar() as tar:
            report = run_shard(
                plan,
                number,
                generator=paint,
                choice=None,
                detector=load_detector(),
                tar=tar,
                batch_size=4,
                encoder_threads=threads,
                thumbnails=made,
            )
            tar.put(memory_store, "tar")
        data = made.encode()
        assert "algorithmicMedia" in read_mark(data)["xmp"]
        assert np.abs(decode(data).astype(int) - made.pixels).mean() < 12
        assert (sheet.width, sheet.height) == (16, 24)  # as small as the images
        assert sheet.size == ((16 * 16, 2 * 24) if tiles == 20 else (5 * 16, 24))
        stored = {one.row.id: one for one in report.samples}
        for tile, place in enumerate(plan.places(plan.shard(number))):
            left, top = sheet.at(tile)
            shown = made.pixels[top : top + sheet.height, left : left + sheet.width]
            found = stored.get(sample_name(*place))
            if found is None:
                assert (shown == 128).all()
                continue
            file = memory_store.get("tar")[found.offset : found.offset + found.row.bytes]
            assert np.array_equal(shown, decode(file))
            seen += 1
    assert 5 < seen < 25  # some are missing
