"""What a layout's archive is said to come to, against the archive that is then made."""

from typing import Any

import pytest

from app.dataset.layout import Layout
from app.jobs.datasets.layout_sizes import layout_sizes

OFF = 0.15
"""An estimate may be wrong by so much."""


@pytest.mark.parametrize("image", [{}, {"format": "jpeg", "quality": 90}])
def test_estimates_are_near_what_is_made_then(make: Any, image: dict[str, Any]) -> None:
    made = make(subjects=24, samples_per_subject=4, distractors=0, shard_size=48, image=image)
    before = {found.layout: found for found in layout_sizes(made.store, "acme", "ds_test")}
    assert list(before) == list(Layout)
    assert (before[Layout.PLAIN].state, before[Layout.PLAIN].measured) == ("there", True)
    assert before[Layout.PLAIN].bytes == len(made.archive(Layout.PLAIN))
    for layout, found in before.items():
        if layout is Layout.PLAIN:
            continue
        assert (found.state, found.measured) == ("to_be_made", False)
        assert found.bytes == pytest.approx(len(made.archive(layout)), rel=OFF), layout
    after = layout_sizes(made.store, "acme", "ds_test")
    assert [found.bytes for found in after] == [len(made.archive(layout)) for layout in Layout]
    assert all(found.measured and found.state == "there" for found in after)


def test_what_is_not_possible_says_why(make: Any) -> None:
    made = make(subjects=4, samples_per_subject=1, distractors=0, comparisons={"selection": "complete"})
    found = {one.layout: one for one in layout_sizes(made.store, "acme", "ds_test")}
    assert (found[Layout.LFW].state, found[Layout.LFW].bytes) == ("not_possible", None)
    assert "samples_per_subject of 2 or more" in str(found[Layout.LFW].reason)
    assert found[Layout.WEBDATASET].state == "to_be_made"
