"""Reading JSON bodies strictly: what two readers could understand differently is refused, with the reason."""

import json
import math
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Generic, NoReturn, TypeVar

from fastapi import Request
from pydantic import BaseModel, ValidationError

from app.api.problems import problems_of
from app.errors import RequestRefused, WrongMediaType

MAX_DEPTH = 32
"""Of objects and lists within each other; a request has five."""

MAX_DIGITS = 20
"""Digits of a whole number; no field takes more, and long ones cost time to read."""

ModelT = TypeVar("ModelT", bound=BaseModel)


@dataclass(frozen=True, kw_only=True)
class Posted(Generic[ModelT]):
    """A body that was sent."""

    value: ModelT
    document: dict[str, Any]
    """The same as its sender wrote it, without defaults."""


def posted(model: type[ModelT]) -> Callable[[Request], Awaitable[Posted[ModelT]]]:
    """Make the dependency that reads a body of this model.

    It raises RequestRefused, WrongMediaType and TooLarge.
    """

    async def read(request: Request) -> Posted[ModelT]:
        _check_media_type(request)
        document = parse_json(await request.body())
        try:
            value = model.model_validate(document)
        except ValidationError as exc:
            raise RequestRefused(problems_of(exc.errors(include_url=False), document, model)) from exc
        return Posted(value=value, document=document)

    return read


def parse_json(raw: bytes) -> Any:
    """Parse UTF-8 JSON; raises RequestRefused for what is not JSON or is no use as a request.

    Beyond the grammar these are refused: keys that stand twice in an object, NaN and infinities, numbers out
    of range, nesting without end, and halves of surrogate pairs (which UTF-8 cannot carry).
    """
    if not raw.strip():
        _refuse("is empty; send the request as JSON")
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as exc:
        raise _refused(f"is not UTF-8 (byte {exc.start}); send JSON in UTF-8") from exc
    try:
        document = json.loads(
            text,
            object_pairs_hook=_object,
            parse_constant=lambda name: _refuse(f"has {name}, which is not JSON; use a finite number"),
            parse_int=_whole,
            parse_float=_fraction,
        )
        _check_depth(document)
        json.dumps(document, ensure_ascii=False).encode()
    except json.JSONDecodeError as exc:
        raise _refused(f"is not JSON: {exc.msg} (line {exc.lineno}, column {exc.colno})") from exc
    except RecursionError as exc:
        raise _refused(_TOO_DEEP) from exc
    except UnicodeEncodeError as exc:
        raise _refused("has a \\u escape that is half of a surrogate pair; write whole characters") from exc
    return document


_TOO_DEEP = f"is nested more than {MAX_DEPTH} deep; no request needs that"


def _check_depth(document: Any) -> None:
    """Refuse what would be walked by recursion further on."""
    level, depth = [document], 0
    while level := [
        inner
        for item in level
        for inner in (item.values() if isinstance(item, dict) else item if isinstance(item, list) else ())
    ]:
        depth += 1
        if depth > MAX_DEPTH:
            _refuse(_TOO_DEEP)


def _check_media_type(request: Request) -> None:
    said = request.headers.get("content-type", "")
    media_type, _, parameters = said.partition(";")
    if media_type.strip().lower() != "application/json":
        raise WrongMediaType("the body must be JSON; send it with 'Content-Type: application/json'")
    charset = parameters.replace(" ", "").replace('"', "").lower()
    if charset.startswith("charset=") and charset not in ("charset=utf-8", "charset=utf8"):
        raise WrongMediaType("JSON is read as UTF-8; send it so, and without another charset")
    if request.headers.get("content-encoding", "identity").strip().lower() != "identity":
        raise WrongMediaType("bodies are read as they are; send it without Content-Encoding")


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        seen: set[str] = set()
        for name, _ in pairs:
            if name in seen:
                _refuse(f"has the key {name[:80]!r} twice in one object; keep one of them")
            seen.add(name)
    return found


def _whole(digits: str) -> int:
    if len(digits) > MAX_DIGITS:
        _refuse(f"has a number of {len(digits)} digits; that is out of range")
    return int(digits)


def _fraction(digits: str) -> float:
    value = float(digits)
    if math.isinf(value):
        _refuse(f"has the number {digits[:40]}, which is out of range")
    return value


def _refused(text: str) -> RequestRefused:
    return RequestRefused([("body", text)])


def _refuse(text: str) -> NoReturn:
    raise _refused(text)
