"""From the form on `/new` to the request that the API takes, and back. What was left alone is left out."""

import json
import shlex
from typing import Any

from app.web.forms import Form

SHARES = ("sex", "skin_tone")
WORN = ("glasses", "headwear", "mask")
PREVIEW_SUBJECTS, PREVIEW_SAMPLES = 3, 4
"""Twelve faces take `parametric` two seconds of one core; more would keep one waiting at every move of a slider. Rows
are asked for one by one (`preview.js`), so the first is there after a third of that."""
PREVIEW_PIXELS = 160
"""Previews are made in the size asked for up to this; larger ones would keep one waiting."""


def request_of(form: Form) -> dict[str, Any]:
    """The body of `POST /v1/datasets`. What is no number stays the text that it is: the API says what is wrong."""
    request: dict[str, Any] = {}
    for name in ("name", "model"):
        _take(request, name, form[name].strip())
    if matcher := form["templates_of"]:
        request |= {"product": "templates", "matcher": matcher}
    for name in ("subjects", "samples_per_subject", "distractors", "seed"):
        _take(request, name, _number(form[name]))
    if request.get("distractors") == 0:
        del request["distractors"]
    _take(request, "variability", _variability(form))
    _take(request, "attributes", _attributes(form))
    _take(request, "image", _image(form))
    # A box that is not ticked is not sent: the form says beside it that it was there.
    unticked = {name: False for name in ("unique", "face_found") if "checks" in form and name not in form}
    _take(request, "checks", unticked)
    _take(request, "comparisons", {"selection": form["selection"]} if form["selection"] else {})
    _take(request, "report", _only(judged_subjects=_number(form["judged_subjects"])))
    marking: dict[str, Any] = {}
    if form["c2pa"]:
        marking["c2pa"] = "detached" if form["c2pa"] == "detached" else True
    if "watermark" in form:
        marking["watermark"] = True
    _take(request, "marking", marking)
    _take(request, "layouts", [layout for layout in form.all("layouts") if layout != "plain"])
    _take(request, "retention_days", _number(form["retention_days"]))
    return request


def form_of(request: dict[str, Any]) -> Form:
    """The form that `request_of` reads this request from: to make another one like it."""
    pairs: list[tuple[str, str]] = []

    def put(name: str, value: Any) -> None:
        if value is not None:
            pairs.append((name, f"{value:g}" if isinstance(value, float) else str(value)))

    for name in ("name", "model", "subjects", "samples_per_subject", "distractors", "seed", "retention_days"):
        put(name, request.get(name))
    if request.get("product") == "templates":
        put("templates_of", request.get("matcher"))
    variability = request.get("variability") or {}
    put("scale", variability.get("scale"))
    for factor, value in (variability.get("factors") or {}).items():
        put(f"factor.{factor}", value)
    if target := variability.get("target"):
        put("difficulty", "target")
        for name in ("matcher", "fmr", "fnmr", "tolerance"):
            put(f"target.{name}", target.get(name))
    attributes = request.get("attributes") or {}
    for name in SHARES:
        for value, share in (attributes.get(name) or {}).items():
            put(f"share.{name}.{value}", 100.0 * share)
    for end, years in (attributes.get("age") or {}).items():
        put(f"age.{end}", years)
    for name in WORN:
        if attributes.get(name) is not None:
            put(name, 100.0 * attributes[name])
    image = request.get("image") or {}
    size = image.get("size")
    put("size", f"{size[0]}x{size[1]}" if isinstance(size, list) else size)
    put("format", image.get("format"))
    put("quality", image.get("quality"))
    checks = request.get("checks") or {}
    put("checks", 1)
    for name in ("unique", "face_found"):
        if checks.get(name, True):
            put(name, 1)
    put("selection", (request.get("comparisons") or {}).get("selection"))
    put("judged_subjects", (request.get("report") or {}).get("judged_subjects"))
    marking = request.get("marking") or {}
    if c2pa := marking.get("c2pa"):
        put("c2pa", "detached" if c2pa == "detached" else "embedded")
    if marking.get("watermark"):
        put("watermark", 1)
    for layout in request.get("layouts") or []:
        put("layouts", layout)
    return Form(pairs)


