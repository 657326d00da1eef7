"""Signing in with an API key or a link that works once, and signing out."""

from urllib.parse import urlsplit

from fastapi import APIRouter, Request
from fastapi.concurrency import run_in_threadpool
from starlette.responses import JSONResponse, RedirectResponse, Response

from app.api.deps import Services
from app.errors import NotAuthenticated
from app.sessions import COOKIE, LIFETIME_S
from app.web.ask import ApiProblem
from app.web.forms import parse_form, read_form
from app.web.pages import HEADERS, Asked, PageRoute, render, wants_json

router = APIRouter(include_in_schema=False, route_class=PageRoute)


@router.get("/signin")
async def show_signin(request: Request) -> Response:
    """The form; or, by a link that works once, straight in."""
    query = parse_form(request.url.query)
    then = local(query["then"])
    if link := query["link"]:
        services: Services = request.app.state.services
        try:
            cookie, _ = await run_in_threadpool(services.sessions.accept, link)
        except NotAuthenticated as exc:
            return render(request, "signin.html", 401, then=then, refused=_refusal(exc))
        return with_cookie(request, RedirectResponse(then, 303, HEADERS), cookie)
    return render(request, "signin.html", then=then, refused=None)


@router.post("/signin")
async def sign_in(request: Request) -> Response:
    """Exchange the key for a session, and go on where one wanted to be."""
    # No session has a secret yet: that the form is ours, the browser itself must say.
    if not from_here(request):
        raise NotAuthenticated("this form was not sent by a page of this service; open /signin itself")
    form = await read_form(request)
    then = local(form["then"])
    services: Services = request.app.state.services
    try:
        cookie, session = await run_in_threadpool(services.sessions.begin, form["key"].strip())
    except NotAuthenticated as exc:
        if wants_json(request):
            raise
        return render(request, "signin.html", 401, then=then, refused=_refusal(exc))
    if wants_json(request):
        return with_cookie(request, JSONResponse({"csrf": session.csrf}, headers=HEADERS), cookie)
    return with_cookie(request, RedirectResponse(then, 303, HEADERS), cookie)


@router.post("/signout")
async def sign_out(page: Asked) -> Response:
    """End the session, here and in the store."""
    services: Services = page.request.app.state.services
    await run_in_threadpool(services.sessions.end, page.request.cookies.get(COOKIE, ""))
    answer = RedirectResponse("/signin", 303, HEADERS)
    answer.delete_cookie(COOKIE, path="/", httponly=True, samesite="strict")
    return answer


def with_cookie(request: Request, answer: Response, cookie: str) -> Response:
    """Hand the session to the browser: no script sees it, and no other site can have it sent."""
    answer.set_cookie(
        COOKIE,
        cookie,
        max_age=int(LIFETIME_S),
        path="/",
        httponly=True,
        samesite="strict",
        secure=request.url.scheme == "https",
    )
    return answer


def local(then: str) -> str:
    """A path of this service to go to; `/` for whatever else was said."""
    parts = urlsplit(then)
    plain = then.isascii() and then.isprintable() and "\\" not in then
    return then if plain and then.startswith("/") and not then.startswith("//") and not parts.netloc else "/"


def from_here(request: Request) -> bool:
    """Whether a page of this origin sent the request, by what browsers say of it; other programs say nothing."""
    site = request.headers.get("sec-fetch-site")
    if site is not None:
        return site in ("same-origin", "none")
    origin = request.headers.get("origin")
    return origin is None or urlsplit(origin).netloc == request.headers.get("host")


def _refusal(exc: NotAuthenticated) -> ApiProblem:
    text = str(exc)
    if text.startswith("this API key is not known"):
        text = "this key is not known here; it begins with fcs_, and may have been revoked"
    return ApiProblem(401, "NotAuthenticated", text)
