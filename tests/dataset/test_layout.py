"""Which sets can be had in which layouts."""

from typing import Any

import pytest

from app.dataset.layout import MOST_IN_BIN, MOST_RENDERED, Layout, Shape, why_not
from app.dataset.model import ModelCard
from app.dataset.planning import make_plan
from app.dataset.request import DatasetRequest
from app.errors import RequestRefused

ORDINARY = Shape(200, 5, 50, "balanced", 128, 128, named=True)


@pytest.mark.parametrize("layout", Layout)
def test_an_ordinary_set_can_be_had_in_each(layout: Layout) -> None:
    assert why_not(layout, ORDINARY) is None


@pytest.mark.parametrize(
    ("layouts", "fields", "told"),
    [
        ("lfw insightface frte ijb bob", {"samples_per_subject": 1, "selection": "none"}, "samples_per_subject of 2"),
        ("lfw insightface-bin ijb", {"selection": "none"}, "another comparisons.selection than 'none'"),
        ("lfw", {"subjects": 9}, "10 subjects or more"),
        ("lfw", {"subjects": 10, "samples_per_subject": 10_000, "selection": "crossed"}, "at most 9,999 samples"),
        ("ijb", {"subjects": 1, "selection": "complete"}, "2 subjects or more"),
        ("insightface insightface-bin aligned", {"width": 64, "height": 64}, "larger image.size"),
        ("insightface insightface-bin aligned", {"width": 96}, "images of 96×128 are smaller"),
        ("insightface insightface-bin aligned ijb frte", {"subjects": 20_000}, f"at most {MOST_RENDERED:,} samples"),
        ("gallery", {"named": False}, "a profile that does"),
        ("insightface-bin", {"selection": "complete"}, f"at most {MOST_IN_BIN:,} comparisons"),
    ],
)
def test_what_cannot_be_had_says_what_to_change(layouts: str, fields: dict[str, Any], told: str) -> None:
    refused = {layout for layout in Layout if why_not(layout, ORDINARY._replace(**fields))}
    for name in layouts.split():
        assert told in (why_not(Layout(name), ORDINARY._replace(**fields)) or "")
    assert refused >= {Layout(name) for name in layouts.split()}
    for layout in (Layout.PLAIN, Layout.ZIP, Layout.IMAGEFOLDER, Layout.WEBDATASET, Layout.PARQUET):
        assert layout not in refused


def test_lfw_of_a_large_set_has_its_own_files_alone() -> None:
    assert Layout.LFW.faces(MOST_RENDERED)
    assert not Layout.LFW.faces(MOST_RENDERED + 1)
    assert why_not(Layout.LFW, ORDINARY._replace(subjects=20_000)) is None


def test_a_request_is_refused_with_each_layout_that_does_not_fit(toy_card: dict[str, Any]) -> None:
    body = {"name": "x", "subjects": 4, "samples_per_subject": 2, "image": {"size": [96, 128]}}
    card = ModelCard.model_validate(toy_card)

    def plan(layouts: list[str]) -> Any:
        request = DatasetRequest.model_validate({**body, "layouts": layouts})
        return make_plan(request, card, dataset="ds", seed=1, shard_size=8, max_comparisons=1000)

    with pytest.raises(RequestRefused) as refused:
        plan(["zip", "lfw", "aligned"])
    assert [field for field, _ in refused.value.problems] == ["layouts", "layouts"]
    assert plan(["bob", "zip", "bob"]).layouts == (Layout.BOB, Layout.ZIP)
