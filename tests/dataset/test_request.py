"""Requests: what is refused before any model is asked."""

from typing import Any

import pytest
from pydantic import ValidationError

from app.dataset.request import DatasetRequest, PreviewRequest

GOOD: dict[str, Any] = {"name": "gate-7", "subjects": 10, "samples_per_subject": 3}


def test_the_smallest_request_means_the_documented_defaults() -> None:
    request = DatasetRequest.model_validate(GOOD)
    assert request.model == "default"
    assert request.distractors == 0
    assert request.seed is None
    assert request.variability.scale == 1.0
    assert request.checks.unique
    assert request.checks.face_found
    assert request.image.format == "png"
    assert request.layouts == ["plain"]


def test_the_published_example_is_valid() -> None:
    schema = DatasetRequest.model_json_schema()
    for example in schema["examples"]:
        DatasetRequest.model_validate(example)


@pytest.mark.parametrize(
    ("change", "field", "message"),
    [
        ({"subject": 3}, "subject", "Extra inputs"),
        ({"variability": {"sigma": 1}}, "variability.sigma", "Extra inputs"),
        ({"subjects": 0}, "subjects", "greater than or equal to 1"),
        ({"subjects": "10"}, "subjects", "valid integer"),
        ({"subjects": 10.0}, "subjects", "valid integer"),
        ({"samples_per_subject": 0}, "samples_per_subject", "greater than or equal to 1"),
        ({"distractors": -1}, "distractors", "greater than or equal to 0"),
        ({"seed": -1}, "seed", "greater than or equal to 0"),
        ({"seed": 2**53}, "seed", "must be at most 9007199254740991"),
        (
            {"variability": {"target": {"matcher": "m", "fmr": 1e-308, "fnmr": 0.1}}},
            "variability.target.fmr",
            "greater than or equal to 0.000000001",
        ),
        ({"name": ""}, "name", "at least 1 character"),
        ({"name": "two\nlines"}, "name", "match pattern"),
        ({"model": "../secret"}, "model", "match pattern"),
        ({"model": "toy\n"}, "model", "match pattern"),
        ({"variability": {"scale": 4.1}}, "variability.scale", "less than or equal to 4"),
        ({"variability": {"scale": float("nan")}}, "variability.scale", "finite"),
        ({"variability": {"factors": {"pose": -1}}}, "variability.factors.pose", "greater than or equal to 0"),
        ({"attributes": {"sex": {"female": 0.5, "male": 0.4}}}, "attributes", "sum to 0.9; make them sum to 1"),
        ({"attributes": {"sex": {}}}, "attributes.sex", "at least 1 item"),
        ({"attributes": {"age": {"min": 30, "max": 29.5}}}, "attributes.age", "max must not be below min"),
        ({"attributes": {"glasses": 1.1}}, "attributes.glasses", "less than or equal to 1"),
        ({"image": {"quality": 90}}, "image", "quality applies to jpeg only"),
        ({"image": {"format": "gif"}}, "image.format", "'png' or 'jpeg'"),
        ({"checks": {"unique": 1}}, "checks.unique", "valid boolean"),
        ({"layouts": ["lwf"]}, "layouts.0", "'plain'"),
        ({"samples_per_subject": 1, "comparisons": {"selection": "crossed"}}, "", "2 or more"),
        ({"samples_per_subject": 1, "comparisons": {"selection": "balanced"}}, "", "2 or more"),
        ({"subjects": 1, "comparisons": {"selection": "balanced"}}, "", "2 subjects or more"),
    ],
)
def test_wrong_requests_say_what_is_wrong_and_where(change: dict[str, Any], field: str, message: str) -> None:
    with pytest.raises(ValidationError) as refused:
        DatasetRequest.model_validate(GOOD | change)
    error = refused.value.errors()[0]
    assert ".".join(map(str, error["loc"])) == field
    assert message in error["msg"]


def test_shares_may_miss_one_by_rounding() -> None:
    thirds = {"light": 0.333333, "medium": 0.333333, "dark": 0.333334}
    request = DatasetRequest.model_validate(GOOD | {"attributes": {"skin_tone": thirds}})
    assert request.attributes.skin_tone == thirds


def test_a_preview_asks_for_a_model_and_a_look_only() -> None:
    assert PreviewRequest().subjects == 4
    with pytest.raises(ValidationError, match="Extra inputs"):
        PreviewRequest.model_validate({"distractors": 1})
