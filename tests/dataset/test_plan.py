"""Plans: requests resolved against a model card."""

from collections import Counter
from collections.abc import Callable
from hashlib import sha256
from statistics import NormalDist
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.dataset.calibration import CALIBRATION_SEED, CalibrationRequest, calibration_id
from app.dataset.matcher import MatcherCard
from app.dataset.model import ModelCard, attribute_value
from app.dataset.names import parse_sample_name, role, sample_file, sample_name
from app.dataset.plan import SURVEY_BLOCK, FinalPlan, Place, Plan, PlannedMatcher, PlannedTarget
from app.dataset.planning import calibration_question, make_plan, shard_size_for
from app.dataset.request import DatasetRequest
from app.errors import RequestRefused

PlanOf = Callable[..., Plan]
sizes = {"subjects": st.integers(1, 40), "samples_per_subject": st.integers(1, 7), "distractors": st.integers(0, 9)}


@given(**sizes, shard_size=st.integers(1, 60))
def test_subjects_samples_and_distractors_come_out_as_asked_whatever_the_shard_size(
    plan_of: PlanOf, subjects: int, samples_per_subject: int, distractors: int, shard_size: int
) -> None:
    plan = plan_of(
        subjects=subjects,
        samples_per_subject=samples_per_subject,
        distractors=distractors,
        shard_size=shard_size,
        checks={"unique": False},
    )
    in_shards = [place for number in range(plan.shards) for place in plan.places(plan.shard(number))]
    assert in_shards == list(plan.places(range(plan.samples)))  # nothing twice, nothing left out, in order
    assert all(1 <= len(plan.shard(number)) <= shard_size for number in range(plan.shards))
    per_subject = Counter(place.subject for place in in_shards)
    assert per_subject == Counter(
        dict.fromkeys(range(subjects), samples_per_subject) | dict.fromkeys(range(subjects, subjects + distractors), 1)
    )
    roles = Counter(role(plan, *place) for place in in_shards)
    assert roles == +Counter(reference=subjects, probe=subjects * (samples_per_subject - 1), distractor=distractors)


@given(**sizes)
def test_place_and_index_are_each_others_inverse(
    plan_of: PlanOf, subjects: int, samples_per_subject: int, distractors: int
) -> None:
    plan = plan_of(subjects=subjects, samples_per_subject=samples_per_subject, distractors=distractors)
    for index in range(plan.samples):
        place = plan.place(index)
        assert plan.index(place) == index
        assert parse_sample_name(sample_name(*place)) == place


@pytest.mark.parametrize(
    "place", [Place(-1, 0), Place(0, 3), Place(0, -1), Place(2, 1), Place(4, 0), Place(2, -1)], ids=str
)
def test_no_index_for_a_place_that_is_not_there(plan_of: PlanOf, place: Place) -> None:
    plan = plan_of(subjects=2, samples_per_subject=3, distractors=2)
    with pytest.raises(ValueError, match="no sample at"):
        plan.index(place)


@pytest.mark.parametrize("index", [-1, 8])
def test_no_place_for_an_index_that_is_not_there(plan_of: PlanOf, index: int) -> None:
    plan = plan_of(subjects=2, samples_per_subject=3, distractors=2)
    with pytest.raises(ValueError, match="is not in 0 … 7"):
        plan.place(index)


def test_no_shard_or_block_beyond_the_last(plan_of: PlanOf) -> None:
    plan = plan_of(subjects=2, samples_per_subject=3, distractors=2, shard_size=4)
    assert [plan.shard(0), plan.shard(1)] == [range(4), range(4, 8)]
    for outside in (-1, 2):
        with pytest.raises(ValueError, match="is not in 0 … 1"):
            plan.shard(outside)
    assert plan.survey_block(0) == range(4)
    with pytest.raises(ValueError, match="is not in 0 … 0"):
        plan.survey_block(1)


@given(subjects=st.integers(1, 2_000), distractors=st.integers(0, 2_000))
def test_survey_blocks_partition_the_identities(plan_of: PlanOf, subjects: int, distractors: int) -> None:
    plan = plan_of(subjects=subjects, samples_per_subject=1, distractors=distractors)
    blocks = [plan.survey_block(number) for number in range(plan.survey_blocks)]
    assert [subject for block in blocks for subject in block] == list(range(subjects + distractors))
    assert all(1 <= len(block) <= SURVEY_BLOCK for block in blocks)
    without = plan_of(subjects=subjects, samples_per_subject=1, checks={"unique": False})
    assert without.survey_blocks == 0


