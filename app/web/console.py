"""The console's routers, in one place for `app.main`."""

from collections.abc import Awaitable, Callable
from typing import cast

from fastapi import FastAPI, Request
from starlette.exceptions import HTTPException
from starlette.responses import Response

from app.api.downloads import prefers_html
from app.web import assets, choose, datasets, gallery, releases, service, sets, signin, verdicts
from app.web.pages import nothing_here

PARTS = (assets, signin, choose, datasets, gallery, sets, releases, verdicts, service)

Answer = Callable[[Request, Exception], Awaitable[Response]]


def install_console(app: FastAPI) -> None:
    """Serve the console at `/`, beside the API, whose error handlers must be installed already."""
    for part in PARTS:
        app.include_router(part.router)
    as_api = cast(Answer, app.exception_handlers[HTTPException])

    async def astray(request: Request, exc: Exception) -> Response:
        """A page for people who mistyped an address; programs are answered as by the API."""
        api = request.url.path.startswith("/v1")
        if getattr(exc, "status_code", 0) != 404 or api or not prefers_html(request.headers.get("accept", "")):
            return await as_api(request, exc)
        return await nothing_here(request)

    app.add_exception_handler(HTTPException, astray)
