"""Every page: what it says of itself to the browser, and that what users wrote is text and nothing else."""

import json
import re
from collections.abc import Callable
from html import unescape
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

import app.web
from app.dataset.matcher import MatcherCard
from app.jobs.catalogues.matchers import MatcherCatalogue
from app.web.say import rate

HOSTILE = "\"><script>alert(1)</script><img src=x onerror=alert(1)>{{7*7}}'&\u202e"
PAGES = ["/", "/datasets", "/datasets?state=failed&name=x", "/new", "/models", "/you"]


@pytest.mark.parametrize("path", [*PAGES, "/signin", "/datasets/ds_00000000000000000000"])
def test_a_page_lets_nothing_in(browser: TestClient, path: str) -> None:
    headers = browser.get(path).headers
    policy = dict(part.strip().split(" ", 1) for part in headers["content-security-policy"].split(";"))
    assert policy["default-src"] == "'self'"
    assert policy["frame-ancestors"] == policy["base-uri"] == policy["object-src"] == "'none'"
    assert "unsafe" not in headers["content-security-policy"]
    assert headers["cache-control"] == "private, no-store"
    assert headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize("path", [*PAGES, "/signin"])
def test_nothing_is_inline_and_nothing_comes_from_elsewhere(browser: TestClient, path: str) -> None:
    page = browser.get(path).text
    assert not re.search(r"<script(?![^>]*\ssrc=)", page)
    assert not re.search(r"<style|\sstyle=|\son[a-z]+=|javascript:", page)
    for there in re.findall(r'(?:src|href|action)="([^"]*)"', page):
        assert there.startswith(("/", "#")), there
        assert not there.startswith("//")


def test_assets_are_kept_for_ever_under_their_version(anonymous: TestClient) -> None:
    page = anonymous.get("/signin").text
    paths = set(re.findall(r'"(/static/[^"#]+)', page))
    assert len(paths) >= 3
    for path in paths:
        answer = anonymous.get(path)
        assert answer.status_code == 200
        assert "immutable" in answer.headers["cache-control"]
    assert "no-store" in anonymous.get("/static/0/console.css").headers["cache-control"]
    assert anonymous.get("/static/0/../console.py").status_code == 404
    assert anonymous.get("/static/0/nothing.js").status_code == 404


def test_scripts_and_styles_name_no_other_host() -> None:
    for file in (Path(app.web.__file__).parent / "static").iterdir():
        text = file.read_text()
        said = re.findall(r"""["'(](?:https?:)?//[^"')]+""", text)
        assert [there for there in said if "www.w3.org/2000/svg" not in there] == [], file


def test_a_hostile_name_is_a_name(browser: TestClient, ask: Callable[..., str]) -> None:
    dataset = ask(name=HOSTILE)
    for path in ("/", "/datasets", f"/datasets?name={HOSTILE[:20]}", f"/datasets/{dataset}", f"/new?like={dataset}"):
        page = browser.get(path).text
        assert "<script>alert" not in page
        assert "<img src=x" not in page
        assert HOSTILE in unescape(page), path


def test_a_hostile_query_is_text(browser: TestClient) -> None:
    for path in ("/datasets", "/new", "/new/draft"):
        page = browser.get(path, params={"name": HOSTILE, "state": HOSTILE, "model": HOSTILE, "after": ""}).text
        assert "<script>alert" not in page


def test_the_form_says_what_the_request_is(browser: TestClient) -> None:
    typed = "name=a&subjects=30&samples_per_subject=3&scale=0.5&factor.pose=0.5&share.sex.female=50&share.sex.male=50"
    page = unescape(browser.get(f"/new/draft?{typed}&age.min=20&age.max=60&glasses=20").text)
    assert '"variability": {\n    "factors": {\n      "pose": 0.5\n    },\n    "scale": 0.5\n  }' in page
    assert '"female": 0.5' in page
    assert '"glasses": 0.2' in page
    assert "curl -X POST http://testserver/v1/datasets" in page
    assert "facsimile generate request.json" in page
    assert ">90<" in page  # samples
    bare = unescape(browser.get(f"/new/draft?{typed}&glasses=0&headwear=0").text)
    assert '"glasses": 0' in bare, "nobody wears them, which is not the same as saying nothing"
    assert '"headwear": 0' in bare
    assert ">3,915<" in page  # non-mated, fully crossed: 30·29/2·9