@pytest.mark.parametrize(
    "fields",
    [
        {"subjects": 200_000, "samples_per_subject": 10},
        {"subjects": 1_000_000, "samples_per_subject": 1, "distractors": 1_000_000},
    ],
    ids=["two million mated", "a million distractors"],
)
def test_a_plan_of_millions_is_small_and_needs_no_lists(plan_of: PlanOf, fields: dict[str, int]) -> None:
    plan = plan_of(
        **fields,
        attributes={"sex": {"female": 0.3, "male": 0.7}, "age": {"min": 25, "max": 60}, "glasses": 0.2},
    )
    assert plan.samples == 2_000_000
    assert plan.shards == 10_000
    text = plan.model_dump_json()
    assert len(text) < 2_000
    assert Plan.model_validate_json(text) == plan
    assert plan.place(plan.samples - 1).subject == plan.identities - 1
    assert set(plan.quantiles(plan.identities - 1)) == {0, 1, 3}


@settings(max_examples=25)
@given(
    female=st.floats(0, 1),
    light=st.floats(0, 0.5),
    glasses=st.floats(0, 1),
    subjects=st.integers(1, 150),
    distractors=st.integers(0, 40),
    seed=st.integers(0, 2**63 - 1),
)
def test_attributes_are_honoured_exactly_in_count(
    plan_of: PlanOf,
    card: ModelCard,
    female: float,
    light: float,
    glasses: float,
    subjects: int,
    distractors: int,
    seed: int,
) -> None:
    """Identities are given the middle of their slices, and the card is asked what they then are."""
    wanted: dict[str, Any] = {
        "sex": {"female": female, "male": 1 - female},
        "skin_tone": {"light": light, "medium": 0.5, "dark": 0.5 - light},
        "age": {"min": 30, "max": 42},
        "glasses": glasses,
    }
    plan = plan_of(seed=seed, subjects=subjects, samples_per_subject=1, distractors=distractors, attributes=wanted)
    found: dict[str, list[str | float | bool]] = {name: [] for name in wanted}
    for subject in range(plan.identities):
        slices = plan.quantiles(subject)
        for name in wanted:
            attribute = card.attributes[name]
            low, high = slices[attribute.latent]
            assert 0 <= low < high <= 1
            found[name].append(attribute_value(attribute, NormalDist().inv_cdf((low + high) / 2)))
    total = plan.identities
    sexes, tones, wearers = Counter(found["sex"]), Counter(found["skin_tone"]), sum(map(bool, found["glasses"]))
    assert abs(sexes["female"] - female * total) < 1 + 1e-6
    assert sexes["female"] + sexes["male"] == total
    assert abs(tones["light"] - light * total) < 1 + 1e-6
    assert abs(tones["medium"] - 0.5 * total) < 1 + 1e-6
    assert sum(tones.values()) == total
    assert abs(wearers - glasses * total) < 1 + 1e-6
    assert found["age"] == pytest.approx([36] * total)  # the middle of 30 … 42


def test_the_edges_of_a_slice_are_the_edges_of_the_value(plan_of: PlanOf, card: ModelCard) -> None:
    plan = plan_of(subjects=1, samples_per_subject=1, attributes={"age": {"min": 30, "max": 42}, "glasses": 1.0})
    slices = plan.quantiles(0)
    assert slices[1] == pytest.approx((0.2, 0.44))  # of 20 … 70
    assert slices[3] == (NormalDist().cdf(0.8416), 1.0)


def test_which_subject_gets_which_value_depends_on_the_seed(plan_of: PlanOf) -> None:
    def sexes(seed: int) -> list[tuple[float, float]]:
        plan = plan_of(seed=seed, subjects=60, samples_per_subject=1, attributes={"sex": {"female": 0.5, "male": 0.5}})
        return [plan.quantiles(subject)[0] for subject in range(60)]

    assert sexes(1) == sexes(1)
    assert sexes(1) != sexes(2)
    assert sorted(sexes(1)) == sorted(sexes(2))


