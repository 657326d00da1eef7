"""What every page is made with: the session, the API, templates that escape, and headers that let nothing in."""

from collections.abc import Callable, Coroutine
from typing import Annotated, Any
from urllib.parse import urlencode

import jinja2
from fastapi import Depends, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.routing import APIRoute
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response

from app.api.deps import SAFE, Services, session_of
from app.api.error_handlers import STATUSES
from app.errors import FacsimileError, NotAuthenticated, ObjectNotFound, Unavailable
from app.sessions import COOKIE, CSRF_HEADER, Session, same_csrf
from app.web import assets, say
from app.web.ask import Api, ApiProblem
from app.web.forms import Form, parse_form, read_form

POLICY = (
    "default-src 'self'; base-uri 'none'; object-src 'none'; form-action 'self'; frame-ancestors 'none'; "
    "frame-src 'self'"
)
"""Scripts, styles, pictures and frames of our own only, none of them inline; nobody may frame a page of ours."""

HEADERS = {
    "Content-Security-Policy": POLICY,
    "Referrer-Policy": "same-origin",
    "X-Frame-Options": "DENY",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
    "Cache-Control": "private, no-store",
}

_templates = jinja2.Environment(
    loader=jinja2.PackageLoader("app.web"),
    autoescape=True,
    undefined=jinja2.StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
_templates.filters.update(say.FILTERS)
_templates.globals.update(asset=assets.path_of, query=lambda **given: urlencode(_given(given)))


def _given(values: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value not in (None, "")}


class Page:
    """A request by somebody who is signed in, and how to answer it."""

    def __init__(self, request: Request, session: Session, form: Form) -> None:
        self.request = request
        self.session = session
        request.state.tenant = session.tenant  # for the log line
        self.form = form
        """The posted form; of a GET, the query."""
        self.api = Api(request, session)

    @property
    def is_fragment(self) -> bool:
        """Whether a script of ours asks for a part of the page, to put it into the page that is shown."""
        return self.request.headers.get("x-fragment") == "1"

    def show(self, template: str, status: int = 200, **values: Any) -> Response:
        """The page that a template makes of these values."""
        return render(self.request, template, status, session=self.session, **values)

    def go(self, path: str, **query: Any) -> Response:
        """Send the browser on, after something was done."""
        given = urlencode(_given(query))
        return RedirectResponse(f"{path}?{given}" if given else path, 303, HEADERS)


def render(request: Request, template: str, status: int = 200, **values: Any) -> Response:
    """Fill in a template."""
    shown = {"session": None, "path": request.url.path, "here": here(request), "problem": None, **values}
    return HTMLResponse(_templates.get_template(template).render(shown), status, HEADERS)


def here(request: Request) -> str:
    """Path and query of a request, to come back to."""
    return request.url.path + (f"?{request.url.query}" if request.url.query else "")


async def _open_page(request: Request) -> Page:
    """The page that is asked for; raises NotAuthenticated.

    What changes something carries the session's secret: a form in its field `csrf`, a script in a header.
    """
    services: Services = request.app.state.services
    cookie = request.cookies.get(COOKIE, "")
    if request.method in SAFE:
        session = await run_in_threadpool(session_of, request, services, cookie)
        return Page(request, session, parse_form(request.url.query))
    form = await read_form(request)
    request.state.form = form  # so that nothing typed is lost if the session has ended
    session = await run_in_threadpool(services.sessions.find, cookie)
    if not same_csrf(session, request.headers.get(CSRF_HEADER, form["csrf"])):
        raise NotAuthenticated("this form is of an earlier session; sign in again, what you typed is kept")
    return Page(request, session, form.without("csrf"))


Asked = Annotated[Page, Depends(_open_page)]
"""The page that is asked for, by somebody who is signed in."""


class PageRoute(APIRoute):
    """A route whose errors are pages too: to sign in, to try again, or to say what is wrong."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """See APIRoute."""
        answer = super().get_route_handler()

        async def page_of(request: Request) -> Response:
            try:
                return await answer(request)
            except ApiProblem as exc:
                return _refused(request, exc)
            except FacsimileError as exc:
                return _refused(request, _problem_of(exc))

        return page_of


def _problem_of(exc: FacsimileError) -> ApiProblem:
    status = next(STATUSES[kind] for kind in type(exc).__mro__ if kind in STATUSES)
    if status == 500:
        raise exc
    after = exc.retry_after_s if isinstance(exc, Unavailable) else None
    text = "it is not there any more" if isinstance(exc, ObjectNotFound) else str(exc)
    return ApiProblem(status, type(exc).__name__, text, retry_after_s=after)


def _refused(request: Request, problem: ApiProblem) -> Response:
    if wants_json(request):
        body = {"error": problem.error, "detail": problem.detail, "request_id": _request_id(request)}
        return JSONResponse(body, problem.status, HEADERS)
    if problem.status == 401:
        return _to_sign_in(request, problem)
    answer = render(
        request,
        "problem.html",
        problem.status,
        session=_session_if_any(request),
        refused=problem,
        again=_again(request),
        id=_request_id(request),
    )
    if problem.retry_after_s:
        answer.headers["Retry-After"] = str(problem.retry_after_s)
    return answer


def _to_sign_in(request: Request, problem: ApiProblem) -> Response:
    """Ask to sign in, and come back after it with what was typed."""
    then = _again(request)
    if request.method in SAFE:
        return RedirectResponse(f"/signin?{urlencode({'then': then})}" if then != "/" else "/signin", 303, HEADERS)
    return render(request, "signin.html", 401, then=then, refused=problem)


def _again(request: Request) -> str:
    """The page that was asked for, to come to it again; of a form that was sent, the form with what was typed in it."""
    if request.method in SAFE:
        return here(request)
    form: Form | None = getattr(request.state, "form", None)
    typed = form.without("csrf").query if form else ""
    return f"{request.url.path}?{typed}" if typed else request.url.path


async def nothing_here(request: Request) -> Response:
    """The page for an address at which there is nothing."""
    return await run_in_threadpool(_refused, request, ApiProblem(404, "NotFound", "check the address, or begin anew"))


def _session_if_any(request: Request) -> Session | None:
    """The session, for the page's frame; None where it cannot be known now."""
    services: Services = request.app.state.services
    try:
        return services.sessions.find(request.cookies.get(COOKIE, ""))
    except FacsimileError:
        return None


def wants_json(request: Request) -> bool:
    """Whether a script of ours asks, which shows problems itself."""
    return "application/json" in request.headers.get("accept", "")


def _request_id(request: Request) -> str:
    return str(getattr(request.state, "request_id", ""))
