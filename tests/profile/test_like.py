"""A set like a gallery: numbers of samples, latents by quantiles, difficulty, and what is out of reach."""

import json
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from app.dataset.comparisons import count_comparisons, list_comparisons
from app.dataset.like import LEVELS, likeness
from app.dataset.matcher import MatcherCard
from app.dataset.model import ModelCard, Response, Responses
from app.dataset.plan import Place, Plan, PlannedMap
from app.dataset.planning import make_plan
from app.dataset.profile import Categories, Histogram, Point, Profile, sample_counts
from app.dataset.request import DatasetRequest
from app.errors import RequestRefused
from tests.profile.conftest import Unasked
from workers.generator import latents as lt
from workers.generator.draw import draw_observation
from workers.pipeline.generate import Draw, draw_latents
from workers.profile.show import lines


def card_with(responses: dict[str, Response] | None = None, medians: dict[str, float] | None = None) -> ModelCard:
    card = ModelCard.model_validate(
        {
            "name": "drawn",
            "version": "1",
            "kind": "drawn",
            "description": "For tests",
            "sizes": [[64, 64]],
            "latent": {"identity": lt.FIRST.identity, "observation": lt.FIRST.factors, "layout": 1},
            "attributes": lt.attributes(lt.FIRST),
            "licence": "none",
            "provenance": "none",
        }
    )
    if responses is None:
        return card
    told = Responses(model=card.digest, identities=1, quantities=responses, medians=medians or {})
    return card.model_copy(update={"responses": told})


def yaw_response(reach: float = 60.0, others: float = 1.0) -> Response:
    return Response(
        space="observation",
        latent=lt.FIRST.dimensions["yaw"],
        name="yaw",
        latents=(-2.5, 0.0, 2.5),
        values=(-reach, 0.0, reach),
        others=others,
    )


def asked(profile: Profile, **more: Any) -> DatasetRequest:
    body = {"name": "twin", "like": json.loads(profile.as_file()), "checks": {"unique": False}, "seed": 4, **more}
    return DatasetRequest.model_validate(body)


def planned(request: DatasetRequest, card: ModelCard, matchers: dict[str, MatcherCard] | None = None) -> Plan:
    return make_plan(
        request, card, dataset="none", seed=4, shard_size=16, max_comparisons=10**7, matchers=matchers or {}
    )


def counted(profile: Profile, edges: tuple[float, ...], counts: tuple[int, ...], means: tuple[float, ...]) -> Profile:
    histogram = Histogram(unit="pictures", edges=edges, counts=counts, means=means)
    return profile.model_copy(update={"samples_per_subject": histogram}).signed()


def test_subjects_have_as_many_samples_as_the_gallery_says(told_profile: Profile) -> None:
    profile = counted(told_profile, (1.0, 4.0, 65.0), (20, 10), (2.0, 5.5))
    assert sample_counts(profile, 30) == ((2, 20), (5, 5), (6, 5))
    plan = planned(asked(profile), card_with({"yaw": yaw_response()}))
    assert (plan.subjects, plan.samples_per_subject, plan.samples) == (30, 6, 95)
    places = list(plan.places(range(plan.samples)))
    assert len(set(places)) == 95
    assert [plan.index(place) for place in places] == list(range(95))
    assert [sum(place.subject == subject for place in places) for subject in (0, 19, 20, 24, 25, 29)] == [
        2,
        2,
        5,
        5,
        6,
        6,
    ]
    assert plan.samples_of(25) == 6
    with pytest.raises(ValueError, match="no sample"):
        plan.index(Place(0, 2))
    assert sum(len(plan.shard(number)) for number in range(plan.shards)) == 95
    selections = ("complete", "crossed")
    for selection in selections:
        listed = list(list_comparisons(selection, 30, 6, 0, 4, plan.sample_counts))
        assert len(set(listed)) == len(listed)
        assert {side for pair in listed for side in (pair.reference, pair.probe)} <= {tuple(place) for place in places}
        counts = count_comparisons(selection, 30, 6, 0, plan.sample_counts)
        assert counts == (sum(pair.mated for pair in listed), sum(not pair.mated for pair in listed))


