"""Difficulty by contract, from the request to the manifest, by the workers' own tasks over memory."""

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from app.config import Settings
from app.dataset import keys
from app.dataset.calibration import CalibrationRequest
from app.dataset.keys import DatasetKeys
from app.dataset.plan import Plan
from app.dataset.planning import calibration_question
from app.dataset.request import DatasetRequest
from app.errors import RequestRefused
from app.figures import Figures
from app.jobs.calibrations.service import CalibrationService
from app.jobs.catalogues.matchers import MatcherCatalogue
from app.jobs.catalogues.models import ModelCatalogue
from app.jobs.datasets.advance import advance
from app.jobs.datasets.service import DatasetService
from app.jobs.phases import GENERATE, JUDGE, TRY, Phase
from app.jobs.records import read_json, read_plan
from app.jobs.state import State
from app.queue import Task
from app.tracing import Tracing
from workers.matchers.detector import load_detector
from workers.matchers.registry import card_of
from workers.pipeline import scoring
from workers.pipeline.judgements import read_judgements
from workers.tasks import perform

TARGET = {"matcher": "reader", "fmr": 0.05, "fnmr": 0.2}
BODY: dict[str, Any] = {
    "name": "hard",
    "subjects": 40,
    "samples_per_subject": 4,
    "distractors": 3,
    "seed": 3,
    "checks": {"unique": False, "face_found": False},
    "variability": {"target": TARGET},
}


class Killed(BaseException):
    """As kill -9: nothing that an attempt can catch."""


class House:
    """Services and workers over memory."""

    def __init__(self, store: Any, queue: Any, blocks: Any, reader: Any, **settings: Any) -> None:
        self.store, self.queue, self.blocks, self.reader = store, queue, blocks, reader
        self.settings = Settings.model_validate({"environment": "development", "shard_size": 30, **settings})
        models, matchers = ModelCatalogue(store), MatcherCatalogue(store)
        models.publish([blocks.card], "blocks")
        matchers.publish([card_of(reader, judge=True)])
        self.datasets = DatasetService(store, queue, models, self.settings)
        self.calibrations = CalibrationService(store, queue, models, matchers, self.settings)
        self.ofiq, self.detector = None, load_detector()
        self.figures, self.tracing = Figures(), Tracing()
        self.done: list[Task] = []
        self.before: Callable[[Task], None] = lambda task: None

    def generator(self, plan: Plan) -> Any:
        return self.blocks

    def submit(self, **fields: Any) -> str:
        body = BODY | fields
        return self.datasets.submit("acme", DatasetRequest.model_validate(body), body, None)[0].id

    def work(self) -> None:
        """Do what waits until nothing does."""
        while self.queue.sent:
            task = self.queue.sent.pop(0)
            self.before(task)
            perform(self, task)  # type: ignore[arg-type]
            self.done.append(task)

    def manifest(self, dataset: str) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.store.get(DatasetKeys("acme", dataset).manifest))
        return found

    def count(self, phase: Phase) -> int:
        return sum(task.kind == phase.kind for task in self.done)


@pytest.fixture
def house(memory_store: Any, memory_queue: Any, blocks: Any, reader: Any, monkeypatch: pytest.MonkeyPatch) -> House:
    monkeypatch.setattr(scoring, "load_matcher", lambda name, settings: reader)
    return House(memory_store, memory_queue, blocks, reader)


@pytest.mark.parametrize("image", [{}, {"format": "jpeg", "quality": 40}])
def test_a_target_is_met_and_the_manifest_proves_it(house: House, image: dict[str, Any]) -> None:
    dataset = house.submit(image=image)
    house.work()
    shown = house.datasets.get("acme", dataset)
    assert (shown.state, shown.failure) == (State.SUCCEEDED, None)
    manifest = house.manifest(dataset)
    contract = manifest["contract"]
    assert contract["met"]
    assert abs(contract["delivered"]["fnmr"]["value"] - 0.2) <= 0.1 * 0.2
    # What was measured while calibrating is what is in the files, JPEG or not.
    assert contract["delivered"] == contract["calibrated"]
    assert manifest["sigma"] == {"pose": contract["scale"], "background": contract["scale"]}
    assert contract["delivered"]["fnmr"]["trials"] == 40 * 6
    assert contract["delivered"]["fmr"]["trials"] == 160 * 159 // 2 - 240
    interval = contract["delivered"]["fnmr"]["by_subject"]
    assert interval["low"] < 0.2 < interval["high"]
    at = DatasetKeys("acme", dataset)
    calibration = read_json(house.store, at.calibration)
    assert calibration["samples"] == 160 * calibration["evaluations"]
    assert read_json(house.store, at.report)["contract"] == contract


