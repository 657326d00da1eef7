"""The page can be read: on a telephone, by who meets the words for the first time, and without a column of dashes."""

import re
from collections.abc import Callable
from html.parser import HTMLParser
from typing import Any

import numpy as np
import pytest

from app.charts.det import falling_band
from app.dataset.measures import DetPoint
from app.dataset.report import RealThreshold
from workers.biometrics.groups import in_order
from workers.report.glossary import GLOSSARY
from workers.report.page import Sheet, render_page, short_digest
from workers.report.qualities import spelt_out

REAL = RealThreshold(
    matcher="judge",
    matcher_digest="a" * 64,
    target_fmr=1e-3,
    threshold=0.5,
    source="an airport's gallery",
    subjects=347,
    comparisons=60_031,
)


class Tables(HTMLParser):
    """Every cell: its table's class, its own attributes, its text; and the text outside of code."""

    def __init__(self, page: bytes) -> None:
        super().__init__()
        self.cells: list[tuple[str, dict[str, str | None], str]] = []
        self.prose = ""
        self._table, self._cell, self._code = "", False, 0
        self.feed(page.decode())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "table":
            self._table = dict(attrs).get("class") or ""
        if tag == "td":
            self.cells.append((self._table, dict(attrs), ""))
            self._cell = True
        self._code += tag in ("pre", "code", "style", "title", "h1")

    def handle_endtag(self, tag: str) -> None:
        self._cell = self._cell and tag != "td"
        self._code -= tag in ("pre", "code", "style", "title", "h1")

    def handle_data(self, data: str) -> None:
        if self._cell:
            table, attributes, text = self.cells[-1]
            self.cells[-1] = (table, attributes, text + data)
        if not self._code:
            self.prose += data


@pytest.fixture(scope="module", params=["large", "tiny"])
def page(request: pytest.FixtureRequest, evidence: Any, make_report: Any) -> bytes:
    found = evidence(subjects=50) if request.param == "large" else evidence(subjects=8, samples=2)
    sheet = Sheet(b"\xff\xd8jpeg", 640, ("S0000000", "S0000001"), 3)
    return render_page(make_report(found), [sheet])


def test_every_cell_says_what_it_is_where_rows_are_cards(page: bytes) -> None:
    cells = Tables(page).cells
    assert len(cells) > 20
    for table, attributes, text in cells:
        if table == "facts" or attributes.get("class") == "none":
            continue
        assert attributes.get("data-label"), text


def test_no_column_of_dashes_and_no_name_of_a_variable(page: bytes) -> None:
    read = Tables(page)
    assert not [text for _, _, text in read.cells if text.strip() in ("–", "-", "")]
    assert re.findall(r"\b[a-z]+_[a-z_]+\b", read.prose.replace("ds_test", "")) == []


def test_words_are_explained_and_the_sheet_is_labelled(page: bytes) -> None:
    text = Tables(page).prose
    for word, meaning in GLOSSARY:
        assert word in text
        assert meaning in text
    assert "S0000001" in text
    assert b"<span>reference</span><span>1</span><span>2</span>" in page


def test_a_band_never_rises_with_fmr() -> None:
    """Without an error the interval is one over subjects, and wider than its neighbours'."""
    points = [
        DetPoint(target_fmr=0.4, fmr=0.4, fnmr=0.0, low=0.0, high=0.17),
        DetPoint(target_fmr=0.1, fmr=0.1, fnmr=0.01, low=0.002, high=0.07),
        DetPoint(target_fmr=0.01, fmr=0.01, fnmr=0.05, low=0.001, high=0.12),
    ]
    band = falling_band(points)
    assert [at for at, _, _ in band] == [0.4, 0.1, 0.01]
    assert band == [(0.4, 0.0, 0.07), (0.1, 0.001, 0.07), (0.01, 0.001, 0.12)]


@pytest.mark.parametrize(
    ("groups", "known", "ordered"),
    [
        (["dark", "light", "medium"], ("light", "medium", "dark"), ["light", "medium", "dark"]),
        (["dark", "light", "medium"], (), ["light", "medium", "dark"]),
        (["60+", "18–29", "<18", "45–59", "30–44"], (), ["<18", "18–29", "30–44", "45–59", "60+"]),
        (["male", "female"], (), ["female", "male"]),
        (
            ["hat in every image", "hat in none", "hat in some images"],
            (),
            ["hat in none", "hat in some images", "hat in every image"],
        ),
    ],
)
def test_groups_stand_in_their_own_order(groups: list[str], known: tuple[str, ...], ordered: list[str]) -> None:
    assert in_order(groups, known) == ordered


def test_a_reports_groups_are_in_the_cards_order(evidence: Any, make_report: Any) -> None:
    tones = ["dark", "light", "medium"]
    found = evidence(
        subjects=60,
        labels={"skin_tone": [tones[subject % 3] for subject in range(60)]},
        orders={"skin_tone": ("light", "medium", "dark")},
    )
    (differential,) = make_report(found).judges[0].groups
    assert [group.group for group in differential.groups] == ["light", "medium", "dark"]


def test_thresholds_of_real_operation_are_told_on_the_first_page(
    evidence: Any, make_report: Any, judged_by: Callable[..., Any]
) -> None:
    found = evidence(subjects=50)
    templates = found.judges[0].templates
    without = render_page(make_report(found)).decode()
    assert "At a real operating point" not in without
    real = judged_by(templates, real=(REAL, REAL.model_copy(update={"target_fmr": 1e-2, "threshold": 0.1})))
    report = make_report(evidence(subjects=50, judges=(real,)))
    points = report.judges[0].real
    assert [point.at.target_fmr for point in points] == [1e-2, 1e-3]
    unit = templates[found.mated] / np.linalg.norm(templates[found.mated], axis=1, keepdims=True)
    scores = unit @ unit.T
    upper = np.triu(np.ones_like(scores, bool), 1)
    same = found.subjects[found.mated][:, None] == found.subjects[found.mated]
    assert points[1].fnmr.errors == int((scores[upper & same] < 0.5).sum())
    assert points[1].fmr.errors == int((scores[upper & ~same] >= 0.5).sum())
    assert points[1].fnmr.by_subject is not None
    page = render_page(report).decode()
    assert points[1].fmr.value > 10 * 1e-3
    (sentence,) = [sentence for sentence in report.summary if "different real people" in sentence]
    assert "No matcher can be tried at its real operating point" in sentence
    near = judged_by(templates, real=(REAL.model_copy(update={"threshold": 0.9999}),))
    (sentence,) = [s for s in make_report(evidence(subjects=50, judges=(near,))).summary if "real people" in s]
    assert "No matcher" not in sentence
    summary = page[page.index("At a real operating point") : page.index("<h2")]
    assert "an airport&#39;s gallery: 347 people, 60,031 non-mated comparisons" in summary


def test_digests_are_cut_and_names_spelt_out() -> None:
    assert short_digest("corpus " + "0a" * 32) == 'corpus <span class="id">0a0a0a0a0a0a0a0a…</span>'
    assert short_digest("none: <b>") == "none: &lt;b&gt;"
    assert spelt_out("LeftwardCropOfTheFaceImage") == "leftward crop of the face image"
    assert spelt_out("inter_eye_px") == "inter eye px"
