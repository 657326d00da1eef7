"""Releases: make a dataset one, its versions, what changed between two, and taking one back for good."""

import re
from typing import Any
from urllib.parse import quote

from fastapi import APIRouter
from starlette.responses import Response

from app.client.lockfile import Locked
from app.dataset.layout import Layout
from app.dataset.release import Release
from app.web.ask import ApiProblem
from app.web.pages import Asked, Page, PageRoute
from app.web.sets import ShownSet, find_release, find_set, known_sets

router = APIRouter(include_in_schema=False, route_class=PageRoute)

PER_PAGE = 50


@router.get("/releases")
async def show_releases(page: Asked) -> Response:
    """Every name with its versions."""
    found = await page.api.get("/v1/releases", after=page.form["after"], limit=PER_PAGE)
    return page.show("releases.html", names=found["releases"], next=found["next"], first=not page.form["after"])


@router.get("/promote")
async def show_promote(page: Asked) -> Response:
    """The form that makes a dataset a release."""
    return await _promote(page)


@router.post("/promote")
async def promote(page: Asked) -> Response:
    """Make it one."""
    form = page.form
    name, version = form["name"].strip(), form["version"].strip()
    try:
        if not name or not version:
            raise ApiProblem(422, "RequestRefused", "a release needs a name and a version")
        chosen = await find_set(page, form["dataset"])
        if chosen.released:
            raise ApiProblem(422, "RequestRefused", f"{chosen.ref} is a release already; choose a dataset")
        body = {"dataset": chosen.ref, "notes": form["notes"].strip()}
        made = await page.api.send("PUT", f"/v1/releases/{quote(name, safe='')}/{quote(version, safe='')}", body=body)
    except ApiProblem as exc:
        if exc.status not in (404, 409, 422):
            raise
        return await _promote(page, exc)
    return page.go(made.headers["location"].removeprefix("/v1"))


@router.get("/releases/{name}")
async def show_versions(page: Asked, name: str) -> Response:
    """Every version of a name, and those that were taken back."""
    found = await page.api.get(f"/v1/releases/{quote(name, safe='')}")
    return page.show("versions.html", found=found)


@router.get("/releases/{name}/{version}")
async def show_release(page: Asked, name: str, version: str) -> Response:
    """One release."""
    return await _show(page, await find_release(page, name, version))


@router.post("/releases/{name}/{version}")
async def withdraw(page: Asked, name: str, version: str) -> Response:
    """Take it back for good, with a reason."""
    found = await find_release(page, name, version)
    body = {"reason": page.form["reason"].strip(), "confirm": page.form["confirm"].strip()}
    try:
        await page.api.send("DELETE", found.api, body=body)
    except ApiProblem as exc:
        if exc.status not in (409, 422):
            raise
        return await _show(page, found, exc)
    return page.go(f"/releases/{found.facts['name']}")


@router.get("/releases/{name}/{version}/report")
async def show_release_report(page: Asked, name: str, version: str) -> Response:
    """Its report, in the page."""
    return page.show("report.html", set=await find_release(page, name, version), tab="report")


@router.get("/releases/{name}/{version}/downloads")
async def show_release_downloads(page: Asked, name: str, version: str) -> Response:
    """Everything to download."""
    found = await find_release(page, name, version)
    layouts = (await page.api.get(f"{found.api}/layouts"))["layouts"]
    return page.show("downloads.html", set=found, tab="downloads", layouts=layouts)


@router.get("/releases/{name}/{version}/diff")
async def show_diff(page: Asked, name: str, version: str) -> Response:
    """What is other in another release: as a table, and as pictures."""
    found = await find_release(page, name, version)
    to = page.form["to"].strip()
    if not to:
        return page.go(found.base)
    diff = await page.api.get(f"{found.api}/diff", to=to)
    other = await find_release(page, diff["after"]["name"], diff["after"]["version"])
    return page.show("diff.html", set=found, other=other, diff=diff, tab="", rows=_rows(diff))


def next_version(versions: list[str]) -> str:
    """What the next version of a name may be: the highest, one minor step on; 1.0.0 for the first."""
    for version in versions:
        if match := re.fullmatch(r"(\d+)\.(\d+)\.(\d+)", version):
            return f"{match[1]}.{int(match[2]) + 1}.0"
    return "1.0.0"


async def _promote(page: Page, refused: ApiProblem | None = None) -> Response:
    form = page.form
    dataset = None
    if form["dataset"].strip() and refused is None:
        dataset = await find_set(page, form["dataset"])
    names = (await page.api.get("/v1/releases", limit=100))["releases"]
    same = next((item for item in names if item["name"] == form["name"]), None)
    suggested = next_version([*same["versions"], *same["withdrawn"]]) if same else "1.0.0"
    return page.show(
        "promote.html",
        422 if refused else 200,
        form=form,
        dataset=dataset,
        names=names,
        suggested=suggested,
        list="finished",
        **await known_sets(page, releases=False),
        refused=refused,
    )


async def _show(page: Page, found: ShownSet, refused: ApiProblem | None = None) -> Response:
    facts = found.facts
    versions = await page.api.get(f"/v1/releases/{facts['name']}")
    verdicts = await page.api.get("/v1/evaluations", release=found.ref, limit=10)
    release = Release.model_validate({name: value for name, value in facts.items() if name != "links"})
    locked = Locked.of(release, Layout.PLAIN)
    return page.show(
        "release.html",
        422 if refused else 200,
        set=found,
        release=facts,
        tab="overview",
        refused=refused,
        form=page.form,
        others=[item["version"] for item in versions["releases"] if item["version"] != facts["version"]],
        verdicts=verdicts["evaluations"],
        lock="\n".join(
            ["[[release]]", *(f'{key} = "{value}"' for key, value in locked.model_dump(mode="json").items())]
        ),
        report=await page.api.maybe(f"{found.api}/report", format="json"),
    )


def _rows(diff: dict[str, Any]) -> list[tuple[str, str, Any, Any]]:
    """Every single fact that differs: (of what, field, before, after). Whole tables differ wherever two sets do."""
    return [
        (part, item["field"], item["before"], item["after"])
        for part in ("request", "model", "sigma", "measures")
        for item in diff[part]
        if not isinstance(item["before"] or item["after"], dict | list) and not item["field"].startswith("dataset.")
    ]
