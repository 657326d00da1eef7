"""Extraction of many images: no image is lost, none gets another's template, whatever the matcher does."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from celery.exceptions import SoftTimeLimitExceeded
from hypothesis import given
from hypothesis import strategies as st

from app.errors import Cancelled, Corrupt
from workers.images import decode
from workers.matchers.base import Failure, NetworkMatcher, Role, Stage
from workers.matchers.comparison import COSINE, unit
from workers.matchers.extraction import Extraction, compare_pairs, compare_tables, extract_many, extract_one


class Touchy(NetworkMatcher):
    """Reads an image's first pixel: (number, what to do, 0). Its template is one of 8 axes, by the number."""

    name, version, digest, dimensions = "touchy", "1", "0" * 64, 8
    score, provenance = COSINE, "none"

    def detect(self, pixels: Any) -> Any:
        if pixels[0, 0, 1] == 1:
            raise RuntimeError("out of sorts")
        return None if pixels[0, 0, 1] == 2 else object()

    def align(self, pixels: Any, face: Any) -> Any:
        if pixels[0, 0, 1] == 3:
            raise ValueError("crooked")
        return pixels

    def template(self, chip: Any) -> Any:
        what = chip[0, 0, 1]
        if what == 4:
            return np.zeros(7, np.float32)
        if what == 5:
            return np.full(8, np.nan, np.float32)
        if what == 6:
            return unit(np.zeros(8, np.float32))
        return np.eye(8, dtype=np.float32)[chip[0, 0, 0] % 8]


STAGES = {
    1: (Stage.DETECT, "RuntimeError: out of sorts"),
    2: (Stage.DETECT, "no face found"),
    3: (Stage.ALIGN, "ValueError: crooked"),
    4: (Stage.TEMPLATE, "a template of shape (7,) instead of (8,)"),
    5: (Stage.TEMPLATE, "not finite"),
    6: (Stage.TEMPLATE, "length 0"),
}


def image(number: int, what: int = 0) -> np.ndarray:
    pixels = np.zeros((4, 4, 3), np.uint8)
    pixels[0, 0] = number, what, 0
    return pixels


@given(st.lists(st.integers(0, 6), max_size=30))
def test_every_image_has_its_template_or_its_reason(acts: list[int]) -> None:
    table = extract_many(Touchy(), [image(n, what) for n, what in enumerate(acts)], Role.PROBE)
    assert len(table) == len(acts)
    assert table.templates.shape == (len(acts), 8)
    assert table.templates.dtype == np.float32
    for row, what in enumerate(acts):
        if what == 0:
            assert table.extracted[row]
            assert table.templates[row].argmax() == row % 8
        else:
            stage, reason = STAGES[what]
            failure = table.failures[row]
            assert (failure.stage, failure.kind) == (stage, "failure_to_extract")
            assert reason in failure.reason
            assert np.isnan(table.templates[row]).all()
    assert sum(table.reasons().values()) == np.count_nonzero(acts)


def test_a_file_that_cannot_be_read_is_a_failure_of_its_own_row() -> None:
    def broken() -> Any:
        return decode(b"no image", "S0000001_002.png")

    table = extract_many(Touchy(), [lambda: image(0), broken, lambda: image(2)], Role.REFERENCE)
    assert table.extracted.tolist() == [True, False, True]
    assert table.failures[1].stage is Stage.READ
    assert Corrupt.__name__ in table.failures[1].reason
    assert "S0000001_002.png" in table.failures[1].reason


@pytest.mark.parametrize(
    "pixels", [np.zeros((4, 4), np.uint8), np.zeros((4, 4, 3), np.float32), np.zeros((0, 4, 3), np.uint8), None]
)
def test_what_is_no_image_is_a_failure(pixels: Any) -> None:
    failure = extract_one(Touchy(), pixels, Role.REFERENCE)
    assert isinstance(failure, Failure)
    assert (failure.stage, failure.kind) == (Stage.READ, "failure_to_enrol")


@pytest.mark.parametrize("error", [MemoryError, SoftTimeLimitExceeded])
def test_a_lack_of_memory_or_time_is_no_property_of_an_image(
    error: type[Exception], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(self: Any, chip: Any) -> Any:
        raise error

    monkeypatch.setattr(Touchy, "template", full)
    with pytest.raises(error):
        extract_many(Touchy(), [image(0)], Role.PROBE)


def test_progress_is_told_and_cancelling_stops_before_the_next_image() -> None:
    told: list[tuple[int, int | None]] = []
    asked: list[int] = []

    def images() -> Iterator[np.ndarray]:
        for number in range(5):
            asked.append(number)
            yield image(number, 1)

    table = extract_many(Touchy(), images(), Role.PROBE, total=5, on_progress=lambda *at: told.append(at))
    assert told == [(n, 5) for n in range(1, 6)]
    assert len(table.failures) == 5
    asked.clear()
    with pytest.raises(Cancelled, match="after 2 images"):
        extract_many(Touchy(), images(), Role.PROBE, should_cancel=lambda: len(asked) > 2)


def test_another_number_of_images_than_was_said_is_an_error() -> None:
    with pytest.raises(ValueError, match="to be 3 images and 2 came"):
        extract_many(Touchy(), iter([image(0), image(1)]), Role.PROBE, total=3)


def test_no_images_give_an_empty_table() -> None:
    table = extract_many(Touchy(), [], Role.PROBE)
    assert table.templates.shape == (0, 8)
    assert np.isnan(table.failure_rate)
    assert compare_tables(Touchy(), table, table).shape == (0, 0)
    assert compare_pairs(Touchy(), table, table, np.zeros((0, 2), int)).shape == (0,)


def test_templates_of_another_matcher_are_not_compared() -> None:
    table = extract_many(Touchy(), [image(0)], Role.PROBE)

    class Other(Touchy):
        digest = "1" * 64

    with pytest.raises(ValueError, match="touchy 1 cannot be compared by touchy"):
        compare_tables(Other(), table, table)


def test_a_table_with_an_unexplained_row_cannot_be_made() -> None:
    with pytest.raises(ValueError, match="either a template or a failure"):
        Extraction(
            matcher="m",
            version="1",
            digest="0",
            role=Role.PROBE,
            templates=np.zeros((2, 8), np.float32),
            extracted=np.array([True, False]),
            failures={},
        )
