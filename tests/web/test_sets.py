"""Looking at sets, releasing them, and verdicts: every figure as the API has it, every picture by its path."""

import json
import re
from collections.abc import Callable
from hashlib import sha256
from html import unescape
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fastapi.testclient import TestClient

from app.dataset.candidates import SearchRule
from app.dataset.evaluation import EvaluatedSet
from app.dataset.keys import DatasetKeys, EvaluationKeys
from app.dataset.matcher import MatcherCard
from app.jobs.catalogues.matchers import MatcherCatalogue
from app.sessions import CSRF_HEADER
from workers.verdict.candidates import Searched
from workers.verdict.gallery import Asked, evaluate_galleries
from workers.verdict.gallery_files import read_named, sides_of
from workers.verdict.searching import evaluate_searches

HOSTILE = '"><script>alert(1)</script>'


def test_the_gallery_has_every_sample_once(browser: TestClient, finished: str) -> None:
    page = browser.get(f"/datasets/{finished}/gallery").text
    names = re.findall(r'data-sample="([^"]+)"', page)
    rows = [json.loads(unescape(text)) for text in names]
    assert [row["id"] for row in rows] == [
        row["id"] for row in browser.get(f"/v1/datasets/{finished}/samples").json()["samples"]
    ]
    assert page.count('loading="lazy"') == 7
    grid = browser.get(f"/datasets/{finished}/gallery?is.role=probe").text
    assert grid.count("data-sample=") == 3
    assert 'class="grid"' in grid
    from_second = browser.get(f"/datasets/{finished}/gallery?subject=S0000001").text
    assert "S0000000_0000" not in from_second
    assert "S0000001_0000" in from_second


def test_thumbnails_stand_for_samples_where_there_are_some(
    browser: TestClient, ask: Callable[..., str], finish_any: Callable[..., None], memory_store: Any
) -> None:
    dataset = ask()
    memory_store.put(DatasetKeys("acme", dataset).thumbnails(1), b"a sheet")  # samples 4 to 6; size of a shard is 4
    finish_any(memory_store, "acme", dataset)
    page = browser.get(f"/datasets/{dataset}/gallery").text
    assert re.findall(r'<img src="[^"]*/(S\d+_\d+)" alt=""', page) == [
        f"S000000{subject}_000{sample}" for subject, sample in ((0, 0), (0, 1), (1, 0), (1, 1))
    ]
    shown = re.findall(r'<svg viewBox="([^"]*)"[^>]*><image href="([^"]*)" width="(\d+)" height="(\d+)"/>', page)
    where = f"/v1/datasets/{dataset}/thumbnails/1"
    assert shown == [(f"{96 * tile} 0 96 96", where, "288", "96") for tile in range(3)]
    assert page.count('aria-label="S0000002_0001, probe"') == 1
    compared = browser.get(f"/compare?a={dataset}&b={dataset}").text
    assert compared.count(f'<image href="{where}"') == 6  # on both sides


def test_every_layout_has_a_size_measured_or_estimated(browser: TestClient, finished: str, released: str) -> None:
    for base, api in ((f"/datasets/{finished}", f"/v1/datasets/{finished}"), (released, f"/v1{released}")):
        page = unescape(browser.get(f"{base}/downloads").text)
        found = {one["layout"]: one for one in browser.get(f"{api}/layouts").json()["layouts"]}
        assert found["plain"]["measured"]
        assert int(browser.head(f"{api}/archive?layout=plain").headers["content-length"]) >= found["plain"]["bytes"]
        assert not found["webdataset"]["measured"]
        for name, one in found.items():
            if one["state"] == "not_possible":
                assert one["reason"] in page
            else:
                assert f"{api}/archive?layout={name}" in page
        assert page.count(" estimated</span>") == sum(
            one["state"] != "not_possible" and not one["measured"] for one in found.values()
        )


def test_a_condition_that_is_none_is_told_in_place(browser: TestClient, finished: str) -> None:
    answer = browser.get(f"/datasets/{finished}/gallery?measure=quality.sharpness&measure.low=much")
    assert answer.status_code == 422
    assert "compares with a number" in answer.text


