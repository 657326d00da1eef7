"""Every figure of the console has an endpoint that all have: the guide's table against pages, calls and OpenAPI."""

import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.routing import APIRoute
from fastapi.testclient import TestClient

from app.access import ApiKeys, Role
from app.web import ask, console

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "deploy" / "guide" / "console.md").read_text(encoding="utf-8")
TABLE = {
    page: re.findall(r"`([A-Z]+ /v1/[^`]+)`", cells[2])
    for line in TEXT.splitlines()
    if line.startswith("| `/") and (cells := line.strip("| ").split(" | "))
    for page in re.findall(r"`([^`]+)`", cells[0])
}
"""The endpoints of each page."""

Endpoints = dict[str, re.Pattern[str]]

NOT_PAGES = ("/static/", "/signin", "/signout")
WEB = ROOT / "app" / "web"


@pytest.fixture
def endpoints(api: FastAPI) -> Endpoints:
    """What the OpenAPI document describes, by method and path, and what an address of it looks like."""
    return {
        f"{method.upper()} {path}": re.compile(f"{method.upper()} {re.sub(r'{[^}]+}', '[^/]+', path)}")
        for path, methods in api.openapi()["paths"].items()
        for method in methods
    }


def pages() -> Iterator[str]:
    for part in console.PARTS:
        for route in part.router.routes:
            if isinstance(route, APIRoute) and "GET" in route.methods and not route.path.startswith(NOT_PAGES):
                yield route.path


def test_every_page_is_in_the_table_and_no_other() -> None:
    assert set(TABLE) == set(pages())


def test_every_endpoint_of_the_table_is_described(endpoints: Endpoints) -> None:
    assert {one for row in TABLE.values() for one in row} - set(endpoints) == set()
    assert all(TABLE.values())


def test_what_templates_and_scripts_ask_for_is_described(endpoints: Endpoints) -> None:
    """Links, pictures and what scripts fetch, with anything for what is filled in."""
    found = 0
    for file in (*WEB.glob("templates/*.html"), *WEB.glob("static/*.js")):
        text = re.sub(r"\{\{.*?\}\}|\$\{.*?\}", "0", file.read_text(encoding="utf-8"))
        for path in re.findall(r"[\"'`](/v1/[^\"'`?<]*)", text):
            known = any(
                pattern.pattern.partition(" ")[2] and re.fullmatch(pattern.pattern.partition(" ")[2], path)
                for pattern in endpoints.values()
            )
            assert known, f"{file.name}: {path}"
            found += 1
    assert found > 5


@pytest.mark.usefixtures("evaluated")
def test_what_each_page_asks_for_stands_beside_it(
    api: FastAPI,
    memory_store: Any,
    finished: str,
    endpoints: Endpoints,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    called: defaultdict[str, set[str]] = defaultdict(set)
    as_it_is = ask.Api.send

    async def noted(self: ask.Api, method: str, path: str, **given: Any) -> Any:
        called[self._request.scope["route"].path].add(f"{method} {path.partition('?')[0]}")
        return await as_it_is(self, method, path, **given)

    monkeypatch.setattr(ask.Api, "send", noted)
    browser = TestClient(api, follow_redirects=False)
    key = ApiKeys(memory_store).issue("acme", "an admin's", role=Role.ADMIN)
    browser.post("/signin", data={"key": key})
    (verdict,) = browser.get("/v1/evaluations").json()["evaluations"]
    filled = {"dataset": finished, "name": "gate", "version": "1.0.0"}
    filled |= {"evaluation": verdict["id"], "calibration": "cal_0"}
    queries = {
        "/new": f"?like={finished}",
        "/new/draft": "?name=x&subjects=3&samples_per_subject=2",
        "/compare": f"?a={finished}&b=gate@1.0.0",
        "/promote": f"?dataset={finished}",
        "/releases/{name}/{version}/diff": "?to=1.0.0",
        "/verdicts": "?release=gate",
        "/verdicts/new": "?release=gate@1.0.0",
        "/sets/known": "?q=gate&list=sets",
    }
    for page in pages():
        answer = browser.get(page.format(**filled) + queries.get(page, ""))
        assert answer.status_code < (500 if "calibration" in page else 400), f"{page}: {answer.text}"
    assert set(called) == set(TABLE)
    for page, calls in called.items():
        for call in calls:
            known = {name for name, pattern in endpoints.items() if pattern.fullmatch(call)}
            assert known & set(TABLE[page]), f"{page} asks {call}, and deploy/guide/console.md does not say so"
