"""Sets found by their names, however many there are: offered as one types, and taken where one alone is called so."""

from collections.abc import Callable
from html import unescape
from typing import Any

import pytest
from fastapi.testclient import TestClient


@pytest.fixture
def many(ask: Callable[..., str], finish_any: Callable[..., None], memory_store: Any, clock: Any) -> list[str]:
    """30 finished sets, the oldest first: the first alone is called so, two have one name."""
    made = []
    for number in range(30):
        name = "the very first" if number == 0 else "twice" if number < 3 else f"other {number}"
        clock.now += 1
        made.append(ask(name=name))
        finish_any(memory_store, "acme", made[-1])
    return made


def test_what_is_typed_brings_up_sets_beyond_the_newest(browser: TestClient, many: list[str]) -> None:
    for page in ("/compare", "/promote", "/verdicts/new"):
        text = browser.get(page).text
        assert many[-1] in text
        assert many[0] not in text  # 20 are offered at a time
    found = browser.get("/sets/known?q=very&list=known", headers={"X-Fragment": "1"}).text
    assert found.startswith('<datalist id="known">')
    assert found.count("<option") == 1
    assert many[0] in found


def test_a_name_is_as_good_as_an_id_where_one_has_it(
    browser: TestClient, many: list[str], post: Callable[..., Any]
) -> None:
    page = browser.get("/compare?a=the+very+first&b=other+7").text
    assert f"/v1/datasets/{many[0]}/samples/S0000001_0001" in page
    assert f"/v1/datasets/{many[7]}/samples/S0000001_0001" in page
    assert post("/promote", dataset="the very first", name="gate", version="1.0.0").status_code == 303
    assert browser.get("/v1/releases/gate/1.0.0").json()["dataset"] == many[0]
    assert "/v1/releases/gate/1.0.0/samples/" in browser.get(f"/compare?a=gate&b={many[5]}").text
    offered = browser.get("/sets/known?q=gat&list=x").text
    assert "gate@1.0.0" in offered
    assert "gate@" not in browser.get("/sets/known?q=gat&list=x&only=datasets").text
    refused = unescape(post("/promote", dataset="gate@1.0.0", name="gate", version="1.1.0").text)
    assert "is a release already" in refused


def test_a_name_that_several_have_or_none_is_refused_with_what_to_do(browser: TestClient, many: list[str]) -> None:
    twice = unescape(browser.get(f"/compare?a=twice&b={many[0]}").text)
    assert "2 sets are called 'twice'; take one by its id" in twice
    assert many[1] in twice
    assert many[2] in twice
    assert "type a part of its name" in unescape(browser.get(f"/compare?a=nothing&b={many[0]}").text)


def test_releases_are_listed_by_a_part_of_their_name(
    browser: TestClient, finished: str, post: Callable[..., Any]
) -> None:
    for name in ("gate-north", "gate-south", "other"):
        assert post("/promote", dataset=finished, name=name, version="1.0.0").status_code == 303
    found = browser.get("/v1/releases", params={"name": "ate-", "limit": 1}).json()
    assert [one["name"] for one in found["releases"]] == ["gate-north"]
    more = browser.get("/v1/releases", params={"name": "ate-", "limit": 1, "after": found["next"]}).json()
    assert [one["name"] for one in more["releases"]] == ["gate-south"]
    assert more["next"] is None
