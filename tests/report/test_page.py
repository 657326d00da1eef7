"""The page: whole HTML that loads nothing, says what the report says, and believes nobody's markup."""

import re
from collections import Counter
from dataclasses import replace
from html.parser import HTMLParser
from typing import Any

import numpy as np
import pytest

from app.dataset.calibration import Calibration, Contract, CurvePoint, Measured
from app.dataset.measures import Interval, Rate
from app.dataset.plan import PlannedMatcher, PlannedTarget
from app.dataset.shard import IdentityChoice, Rejection
from workers.report.build import Outcome, kind_of
from workers.report.page import Sheet, render_page
from workers.report.wording import number, percent

EVIL = "<script>alert(1)</script>\"'><img src=x onerror=alert(2)> & {{ 7 * 7 }}"
VOID = {"meta", "img", "br", "input", "link", "path", "rect", "circle", "polygon", "polyline"}


class Page(HTMLParser):
    """Tags, attributes and text of a page; complains of tags that do not close."""

    def __init__(self, page: bytes) -> None:
        super().__init__()
        self.tags: Counter[str] = Counter()
        self.loaded: list[str] = []
        self.handlers: list[str] = []
        self.ids: list[str] = []
        self.text = ""
        self._open: list[str] = []
        self.feed(page.decode())
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.tags[tag] += 1
        for name, value in attrs:
            if name in ("src", "href", "action", "data", "srcset", "poster"):
                self.loaded.append(value)
            if name.startswith("on"):
                self.handlers.append(name)
            if name == "id":
                self.ids.append(value)
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: Any) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self._open.pop()

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self._open.pop() == tag, f"{tag} is closed before what is in it"

    def handle_data(self, data: str) -> None:
        self.text += data


def read(page: bytes) -> Page:
    found = Page(page)
    assert not [url for url in found.loaded if not url.startswith("data:image/jpeg;base64,")]
    assert not found.handlers
    assert "script" not in found.tags
    assert not re.search(rb"url\(|@import", page)
    return found


def rate(value: float) -> Rate:
    return Rate(
        value=value,
        errors=5,
        trials=100,
        exact=between(value / 2, value * 2),
        by_subject=between(value * 0.8, value * 1.2),
    )


def between(low: float, high: float) -> Interval:
    return Interval(low=low, high=high, confidence=0.95, method="by hand")


def contract(met: bool = True) -> dict[str, Any]:
    target = PlannedTarget(matcher=PlannedMatcher(name="judge", digest="a" * 64), fmr=1e-2, fnmr=0.05, tolerance=0.1)
    measured = Measured(threshold=0.5, fmr=rate(0.0099), fnmr=rate(0.051))
    curve = [
        CurvePoint(scale=scale, measured=Measured(threshold=0.5, fmr=rate(0.01), fnmr=rate(value)), smoothed=value)
        for scale, value in ((0.5, 0.01), (1.0, 0.05), (1.5, 0.11))
    ]
    return {
        "contract": Contract(
            asked=target, scale=1.0, calibrated=measured, delivered=measured, met=met, subjects=40, note="as asked"
        ),
        "calibration": Calibration(
            outcome="met",
            target=target,
            scale=1.0,
            measured=measured,
            proven=True,
            scale_interval=None,
            searched=(0.5, 1.5),
            reachable=(0.01, 0.11),
            curve=tuple(curve),
            evaluations=3,
            samples=1,
            comparisons=1,
            not_completed=0,
            note="",
        ),
    }


def test_the_page_is_whole_and_says_what_the_report_says(evidence: Any, make_report: Any) -> None:
    report = make_report(evidence(subjects=50), **contract())
    page = read(render_page(report, [Sheet(b"\xff\xd8jpeg", 640)]))
    assert page.tags["h2"] == 11
    assert len(page.ids) == len(set(page.ids))
    assert page.tags["svg"] >= 10
    assert page.tags["caption"] == page.tags["table"]
    for sentence in (*report.summary, *report.limits):
        assert sentence in page.text
    point = report.judges[0].at_fmr(1e-2)
    assert percent(point.fnmr.value) in page.text
    assert "ds_test" in page.text
    assert "the contract is met" in page.text
    assert "the contract is NOT met" in read(render_page(make_report(evidence(), **contract(met=False)))).text


