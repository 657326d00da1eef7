"""Choosing by looking: the models side by side, and a new set with what it will look like and come to."""

import secrets
from typing import Any

from fastapi import APIRouter
from starlette.responses import Response

from app.dataset.layout import Layout
from app.numerals import is_number, number
from app.web.ask import ApiProblem
from app.web.draft import (
    PREVIEW_SAMPLES,
    PREVIEW_SUBJECTS,
    as_command,
    as_curl,
    calibration_of,
    form_of,
    preview_of,
    request_of,
)
from app.web.figures import calibration_chart, model_chart
from app.web.forms import Form
from app.web.pages import Asked, Page, PageRoute
from app.web.say import json_text

router = APIRouter(include_in_schema=False, route_class=PageRoute)

FIRST = Form(
    [
        ("name", "first look"),
        ("subjects", "20"),
        ("samples_per_subject", "5"),
        ("scale", "1"),
        ("checks", "1"),
        ("unique", "1"),
        ("face_found", "1"),
    ]
)
"""What the form says before anything is typed."""


TARGET = {"fnmr": "0.05", "fmr": "0.01"}
"""What the form proposes for a target."""

SHAPE = (PREVIEW_SUBJECTS, PREVIEW_SAMPLES)
"""Rows and columns of a preview."""


@router.get("/models")
async def show_models(page: Asked) -> Response:
    """Every model's card, side by side."""
    found = await page.api.get("/v1/models")
    charts = {
        card["name"]: model_chart(curve)
        for card in found["models"]
        if (curve := card.get("evaluation", {}).get("curve"))
    }
    return page.show(
        "models.html", default=found["default"], models=found["models"], charts=charts, preview_shape=SHAPE
    )


@router.get("/new")
async def show_new(page: Asked) -> Response:
    """The form; what stands in the query is filled in, `like` takes another set's request."""
    form = page.form
    if like := form["like"]:
        form = form_of((await page.api.get(f"/v1/datasets/{like}"))["request"])
    return await _show_form(page, form if form.pairs else FIRST)


@router.get("/new/draft")
async def show_draft(page: Asked) -> Response:
    """What the form comes to as it stands: what is wrong with it, or its size, what it resolves, and the request."""
    return page.show("_draft.html", **await _draft(page, page.form))


@router.get("/new/calibration/{calibration}")
async def show_calibration(page: Asked, calibration: str) -> Response:
    """How far the search for the scale is, and its curve once it is there."""
    job = await page.api.get(f"/v1/calibrations/{calibration}")
    result = job["result"]
    points = result["curve"] if result else job["tried"]
    curve = calibration_chart(job["request"]["target"], points) if points else None
    return page.show("_calibration.html", job=job, curve=curve)


@router.post("/new")
async def submit_new(page: Asked) -> Response:
    """Ask for the set; what is refused stands in the form as it was typed."""
    form = page.form
    body = request_of(form.without("key"))
    try:
        made = await page.api.post("/v1/datasets", body, {"Idempotency-Key": form["key"] or secrets.token_hex(16)})
    except ApiProblem as exc:
        if exc.status not in (409, 422, 429):
            raise
        return await _show_form(page, form.without("key"), exc)
    return page.go(f"/datasets/{made['id']}")


async def _show_form(page: Page, form: Form, refused: ApiProblem | None = None) -> Response:
    models = await page.api.get("/v1/models")
    matchers = await page.api.get("/v1/matchers")
    if form["difficulty"] == "target":  # what the fields show is what they mean, also where a link left it out
        shown = {"matcher": matchers["matchers"][0]["name"] if matchers["matchers"] else "", **TARGET}
        missing = [(f"target.{name}", value) for name, value in shown.items() if not form[f"target.{name}"] and value]
        form = Form([*form.pairs, *missing])
    named = form["model"] or models["default"]
    cards = {card["name"]: card for card in models["models"]}
    return page.show(
        "new.html",
        422 if refused else 200,
        form=form,
        models=models["models"],
        default=models["default"],
        card=cards.get(named) or cards[models["default"]],
        factors=any(name.startswith("factor.") and value != "1" for name, value in form.pairs),
        matchers=matchers["matchers"],
        layouts=[layout.value for layout in Layout if layout is not Layout.PLAIN],
        key=form["key"] or secrets.token_hex(16),
        refused=refused,
        preview_shape=SHAPE,
        target=TARGET,
        **await _draft(page, form),
    )


async def _draft(page: Page, form: Form) -> dict[str, Any]:
    request = request_of(form)
    estimate, problems = None, []
    try:
        estimate = await page.api.post("/v1/estimates", request)
    except ApiProblem as exc:
        if exc.status != 422:
            raise
        problems = exc.problems
    base = str(page.request.base_url).rstrip("/")
    scale = form["calibrated"]
    calibration = calibration_of(request)
    return {
        "problems": problems,
        "estimate": estimate,
        "text": json_text(request),
        "curl": as_curl(request, base),
        "command": as_command(request, base),
        "preview": json_text(preview_of(request, number(scale) if is_number(scale) else None)),
        "calibration": json_text(calibration) if calibration else "",
    }
