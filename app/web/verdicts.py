"""Verdicts: scores handed in, what they say of a matcher's version, and how that went from one to the next."""

import secrets
from typing import Any

from fastapi import APIRouter
from starlette.responses import Response

from app.dataset.evaluation import DEFAULT_FMR
from app.dataset.resolution import ASKED_FOR
from app.numerals import number
from app.web.ask import ApiProblem
from app.web.figures import gallery_charts, history_chart, lists_chart, verdict_chart
from app.web.forms import Form
from app.web.pages import Asked, Page, PageRoute
from app.web.sets import find_set, known_sets

router = APIRouter(include_in_schema=False, route_class=PageRoute)

PER_PAGE = 25
FINAL = ("succeeded", "failed")
SEARCHED = "search-"
"""Before the metric, where the form's file holds templates to search."""


@router.get("/verdicts")
async def show_verdicts(page: Asked) -> Response:
    """Evaluations, newest first; of one release, as a trend too."""
    release = page.form["release"].strip()
    refused = None
    try:
        found = await page.api.get(
            "/v1/evaluations", release=release, after=page.form["after"], limit=100 if release else PER_PAGE
        )
    except ApiProblem as exc:
        if exc.status != 422:
            raise
        refused, found = exc, {"evaluations": [], "next": None}
    values = {
        "evaluations": found["evaluations"],
        "next": found["next"],
        "release": release,
        "first": not page.form["after"],
        "chart": history_chart(found["evaluations"]) if release else None,
        "refused": refused,
        "names": (await page.api.get("/v1/releases", limit=100))["releases"],
        "live": any(item["state"] not in FINAL for item in found["evaluations"]),
    }
    return page.show("_verdicts.html" if page.is_fragment else "verdicts.html", 422 if refused else 200, **values)


@router.get("/verdicts/new")
async def show_new_verdict(page: Asked) -> Response:
    """The form: which set, which scores, what is allowed."""
    return await _form(page)


@router.post("/verdicts/new")
async def submit_verdict(page: Asked) -> Response:
    """Ask for the evaluation; what is refused stands in the form as it was typed."""
    form = page.form
    headers = {"Idempotency-Key": form["key"] or secrets.token_hex(16)}
    try:
        of_nobody = form["metric"].startswith(SEARCHED) and not form["set"].strip()
        ref = "" if of_nobody else (await find_set(page, form["set"])).ref
        made = await page.api.post("/v1/evaluations", evaluation_of(form, ref), headers)
    except ApiProblem as exc:
        if exc.status not in (404, 409, 410, 422, 429):
            raise
        return await _form(page, exc)
    return page.go(f"/verdicts/{made['id']}")


@router.get("/verdicts/{evaluation}")
async def show_verdict(page: Asked, evaluation: str) -> Response:
    """One evaluation: its verdict, why, and all that was measured."""
    return await _show(page, evaluation)


@router.post("/verdicts/{evaluation}")
async def delete_verdict(page: Asked, evaluation: str) -> Response:
    """Delete it."""
    if page.form["do"] != "delete" or page.form["confirm"] != "yes":
        return await _show(page, evaluation, ApiProblem(422, "NotConfirmed", "tick the box beside it first"))
    await page.api.send("DELETE", f"/v1/evaluations/{evaluation}")
    return page.go("/verdicts")


def evaluation_of(form: Form, ref: str) -> dict[str, Any]:
    """The body of `POST /v1/evaluations` on the set `ref`; what is no number stays the text that it is."""
    body: dict[str, Any] = {"name": form["name"].strip()}
    if ref:
        body["release" if "@" in ref else "dataset"] = ref
    metric = form["metric"]
    if metric.startswith(SEARCHED):
        return {**body, **_templates_of(form, metric.removeprefix(SEARCHED))}
    if metric == "candidates":
        return {**body, **_lists_of(form)}
    body["scores"] = {"upload": form["scores"], **({"metric": metric} if metric in ("cosine", "euclidean") else {})}
    if form["baseline"]:
        body["baseline"] = {"upload": form["baseline"], **({"metric": metric} if "metric" in body["scores"] else {})}
    elif form["earlier"]:
        body["baseline"] = {"evaluation": form["earlier"]}
    rule: dict[str, Any] = {
        name: _number(form[name])
        for name in ("at_fmr", "threshold", "baseline_threshold", "max_fnmr", "alpha")
        if form[name].strip()
    }
    if form["max_fnmr_increase"].strip():
        rule["max_fnmr_increase"] = form["max_fnmr_increase"].strip()
    if metric == "distances":
        rule["distances"] = True
    return {**body, "rule": rule}