def test_balanced_lists_want_one_number_of_samples(told_profile: Profile) -> None:
    profile = counted(told_profile, (1.0, 4.0, 65.0), (20, 10), (2.0, 5.5))
    with pytest.raises(RequestRefused) as refused:
        planned(asked(profile, comparisons={"selection": "balanced"}), card_with())
    assert refused.value.problems[0][0] == "comparisons.selection"
    assert planned(asked(profile, samples_per_subject=3), card_with()).sample_counts == ()


def test_a_latent_is_drawn_as_the_profile_has_its_quantity(told_profile: Profile) -> None:
    plan = planned(asked(told_profile, subjects=400), card_with({"yaw": yaw_response(others=1.0)}))
    (found,) = plan.maps
    assert found.latent == lt.FIRST.dimensions["yaw"]
    assert found.shares == LEVELS
    final = plan.final()
    draws = [Draw(place, 0, 0) for place in final.places(range(min(final.samples, 1_200)))]
    generator: Any = SimpleNamespace(card=card_with({"yaw": yaw_response()}))
    _, observation = draw_latents(final, generator, draws)
    yaw = observation[:, found.latent] * 24 + np.random.default_rng(0).standard_normal(len(draws))  # what else moves it
    told = told_profile.quantities["yaw"]
    for share in (0.1, 0.25, 0.5, 0.75, 0.9):
        assert abs(float(np.quantile(yaw, share)) - told.quantile(share)) < 2.5
    # Whatever σ is, it stays so; all other latents follow σ.
    calm = final.model_copy(update={"sigma": dict.fromkeys(final.sigma, 0.0)})
    _, still = draw_latents(calm, generator, draws)
    assert np.array_equal(still[:, found.latent], observation[:, found.latent])
    others = np.delete(still, found.latent, 1)
    assert not others.any()


def test_a_map_changes_no_other_latent() -> None:
    sigma = np.ones(8, np.float32)
    plain = draw_observation(1, 2, 3, 0, sigma)
    mapped = draw_observation(1, 2, 3, 0, sigma, (PlannedMap(latent=5, shares=(0.0, 1.0), values=(7.0, 9.0)),))
    assert 7 <= mapped[5] <= 9
    assert np.array_equal(np.delete(plain, 5), np.delete(mapped, 5))


def test_what_the_model_cannot_reach_is_said_before(told_profile: Profile) -> None:
    close = planned(asked(told_profile), card_with({"yaw": yaw_response(reach=5.0)}))
    assert any("yaw" in text and "reaches -5 to 5" in text for text in close.unreachable)
    wide = planned(asked(told_profile), card_with({"yaw": yaw_response(others=80.0)}))
    assert any("yaw" in text and "spread it further" in text for text in wide.unreachable)
    unknown = planned(asked(told_profile), card_with())
    assert any("was not measured" in text and "models responses drawn" in text for text in unknown.unreachable)
    dull = planned(asked(told_profile), card_with({"yaw": yaw_response()}, {"sharpness": 1.0}))
    assert any("sharpness" in text and "no latent of the model moves it" in text for text in dull.unreachable)
    another = card_with({"yaw": yaw_response()}).model_copy(update={"version": "2"})
    assert planned(asked(told_profile), another).maps == ()  # measured on another model


def test_what_lies_in_one_cell_is_not_read_off_it(told_profile: Profile) -> None:
    # All pictures are 112 px wide: the profile tells that they lie on its grid, of 16 to 4096 px, and nothing else.
    one = Histogram(unit="px", edges=(16.0, 4096.0), counts=(350,))
    profile = told_profile.model_copy(update={"quantities": {**told_profile.quantities, "width": one}})
    assert one.quantiles(logarithmic=True) is None
    assert any("no quantiles: it is one cell" in line for line in lines(profile))
    card = card_with({"yaw": yaw_response()}, {"width": 128.0})
    found = planned(asked(profile.signed()), card).unreachable
    assert [text for text in found if text.startswith("width")] == [
        "width: the profile tells no edge of it, so the set follows the model."
    ]


