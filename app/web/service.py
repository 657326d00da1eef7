"""The service itself: what waits, what will be deleted when, who did what, and what the tenant may ask for."""

from fastapi import APIRouter
from starlette.responses import Response

from app.web.pages import Asked, PageRoute

router = APIRouter(include_in_schema=False, route_class=PageRoute)

SHOWN = 50


@router.get("/service")
async def show_service(page: Asked) -> Response:
    """Everything about the service on one page; the part that changes is asked for anew."""
    state = await page.api.get("/v1/service")
    if page.is_fragment:
        return page.show("_service.html", state=state)
    return page.show(
        "service.html",
        state=state,
        who=await page.api.get("/v1/whoami"),
        expiring=await page.api.get("/v1/retention", limit=SHOWN),
        audit=await page.api.get("/v1/audit", limit=SHOWN, after=page.form["after"]),
        after=page.form["after"],
    )
