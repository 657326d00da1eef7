"""A set on a page: a dataset, or a release, which is looked at in the same way."""

import re
from typing import Any, NamedTuple
from urllib.parse import quote

from fastapi import APIRouter
from starlette.responses import Response

from app.dataset.names import DATASET_ID
from app.dataset.version import is_release_name
from app.web.ask import ApiProblem
from app.web.pages import Asked, Page, PageRoute
from app.web.say import when

router = APIRouter(include_in_schema=False, route_class=PageRoute)

OFFERED = 20
"""Sets that a field offers at a time; more of what is typed narrows them down."""

SHOWN = 5
"""Sets of one name that are told apart by their ids."""

MOST_PAGES = 20
"""Of a search by name."""


class ShownSet(NamedTuple):
    """Where a set is, and what it is called."""

    ref: str
    """As people write it: a dataset's id, or NAME@VERSION."""
    title: str
    base: str
    """Path of its pages."""
    api: str
    """Path of its resource."""
    succeeded: bool
    facts: dict[str, Any]
    """What the API says of it."""

    @property
    def released(self) -> bool:
        """Whether it is a release."""
        return "@" in self.ref

    @property
    def images(self) -> bool:
        """Whether its images are kept, to be looked at."""
        return (self.facts.get("request") or self.facts).get("product") != "templates"

    def demand_images(self) -> None:
        """Raise ApiProblem where templates are all that is kept."""
        if not self.images:
            raise ApiProblem(404, "NotFound", f"templates alone are kept of {self.title}: there is nothing to look at")


async def find_dataset(page: Page, dataset: str) -> ShownSet:
    """A dataset's; raises ApiProblem."""
    found = await page.api.get(f"/v1/datasets/{quote(dataset, safe='')}")
    ident = found["id"]
    return ShownSet(
        ident, found["name"], f"/datasets/{ident}", f"/v1/datasets/{ident}", found["state"] == "succeeded", found
    )


async def find_release(page: Page, name: str, version: str) -> ShownSet:
    """A release's; `version` may be `latest`. Raises ApiProblem."""
    found = await page.api.get(f"/v1/releases/{quote(name, safe='')}/{quote(version, safe='')}")
    where = f"releases/{found['name']}/{found['version']}"
    ref = f"{found['name']}@{found['version']}"
    return ShownSet(ref, ref, f"/{where}", f"/v1/{where}", True, found)


async def find_set(page: Page, ref: str) -> ShownSet:
    """A set by its id, by NAME@VERSION, or by its name where one alone is called so; raises ApiProblem."""
    ref = ref.strip()
    if re.fullmatch(DATASET_ID.strip("^$"), ref):
        return await find_dataset(page, ref)
    name, at, version = ref.partition("@")
    if at:
        return await find_release(page, name, version)
    found = await _called(page, ref)
    if len(found) == 1:
        return await find_dataset(page, found[0]["id"])
    if not found and is_release_name(ref):
        try:
            return await find_release(page, ref, "latest")
        except ApiProblem as exc:
            if exc.status != 404:
                raise
    if found:
        these = ", ".join(f"{dataset['id']} ({when(dataset['created_at'])} UTC)" for dataset in found[:SHOWN])
        raise ApiProblem(
            422, "RequestRefused", f"{len(found)} sets are called {ref[:80]!r}; take one by its id: {these}"
        )
    raise ApiProblem(
        422,
        "RequestRefused",
        f"{ref[:80]!r} is no finished dataset, by its id or whole name, and no release, NAME@VERSION; "
        "type a part of its name and choose among those that come up",
    )


async def _called(page: Page, name: str) -> list[dict[str, Any]]:
    """Finished datasets with exactly this name, newest first."""
    found: list[dict[str, Any]] = []
    after = None
    for _ in range(MOST_PAGES):
        part = await page.api.get("/v1/datasets", state="succeeded", name=name[:100], after=after, limit=100)
        found += [dataset for dataset in part["datasets"] if dataset["name"] == name]
        after = part["next"]
        if after is None:
            break
    return found


@router.get("/sets/known")
async def show_known(page: Asked) -> Response:
    """A list of sets whose name has a part, for a field to offer: finished datasets and, unless they will not do,
    releases."""
    form = page.form
    return page.show(
        "_known.html",
        list=form["list"],
        **await known_sets(page, form["q"].strip(), releases=form["only"] != "datasets"),
    )


async def known_sets(page: Page, part: str = "", *, releases: bool = True) -> dict[str, Any]:
    """The newest finished datasets and the first releases whose names have this part."""
    names: list[dict[str, Any]] = []
    if releases:
        names = (await page.api.get("/v1/releases", name=part.partition("@")[0][:64], limit=OFFERED))["releases"]
    found = await page.api.get("/v1/datasets", state="succeeded", name=part[:100], limit=OFFERED)
    return {"known_datasets": found["datasets"], "known_releases": names}
