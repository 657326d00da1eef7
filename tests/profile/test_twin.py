"""A profile beside a set: what is alike, and what is not."""

import re
from collections.abc import Callable
from html.parser import HTMLParser

import numpy as np
import pytest

from app.dataset.profile import Profile
from app.errors import RequestRefused
from tests.profile.conftest import population
from workers.matchers.base import Matcher
from workers.profile.compare import Comparison, compare
from workers.profile.make import Measured, weigh
from workers.profile.page import render

People = Callable[[int, int, int], Measured]


def compared(profile: Profile, measured: Measured, matcher: Matcher) -> Comparison:
    return compare(profile, weigh(measured, [matcher]))


def test_another_draw_of_the_same_population_is_alike(told_profile: Profile, matcher: Matcher) -> None:
    found = compared(told_profile, population(300, 3, 99), matcher)
    verdicts = {row.name: row.verdict for row in found.rows}
    assert "not alike" not in verdicts.values(), found.sentence
    assert sum(verdict == "alike" for verdict in verdicts.values()) > 20
    for row in found.rows:
        if row.ks is not None and row.ks_low is not None and row.ks_high is not None:
            assert row.ks_low <= row.ks <= row.ks_high


def test_what_was_moved_is_not_alike_and_nothing_else(told_profile: Profile, matcher: Matcher) -> None:
    measured = population(300, 3, 99)
    for one in measured.seen:
        one.values["yaw"] += 20
        del one.values["noise"]
        one.form = "png"
    found = compared(told_profile, measured, matcher)
    by = {row.name: row for row in found.rows}
    assert {name for name, row in by.items() if row.verdict == "not alike"} == {"yaw", "formats"}
    assert by["yaw"].wasserstein == pytest.approx(20, abs=3)
    assert by["noise"].verdict == "not comparable"
    assert by["noise"].why
    assert "not alike are formats, yaw" in found.sentence
    assert f"{sum(row.verdict == 'alike' for row in found.rows)} are alike" in found.sentence


def test_harder_pictures_are_told_by_scores_and_rates(told_profile: Profile, matcher: Matcher) -> None:
    measured = population(300, 3, 99)
    table = measured.tables["unasked"]
    table.templates[:] += np.random.default_rng(1).standard_normal(table.templates.shape).astype(np.float32)
    found = compared(told_profile, measured, matcher)
    assert {row.name: row.verdict for row in found.rows}["unasked: mated scores"] == "not alike"


def test_statistics_that_are_not_known_are_not_comparable_and_nobody_is_like_nothing(
    told_profile: Profile, matcher: Matcher
) -> None:
    sizes = {**told_profile.quantities, "shoe size": told_profile.quantities["yaw"]}
    found = compared(told_profile.model_copy(update={"quantities": sizes}), population(60, 2, 1), matcher)
    (row,) = (row for row in found.rows if row.name == "shoe size")
    assert row.verdict == "not comparable"
    samples = told_profile.samples_per_subject
    nobody = samples.model_copy(update={"counts": (0,) * len(samples.counts)})
    with pytest.raises(RequestRefused, match="tells of no subject"):
        compared(told_profile.model_copy(update={"samples_per_subject": nobody}), population(60, 2, 1), matcher)


def test_the_page_holds_all_rows_and_loads_nothing(told_profile: Profile, matcher: Matcher) -> None:
    found = compared(told_profile, population(120, 2, 5), matcher)
    page = render(found, "<script>alert(1)</script>").decode()
    assert "<script" not in page
    assert not re.search(r"(?:src|href)\s*=|url\(|@import", page)
    for row in found.rows:
        assert page.count(row.name) >= 1
    assert page.count("<svg") == sum(bool(row.twin_curve) and len(row.gallery_curve) > 2 for row in found.rows)

    class Tags(HTMLParser):
        """Every element that is opened is closed."""

        open: list[str] = []  # noqa: RUF012

        def handle_starttag(self, tag: str, attrs: object) -> None:
            if tag not in ("meta", "br", "path", "rect", "circle", "polyline", "polygon"):
                self.open.append(tag)

        def handle_endtag(self, tag: str) -> None:
            if tag in self.open:
                assert self.open.pop() == tag

    parser = Tags()
    parser.feed(page)
    assert not parser.open
    told = found.as_json()
    assert told["rows"][0]["name"] == "samples per subject"
    assert told["profile"] == told_profile.digest