def test_the_pairs_are_those_of_the_report(browser: TestClient, finished: str, memory_store: Any) -> None:
    report: dict[str, Any] = {
        "judges": [
            {
                "matcher": {"name": "m"},
                "uniqueness": {"look_alikes": [{"score": 0.61, "subjects": ["S0000000", "S0000002"]}]},
                "absent": {},
            }
        ]
    }
    memory_store.put(DatasetKeys("acme", finished).report, json.dumps(report).encode())
    page = browser.get(f"/datasets/{finished}/pairs").text
    assert f"/v1/datasets/{finished}/samples/S0000002_0000" in page
    assert "0.61" in page
    assert "the references, and the highest score" in page  # an older report names no samples
    judge = report["judges"][0]
    judge["worst_mated"] = [{"score": 0.07, "samples": ["S0000001_0000", "S0000001_0001"]}]
    judge["most_alike"] = [{"score": 0.62, "samples": ["S0000000_0001", "S0000002_0001"]}]
    memory_store.put(DatasetKeys("acme", finished).report, json.dumps(report).encode())
    page = browser.get(f"/datasets/{finished}/pairs").text
    assert re.findall(rf"/v1/datasets/{finished}/samples/(S\d+_\d+)", page) == [
        *judge["worst_mated"][0]["samples"],
        *judge["most_alike"][0]["samples"],
    ]
    assert ("0.07" in page, "0.62" in page, "0.61" in page) == (True, True, False)


def test_two_sets_stand_side_by_side(browser: TestClient, finished: str, released: str) -> None:
    page = browser.get(f"/compare?a={finished}&b=gate@1.0.0").text
    assert f"/v1/datasets/{finished}/samples/S0000001_0001" in page
    assert "/v1/releases/gate/1.0.0/samples/S0000001_0001" in page
    wrong = browser.get(f"/compare?a={finished}&b=nonsense").text
    assert "is no finished dataset" in unescape(wrong)


def test_a_release_is_made_shown_and_withdrawn(browser: TestClient, released: str, post: Callable[..., Any]) -> None:
    assert released == "/releases/gate/1.0.0"
    record = browser.get("/v1/releases/gate/1.0.0").json()
    page = browser.get(released).text
    assert "facsimile lock gate@1.0.0" in page
    assert f'digest = "{record["digest"]}"' in unescape(page)
    assert f'pixels = "{record["pixels_digest"]}"' in unescape(page)
    assert "<script>alert" not in page
    assert "<script>alert" not in browser.get("/releases/gate").text
    for part in ("gallery", "pairs", "report", "downloads"):
        assert browser.get(f"{released}/{part}").status_code == 200
    refused = post(released, reason="wrong", confirm="gate@1.0")
    assert refused.status_code == 422
    assert 'value="wrong"' in refused.text
    assert post(released, reason=HOSTILE, confirm="gate@1.0.0").headers["location"] == "/releases/gate"
    gone = browser.get(released)
    assert gone.status_code == 410
    assert "It was withdrawn" in gone.text
    assert "<script>alert" not in gone.text
    assert HOSTILE in unescape(browser.get("/releases/gate").text)


def test_a_release_that_cannot_be_made_keeps_what_was_typed(post: Callable[..., Any], finished: str) -> None:
    answer = post("/promote", dataset=finished, name="Not A Name", version="one", notes="kept")
    assert answer.status_code == 422
    assert 'value="Not A Name"' in answer.text
    assert ">kept</textarea>" in answer.text


def test_the_next_version_is_suggested(browser: TestClient, released: str) -> None:
    assert 'value="1.1.0"' in browser.get("/promote?name=gate").text


def test_a_difference_is_a_table_and_pictures(
    browser: TestClient,
    released: str,
    ask: Callable[..., str],
    post: Callable[..., Any],
    memory_store: Any,
    finish_any: Any,
) -> None:
    other = ask(seed="8", subjects="4")
    finish_any(memory_store, "acme", other)
    assert post("/promote", dataset=other, name="gate", version="1.1.0").status_code == 303
    page = browser.get(f"{released}/diff?to=1.1.0").text
    assert "From gate@1.0.0 to gate@1.1.0" in page
    assert "/v1/releases/gate/1.1.0/samples/" in page
    assert "</small> seed</th>" in page


def test_a_verdict_says_what_was_found(browser: TestClient, evaluated: str) -> None:
    page = browser.get(evaluated).text
    assert 'class="verdict large FAIL"' in page
    assert "FNMR 20% is above 10%" in page
    assert '<polygon class="c1" points=' in page  # the band around the new scores' DET
    assert "/v1/releases/gate/1.0.0/samples/S0000001_0001" in page
    assert "before 0.875" in page
    assert "female" in page
    assert "<script>alert" not in page
    assert HOSTILE in unescape(page)
    assert "each bound 99%: " in page
    trend = browser.get("/verdicts?release=gate").text
    assert "points</span>" in trend  # a change of a rate is no rate
    assert "<svg" in trend
    assert "<script>alert" not in trend