def test_what_is_wrong_stands_in_the_form_as_it_was_typed(browser: TestClient, post: Callable[..., Any]) -> None:
    answer = post("/new", name="a", subjects="many", samples_per_subject="2", glasses="120")
    assert answer.status_code == 422
    page = unescape(answer.text)
    assert "must be a whole number" in page
    assert 'data-field="subjects"' in page
    assert 'name="subjects" type="text" value="many"' in page
    assert 'name="glasses" value="120"' in page


def test_a_target_that_a_link_leaves_out_is_the_one_that_the_form_shows(browser: TestClient, memory_store: Any) -> None:
    card = MatcherCard(
        name="sface", version="1", digest="0" * 64, dimensions=4, score="a·b", provenance="none", judge=True
    )
    MatcherCatalogue(memory_store).publish([card])
    page = unescape(browser.get("/new?name=x&subjects=300&samples_per_subject=5&difficulty=target").text)
    assert '"target": {\n      "matcher": "sface",\n      "fmr": 0.01,\n      "fnmr": 0.05\n    }' in page
    assert "is missing" not in page


def test_the_same_form_sent_twice_makes_one_set(browser: TestClient, ask: Callable[..., str]) -> None:
    assert ask(key="a1") == ask(key="a1")
    assert len(browser.get("/v1/datasets").json()["datasets"]) == 1


def test_another_like_it_is_the_same_request(
    browser: TestClient, post: Callable[..., Any], ask: Callable[..., str]
) -> None:
    fields = {
        "scale": "0.75",
        "factor.pose": "1.5",
        "share.sex.female": "25",
        "share.sex.male": "75",
        "age.min": "20",
        "age.max": "60",
        "glasses": "10",
        "size": "96x128",
        "format": "jpeg",
        "quality": "90",
        "checks": "1",
        "face_found": "1",
        "selection": "crossed",
        "judged_subjects": "0",
        "layouts": "zip",
        "retention_days": "30",
    }
    dataset = ask(**fields)
    asked = browser.get(f"/v1/datasets/{dataset}").json()["request"]
    assert asked["checks"] == {"unique": False}
    page = browser.get(f"/new?like={dataset}").text
    shown = unescape(re.search(r"<pre[^>]*>(\{.*?\})</pre>", page, re.S)[1])  # type: ignore[index]
    assert json.loads(shown) == asked


def test_a_dataset_is_cancelled_and_deleted_only_when_confirmed(
    browser: TestClient, ask: Callable[..., str], post: Callable[..., Any]
) -> None:
    dataset = ask()
    assert post(f"/datasets/{dataset}", do="cancel").status_code == 303
    assert "cancelled" in browser.get(f"/datasets/{dataset}").text
    assert post(f"/datasets/{dataset}", do="delete").status_code == 422
    assert post(f"/datasets/{dataset}", do="delete", confirm="yes").status_code == 303
    gone = browser.get(f"/datasets/{dataset}")
    assert gone.status_code == 404
    assert "There is nothing here" in gone.text
    assert post(f"/datasets/{dataset}", do="explode").status_code == 422


def test_a_finished_set_shows_what_came_out(browser: TestClient, finished: str) -> None:
    page = browser.get(f"/datasets/{finished}").text
    assert "succeeded" in page
    assert f"/v1/datasets/{finished}/contact-sheet" in page
    assert "watch.js" not in page
    part = browser.get(f"/datasets/{finished}", headers={"X-Fragment": "1"}).text
    assert part.startswith('<section id="live"')
    for tab in ("report", "downloads"):
        assert browser.get(f"/datasets/{finished}/{tab}").status_code == 200


def test_a_mistyped_address_is_a_page_for_people_and_an_error_for_programs(browser: TestClient) -> None:
    page = browser.get("/datasetz", headers={"Accept": "text/html,*/*;q=0.8"})
    assert page.status_code == 404
    assert "There is nothing here" in page.text
    assert browser.get("/datasetz").json()["error"] == "NotFound"
    assert browser.get("/v1/nothing", headers={"Accept": "text/html"}).json()["error"] == "NotFound"


@pytest.mark.parametrize(
    ("share", "text"),
    [(None, "–"), (0.0, "0%"), (2.4e-11, "<0.0001%"), (0.000123, "0.0123%"), (0.0493, "4.93%"), (1.0, "100%")],
)
def test_a_rate_is_told_without_powers_of_ten(share: float | None, text: str) -> None:
    assert rate(share) == text
