"""Model cards: attributes as slices of latents."""

from statistics import NormalDist
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from app.dataset.model import ModelCard, WeightsCard, attribute_value, quantile_range

NORMAL = NormalDist()


@given(st.floats(-6, 6))
def test_a_latent_lies_in_the_slice_of_the_value_it_gives(card: ModelCard, latent: float) -> None:
    for name in ("sex", "skin_tone", "glasses"):
        attribute = card.attributes[name]
        value = attribute_value(attribute, latent)
        assert not isinstance(value, float)
        low, high = quantile_range(attribute, value)
        assert low <= NORMAL.cdf(latent) <= high


@given(st.floats(0.001, 0.999))
def test_a_range_is_uniform_between_its_ends(card: ModelCard, quantile: float) -> None:
    age = card.attributes["age"]
    years = attribute_value(age, NORMAL.inv_cdf(quantile))
    assert years == pytest.approx(20 + 50 * quantile)


def test_the_edge_of_a_value_belongs_to_the_upper_one(card: ModelCard) -> None:
    assert attribute_value(card.attributes["sex"], 0.0) == "male"
    assert attribute_value(card.attributes["sex"], -1e-12) == "female"
    assert attribute_value(card.attributes["glasses"], 0.8416) is True
    assert attribute_value(card.attributes["glasses"], 0.8415) is False


def test_a_range_wants_two_ends(card: ModelCard) -> None:
    with pytest.raises(TypeError, match="takes"):
        quantile_range(card.attributes["age"], "30")


def test_unknown_fields_of_a_card_are_kept(card: ModelCard) -> None:
    more = ModelCard.model_validate(card.model_dump() | {"architecture": {"base": 40}})
    assert more.model_dump()["architecture"] == {"base": 40}
    assert more.digest != card.digest


@pytest.mark.parametrize("field", ["measured", "evaluation", "training"])
def test_what_was_measured_of_a_model_does_not_make_it_another(card: ModelCard, field: str) -> None:
    more = ModelCard.model_validate(card.model_dump() | {field: {"capacity": 1000}})
    assert more.model_dump()[field] == {"capacity": 1000}
    assert more.digest == card.digest


@pytest.mark.parametrize("field", ["description", "licence", "provenance"])
def test_other_words_do_not_make_another_model(card: ModelCard, field: str) -> None:
    assert ModelCard.model_validate(card.model_dump() | {field: "said better"}).digest == card.digest


@pytest.mark.parametrize(
    "change",
    [
        {"drawing": 2},
        {"version": "9"},
        {"kind": "other"},
        {"weights": {"file": "weights.safetensors", "sha256": "0" * 64}},
        {"checks": {"unique": {"matcher": "sface", "threshold": 0.1, "basis": "guessed"}}},
        {"attributes": {}},
    ],
)
def test_what_decides_pixels_or_labels_makes_another_model(card: ModelCard, change: dict[str, Any]) -> None:
    assert ModelCard.model_validate(card.model_dump() | {"scales": {}} | change).digest != card.digest


def test_a_model_is_known_by_the_digests_that_it_had(card: ModelCard) -> None:
    before = card.digest
    now = ModelCard.model_validate(card.model_dump() | {"drawing": 2, "formerly": [before]})
    assert now.digest != before
    assert now.is_pinned_by(now.digest)
    assert now.is_pinned_by(before)
    assert not now.is_pinned_by("0" * 64)
    assert now.digest == ModelCard.model_validate(now.model_dump() | {"formerly": []}).digest


def test_the_digest_does_not_depend_on_the_order_of_fields(card: ModelCard) -> None:
    turned = dict(reversed(card.model_dump(mode="json").items()))
    assert ModelCard.model_validate(turned).digest == card.digest


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"latent": {"identity": 8, "observation": {"pose": [0, 2], "light": [3, 5]}}}, "must start at 2"),
        ({"latent": {"identity": 8, "observation": {"pose": [0, 2], "light": [2, 2]}}}, "not be empty"),
        ({"latent": {"identity": 3, "observation": {"pose": [0, 2]}}}, "glasses.latent is beyond"),
        ({"sizes": []}, "at least 1 item"),
        ({"name": "../x"}, "match pattern"),
        ({"weights": {"file": "w", "sha256": "0"}}, "match pattern"),
    ],
)
def test_a_card_that_contradicts_itself_is_refused(card: ModelCard, change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        ModelCard.model_validate(card.model_dump() | change)


def test_a_model_without_weights_was_trained_on_nothing(card: ModelCard) -> None:
    assert card.source_type == "algorithmicMedia"
    trained = card.model_copy(update={"weights": WeightsCard(file="weights.safetensors", sha256="a" * 64)})
    assert trained.source_type == "trainedAlgorithmicMedia"