def _lists_of(form: Form) -> dict[str, Any]:
    """What is asked of candidate lists."""
    found: dict[str, Any] = {"candidates": {"upload": form["scores"]}}
    if form["baseline"]:
        found["baseline"] = {"upload": form["baseline"]}
    elif form["earlier"]:
        found["baseline"] = {"evaluation": form["earlier"]}
    return {**found, "searches": _search_rule(form)}


def _templates_of(form: Form, metric: str) -> dict[str, Any]:
    """What is asked of templates to search."""
    found: dict[str, Any] = {"templates": {"upload": form["scores"], "metric": metric}}
    if form["distractors"]:
        found["templates"]["distractors"] = [form["distractors"]]
    for name in ("sizes", "extrapolate"):
        if numbers := [_number(text) for text in form[name].replace(",", " ").split()]:
            found["templates"][name] = numbers
    if form["baseline"]:
        found["baseline"] = {"upload": form["baseline"]}
        if form["baseline_distractors"]:
            found["baseline"]["distractors"] = [form["baseline_distractors"]]
    elif form["earlier"]:
        found["baseline"] = {"evaluation": form["earlier"]}
    return {**found, "searches": _search_rule(form)}


def _search_rule(form: Form) -> dict[str, Any]:
    rule: dict[str, Any] = {name: _number(form[name]) for name in ("max_fnir", "alpha") if form[name].strip()}
    if form["at_fpir"].strip():
        rule["at_fpir"] = [_number(form["at_fpir"])]
    if form["max_fnir_increase"].strip():
        rule["max_fnir_increase"] = form["max_fnir_increase"].strip()
    return rule


def _number(text: str) -> float | str:
    try:
        return number(text.strip())
    except ValueError:
        return text.strip()


async def _form(page: Page, refused: ApiProblem | None = None) -> Response:
    form = page.form
    ref = form["set"] or form["dataset"] or form["release"]
    earlier: list[dict[str, Any]] = []
    if ref:
        query = {"release": ref.partition("@")[0]} if "@" in ref else {"dataset": ref}
        try:
            earlier = (await page.api.get("/v1/evaluations", **query, limit=50))["evaluations"]
        except ApiProblem as exc:
            if exc.status != 422:
                raise
    listed = await _listed(page, ref)
    resolved = [row["fmr"] for row in listed["resolves"] if row["resolved"]] if listed else []
    return page.show(
        "verdict_new.html",
        422 if refused else 200,
        form=form,
        ref=ref,
        earlier=[item for item in earlier if item["state"] == "succeeded"],
        listed=listed,
        resolved=resolved,
        at_fmr=max(DEFAULT_FMR, min(resolved, default=ASKED_FOR[0])) if listed else DEFAULT_FMR,
        key=secrets.token_hex(16),
        refused=refused,
        list="sets",
        **await known_sets(page),
        most=(await page.api.get("/v1/whoami"))["limits"]["upload_bytes"],
    )


async def _listed(page: Page, ref: str) -> dict[str, Any] | None:
    """What the comparisons that a set lists resolve, as its request's estimate has it; None where that is not known."""
    if not ref:
        return None
    try:
        found = (await find_set(page, ref)).facts
        request = found.get("request") or (await page.api.get(f"/v1/datasets/{found['dataset']}"))["request"]
        listed: dict[str, Any] = (await page.api.post("/v1/estimates", request))["listed"]
    except ApiProblem as exc:  # it is gone, or was made of what this service has no more
        if exc.status not in (404, 409, 410, 422):
            raise
        return None
    return listed


async def _show(page: Page, evaluation: str, refused: ApiProblem | None = None) -> Response:
    found = await page.api.get(f"/v1/evaluations/{evaluation}")
    result = found["result"]
    det = None
    charts = {}
    if found["galleries"]:
        charts = gallery_charts(found["galleries"])
    elif found["searches"] and (chart := lists_chart(found["searches"])):
        charts = {"DET": chart}
    pictures = ""
    if result:
        det = verdict_chart(result)
        try:
            pictures = (await find_set(page, found["release"] or found["dataset"])).api
        except ApiProblem as exc:
            if exc.status not in (404, 410):
                raise
    groups: dict[str, list[dict[str, Any]]] = {}
    for group in (result or {}).get("groups", []):
        groups.setdefault(group["attribute"], []).append(group)
    return page.show(
        "_verdict.html" if page.is_fragment else "verdict.html",
        422 if refused else 200,
        found=found,
        result=result,
        searches=found["searches"],
        galleries=found["galleries"],
        charts=charts,
        det=det,
        pictures=pictures,
        groups=groups,
        refused=refused,
        final=found["state"] in FINAL,
    )