def test_attributes_are_independent_of_one_another(plan_of: PlanOf) -> None:
    halves = {"sex": {"female": 0.5, "male": 0.5}, "skin_tone": {"light": 0.5, "dark": 0.5}, "glasses": 0.5}
    plan = plan_of(subjects=2000, samples_per_subject=1, attributes=halves)
    slices = [plan.quantiles(subject) for subject in range(2000)]
    for one, other in ((0, 2), (0, 3), (2, 3)):
        # 500 in each of the four corners, standard deviation 11.
        corners = Counter((found[one], found[other]) for found in slices)
        assert len(corners) == 4
        assert all(abs(count - 500) < 5 * 11 for count in corners.values())


def test_sigma_is_scale_times_factor(plan_of: PlanOf) -> None:
    plan = plan_of(
        subjects=1, samples_per_subject=1, variability={"scale": 1.5, "factors": {"pose": 0.5, "residual": 0}}
    )
    assert plan.sigma == {"pose": 0.75, "illumination": 1.5, "residual": 0.0}


@pytest.mark.parametrize(
    ("image", "expected"),
    [
        ({}, (128, 128, "png", None, ".png")),
        ({"size": 128, "format": "jpeg"}, (128, 128, "jpeg", 95, ".jpg")),
        ({"size": [64, 80], "format": "jpeg", "quality": 60}, (64, 80, "jpeg", 60, ".jpg")),
    ],
)
def test_images(plan_of: PlanOf, image: dict[str, Any], expected: tuple[int, int, str, int | None, str]) -> None:
    made = plan_of(subjects=1, samples_per_subject=2, image=image)
    got = made.image
    assert (got.width, got.height, got.format, got.quality, got.suffix) == expected
    assert sample_file(made, 0, 1) == f"samples/S0000000/S0000000_0001{expected[-1]}"


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"subjects": 2, "samples_per_subject": 2}, "complete"),
        ({"subjects": 80, "samples_per_subject": 5}, "complete"),  # 79,800 pairs of samples
        ({"subjects": 200, "samples_per_subject": 5}, "crossed"),  # 499,500 pairs; 160,000 crossed
        ({"subjects": 800, "samples_per_subject": 5}, "balanced"),  # 2,560,000 crossed
        ({"subjects": 200, "samples_per_subject": 5, "layouts": ["insightface-bin"]}, "balanced"),
        ({"subjects": 1, "samples_per_subject": 2}, "none"),
        ({"subjects": 2, "samples_per_subject": 1}, "none"),
        ({"subjects": 2, "samples_per_subject": 1, "comparisons": {"selection": "complete"}}, "complete"),
    ],
)
def test_the_selection_that_is_meant_when_none_is_named(plan_of: PlanOf, fields: dict[str, Any], expected: str) -> None:
    assert plan_of(**fields).comparisons == expected


@pytest.mark.parametrize(
    ("fields", "field", "advice"),
    [
        ({"variability": {"factors": {"mood": 1}}}, "variability.factors.mood", "pose, illumination, residual"),
        ({"attributes": {"sex": {"female": 0.5, "other": 0.5}}}, "attributes.sex.other", "female, male"),
        ({"attributes": {"age": {"min": 18, "max": 70}}}, "attributes.age", "reaches 20 to 70 years"),
        ({"attributes": {"age": {"min": 30, "max": 71}}}, "attributes.age", "reaches 20 to 70 years"),
        ({"image": {"size": 256}}, "image.size", "it makes 128, [64, 80]"),
        ({"image": {"size": [80, 64]}}, "image.size", "does not make 80×64"),
        ({"comparisons": {"selection": "complete"}}, "comparisons.selection", "at most 100"),
    ],
)
def test_what_the_model_cannot_do_is_refused_with_advice(
    plan_of: PlanOf, fields: dict[str, Any], field: str, advice: str
) -> None:
    with pytest.raises(RequestRefused) as refused:
        plan_of(subjects=10, samples_per_subject=2, max_comparisons=100, **fields)
    assert [name for name, _ in refused.value.problems] == [field]
    assert advice in refused.value.problems[0][1]


def test_all_problems_are_named_at_once(plan_of: PlanOf) -> None:
    with pytest.raises(RequestRefused) as refused:
        plan_of(
            subjects=1,
            samples_per_subject=1,
            variability={"factors": {"mood": 1, "weather": 2}},
            attributes={"sex": {"other": 1.0}},
            image={"size": 31},
        )
    assert [name for name, _ in refused.value.problems] == [
        "variability.factors.mood",
        "variability.factors.weather",
        "attributes.sex.other",
        "image.size",
    ]