def test_what_users_write_is_shown_and_never_believed(evidence: Any, make_report: Any) -> None:
    labels = {"sex": [EVIL if subject % 2 else "male" for subject in range(40)]}
    counts = {"subjects": 40, "distractors": 5, "samples": 125, "bytes": 1, "rejected": 1, "shortfall": 0}
    report = make_report(
        evidence(labels=labels), name=EVIL, outcome=Outcome(counts=counts, rejected=Counter({EVIL: 1}))
    )
    raw = render_page(report)
    page = read(raw)
    assert page.text.count(EVIL) >= 4  # title, heading, group, reason
    assert b"<script" not in raw
    assert b"{{ 7 * 7 }}" in raw
    assert page.tags["img"] == 0


@pytest.mark.parametrize("subjects", [0, 1, 2, 40])
@pytest.mark.parametrize("samples", [1, 2])
def test_little_evidence_gives_a_page_that_says_why(
    evidence: Any, make_report: Any, subjects: int, samples: int
) -> None:
    found = evidence(subjects=subjects, samples=samples, distractors=0, labels={})
    for some in (found, replace(found, judges=()), replace(found, judges=(), qualities={})):
        page = read(render_page(make_report(some)))
        assert "Not in this report" in page.text
        assert page.tags["h2"] == 11
        assert not re.search(r"\bNone\b(?! of)", page.text)
        assert not re.search(r"\bnan\b", page.text)


def test_a_set_without_any_template_gives_a_page(evidence: Any, make_report: Any, judged_by: Any) -> None:
    page = read(render_page(make_report(evidence(judges=(judged_by(np.full((125, 16), np.nan)),)))))
    assert "no template could be made" in page.text
    assert "125" in page.text


def test_reasons_are_counted_by_kind(evidence: Any, make_report: Any) -> None:
    assert kind_of("a copy of S0000012 (score 0.912, threshold 0.900)") == "a copy of another identity"
    choice = IdentityChoice(
        matcher="filter",
        matcher_digest="b" * 64,
        threshold=0.9,
        attempts={3: 1, 4: 1},
        missing={},
        rejected=tuple(
            Rejection(id=f"S000000{k}", attempt=0, reason=f"a copy of S000000{k + 1} (score 0.95, threshold 0.9)")
            for k in (3, 4)
        ),
    )
    counts = {"subjects": 40, "distractors": 5, "samples": 124, "bytes": 1, "rejected": 3, "shortfall": 1}
    outcome = Outcome(
        counts=counts,
        rejected=Counter({"no face found": 3}),
        missing=Counter({"no face found in 5 attempts": 1}),
        choice=choice,
    )
    report = make_report(evidence(), outcome=outcome)
    assert [(item.reason, item.count) for item in report.rejected_identities] == [("a copy of another identity", 2)]
    text = read(render_page(report)).text
    assert "1 sample could not be made" in text
    assert "5 draws failed a check" in text
    assert "no face found in 5 attempts" in text


def test_the_same_report_gives_the_same_page(evidence: Any, make_report: Any) -> None:
    assert render_page(make_report(evidence())) == render_page(make_report(evidence()))


@pytest.mark.parametrize(
    ("share", "text"),
    [
        (0.0, "0%"),
        (1.0, "100%"),
        (0.123456, "12.3%"),
        (0.0123, "1.23%"),
        (0.000123, "0.012%"),
        (0.99999, "> 99.99%"),
        (1e-6, "1.0e-06"),
        (0.9987, "99.87%"),
    ],
)
def test_percentages_are_never_rounded_to_nothing_or_everything(share: float, text: str) -> None:
    assert percent(share) == text


def test_numbers_are_readable() -> None:
    told = [number(value) for value in (0, 0.12345, -1.5, 12345.6, 1.53e9)]
    assert told == ["0", "0.123", "−1.5", "12,300", "1.5 × 10⁹"]
