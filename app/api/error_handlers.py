"""THE table from exceptions to statuses, and the one shape that every error has."""

from http import HTTPStatus
from typing import Any

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, Response

from app.api.problems import problems_of
from app.errors import (
    Cancelled,
    Conflict,
    Corrupt,
    FacsimileError,
    Misconfigured,
    NotAllowed,
    NotAuthenticated,
    NotFound,
    NotReady,
    ObjectNotFound,
    OutOfReach,
    QuotaExceeded,
    RequestRefused,
    TookTooLong,
    TooLarge,
    TooSlow,
    Unavailable,
    Unfinished,
    Withdrawn,
    WrongMediaType,
)

log = structlog.get_logger()

STATUSES: dict[type[FacsimileError], int] = {
    RequestRefused: 422,
    NotAuthenticated: 401,
    NotAllowed: 403,
    NotFound: 404,
    ObjectNotFound: 404,
    Conflict: 409,
    Cancelled: 409,
    Unfinished: 503,
    TookTooLong: 503,
    NotReady: 409,
    Withdrawn: 410,
    TooLarge: 413,
    TooSlow: 408,
    WrongMediaType: 415,
    QuotaExceeded: 429,
    Unavailable: 503,
    OutOfReach: 409,
    Misconfigured: 500,
    Corrupt: 500,
    FacsimileError: 500,
}
"""The first class that matches in an exception's own order of ancestors decides."""

UNEXPECTED = "something went wrong here; it is logged under this request_id"
GONE = "it is not there any more; it was deleted while it was being read"


class Problem(BaseModel):
    """One thing that is wrong with a request."""

    field: str = Field(description="Which field, by its dotted path; empty where it is none.", examples=["image.size"])
    problem: str = Field(description="What is wrong with it.", examples=["must be greater than or equal to 16"])
    fix: str = Field(description="What to do; empty where the problem says it.", examples=["take 64 or 128"])


class ErrorBody(BaseModel):
    """Every error, whatever its status."""

    error: str = Field(description="Name of the kind of error; stable, for programs.", examples=["NotFound"])
    detail: str = Field(
        description="What is wrong and what to do, for people.",
        examples=["there is no dataset 'ds_06fa3k9x2m7q0v4c8d1e'"],
    )
    request_id: str = Field(
        description="As in the header X-Request-Id and in the service's log.",
        examples=["5b1f0c9e2d7a4f38b6c1e0d9a8f7b6c5"],
    )
    problems: list[Problem] | None = Field(
        None, description="Of a request that is refused: each field that is wrong. Not there for other errors."
    )


def error_response(
    request: Request,
    status: int,
    name: str,
    detail: str,
    headers: dict[str, str] | None = None,
    problems: list[Problem] | None = None,
) -> Response:
    """Build an error in its one shape."""
    request.state.error = name  # to be counted
    body = ErrorBody(error=name, detail=detail, request_id=getattr(request.state, "request_id", ""), problems=problems)
    return JSONResponse(body.model_dump(exclude_none=True), status, headers)


def answer_error(request: Request, exc: FacsimileError) -> Response:
    """Turn one of our exceptions into its response."""
    status = next(STATUSES[kind] for kind in type(exc).__mro__ if kind in STATUSES)
    headers: dict[str, str] = {}
    if isinstance(exc, NotAuthenticated):
        headers["WWW-Authenticate"] = 'Bearer realm="facsimile"'
    if isinstance(exc, TooSlow):
        headers["Connection"] = "close"  # the rest of the body would be taken for the next request
    if isinstance(exc, Unavailable | QuotaExceeded):
        headers["Retry-After"] = str(exc.retry_after_s)
    if isinstance(exc, ObjectNotFound):
        # Its text names a key of the store.
        return error_response(request, status, "NotFound", GONE, headers)
    if isinstance(exc, Unavailable):
        log.warning("unavailable", error=type(exc).__name__, detail=str(exc), cause=repr(exc.__cause__))
    if status == 500:
        log.error("request_failed", error=type(exc).__name__, exc_info=exc)
        return error_response(request, status, type(exc).__name__, UNEXPECTED, headers)
    problems = [Problem(**item) for item in exc.listed()] if isinstance(exc, RequestRefused) else None
    return error_response(request, status, type(exc).__name__, str(exc), headers, problems)


def answer_unexpected(request: Request, exc: BaseException) -> Response:
    """Turn an exception that nobody foresaw into a response that tells nothing of it, and log it."""
    log.error("request_crashed", exc_info=exc)
    return error_response(request, 500, "InternalError", UNEXPECTED)


def install_error_handlers(app: FastAPI) -> None:
    """Make the application answer every error in the one shape."""

    async def ours(request: Request, exc: FacsimileError) -> Response:
        return answer_error(request, exc)

    async def invalid(request: Request, exc: RequestValidationError) -> Response:
        return answer_error(request, RequestRefused(problems_of(exc.errors(), None)))

    async def http(request: Request, exc: HTTPException) -> Response:
        return _answer_http(request, exc)

    # Starlette's annotation wants handlers of every Exception, though each gets its own kind only.
    app.add_exception_handler(FacsimileError, ours)  # type: ignore[arg-type]
    app.add_exception_handler(RequestValidationError, invalid)  # type: ignore[arg-type]
    app.add_exception_handler(HTTPException, http)  # type: ignore[arg-type]


def _answer_http(request: Request, exc: HTTPException) -> Response:
    headers: dict[str, Any] = dict(exc.headers or {})
    if exc.status_code == 404:
        return error_response(
            request, 404, "NotFound", "there is nothing at this path; /docs lists what there is", headers
        )
    if exc.status_code == 405:
        detail = f"this path does not take {request.method[:16]}"
        if allowed := headers.get("Allow"):
            detail += f"; it takes {allowed}"
        return error_response(request, 405, "MethodNotAllowed", detail, headers)
    phrase = HTTPStatus(exc.status_code).phrase
    return error_response(request, exc.status_code, phrase.replace(" ", ""), str(exc.detail), headers)