def preview_of(request: dict[str, Any], scale: float | None) -> dict[str, Any]:
    """A preview of what a request will look like; `scale` stands in for a target."""
    preview: dict[str, Any] = {name: request[name] for name in ("model", "seed", "attributes") if name in request}
    variability = dict(request.get("variability", {}))
    if variability.pop("target", None) is not None:
        variability["scale"] = 1.0 if scale is None else scale
    size = request.get("image", {}).get("size")
    if isinstance(size, int) and size <= PREVIEW_PIXELS:
        preview["image"] = {"size": size}
    return {
        **preview,
        "variability": variability,
        "subjects": PREVIEW_SUBJECTS,
        "samples_per_subject": PREVIEW_SAMPLES,
    }


def calibration_of(request: dict[str, Any]) -> dict[str, Any] | None:
    """The question to the model which scale meets the request's target; None without one."""
    variability = request.get("variability", {})
    if "target" not in variability:
        return None
    asked: dict[str, Any] = {name: request[name] for name in ("model", "attributes", "image") if name in request}
    judged = request.get("report", {}).get("judged_subjects", 300)
    subjects = request.get("subjects")
    if isinstance(subjects, int) and isinstance(judged, int):
        asked["subjects"] = min(subjects, judged)
    if isinstance(request.get("samples_per_subject"), int):
        asked["samples_per_subject"] = request["samples_per_subject"]
    if factors := variability.get("factors"):
        asked["factors"] = factors
    return {**asked, "target": variability["target"]}


def as_curl(request: dict[str, Any], base: str) -> str:
    """The request as a command that needs nothing but curl."""
    body = shlex.quote(json.dumps(request, ensure_ascii=False))
    return (
        f'curl -X POST {shlex.quote(base + "/v1/datasets")} \\\n  -H "Authorization: Bearer $FACSIMILE_API_KEY" \\\n'
        f"  -H 'Content-Type: application/json' \\\n  -d {body}"
    )


def as_command(request: dict[str, Any], base: str) -> str:
    """The request as the command line has it: the request in a file, and the command."""
    text = json.dumps(request, indent=2, ensure_ascii=False)
    return (
        f"cat > request.json <<'END'\n{text}\nEND\n"
        f"FACSIMILE_URL={shlex.quote(base)} facsimile generate request.json --out faces"
    )


def _take(into: dict[str, Any], name: str, value: Any) -> None:
    if value not in (None, "", {}, []):
        into[name] = value


def _only(**values: Any) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value not in (None, "")}


def _number(text: str) -> int | float | str | None:
    """A whole number, a number, or what was typed instead; None for nothing."""
    text = text.strip()
    for read in (int, float):
        try:
            found = read(text)
        except ValueError:
            continue
        return found if abs(found) < 1e18 else text
    return text or None


def _share(text: str) -> float | str | None:
    """Per cent as a share."""
    found = _number(text)
    return round(found / 100, 9) if isinstance(found, int | float) else found


def _variability(form: Form) -> dict[str, Any]:
    factors = {
        name.removeprefix("factor."): value
        for name, text in form.pairs
        if name.startswith("factor.") and (value := _number(text)) not in (None, 1)
    }
    found: dict[str, Any] = {"factors": factors} if factors else {}
    if form["difficulty"] == "target":
        found["target"] = _only(
            matcher=form["target.matcher"],
            fmr=_number(form["target.fmr"]),
            fnmr=_number(form["target.fnmr"]),
            tolerance=_number(form["target.tolerance"]),
        )
    elif (scale := _number(form["scale"])) is not None:
        found["scale"] = scale
    return found


def _attributes(form: Form) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name in SHARES:
        prefix = f"share.{name}."
        shares = {
            key.removeprefix(prefix): share
            for key, text in form.pairs
            if key.startswith(prefix) and (share := _share(text)) is not None
        }
        _take(found, name, shares)
    _take(found, "age", _only(min=_number(form["age.min"]), max=_number(form["age.max"])))
    for name in WORN:
        if (share := _share(form[name])) is not None:
            found[name] = share
    return found


def _image(form: Form) -> dict[str, Any]:
    width, times, height = form["size"].partition("x")
    size: Any = [_number(width), _number(height)] if times else _number(width)
    chosen = _only(size=size)
    if form["format"] == "jpeg":
        chosen |= {"format": "jpeg", **_only(quality=_number(form["quality"]))}
    return chosen
