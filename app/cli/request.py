"""A dataset request out of a file and flags. What it may hold is the service's to judge; flags win over the file."""

import json
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from app.client.errors import Problem, ServiceRefused, UsageProblem
from app.numerals import number, whole

Json = dict[str, Any]

OPTIONS = {
    "name": "--name",
    "like": "--like",
    "model": "--model",
    "subjects": "--subjects",
    "samples_per_subject": "--samples",
    "distractors": "--distractors",
    "seed": "--seed",
    "variability.scale": "--scale",
    "variability.factors": "--factor",
    "variability.truncation": "--truncation",
    "variability.target.fnmr": "--fnmr",
    "variability.target.fmr": "--fmr",
    "variability.target.matcher": "--matcher",
    "variability.target.tolerance": "--tolerance",
    "product": "--product",
    "matcher": "--matcher",
    "report.judged_subjects": "--judged",
    "attributes.sex": "--sex",
    "attributes.age": "--age",
    "attributes.skin_tone": "--skin-tone",
    "attributes.glasses": "--glasses",
    "attributes.headwear": "--headwear",
    "attributes.mask": "--mask",
    "image.size": "--size",
    "image.format": "--format",
    "image.quality": "--quality",
    "comparisons.selection": "--comparisons",
    "checks.unique": "--unique",
    "checks.face_found": "--face-found",
    "layouts": "--layout",
    "factors": "--factor",
    "truncation": "--truncation",
    "target.fnmr": "--fnmr",
    "target.fmr": "--fmr",
    "target.matcher": "--matcher",
    "target.tolerance": "--tolerance",
}
"""Field of a request to the option that sets it: what the service says of a field is told of what the caller wrote."""


@contextmanager
def in_callers_words(file: str | None = None, options: Mapping[str, str] = OPTIONS) -> Iterator[None]:
    """Name options instead of fields in a refusal; with a request file, the fields beside them.

    `options` says which option, or argument, sets which field.
    """
    try:
        yield
    except ServiceRefused as exc:
        if not exc.problems:
            raise
        lines = [_told(problem, options, with_field=file is not None) for problem in exc.problems]
        raise ServiceRefused(exc.status, exc.error, "; ".join(lines), exc.request_id, exc.problems) from exc


def _told(problem: Problem, options: Mapping[str, str], *, with_field: bool) -> str:
    text = f"{problem.problem}; {problem.fix}" if problem.fix else problem.problem
    named = [path for path in options if problem.field == path or problem.field.startswith((f"{path}.", f"{path}["))]
    option = options[max(named, key=len)] if named else ""
    if not option:  # of several, as the target is
        option = ", ".join(option for path, option in options.items() if path.startswith(f"{problem.field}."))
    if not option:
        return f"{problem.field}: {text}" if problem.field else text
    rest = problem.field.removeprefix(max(named, key=len)).lstrip(".") if named else ""
    said = f"{option} {rest}".rstrip()
    return f"{said} ({problem.field} in a request file): {text}" if with_field else f"{said}: {text}"


def read_request(file: str | None) -> Json:
    """The request in a JSON file (`-`: standard input); empty without one."""
    if file is None:
        return {}
    try:
        text = sys.stdin.read() if file == "-" else Path(file).read_text(encoding="utf-8")
        found = json.loads(text)
    except OSError as exc:
        raise UsageProblem(f"{file} cannot be read: {exc.strerror}") from exc
    except ValueError as exc:
        raise UsageProblem(f"{file} is no JSON: {exc}") from exc
    if not isinstance(found, dict):
        raise UsageProblem(f"{file} must hold one JSON object, a request")
    return found


def put(request: Json, path: str, value: Any) -> None:
    """Set a field by its dotted path, unless the value is None."""
    if value is None:
        return
    *folders, last = path.split(".")
    at = request
    for folder in folders:
        found = at.setdefault(folder, {})
        if not isinstance(found, dict):
            raise UsageProblem(f"the request's field {folder!r} must be an object")
        at = found
    at[last] = value


def whose(matcher: str | None, request: Json, *, product: str | None, has_target: bool) -> list[tuple[str, str | None]]:
    """Which fields --matcher sets: whose templates are wanted, who shall meet a difficulty, or both."""
    of_templates = (product or request.get("product")) == "templates"
    fields = ["matcher"] if of_templates else []
    if has_target or not of_templates:
        fields.append("variability.target.matcher")
    return [(field, matcher) for field in fields]


def put_factors(request: Json, texts: list[str]) -> None:
    """Set `variability.factors` from texts like pose=0.5."""
    for name, value in factors(texts).items():
        put(request, f"variability.factors.{name}", value)


def factors(texts: list[str]) -> dict[str, float]:
    """Factors and their numbers from texts like pose=0.5."""
    return dict(_pair(text, "--factor", "pose=0.5") for text in texts)


def shares(text: str | None, option: str) -> dict[str, float] | None:
    """A distribution like female=0.5,male=0.5; a single word means all of them."""
    if text is None:
        return None
    if "=" not in text:
        return {text: 1.0}
    return dict(_pair(part, option, "female=0.5,male=0.5") for part in text.split(","))


def age(text: str | None) -> dict[str, float] | None:
    """A range of ages like 20-65."""
    if text is None:
        return None
    low, dash, high = text.partition("-")
    try:
        if not dash:
            raise ValueError
        return {"min": number(low), "max": number(high)}
    except ValueError:
        raise UsageProblem(f"--age {text!r} is no range; it looks like --age 20-65") from None


def size(text: str | None) -> int | list[int] | None:
    """An image size like 128 or 480x600 (width × height)."""
    if text is None:
        return None
    try:
        sides = [whole(side) for side in text.lower().split("x")]
    except ValueError:
        sides = []
    if len(sides) not in (1, 2):
        raise UsageProblem(f"--size {text!r} is no image size; it looks like --size 128 or --size 480x600")
    return sides[0] if len(sides) == 1 else sides


def _pair(text: str, option: str, example: str) -> tuple[str, float]:
    name, equals, value = text.partition("=")
    try:
        if not equals or not name:
            raise ValueError
        return name.strip(), number(value)
    except ValueError:
        raise UsageProblem(f"{option} {text!r} is not understood; it looks like {option} {example}") from None