def test_what_was_tried_so_far_is_told_while_the_scale_is_sought(house: House) -> None:
    dataset = house.submit()
    seen: list[list[float]] = []

    def look(task: Task) -> None:
        shown = house.datasets.get("acme", dataset)
        scales = [point.scale for point in shown.tried]
        if not seen or scales != seen[-1]:
            seen.append(scales)
        assert all(0 <= point.measured.fnmr.value <= 1 and point.measured.fnmr.exact for point in shown.tried)

    house.before = look
    house.work()
    at = DatasetKeys("acme", dataset)
    curve = [point["scale"] for point in read_json(house.store, at.calibration)["curve"]]
    # One more at a time; the last one is in the result, and then there is nothing more to be told of it.
    assert [len(scales) for scales in seen] == [*range(len(curve)), 0]
    assert all(set(scales) <= set(curve) and scales == sorted(scales) for scales in seen)
    assert house.datasets.get("acme", dataset).tried == ()


def test_the_factors_keep_their_mix(house: House) -> None:
    dataset = house.submit(variability={"target": TARGET, "factors": {"background": 0.5}})
    house.work()
    manifest = house.manifest(dataset)
    scale = manifest["contract"]["scale"]
    assert manifest["sigma"] == {"pose": scale, "background": 0.5 * scale}


def test_every_judged_sample_is_in_the_judgements_and_no_other(house: House) -> None:
    dataset = house.submit(report={"judged_subjects": 35}, distractors=50)
    house.reader.blind_beyond = 1.5
    house.work()
    plan = read_plan(house.store, "acme", dataset)
    found = read_judgements(house.store, DatasetKeys("acme", dataset), plan)
    assert len(found) == 35 * 4 + 35
    assert found.ids[:2] == ("S0000000_0000", "S0000000_0001")
    assert found.ids[-1] == f"S{40 + 34:07d}_0000"
    assert found.roles.count("distractor") == 35
    assert (found.subjects[~found.mated] >= 40).all()
    failed = np.isnan(found.templates["reader"][:, 0])
    assert 0 < failed.sum() < len(found)
    assert sorted(found.failures["reader"]) == np.flatnonzero(failed).tolist()
    assert set(found.failures["reader"].values()) == {"detect: no face found"}
    assert found.scores("reader").failures.mated > 0
    judged = [row["id"] for row in house.manifest(dataset)["samples"] if "quality" in row]
    assert judged == list(found.ids)