def test_a_verdict_on_candidate_lists_says_what_was_found(
    browser: TestClient, released: str, post: Callable[..., Any], secret: str, memory_store: Any
) -> None:
    lists = b"probe,rank,reference,score\n"
    upload = sha256(lists).hexdigest()
    assert browser.put(f"/v1/uploads/{upload}", content=lists, headers={CSRF_HEADER: secret}).status_code == 201
    form = {"set": "gate@1.0.0", "scores": upload, "baseline": upload, "metric": "candidates", "at_fmr": "0.001"}
    refused = post("/verdicts/new", **form, at_fpir="0.4", max_fnir_increase="some")
    assert refused.status_code == 422
    assert "<details open><summary>Of searches (1:N)" in refused.text
    answer = post("/verdicts/new", **form, at_fpir="0.4", max_fnir="0.01", max_fnir_increase="10%")
    assert answer.status_code == 303, answer.text
    path = str(answer.headers["location"])
    asked = browser.get(f"/v1/evaluations/{path.rpartition('/')[2]}").json()["request"]
    assert asked["searches"] == {"at_fpir": [0.4], "max_fnir": 0.01, "max_fnir_increase": "10%"}
    rng = np.random.default_rng(0)
    old, new = (searched(rng.normal(size=200) + shift, rng.normal(size=200)) for shift in (4.0, 1.0))
    of = EvaluatedSet(dataset="ds_x", release="gate@1.0.0", name="x", comparisons=1, comparisons_sha256=None)
    found = evaluate_searches(of, new, old, SearchRule.model_validate(asked["searches"]))
    memory_store.put(EvaluationKeys("acme", path.rpartition("/")[2]).result, found.model_dump_json().encode())
    page = browser.get(path).text
    assert 'class="verdict large FAIL"' in page
    assert "FNIR at most" in page
    assert "rise of FNIR over the baseline" in page
    assert "200 mated and 200 non-mated searches" in page
    assert "FNIR rose by" in page
    assert f"{path.replace('/verdicts', '/v1/evaluations')}/det.svg" in page
    assert page.count('<svg class="chart"') == 1
    assert "(FPIR)" in page
    assert "<small>FNIR</small>" in browser.get("/verdicts").text


def test_templates_are_searched_without_a_set(
    browser: TestClient, secret: str, post: Callable[..., Any], memory_store: Any, tmp_path: Path
) -> None:
    upload = sha256(b"templates").hexdigest()
    assert browser.put(f"/v1/uploads/{upload}", content=b"templates", headers={CSRF_HEADER: secret}).status_code == 201
    form = {"scores": upload, "metric": "search-cosine", "distractors": upload, "sizes": "20, 50", "at_fpir": "0.2"}
    answer = post("/verdicts/new", **form, extrapolate="many")
    assert answer.status_code == 422
    assert 'value="many"' in answer.text
    path = post("/verdicts/new", **form, name="build 7").headers["location"]
    asked = browser.get(path.replace("/verdicts", "/v1/evaluations")).json()["request"]
    templates = {"upload": upload, "metric": "cosine", "distractors": [upload], "sizes": [20, 50]}
    assert asked == {"name": "build 7", "templates": templates, "searches": {"at_fpir": [0.2]}}
    rng = np.random.default_rng(0)
    names = [f"p{number}" for number in range(60)] * 2
    file = tmp_path / "t.npz"
    who = np.tile(rng.normal(size=(60, 8)), (2, 1))
    np.savez(file, ids=np.arange(120), subjects=np.array(names), templates=who + 0.3 * rng.normal(size=who.shape))
    sides = sides_of(read_named(file), [], [])
    found = evaluate_galleries("<b>t", sides, None, Asked(sizes=(20, 50), rule=SearchRule(at_fpir=(0.2,)), draws=2))
    memory_store.put(EvaluationKeys("acme", path.rpartition("/")[2]).result, found.model_dump_json().encode())
    page = browser.get(path).text
    assert page.count('<svg class="chart"') == 3
    assert "templates of no set of this service" in page
    assert "Real others, 60 of them" in page
    assert "<b>t" not in page
    listed = browser.get("/verdicts").text
    assert "N = 50" in listed
    assert "no set" in listed


def searched(mates: Any, others: Any) -> Searched:
    """A closed-set search a subject."""
    count = len(mates)
    return Searched(
        probes=np.arange(count) * 10_000 + 1,
        has_mate=np.ones(count, bool),
        mate_scores=mates,
        mate_ranks=np.ones(count, np.int64),
        best_others=others,
        gallery=count,
        gallery_digest="",
        candidates=2 * count,
        lengths=np.full(count, 2),
        ties=(),
        tied=0,
    )