def test_a_card_without_attributes_or_threshold_refuses_what_needs_them(card: ModelCard) -> None:
    bare = card.model_copy(update={"attributes": {}, "checks": type(card.checks)()})
    request = DatasetRequest.model_validate(
        {"name": "x", "subjects": 1, "samples_per_subject": 1, "attributes": {"glasses": 0.5}}
    )
    with pytest.raises(RequestRefused) as refused:
        make_plan(request, bare, dataset="ds", seed=0, shard_size=1, max_comparisons=0)
    assert [name for name, _ in refused.value.problems] == ["attributes.glasses", "checks.unique"]


def test_a_plan_pins_the_model_by_the_digest_of_its_card(plan_of: PlanOf, card: ModelCard) -> None:
    plan = plan_of(subjects=1, samples_per_subject=1)
    assert (plan.model.name, plan.model.version, plan.model.digest) == ("toy", "1.0.0", card.digest)
    assert card.model_copy(update={"drawing": 2}).digest != card.digest
    assert card.model_copy(update={"provenance": "told in other words"}).digest == card.digest


@pytest.mark.parametrize(
    ("samples", "most", "expected"),
    [(1, 192, 8), (100, 192, 8), (129, 192, 16), (2_000, 192, 128), (100_000, 192, 192), (100, 5, 5)],
)
def test_small_sets_are_cut_finer_in_multiples_of_eight(samples: int, most: int, expected: int) -> None:
    assert shard_size_for(samples, most=most, shards=16) == expected


def test_carried_out_a_plan_has_no_target_and_its_sigma_is_scaled(plan_of: PlanOf) -> None:
    plan = plan_of(subjects=2, samples_per_subject=2)
    final = plan.final()
    assert isinstance(final, FinalPlan)
    assert final.model_dump() == plan.model_dump()
    target = PlannedTarget(matcher=PlannedMatcher(name="m", digest="d"), fmr=0.01, fnmr=0.1, tolerance=0.1)
    aimed = plan.model_copy(update={"target": target})
    assert aimed.final(0.5).sigma == {name: 0.5 * value for name, value in plan.sigma.items()}
    assert aimed.final(0.5).target is None
    for asked, scale in ((aimed, None), (plan, 0.5)):
        with pytest.raises(ValueError, match="needs the scale"):
            asked.final(scale)


def matcher(name: str, judge: bool) -> MatcherCard:
    facts = {"version": "1", "dimensions": 4, "score": "cosine", "provenance": "none"}
    return MatcherCard.model_validate(
        {"name": name, "digest": sha256(name.encode()).hexdigest(), "judge": judge, **facts}
    )


MATCHERS = {"m": matcher("m", judge=False), "n": matcher("n", judge=True)}


def test_the_calibration_of_a_target_is_the_one_that_is_asked_for_by_itself(card: ModelCard) -> None:
    """Its id must be the same whichever way it is come by: stored under the one, it is looked up by the other."""
    fields = {"attributes": {"sex": {"female": 0.3, "male": 0.7}, "age": {"min": 30, "max": 50}}}
    fields |= {"image": {"size": [64, 80], "format": "jpeg"}}
    target = {"matcher": "m", "fmr": 0.001, "fnmr": 0.1}
    variability = {"target": target, "factors": {"pose": 0.5}}
    body = {
        "name": "x",
        "subjects": 500,
        "samples_per_subject": 4,
        "distractors": 9,
        "variability": variability,
        **fields,
    }
    request = DatasetRequest.model_validate(body)
    options: dict[str, Any] = {"shard_size": 16, "max_comparisons": 10**9}
    plan = make_plan(request, card, dataset="ds_1", seed=7, matchers=MATCHERS, **options)
    asked = CalibrationRequest.model_validate({"target": target, "factors": {"pose": 0.5}, **fields})
    only = {"m": MATCHERS["m"]}
    alone = make_plan(asked.as_dataset(), card, dataset="", seed=CALIBRATION_SEED, matchers=only, **options)
    question = calibration_question(plan, request, card)
    assert question == alone.model_copy(update={"purpose": "calibration"})
    assert question is not None
    assert calibration_id(question) == calibration_id(alone.model_copy(update={"purpose": "calibration"}))