def test_a_worker_that_dies_in_the_middle_costs_only_what_it_was_at(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    undisturbed = house.submit()
    house.work()
    made = house.blocks.samples
    generate, calls, deaths = house.blocks.generate, 0, 0

    def deadly(*latents: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls in (4, 9):
            raise Killed
        return generate(*latents)

    monkeypatch.setattr(house.blocks, "generate", deadly)
    dataset = house.submit()
    for _ in range(3):
        try:
            house.work()
        except Killed:
            deaths += 1
            house.queue.wipe()  # the queue is lost as well
            advance(house.store, house.queue, "acme", dataset)
    assert deaths == 2
    assert house.datasets.get("acme", dataset).state is State.SUCCEEDED
    first, second = (DatasetKeys("acme", one) for one in (undisturbed, dataset))
    assert house.store.get(first.calibration) == house.store.get(second.calibration)
    for shard in read_plan(house.store, "acme", dataset).judged_shards:
        assert house.store.get(first.judgement(shard)) == house.store.get(second.judgement(shard))
    assert house.blocks.samples == 2 * made


def test_a_target_out_of_reach_fails_with_the_range_and_makes_nothing(house: House) -> None:
    dataset = house.submit(variability={"target": TARGET | {"fnmr": 0.3}, "factors": {"pose": 0.0, "background": 0.01}})
    house.reader.blind_beyond = 99
    house.work()
    shown = house.datasets.get("acme", dataset)
    assert shown.state is State.FAILED
    assert shown.failure is not None
    assert "out of reach" in shown.failure
    assert "reach FNMR 0 to 0" in shown.failure
    assert house.count(GENERATE) == 0


def test_what_failures_leave_too_few_to_measure_fails_at_once_with_its_reason(house: House) -> None:
    house.reader.blind_beyond = 0.0
    dataset = house.submit()
    house.work()
    shown = house.datasets.get("acme", dataset)
    assert shown.state is State.FAILED
    assert "cannot be measured: at scale 1: FMR 0.05 needs 600 non-mated comparisons" in str(shown.failure)


def test_cancelling_stops_a_calibration(house: House) -> None:
    dataset = house.submit()

    def cancel(task: Task) -> None:
        if task.kind == TRY.kind:
            house.datasets.cancel("acme", dataset)
            house.before = lambda task: None

    house.before = cancel
    house.work()
    assert house.reader.extracted == 0
    assert house.datasets.get("acme", dataset).state is State.CANCELLED


def test_without_judged_subjects_nothing_is_judged(house: House) -> None:
    dataset = house.submit(variability={}, report={"judged_subjects": 0})
    house.work()
    manifest = house.manifest(dataset)
    assert manifest["contract"] is None
    assert house.count(JUDGE) == 0
    assert not any("quality" in row for row in manifest["samples"])


def ask(house: House, **fields: Any) -> Any:
    body = {"model": "blocks", "target": TARGET, "subjects": 40, "samples_per_subject": 4} | fields
    return house.calibrations.ask("acme", CalibrationRequest.model_validate(body), body)


@pytest.fixture
def faces_everywhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """Calibrations of a model check as sets do; blocks show no faces."""
    monkeypatch.setattr("workers.pipeline.run.check", lambda plan, pixels, detector: (None, None))
    monkeypatch.setattr(CalibrationRequest, "as_dataset", _unchecked(CalibrationRequest.as_dataset))

    def question(*asked: Any) -> Plan | None:
        found = calibration_question(*asked)
        return found and found.model_copy(update={"unique": None, "face_found": False})

    monkeypatch.setattr("app.jobs.calibrations.service.calibration_question", question)


@pytest.mark.usefixtures("faces_everywhere")
def test_a_calibration_that_is_cancelled_makes_no_further_batch(house: House) -> None:
    asked = ask(house).id
    made: list[int] = []

    def cancel_in_the_middle(task: Task) -> None:
        if task.kind == TRY.kind and not made:
            made.append(house.blocks.samples)
            house.calibrations.cancel("acme", asked)

    house.before = cancel_in_the_middle
    house.work()
    assert made == [house.blocks.samples]
    shown = house.calibrations.get(asked)
    assert (shown.state, shown.result) == (State.CANCELLED, None)
    advance(house.store, house.queue, keys.SERVICE, asked)  # as the reconciler does
    assert (house.queue.sent, list(house.store.list(keys.UNFINISHED))) == ([], [])
    # Asked for again it goes on to its end.
    ask(house)
    house.work()
    assert house.calibrations.get(asked).state is State.SUCCEEDED


def _unchecked(as_dataset: Callable[[Any], DatasetRequest]) -> Callable[[Any], DatasetRequest]:
    return lambda self: as_dataset(self).model_copy(update={"checks": DatasetRequest.model_validate(BODY).checks})


@pytest.mark.usefixtures("faces_everywhere")
def test_a_calibration_is_made_once_for_everyone(house: House) -> None:
    asked = ask(house)
    assert (asked.state, asked.result, asked.from_cache) == (State.ACCEPTED, None, False)
    assert ask(house).id == asked.id
    house.work()
    found = ask(house)
    assert (found.state, found.from_cache) == (State.SUCCEEDED, True)
    assert found.result.outcome == "met"
    assert found.result.measured.fnmr.value == pytest.approx(0.2, abs=0.02)
    assert found.result.samples == 160 * found.result.evaluations
    assert house.calibrations.get(asked.id).result == found.result
    assert list(house.store.list(keys.UNFINISHED)) == []


@pytest.mark.usefixtures("faces_everywhere")
def test_another_target_on_the_same_curve_starts_from_what_is_known(house: House) -> None:
    first = ask(house)
    house.work()
    other = ask(house, target=TARGET | {"fnmr": 0.3})
    assert other.id != first.id
    house.work()
    found = ask(house, target=TARGET | {"fnmr": 0.3}).result
    known = house.calibrations.get(first.id).result
    assert found.outcome == "met"
    assert {point.scale for point in known.curve} < {point.scale for point in found.curve}
    assert found.samples == 160 * (len(found.curve) - len(known.curve))
    again = ask(house, target=TARGET | {"fnmr": found.measured.fnmr.value})
    house.work()
    assert house.calibrations.get(again.id).result.samples == 0


@pytest.mark.usefixtures("faces_everywhere")
def test_a_dataset_begins_where_the_models_calibration_ended(house: House) -> None:
    ask(house, subjects=300, samples_per_subject=3)
    house.work()
    known = ask(house, subjects=300, samples_per_subject=3).result
    plan = read_plan(house.store, "acme", house.submit())
    assert plan.target is not None
    assert plan.target.start == known.scale != 1.0


@pytest.mark.usefixtures("faces_everywhere")
def test_a_dataset_whose_target_the_model_does_not_reach_is_refused_with_the_range(house: House) -> None:
    hopeless = {"target": TARGET | {"fnmr": 0.3}, "factors": {"pose": 0.0, "background": 0.01}}
    ask(house, **hopeless, subjects=300, samples_per_subject=3)
    house.work()
    with pytest.raises(RequestRefused, match=r"variability.target: by calibration of the model, scales from 0 to 4"):
        house.submit(variability=hopeless)


@pytest.mark.usefixtures("faces_everywhere")
def test_a_calibration_that_failed_is_tried_again(house: House) -> None:
    house.reader.blind_beyond = 0.0
    asked = ask(house)
    house.work()
    assert house.calibrations.get(asked.id).state is State.FAILED
    house.reader.blind_beyond = 99.0
    for info in list(house.store.list(keys.CURVES)) + list(house.store.list(keys.CALIBRATIONS)):
        if info.key.endswith(".npz"):
            house.store.delete(info.key)
    assert ask(house).state is not State.FAILED
    house.work()
    assert house.calibrations.get(asked.id).state is State.SUCCEEDED