def test_the_difficulty_is_the_profiles_unless_the_request_has_its_own(told_profile: Profile) -> None:
    card = MatcherCard(
        name=Unasked.name,
        version="1",
        digest=Unasked.digest,
        dimensions=32,
        score="cosine",
        provenance="none",
        judge=True,
    )
    statistics = told_profile.matchers[Unasked.name]
    points = (
        Point(target_fmr=1e-2, fnmr=0.1, low=0.07, high=0.13, one_subject=0.0, resolved=True),
        Point(target_fmr=1e-3, fnmr=None, low=0.0, high=0.05, one_subject=0.0, resolved=True),
    )
    statistics = statistics.model_copy(update={"points": points})
    profile = told_profile.model_copy(update={"matchers": {Unasked.name: statistics}}).signed()
    plan = planned(asked(profile, subjects=300), card_with(), {Unasked.name: card})
    assert plan.target is not None
    assert (plan.target.fmr, plan.target.fnmr, plan.target.tolerance) == (1e-2, 0.1, 0.3)
    own = planned(asked(profile, subjects=300, variability={"scale": 0.5}), card_with(), {Unasked.name: card})
    assert own.target is None
    assert not any("difficulty" in text for text in own.unreachable)
    without = planned(asked(profile, subjects=300), card_with())
    assert without.target is None
    assert any("difficulty" in text for text in without.unreachable)


def test_attributes_follow_the_gallerys_columns_and_skin_its_quantiles(told_profile: Profile) -> None:
    skin = Response(
        space="identity",
        latent=lt.FIRST.who["skin_tone"],
        name="skin_tone",
        latents=(-2.5, 0.0, 2.5),
        values=(90.0, 0.0, -90.0),
        others=1.0,
    )
    found = likeness(asked(told_profile, subjects=200), told_profile, card_with({"skin": skin}), {})
    by = {attribute.name: attribute for attribute in found.attributes}
    shares = told_profile.attributes["sex"].counts
    assert by["sex"].counts[0] == round(200 * shares["female"] / sum(shares.values()))
    assert sum(by["skin_tone"].counts) == 200
    middle = [low for low, _ in by["skin_tone"].quantiles]
    assert min(middle) < 0.35
    assert max(high for _, high in by["skin_tone"].quantiles) > 0.65


def test_a_column_of_skin_tones_is_followed_where_no_latent_follows_the_colour(told_profile: Profile) -> None:
    tones = Categories(counts={"light": 100, "dark": 300})
    profile = told_profile.model_copy(update={"attributes": {"skin_tone": tones}}).signed()
    (found,) = likeness(asked(profile, subjects=200), profile, card_with(), {}).attributes
    assert (found.name, sorted(found.counts)) == ("skin_tone", [50, 150])
    own = asked(profile, subjects=200, attributes={"skin_tone": {"medium": 1.0}})
    assert not likeness(own, profile, card_with(), {}).attributes


def test_statistics_that_no_model_has_are_named_with_what_to_do(told_profile: Profile) -> None:
    sizes = {**told_profile.quantities, "shoe size": told_profile.quantities["yaw"]}
    hats = {**told_profile.attributes, "hat": told_profile.attributes["sex"]}
    profile = told_profile.model_copy(update={"quantities": sizes, "attributes": hats}).signed()
    said = planned(asked(profile), card_with()).unreachable
    for field in ("like.quantities.shoe size", "like.attributes.hat"):
        assert sum(text.startswith(field) and "; update Facsimile" in text for text in said) == 1


def test_a_profile_of_nobody_is_refused_by_its_field(told_profile: Profile) -> None:
    samples = told_profile.samples_per_subject
    nobody = samples.model_copy(update={"counts": (0,) * len(samples.counts)})
    profile = told_profile.model_copy(update={"samples_per_subject": nobody}).signed()
    for more in ({}, {"subjects": 30}):
        with pytest.raises(RequestRefused) as refused:
            DatasetRequest.model_validate({"name": "twin", "like": json.loads(profile.as_file()), **more})
        ((field, text),) = refused.value.problems
        assert field == "like.samples_per_subject"
        assert "; profile a gallery of more subjects" in text


def test_a_profile_in_a_request_is_checked_by_its_field(told_profile: Profile) -> None:
    edited = {**json.loads(told_profile.as_file()), "detector": "another"}
    with pytest.raises(RequestRefused) as refused:
        DatasetRequest.model_validate({"name": "twin", "like": edited})
    assert refused.value.problems[0][0] == "like.digest"
    assert asked(told_profile).subjects == told_profile.subjects
    assert asked(told_profile, subjects=7).subjects == 7