def test_the_form_proposes_an_fmr_that_the_set_resolves(
    browser: TestClient, ask: Callable[..., str], memory_store: Any, finish_any: Any
) -> None:
    def form(subjects: int) -> str:
        dataset = ask(subjects=str(subjects), samples_per_subject="3", selection="complete")
        finish_any(memory_store, "acme", dataset)
        return browser.get(f"/verdicts/new?dataset={dataset}").text

    assert 'name="at_fmr" value="0.001"' in browser.get("/verdicts/new").text
    small = form(3)
    assert 'name="at_fmr" value="0.01"' in small
    assert "resolve no FMR of 1% or below" in small
    middle = form(30)
    assert 'name="at_fmr" value="0.01"' in middle
    assert re.search(r"lists [34],\d{3} non-mated comparisons\. By the rule of 30 they resolve FMR 1%;", middle)
    assert 'name="at_fmr" value="0.001"' in form(90)


def test_what_is_refused_of_a_verdict_stands_in_place(
    browser: TestClient, released: str, post: Callable[..., Any]
) -> None:
    answer = post("/verdicts/new", set="gate@1.0.0", scores="0" * 64, at_fmr="often", max_fnmr_increase="10%")
    assert answer.status_code == 422
    page = unescape(answer.text)
    assert 'value="often"' in page
    assert 'value="10%"' in page
    assert 'role="alert"' in page


def test_a_verdict_is_deleted_only_when_confirmed(
    browser: TestClient, evaluated: str, post: Callable[..., Any]
) -> None:
    assert post(evaluated, do="delete").status_code == 422
    assert post(evaluated, do="delete", confirm="yes").status_code == 303
    assert browser.get(evaluated).status_code == 404


@pytest.mark.parametrize("path", ["/releases", "/promote", "/verdicts", "/verdicts/new", "/compare"])
def test_an_empty_service_has_pages_too(browser: TestClient, path: str) -> None:
    page = browser.get(path)
    assert page.status_code == 200
    assert not re.search(r"<script(?![^>]*\ssrc=)|<style|\sstyle=|\son[a-z]+=", page.text)


def test_a_set_of_templates_is_shown_without_pictures(
    browser: TestClient, post: Callable[..., Any], secret: str, memory_store: Any, finish_any: Callable[..., None]
) -> None:
    facts = {"version": "1", "dimensions": 4, "score": "cosine", "provenance": "none", "judge": True}
    MatcherCatalogue(memory_store).publish([MatcherCard.model_validate({"name": "m", "digest": "a" * 64, **facts})])
    body = {"name": "crowd", "subjects": 3, "samples_per_subject": 2, "product": "templates", "matcher": "m"}
    made = browser.post("/v1/datasets", json=body, headers={CSRF_HEADER: secret}).json()["id"]
    finish_any(memory_store, "acme", made)
    at = DatasetKeys("acme", made)
    kept = {"matcher": "m", "matcher_digest": "a" * 64, "dimensions": 4, "failed": 0}
    memory_store.put(at.summary, json.dumps({**json.loads(memory_store.get(at.summary)), "templates": kept}).encode())
    memory_store.put(at.templates, b"PK")
    assert post("/promote", dataset=made, name="crowd", version="1.0.0", notes="").status_code == 303
    for base, api in (
        (f"/datasets/{made}", f"/v1/datasets/{made}"),
        ("/releases/crowd/1.0.0", "/v1/releases/crowd/1.0.0"),
    ):
        page = browser.get(base).text
        assert "No image is kept of its samples" in page
        assert "--distractors crowd/templates.npz" in page
        assert f'href="{api}/templates"' in page
        assert "contact-sheet" not in page
        assert f"{base}/gallery" not in page
        assert "Templates (NPZ)" in browser.get(f"/datasets/{made}/downloads").text
        for looked_at in ("gallery", "pairs"):
            refused = browser.get(f"{base}/{looked_at}")
            assert refused.status_code == 404
            assert "there is nothing to look at" in refused.text
        assert browser.get(f"{api}/templates").content == b"PK"
    assert "nothing to look at" in browser.get(f"/compare?a={made}&b={made}").text
    again = browser.get(f"/new?like={made}").text
    assert '<option value="m" selected>its template by m alone, no image</option>' in again
    shown = unescape(re.search(r"<pre[^>]*>(\{.*?\})</pre>", again, re.S)[1])  # type: ignore[index]
    assert json.loads(shown) == body
    form = {"name": "crowd", "subjects": "3", "samples_per_subject": "2", "templates_of": "m"}
    refused = post("/new", **form, layouts="zip")
    assert refused.status_code == 422
    assert "layouts" in refused.text
    path = post("/new", **form, checks="1", unique="1", face_found="1").headers["location"]
    asked = browser.get(path.replace("/datasets", "/v1/datasets")).json()["request"]
    assert {name: asked[name] for name in body} == body
