"""Running the service, for admins: what waits, who has how much, what will be deleted, who did what, and keys."""

from typing import Any

from fastapi import APIRouter
from starlette.responses import Response

from app.numerals import is_count
from app.web.ask import ApiProblem
from app.web.pages import Asked, Page, PageRoute

router = APIRouter(include_in_schema=False, route_class=PageRoute)

SHOWN = 50


@router.get("/service")
async def show_service(page: Asked) -> Response:
    """Everything about the service on one page; the part that changes is asked for anew. Refused to all but admins."""
    now = {
        # First, for it is what others than admins are refused.
        "usage": (await page.api.get("/v1/usage"))["tenants"],
        "state": await page.api.get("/v1/service"),
        "load": await _or_none(page, "/v1/workload"),
    }
    if page.is_fragment:
        return page.show("_service.html", **now)
    return page.show(
        "service.html",
        **now,
        expiring=await page.api.get("/v1/retention", limit=SHOWN),
        audit=await page.api.get("/v1/audit", limit=SHOWN, after=page.form["after"]),
        after=page.form["after"],
    )


@router.get("/service/keys")
async def show_keys(page: Asked) -> Response:
    """The tenant's keys, and the form that makes one."""
    return await _keys(page)


@router.post("/service/keys")
async def change_keys(page: Asked) -> Response:
    """Make a key, which is shown this once, or revoke one."""
    form = page.form
    if form["do"] == "revoke":
        if form["confirm"] != "yes":
            return await _keys(page, refused=ApiProblem(422, "NotConfirmed", "tick the box beside the key first"))
        try:
            await page.api.send("DELETE", f"/v1/keys/{form['key_id']}")
        except ApiProblem as exc:
            if exc.status != 404:
                raise
            return await _keys(page, refused=exc)
        return page.go("/service/keys")
    if form["do"] != "make":
        raise ApiProblem(422, "RequestRefused", "this page can make or revoke a key, nothing else")
    days = form["days"].strip()
    body = {"label": form["label"].strip(), "role": form["role"]}
    try:
        made = await page.api.post(
            "/v1/keys", {**body, "days": int(days) if is_count(days) else days} if days else body
        )
    except ApiProblem as exc:
        if exc.status != 422:
            raise
        return await _keys(page, refused=exc)
    return await _keys(page, made=made)


@router.get("/you")
async def show_you(page: Asked) -> Response:
    """Who is signed in, with which role, and what may be asked for."""
    return page.show("you.html", who=await page.api.get("/v1/whoami"))


async def _keys(page: Page, *, made: dict[str, Any] | None = None, refused: ApiProblem | None = None) -> Response:
    found = await page.api.get("/v1/keys")
    return page.show(
        "keys.html",
        422 if refused else 200,
        keys=sorted(found["keys"], key=lambda key: key["created_at"] or "", reverse=True),
        made=made,
        refused=refused,
        form=page.form,
        roles=("read", "write", "admin"),
    )


async def _or_none(page: Page, path: str) -> Any:
    """What the queue's server would tell, None while it is away."""
    try:
        return await page.api.get(path)
    except ApiProblem as exc:
        if exc.status != 503:
            raise
        return None
