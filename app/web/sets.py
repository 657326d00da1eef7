"""A set on a page: a dataset, or a release, which is looked at in the same way."""

import re
from typing import Any, NamedTuple
from urllib.parse import quote

from app.dataset.names import DATASET_ID
from app.web.ask import ApiProblem
from app.web.pages import Page


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
    """A set by its id, or by NAME@VERSION; raises ApiProblem."""
    ref = ref.strip()
    if re.fullmatch(DATASET_ID.strip("^$"), ref):
        return await find_dataset(page, ref)
    name, at, version = ref.partition("@")
    if not at:
        raise ApiProblem(422, "RequestRefused", f"{ref[:80]!r} is neither a dataset's id nor NAME@VERSION of a release")
    return await find_release(page, name, version)