@pytest.mark.parametrize("target", [None, {"matcher": "m", "fmr": 1e-6, "fnmr": 0.1}])
def test_no_calibration_answers_what_so_few_subjects_cannot_resolve(card: ModelCard, target: Any) -> None:
    variability = {"target": target} if target else {}
    report = {"judged_subjects": 5000}
    body = {"name": "x", "subjects": 5000, "samples_per_subject": 4, "variability": variability, "report": report}
    request = DatasetRequest.model_validate(body)
    options: dict[str, Any] = {"shard_size": 16, "max_comparisons": 10**9, "matchers": MATCHERS}
    plan = make_plan(request, card, dataset="ds_1", seed=7, **options)
    assert calibration_question(plan, request, card) is None


def test_identities_are_truncated_as_asked_or_as_the_card_says(card: ModelCard) -> None:
    truncating = ModelCard.model_validate({**card.model_dump(), "truncation": {"psi": 0.7, "cutoff": None}})

    def plan(model: ModelCard, **variability: Any) -> Plan:
        request = DatasetRequest.model_validate(
            {"name": "t", "subjects": 2, "samples_per_subject": 2, "variability": variability}
        )
        return make_plan(request, model, dataset="ds_t", seed=1, shard_size=8, max_comparisons=100)

    assert plan(truncating).truncation == 0.7
    assert plan(truncating, truncation=0).truncation == 0
    assert plan(truncating, truncation=0.5).final().truncation == 0.5
    assert Plan.model_validate_json(plan(truncating).model_dump_json()).truncation == 0.7
    # Plans of models that do not truncate are written, and digested, as they were before.
    assert "truncation" not in plan(card).model_dump(mode="json")
    with pytest.raises(RequestRefused) as refused:
        plan(card, truncation=0.5)
    assert refused.value.problems[0][0] == "variability.truncation"
    assert "'toy' does not truncate" in refused.value.problems[0][1]
    asked = CalibrationRequest.model_validate(
        {"target": {"matcher": "sface", "fmr": 0.01, "fnmr": 0.05}, "truncation": 0.5}
    )
    assert asked.as_dataset().variability.truncation == 0.5


@pytest.mark.parametrize(
    ("fields", "field", "advice"),
    [
        ({"product": "templates"}, "matcher", "name one of: m, n"),
        ({"product": "templates", "matcher": "x"}, "matcher", "there are: m, n"),
        ({"matcher": "m"}, "matcher", "it is of product 'templates'"),
        (
            {"product": "templates", "matcher": "m", "marking": {"watermark": True}},
            "marking.watermark",
            "keeps no image that could carry it",
        ),
        (
            {"product": "templates", "matcher": "m", "marking": {"c2pa": "detached"}},
            "marking.c2pa",
            "ask for product 'images'",
        ),
        ({"product": "templates", "matcher": "m", "layouts": ["plain", "lfw"]}, "layouts", "take 'plain'"),
        (
            {
                "product": "templates",
                "matcher": "n",
                "variability": {"target": {"matcher": "m", "fmr": 0.01, "fnmr": 0.2}},
            },
            "variability.target.matcher",
            "only their own matcher, 'n'",
        ),
    ],
)
def test_what_only_images_can_have_is_refused_for_templates(
    card: ModelCard, fields: dict[str, Any], field: str, advice: str
) -> None:
    request = DatasetRequest.model_validate({"name": "t", "subjects": 200, "samples_per_subject": 4, **fields})
    options: dict[str, Any] = {"dataset": "ds_1", "seed": 7, "shard_size": 50, "max_comparisons": 10**9}
    with pytest.raises(RequestRefused) as refused:
        make_plan(request, card, matchers=MATCHERS, **options)
    assert [name for name, _ in refused.value.problems] == [field]
    assert advice in refused.value.problems[0][1]


def test_templates_are_judged_by_their_own_matcher_and_plans_of_images_say_nothing_of_them(card: ModelCard) -> None:
    options: dict[str, Any] = {"dataset": "ds_1", "seed": 7, "shard_size": 50, "max_comparisons": 10**9}
    fields: dict[str, Any] = {"name": "t", "subjects": 20, "samples_per_subject": 2}
    asked = DatasetRequest.model_validate({**fields, "product": "templates", "matcher": "m"})
    plan = make_plan(asked, card, matchers=MATCHERS, **options)
    assert [judge.name for judge in plan.judges] == ["m"]
    assert (plan.kind, plan.judged_shards, plan.shards_to_judge) == ("templates", (0,), ())
    images = make_plan(DatasetRequest.model_validate(fields), card, matchers=MATCHERS, **options)
    assert [judge.name for judge in images.judges] == ["n"]
    assert images.shards_to_judge == images.judged_shards
    assert "templates" not in images.model_dump()
    assert type(plan).model_validate_json(plan.model_dump_json()) == plan


