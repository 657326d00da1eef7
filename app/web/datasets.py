"""Datasets: the list, one of them live, and what it consists of."""

from typing import Any

from fastapi import APIRouter
from starlette.responses import Response

from app.dataset.layout import Layout
from app.web.ask import ApiProblem
from app.web.figures import calibration_chart
from app.web.pages import Asked, Page, PageRoute
from app.web.sets import find_dataset

router = APIRouter(include_in_schema=False, route_class=PageRoute)

PER_PAGE = 25
STATES = ("accepted", "running", "assembling", "succeeded", "failed", "cancelled")
FINAL = ("succeeded", "failed", "cancelled")
PHASES = ("survey", "choose", "calibrate", "generate", "judge", "report", "layout", "assemble")


@router.get("/")
async def show_home(page: Asked) -> Response:
    """The datasets."""
    return await show_datasets(page)


@router.get("/datasets")
async def show_datasets(page: Asked) -> Response:
    """A page of datasets, newest first."""
    form = page.form
    state = form["state"] if form["state"] in STATES else ""
    found = await page.api.get(
        "/v1/datasets", state=state, name=form["name"][:100], after=form["after"], limit=PER_PAGE
    )
    values = {
        "datasets": found["datasets"],
        "next": found["next"],
        "state": state,
        "name": form["name"],
        "states": STATES,
        "live": any(dataset["state"] not in FINAL for dataset in found["datasets"]),
        "first": not form["after"] and not state and not form["name"],
    }
    return page.show("_datasets.html" if page.is_fragment else "datasets.html", **values)


@router.get("/datasets/{dataset}")
async def show_dataset(page: Asked, dataset: str) -> Response:
    """One dataset: live while it is being made, then what it has come to."""
    return await _show(page, dataset)


@router.post("/datasets/{dataset}")
async def act_on_dataset(page: Asked, dataset: str) -> Response:
    """Cancel or delete it."""
    here = f"/v1/datasets/{dataset}"
    if page.form["do"] == "cancel":
        try:
            await page.api.send("POST", f"{here}/cancel")
        except ApiProblem as exc:
            if exc.status != 409:
                raise
            return await _show(page, dataset, exc)
        return page.go(f"/datasets/{dataset}")
    if page.form["do"] == "delete":
        if page.form["confirm"] != "yes":
            return await _show(page, dataset, ApiProblem(422, "NotConfirmed", "tick the box beside it first"))
        await page.api.send("DELETE", here)
        return page.go("/datasets", deleted=dataset)
    raise ApiProblem(422, "RequestRefused", "this page can cancel or delete a dataset, nothing else")


@router.get("/datasets/{dataset}/report")
async def show_report(page: Asked, dataset: str) -> Response:
    """The report, in the page."""
    return page.show("report.html", set=await find_dataset(page, dataset), tab="report")


@router.get("/datasets/{dataset}/downloads")
async def show_downloads(page: Asked, dataset: str) -> Response:
    """Everything to download, in every layout."""
    found = await find_dataset(page, dataset)
    layouts = (await page.api.get(f"{found.api}/layouts"))["layouts"]
    return page.show("downloads.html", set=found, tab="downloads", layouts=layouts)


async def _show(page: Page, dataset: str, refused: ApiProblem | None = None) -> Response:
    found = await page.api.get(f"/v1/datasets/{dataset}")
    values = {
        "dataset": found,
        "refused": refused,
        "phases": phases_of(found),
        "curve": calibration_chart(found["request"]["variability"]["target"], found["tried"])
        if found["tried"]
        else None,
        "waits": await _why_it_waits(page, found),
        "final": found["state"] in FINAL,
        "tab": "overview",
        "base": f"/datasets/{dataset}",
        "report": None,
    }
    if found["state"] == "succeeded" and not page.is_fragment:
        values["report"] = await page.api.maybe(f"/v1/datasets/{dataset}/report", format="json")
    return page.show("_live.html" if page.is_fragment else "dataset.html", 422 if refused else 200, **values)


def phases_of(dataset: dict[str, Any]) -> list[dict[str, Any]]:
    """The phases that this dataset goes through, each with where it stands and how far it is."""
    progress, request = dataset["progress"], dataset["request"]
    checks = request.get("checks") or {}
    skipped = set()
    if not checks.get("unique", True):
        skipped |= {"survey", "choose"}
    if not progress["scales_most"]:
        skipped.add("calibrate")
    if not progress["judged_total"]:
        skipped.add("judge")
    if all(layout == Layout.PLAIN for layout in request.get("layouts") or []):
        skipped.add("layout")
    kept = [phase for phase in PHASES if phase not in skipped]
    now = progress["phase"]
    at = kept.index(now) if now in kept else (len(kept) if dataset["state"] == "succeeded" else 0)
    identities = (request.get("subjects") or 0) + (request.get("distractors") or 0)
    amounts = {
        "survey": (progress["identities_checked"], identities),
        "calibrate": (progress["scales_tried"], progress["scales_most"]),
        "generate": (progress["samples_done"], progress["samples_total"]),
        "judge": (progress["judged_done"], progress["judged_total"]),
    }
    found = []
    for number, phase in enumerate(kept):
        done, total = amounts.get(phase, (None, None))
        stands = "done" if number < at else "now" if number == at and dataset["state"] not in FINAL else "later"
        found.append({"name": phase, "stands": stands, "done": done, "total": total})
    return found


async def _why_it_waits(page: Page, dataset: dict[str, Any]) -> str:
    """Why nothing has begun yet, in a sentence; empty where something has."""
    if dataset["state"] != "accepted":
        return ""
    found = await page.api.get("/v1/service")
    if found["queue"] is None:
        return "It waits: the queue does not answer. It goes on by itself once it does."
    waiting = sum(found["queue"].values())
    if waiting > 1:
        return f"It waits for its turn: {waiting:,} tasks are in the queue, {found['unfinished']:,} sets under way."
    return "It waits for a worker to take it up. If none does within a minute, ask who runs the service."
