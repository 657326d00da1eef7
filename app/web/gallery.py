"""Looking at a set: its samples by subject or all together, the pairs that matter, and two sets side by side."""

from itertools import groupby
from typing import Any

from fastapi import APIRouter
from starlette.responses import Response

from app.numerals import is_count
from app.web.ask import ApiProblem
from app.web.pages import Asked, Page, PageRoute
from app.web.sets import ShownSet, find_dataset, find_release, find_set, known_sets

router = APIRouter(include_in_schema=False, route_class=PageRoute)

PER_PAGE = 120
"""Samples on a page, about: subjects are not torn apart."""

LARGEST_ROW = 60
"""Samples of one subject that are shown in its row; the grid has all."""

COMPARED = 12
"""Subjects that two sets are compared by at a time."""

LISTED_PAIRS = 12


@router.get("/datasets/{dataset}/gallery")
async def show_gallery(page: Asked, dataset: str) -> Response:
    """A dataset's samples."""
    return await _gallery(page, await find_dataset(page, dataset))


@router.get("/releases/{name}/{version}/gallery")
async def show_release_gallery(page: Asked, name: str, version: str) -> Response:
    """A release's samples."""
    return await _gallery(page, await find_release(page, name, version))


@router.get("/datasets/{dataset}/pairs")
async def show_pairs(page: Asked, dataset: str) -> Response:
    """The pairs of a dataset that matter."""
    return await _pairs(page, await find_dataset(page, dataset))


@router.get("/releases/{name}/{version}/pairs")
async def show_release_pairs(page: Asked, name: str, version: str) -> Response:
    """The pairs of a release that matter."""
    return await _pairs(page, await find_release(page, name, version))


@router.get("/compare")
async def show_compare(page: Asked) -> Response:
    """Two sets side by side, the same places in both."""
    form = page.form
    sides: list[dict[str, Any]] = []
    refused = None
    start = max(0, whole(form["from"]))
    for name in ("a", "b"):
        if not form[name].strip():
            continue
        try:
            found = await find_set(page, form[name])
            found.demand_images()
            sides.append({"set": found, **await _subjects(page, found, start, COMPARED)})
        except ApiProblem as exc:
            if exc.status not in (404, 410, 422):
                raise
            refused = ApiProblem(422, exc.error, f"{name}: {exc.detail}")
    both = len(sides) == 2
    most = max((side["page"]["subjects"] + side["page"]["distractors"] for side in sides), default=0)
    return page.show(
        "compare.html",
        form=form,
        sides=sides if both else [],
        refused=refused,
        start=start,
        step=COMPARED,
        most=most,
        names=sorted({name for side in sides for name in side["rows"]}) if both else [],
        list="known",
        **await known_sets(page),
    )


def whole(text: str) -> int:
    """The whole number that was typed; 0 for anything else."""
    return int(text) if is_count(text) and len(text) < 15 else 0


def conditions_of(page: Page) -> list[str]:
    """What the filter's fields ask for, as the API's conditions."""
    found = []
    for name, value in page.form.pairs:
        if name.startswith("is.") and value:
            found.append(f"{name.removeprefix('is.')}={value}")
    if measure := page.form["measure"]:
        for end, sign in (("low", ">="), ("high", "<=")):
            if value := page.form[f"measure.{end}"].strip():
                found.append(f"{measure}{sign}{value}")
    return found


async def _gallery(page: Page, found: ShownSet) -> Response:
    found.demand_images()
    where = conditions_of(page)
    grid = page.form["view"] == "grid" or bool(where)
    first = await page.api.get(f"{found.api}/samples", limit=1)
    each = first["samples_per_subject"]
    after = whole(page.form["after"]) if page.form["after"] else None
    if subject := page.form["subject"].strip().removeprefix("S"):
        number = whole(subject.lstrip("0") or "0")
        mated = first["subjects"] * each
        after = (number * each if number < first["subjects"] else mated + number - first["subjects"]) - 1
    limit = PER_PAGE if grid else max(1, PER_PAGE // each) * each
    refused = None
    try:
        samples = await page.api.get(f"{found.api}/samples", limit=min(500, limit), after=after, where=where or None)
    except ApiProblem as exc:
        if exc.status != 422:
            raise
        refused, samples = exc, {**first, "samples": [], "missing": [], "next": None}
    known = first["samples"][0] if first["samples"] else {"attributes": {}, "shown": None, "quality": None}
    values = {
        "set": found,
        "tab": "gallery",
        "page": samples,
        "rows": _by_subject(samples["samples"]),
        "grid": grid,
        "filtered": bool(where),
        "form": page.form,
        "choices": await _choices(page, found),
        "measures": [
            *(f"attributes.{name}" for name, value in known["attributes"].items() if isinstance(value, float)),
            *(f"shown.{name}" for name, value in (known["shown"] or {}).items() if isinstance(value, float)),
            *(f"quality.{name}" for name in sorted(known["quality"] or {})),
        ],
        "refused": refused,
        "more": page.form.without("after", "subject").query,
        "largest_row": LARGEST_ROW,
    }
    return page.show("_samples.html" if page.is_fragment else "gallery.html", 422 if refused else 200, **values)


async def _choices(page: Page, found: ShownSet) -> dict[str, list[str]]:
    """Attributes that have names for values, as the set's model has them."""
    card = await page.api.maybe(f"/v1/models/{found.facts['model']['name']}")
    choices: dict[str, list[str]] = {}
    for name, attribute in (card or {}).get("attributes", {}).items():
        if attribute["kind"] == "choice":
            choices[name] = list(attribute["values"])
        elif attribute["kind"] == "share":
            choices[name] = ["true", "false"]
    return choices | {name: list(scale["values"]) for name, scale in (card or {}).get("scales", {}).items()}


def _by_subject(samples: list[dict[str, Any]]) -> list[tuple[str, list[dict[str, Any]]]]:
    return [(subject, list(rows)) for subject, rows in groupby(samples, key=lambda row: str(row["subject"]))]


async def _subjects(page: Page, found: ShownSet, start: int, count: int) -> dict[str, Any]:
    """Some subjects' samples, by the subject's label."""
    first = await page.api.get(f"{found.api}/samples", limit=1)
    each = min(first["samples_per_subject"], LARGEST_ROW)
    first_sample = start * first["samples_per_subject"]
    samples = await page.api.get(f"{found.api}/samples", limit=min(500, count * each), after=first_sample - 1)
    return {"page": samples, "rows": dict(_by_subject(samples["samples"]))}


async def _pairs(page: Page, found: ShownSet) -> Response:
    found.demand_images()
    report = await page.api.maybe(f"{found.api}/report", format="json") or {}
    judges = []
    for judge in report.get("judges", []):
        alike = [(*pair["samples"], pair["score"]) for pair in judge.get("most_alike") or []]
        if not alike:  # reports of before name subjects alone
            listed = (judge.get("uniqueness") or {}).get("look_alikes") or []
            alike = [(*(f"{subject}_0000" for subject in pair["subjects"]), pair["score"]) for pair in listed]
        judges.append(
            {
                "name": judge["matcher"]["name"],
                "named": bool(judge.get("most_alike")),
                "alike": alike[:LISTED_PAIRS],
                "worst": [(*pair["samples"], pair["score"]) for pair in (judge.get("worst_mated") or [])][
                    :LISTED_PAIRS
                ],
                "absent": (judge.get("absent") or {}).get("difficulty", ""),
            }
        )
    return page.show("pairs.html", set=found, tab="pairs", judges=judges)
