"""A browser before the whole service on real servers: one stack and one chromium for all of these tests."""

import os
import shutil
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

from app.stack.embedded import EmbeddedStack
from app.stack.invitation import invite

sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed (extra 'test')")

CHROMIUM = os.environ.get("FACSIMILE_CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")

ARGUMENTS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
"""A quiet one: whatever it asks of the network, our pages asked for."""


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedStack]:
    if CHROMIUM is None:
        pytest.skip("there is no chromium here; apt-get install chromium, or name one in FACSIMILE_CHROMIUM")
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    with EmbeddedStack(tmp_path_factory.mktemp("console") / "data", workers=1) as made:
        yield made


@pytest.fixture(scope="session")
def http(stack: EmbeddedStack) -> Iterator[httpx.Client]:
    """The API, asked as a program does."""
    headers = {"Authorization": f"Bearer {stack.api_key}"}
    with httpx.Client(base_url=stack.url, headers=headers, timeout=60) as client:
        yield client


@pytest.fixture(scope="module")  # while it is open, its event loop runs in this thread, where other tests want theirs
def chromium(stack: EmbeddedStack) -> Iterator[Any]:
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=list(ARGUMENTS))
        yield browser
        browser.close()


class Watched:
    """A page, and all that was wrong on the way."""

    def __init__(self, page: Any, url: str) -> None:
        self.page = page
        self.url = url
        self.asked: list[str] = []
        self.wrong: list[str] = []
        page.on("request", lambda request: self.asked.append(request.url))
        page.on("pageerror", lambda error: self.wrong.append(str(error)))
        page.on("console", self._said)

    def _said(self, message: Any) -> None:
        # A refusal that a script asked for and shows is no fault; a policy that was broken is.
        if message.type == "error" and not message.text.startswith("Failed to load resource"):
            self.wrong.append(message.text)

    def go(self, path: str) -> Any:
        """Open one of the console's pages."""
        self.page.goto(self.url + path)
        return self.page

    def tab_to(self, name: str, most: int = 90) -> None:
        """Press Tab until what has this name has the focus; fails where it is not reached."""
        for _ in range(most):
            self.page.keyboard.press("Tab")
            focused = self.page.evaluate(
                "() => { const e = document.activeElement; return [e.getAttribute('aria-label'), e.textContent.trim(),"
                " e.querySelector('img')?.alt, e.labels?.[0]?.textContent.trim()].filter(Boolean); }"
            )
            if any(text == name or text.startswith(name) for text in focused):
                return
        raise AssertionError(f"Tab does not lead to {name!r}")


@pytest.fixture
def watch(chromium: Any, stack: EmbeddedStack) -> Iterator[Callable[..., Watched]]:
    """Opens pages that are signed in already; at the end nothing may have gone wrong, or come from elsewhere."""
    opened: list[tuple[Any, Watched]] = []

    def begin(signed_in: bool = True, **context: Any) -> Watched:
        made = chromium.new_context(viewport={"width": 1280, "height": 900}, **context)
        made.set_default_timeout(60_000)
        watched = Watched(made.new_page(), stack.url)
        opened.append((made, watched))
        if signed_in:
            watched.page.goto(invite(stack.folder))
        return watched

    yield begin
    for made, watched in opened:
        made.close()
        assert watched.wrong == []
        assert [url for url in watched.asked if not url.startswith((stack.url, "data:", "blob:"))] == []


@pytest.fixture(scope="session")
def made(http: httpx.Client) -> str:
    """Id of a small set, asked for over REST; it is being made."""
    body = {
        "name": "made before",
        "model": "sdgan",
        "subjects": 6,
        "samples_per_subject": 3,
        "seed": 5,
        "image": {"size": 64},
        "checks": {"unique": False, "face_found": False},
        "comparisons": {"selection": "complete"},
        "report": {"judged_subjects": 0},
    }
    answer = http.post("/v1/datasets", json=body)
    assert answer.status_code == 202, answer.text
    return str(answer.json()["id"])
