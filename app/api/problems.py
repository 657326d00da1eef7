"""What pydantic found wrong, said to users: the field with a dotted path, and what to change."""

import difflib
from collections.abc import Iterable, Mapping
from typing import Any, get_args

from pydantic import BaseModel

MAX_PROBLEMS = 20
MAX_NAME = 80
"""Characters of a field's name that are repeated; longer ones can only be nonsense."""

_NOTHING = object()

_TEXTS = {
    "missing": "is missing; add it",
    "extra_forbidden": "is not a field of this request; remove it",
    "model_type": "must be a JSON object",
    "model_attributes_type": "must be a JSON object",
    "dict_type": "must be a JSON object",
    "list_type": "must be a JSON array",
    "tuple_type": "must be a JSON array",
    "string_type": "must be a string",
    "bool_type": "must be true or false",
    "int_type": "must be a whole number",
    "int_parsing": "must be a whole number",
    "int_parsing_size": "must be a whole number within reason",
    "float_type": "must be a number",
    "finite_number": "must be a finite number",
}


def problems_of(errors: Iterable[Any], document: object, model: type[BaseModel] | None = None) -> list[tuple[str, str]]:
    """List (field, text) for pydantic's errors; each field once, its alternatives joined by 'or'.

    `document` is the body as parsed, None where the errors are of query, path or header parameters. `model`,
    if given, lets the text name the fields that there are.
    """
    found: dict[str, list[str]] = {}
    for error in errors:
        loc = tuple(error["loc"])
        if document is None:
            path = loc[1:] or loc  # 'query', 'header' or 'path' comes first
        else:
            path = _places(loc, document, absent_last=error["type"] == "missing")
        text = _text(error, path, model)
        texts = found.setdefault(_dotted(path), [])
        if text not in texts:
            texts.append(text)
    problems = [(field, ", or ".join(texts)) for field, texts in found.items()]
    if len(problems) > MAX_PROBLEMS:
        more = len(problems) - MAX_PROBLEMS
        problems = [*problems[:MAX_PROBLEMS], ("", f"and {more} more problems of this kind")]
    return problems


def _places(loc: tuple[int | str, ...], document: object, *, absent_last: bool) -> tuple[int | str, ...]:
    """Keep of pydantic's location what is a place in the document; names of union members are not."""
    path: list[int | str] = []
    at = document
    for number, name in enumerate(loc):
        inner = _inside(at, name)
        if inner is not _NOTHING:
            at = inner
        elif not (absent_last and number == len(loc) - 1):
            continue
        path.append(name)
    return tuple(path)


def _inside(at: object, name: int | str) -> object:
    if isinstance(at, dict):
        return at.get(name, _NOTHING)
    if isinstance(at, list) and isinstance(name, int) and name < len(at):
        return at[name]
    return _NOTHING


def _dotted(path: tuple[int | str, ...]) -> str:
    return ".".join(_shown(str(name)) for name in path) or "body"


def _shown(name: str) -> str:
    """A name fit for a message: printable, and not long."""
    printable = "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in name)
    return printable if len(printable) <= MAX_NAME else printable[:MAX_NAME] + "…"


def _text(error: Mapping[str, Any], path: tuple[int | str, ...], model: type[BaseModel] | None) -> str:
    kind, message = error["type"], str(error["msg"])
    if kind == "extra_forbidden" and model is not None and path:
        return _unknown_field(str(path[-1]), _fields_at(model, path[:-1]))
    if kind in _TEXTS:
        return _TEXTS[kind]
    if kind == "value_error":
        return message.removeprefix("Value error, ")
    if kind in ("string_pattern_mismatch", "string_unicode"):
        return f"has characters or a form that it may not have ({message[0].lower()}{message[1:]})"
    return message.replace("Input should", "must", 1).replace("should have", "must have", 1)


def _unknown_field(name: str, known: list[str]) -> str:
    close = difflib.get_close_matches(name, known, n=1)
    if close:
        return f"is not a field of this request; did you mean {close[0]!r}?"
    there = f" (there are {', '.join(known)})" if known else ""
    return f"is not a field of this request; remove it{there}"


def _fields_at(model: type[BaseModel], path: tuple[int | str, ...]) -> list[str]:
    """Names of the fields of the part of `model` at a path; empty if the path leaves it."""
    for name in path:
        field = model.model_fields.get(str(name))
        parts = (field.annotation, *get_args(field.annotation)) if field else ()
        inner = next((part for part in parts if isinstance(part, type) and issubclass(part, BaseModel)), None)
        if inner is None:
            return []
        model = inner
    return list(model.model_fields)
