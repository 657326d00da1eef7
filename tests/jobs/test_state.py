"""The state machine: what exists is the state, what is missing is the work."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.dataset.keys import DatasetKeys
from app.dataset.matcher import MatcherCard
from app.dataset.model import ModelCard
from app.dataset.plan import Plan
from app.dataset.planning import make_plan
from app.dataset.request import DatasetRequest
from app.jobs.phases import (
    CALIBRATE,
    CHOOSE,
    CLOSE,
    GENERATE,
    JUDGE,
    LAYOUT,
    NOTHING,
    PHASES,
    PUBLISH,
    SURVEY,
    TRY,
    Facts,
    Phase,
)
from app.jobs.progress import Progress
from app.jobs.state import State, read_facts, state_of, work_left
from app.queue import Task


def names(*numbers: int | str) -> frozenset[str]:
    return frozenset(f"{number:06d}" if isinstance(number, int) else number for number in numbers)


def having(facts: Facts, phase: Phase, *parts: int | str, **flags: bool) -> Facts:
    """The facts, with these parts of a phase and no others."""
    done = {**facts.done, phase.kind.name: names(*parts)}
    return replace(facts, begun=True, done={name: there for name, there in done.items() if there}, **flags)


SURVEYED = having(NOTHING, SURVEY, 0, 1)
CHOSEN = having(SURVEYED, CHOOSE, "")
REPORTED = having(CHOSEN, GENERATE, 0, 1, 2)
DESCRIBED = having(REPORTED, CLOSE, "")
FINISHED = having(DESCRIBED, PUBLISH, "", manifest=True)


MATCHER = MatcherCard(
    name="m", version="1", digest="0" * 64, dimensions=4, score="cosine", provenance="none", judge=True
)


def plan(unique: bool = True, judged: bool = False, **fields: Any) -> Plan:
    """300 subjects (two survey blocks) with 2 samples in 3 shards of 250 and a rest of 100."""
    card = ModelCard.model_validate(
        {
            "name": "toy",
            "version": "1",
            "kind": "parametric",
            "description": "",
            "sizes": [[64, 64]],
            "latent": {"identity": 2, "observation": {"pose": [0, 1]}},
            "checks": {"unique": {"matcher": "sface", "threshold": 0.5, "basis": ""}},
            "licence": "",
            "provenance": "",
        }
    )
    body = {"name": "x", "subjects": 300, "samples_per_subject": 2, "checks": {"unique": unique}} | fields
    request = DatasetRequest.model_validate(body)
    matchers = {"m": MATCHER} if judged else {}
    return make_plan(request, card, dataset="ds_1", seed=1, shard_size=250, max_comparisons=10**9, matchers=matchers)


def tasks(phase: Phase, *parts: int | str) -> list[Task]:
    return [phase.task("acme", "ds_1", part) for part in sorted(names(*parts))]


@pytest.mark.parametrize(
    ("facts", "unique", "state", "work"),
    [
        (NOTHING, True, State.ACCEPTED, tasks(SURVEY, 0, 1)),
        (NOTHING, False, State.ACCEPTED, tasks(GENERATE, 0, 1, 2)),
        (replace(NOTHING, begun=True), True, State.RUNNING, tasks(SURVEY, 0, 1)),
        (having(SURVEYED, SURVEY, 1), True, State.RUNNING, tasks(SURVEY, 0)),
        (SURVEYED, True, State.RUNNING, tasks(CHOOSE, "")),
        (CHOSEN, True, State.RUNNING, tasks(GENERATE, 0, 1, 2)),
        (having(CHOSEN, SURVEY), True, State.RUNNING, tasks(GENERATE, 0, 1, 2)),
        (having(CHOSEN, GENERATE, 1), True, State.RUNNING, tasks(GENERATE, 0, 2)),
        (REPORTED, True, State.ASSEMBLING, tasks(CLOSE, "")),
        (DESCRIBED, True, State.ASSEMBLING, tasks(PUBLISH, "")),
        (having(having(DESCRIBED, CHOOSE), SURVEY), False, State.ASSEMBLING, tasks(PUBLISH, "")),
        (FINISHED, True, State.SUCCEEDED, []),
        (replace(NOTHING, failed=True), True, State.FAILED, []),
        (replace(REPORTED, failed=True), True, State.FAILED, []),
        (replace(NOTHING, cancelled=True), True, State.CANCELLED, []),
        (replace(REPORTED, cancelled=True), True, State.CANCELLED, []),
        (replace(FINISHED, cancelled=True), True, State.CANCELLED, []),  # deleting: the marker comes first
        (replace(NOTHING, cancelled=True, failed=True), True, State.CANCELLED, []),
    ],
)
def test_facts_to_state_and_work(facts: Facts, unique: bool, state: State, work: list[Task]) -> None:
    made = plan(unique)
    assert (made.shards, made.survey_blocks) == (3, 2 if unique else 0)
    assert state_of(facts, made) is state
    assert work_left(facts, made, "acme") == work


def test_which_states_are_final() -> None:
    assert {state for state in State if state.final} == {State.SUCCEEDED, State.FAILED, State.CANCELLED}


@given(order=st.permutations(range(3)), unique=st.booleans())
def test_doing_what_is_left_ends_in_success_whatever_the_order(order: list[int], unique: bool) -> None:
    made, facts, done = plan(unique), NOTHING, []
    while work := work_left(facts, made, "acme"):
        task = work[order[len(done) % 3] % len(work)]
        assert task not in done
        done.append(task)
        (phase,) = (phase for phase in PHASES if phase.kind == task.kind)
        facts = having(facts, phase, *phase.done(facts), task.part, manifest=phase is PUBLISH)
    assert state_of(facts, made) is State.SUCCEEDED
    assert len(done) == 3 + 2 + (3 if unique else 0)


@pytest.mark.parametrize(
    ("reported", "samples", "fraction"),
    [((), 0, 0.0), ((0,), 250, 250 / 600), ((2,), 100, 100 / 600), ((0, 1, 2), 600, 1.0)],
)
def test_progress_counts_samples_of_stored_shards(reported: tuple[int, ...], samples: int, fraction: float) -> None:
    facts = having(having(CHOSEN, SURVEY, 1), GENERATE, *reported)
    assert Progress.of(facts, plan()) == Progress(
        identities_checked=300 - 256,
        samples_done=samples,
        samples_total=600,
        fraction=fraction,
        phase="report" if fraction == 1 else "generate",
        scales_tried=0,
        scales_most=0,
        judged_done=0,
        judged_total=0,
    )
    assert Progress.none(plan()) == Progress.of(NOTHING, plan())


def write(store: Any, *keys: str) -> None:
    for key in keys:
        store.put(key, b"{}")


def test_facts_are_read_off_the_keys(memory_store: Any) -> None:
    at = DatasetKeys("acme", "ds_1")
    assert read_facts(memory_store, "acme", "ds_1") == NOTHING
    write(memory_store, at.request, at.plan)
    assert read_facts(memory_store, "acme", "ds_1") == NOTHING
    write(memory_store, at.attempts("generate-000001") + "1")
    assert read_facts(memory_store, "acme", "ds_1") == replace(NOTHING, begun=True)
    write(memory_store, at.survey(0), at.survey(1))
    assert read_facts(memory_store, "acme", "ds_1") == SURVEYED
    write(memory_store, at.identities)
    assert read_facts(memory_store, "acme", "ds_1") == CHOSEN
    write(memory_store, at.shard_samples(0))  # stored but not reported: not done
    assert read_facts(memory_store, "acme", "ds_1") == CHOSEN
    write(memory_store, at.shard_report(0), at.shard_report(1), at.shard_report(2))
    assert read_facts(memory_store, "acme", "ds_1") == REPORTED
    write(memory_store, at.summary, at.comparisons, at.contact_sheet)
    assert read_facts(memory_store, "acme", "ds_1") == REPORTED
    write(memory_store, at.report, at.data_card, at.croissant)
    assert read_facts(memory_store, "acme", "ds_1") == REPORTED
    write(memory_store, at.laid_aside)  # the last of what tells about the set
    assert read_facts(memory_store, "acme", "ds_1") == DESCRIBED
    write(memory_store, at.manifest)
    assert read_facts(memory_store, "acme", "ds_1") == FINISHED
    write(memory_store, at.failed, at.cancelled)
    assert read_facts(memory_store, "acme", "ds_1") == replace(FINISHED, failed=True, cancelled=True)


def test_other_datasets_are_no_facts_of_this_one(memory_store: Any) -> None:
    for tenant, dataset in (("acme", "ds_10"), ("other", "ds_1")):
        at = DatasetKeys(tenant, dataset)
        write(memory_store, at.manifest, at.cancelled, at.shard_report(0), at.survey(0))
    assert read_facts(memory_store, "acme", "ds_1") == NOTHING


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(reported=st.sets(st.integers(0, 999)), surveyed=st.sets(st.integers(0, 999)))
def test_numbers_survive_the_way_through_keys(memory_store: Any, reported: set[int], surveyed: set[int]) -> None:
    memory_store.objects.clear()
    at = DatasetKeys("acme", "ds_1")
    write(memory_store, *map(at.shard_report, reported), *map(at.survey, surveyed))
    facts = read_facts(memory_store, "acme", "ds_1")
    assert GENERATE.done(facts) == names(*reported)
    assert SURVEY.done(facts) == names(*surveyed)


TARGET = {"target": {"matcher": "m", "fmr": 0.01, "fnmr": 0.2}}


def test_a_target_is_calibrated_step_by_step_before_anything_is_made() -> None:
    made = plan(judged=True, variability=TARGET, report={"judged_subjects": 200})
    assert list(made.calibrated_shards) == [0, 1]  # 400 samples of 250 a shard
    facts = CHOSEN
    assert work_left(facts, made, "acme") == tasks(CALIBRATE, 0)
    facts = having(facts, CALIBRATE, 0)
    assert work_left(facts, made, "acme") == tasks(TRY, "000000/000000", "000000/000001")
    facts = having(facts, TRY, "000000/000001")
    assert work_left(facts, made, "acme") == tasks(TRY, "000000/000000")
    facts = having(facts, TRY, "000000/000000", "000000/000001")
    assert work_left(facts, made, "acme") == tasks(CALIBRATE, 1)
    assert Progress.of(facts, made).scales_tried == 1
    facts = having(facts, CALIBRATE, 0, 1)
    assert work_left(facts, made, "acme") == tasks(TRY, "000001/000000", "000001/000001")
    assert Progress.of(facts, made).phase == "calibrate"
    facts = replace(facts, calibrated=True)
    assert work_left(facts, made, "acme") == tasks(GENERATE, 0, 1, 2)
    facts = having(facts, GENERATE, 0, 1, 2)
    assert work_left(facts, made, "acme") == tasks(JUDGE, 0, 1)
    facts = having(facts, JUDGE, 1)
    assert work_left(facts, made, "acme") == tasks(JUDGE, 0)
    # The second shard holds samples 250 to 499; those of subjects below 200 are judged: 250 to 399.
    assert (Progress.of(facts, made).judged_done, Progress.of(facts, made).judged_total) == (150, 400)
    assert work_left(having(facts, JUDGE, 0, 1), made, "acme") == tasks(CLOSE, "")


def test_a_calibration_ends_when_its_scale_is_found() -> None:
    made = plan(judged=True, variability=TARGET).model_copy(update={"purpose": "calibration"})
    assert state_of(CHOSEN, made) is State.RUNNING
    facts = replace(CHOSEN, calibrated=True)
    assert state_of(facts, made) is State.SUCCEEDED
    assert work_left(facts, made, "_service") == []


def test_steps_and_parts_of_a_calibration_are_told_apart(memory_store: Any) -> None:
    at = DatasetKeys("acme", "ds_1")
    write(memory_store, at.calibration_step(0), at.calibration_part(0, 3), at.calibration_part(0, 12), at.curve + "x")
    write(memory_store, at.calibration_step(1), at.judgement(4))
    facts = read_facts(memory_store, "acme", "ds_1")
    assert CALIBRATE.done(facts) == names(0, 1)
    assert TRY.done(facts) == {"000000/000003", "000000/000012"}
    assert JUDGE.done(facts) == names(4)
    assert not facts.calibrated
    write(memory_store, at.calibration)
    assert read_facts(memory_store, "acme", "ds_1").calibrated


def test_layouts_that_were_asked_for_come_before_the_end() -> None:
    asked = plan(layouts=["plain", "lfw", "bob"])
    assert work_left(DESCRIBED, asked, "acme") == [LAYOUT.task("acme", "ds_1", name) for name in ("lfw", "bob")]
    one = having(DESCRIBED, LAYOUT, "lfw", "zip")
    assert work_left(one, asked, "acme") == tasks(LAYOUT, "bob")
    assert work_left(having(one, LAYOUT, "lfw", "bob"), asked, "acme") == tasks(PUBLISH, "")


def test_what_is_kept_beside_the_layouts_is_none(memory_store: Any) -> None:
    at = DatasetKeys("acme", "ds_1")
    for key in (at.layout("lfw"), at.layout_failed("bob"), at.landmarks(0)):
        memory_store.put(key, b"{}")
    facts = read_facts(memory_store, "acme", "ds_1")
    assert LAYOUT.done(facts) == {"lfw"}
    assert not facts.failed