@given(**sizes, share=st.floats(0, 1))
def test_probes_show_what_is_asked_of_them_in_count_and_nothing_else_does(
    plan_of: PlanOf, subjects: int, samples_per_subject: int, distractors: int, share: float
) -> None:
    if samples_per_subject == 1:
        share = 0.0
    plan = plan_of(
        subjects=subjects, samples_per_subject=samples_per_subject, distractors=distractors, attributes={"mask": share}
    )
    showing = [place for place in plan.places(range(plan.samples)) if plan.shows(place) == {5: (1.5, True)}]
    others = [place for place in plan.places(range(plan.samples)) if plan.shows(place) == {5: (1.5, False)}]
    assert len(showing) + len(others) == plan.samples
    assert {role(plan, *place) for place in showing} <= {"probe"}
    assert abs(len(showing) - share * subjects * (samples_per_subject - 1)) <= 0.5 + 1e-6


def test_probes_of_subjects_of_different_numbers_are_counted_through(plan_of: PlanOf) -> None:
    plan = plan_of(subjects=5, samples_per_subject=4, distractors=2, attributes={"mask": 0.5})
    uneven = Plan.model_validate(
        {**dict(plan), "sample_counts": ((4, 2), (2, 3)), "worn": [{**dict(plan.worn[0]), "counts": (5, 4)}]}
    )
    shown = [uneven.shows(place)[5][1] for place in uneven.places(range(uneven.samples))]
    assert sum(shown) == 5


def test_a_share_of_probes_wants_probes_and_a_model_that_has_it(plan_of: PlanOf, card: ModelCard) -> None:
    with pytest.raises(RequestRefused) as refused:
        plan_of(subjects=3, samples_per_subject=1, attributes={"mask": 0.5})
    assert [field for field, _ in refused.value.problems] == ["attributes.mask"]
    assert "samples_per_subject of 2 or more" in str(refused.value)
    without = card.model_copy(update={"worn": {}})
    request = DatasetRequest.model_validate(
        {"name": "t", "subjects": 3, "samples_per_subject": 2, "attributes": {"mask": 0.5}}
    )
    with pytest.raises(RequestRefused, match="cannot honour it"):
        make_plan(request, without, dataset="ds_t", seed=1, shard_size=8, max_comparisons=100)


def test_plans_without_it_are_written_as_before_and_its_card_is_the_same_model(
    plan_of: PlanOf, card: ModelCard
) -> None:
    assert "worn" not in plan_of(subjects=3, samples_per_subject=2).model_dump(mode="json")
    assert card.digest == card.model_copy(update={"worn": {}}).digest


def test_an_attribute_can_be_asked_for_by_the_names_of_a_scale(plan_of: PlanOf, card: ModelCard) -> None:
    plan = plan_of(subjects=10, samples_per_subject=2, attributes={"skin_tone": {"monk-1": 0.3, "dark": 0.7}})
    (tone,) = plan.attributes
    assert (tone.latent, tone.counts) == (2, (3, 7))
    normal = NormalDist()
    assert tone.quantiles == ((0.0, normal.cdf(-1.4)), (normal.cdf(0.43), 1.0))
    assert attribute_value(card.labels["monk"], -2.0) == "monk-1"
    with pytest.raises(RequestRefused, match="it has light, medium, dark, monk-1, monk-2"):
        plan_of(subjects=10, samples_per_subject=2, attributes={"skin_tone": {"monk-3": 1.0}})


@pytest.mark.parametrize("scale", [{"attribute": "age"}, {"attribute": "hair"}])
def test_a_scale_is_of_a_choice_that_is_there(card: ModelCard, scale: dict[str, str]) -> None:
    told = {**card.model_dump(), "scales": {"monk": {**scale, "values": {"monk-1": [None, None]}}}}
    with pytest.raises(ValueError, match=r"scales\.monk\.attribute must be a choice"):
        ModelCard.model_validate(told)
