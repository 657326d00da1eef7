"""The console as people use it: by keyboard alone from the key to the verdict, and when things go wrong."""

import csv
import io
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

import httpx
import pytest

pytestmark = pytest.mark.integration

axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe-playwright-python is not installed")

SERIOUS = ("serious", "critical")


def check(watched: Any) -> None:
    """No serious barrier on the page as it stands, and nothing wider than a telephone."""
    found = axe.Axe().run(watched.page).response["violations"]
    told = [(item["id"], item["nodes"][0]["html"][:200]) for item in found if item["impact"] in SERIOUS]
    assert told == [], watched.page.url
    size = watched.page.viewport_size
    watched.page.set_viewport_size({"width": 360, "height": 780})
    assert watched.page.evaluate("document.documentElement.scrollWidth") <= 360, watched.page.url
    watched.page.set_viewport_size(size)


def test_from_the_key_to_the_verdict_by_keyboard_alone(
    watch: Callable[..., Any], stack: Any, http: httpx.Client, tmp_path: Path
) -> None:
    watched = watch(signed_in=False)
    page, keys = watched.go("/new"), watched.page.keyboard
    check(watched)
    keys.type(stack.api_key)  # the field has the focus
    keys.press("Enter")

    page.wait_for_selector("h1:has-text('New set')")
    watched.tab_to("Name")
    keys.press("Control+a")
    keys.type("by <keyboard>")
    watched.tab_to("Subjects")
    keys.press("Control+a")
    keys.type("5")
    watched.tab_to("Samples each")
    keys.press("Control+a")
    keys.type("2")
    watched.tab_to("Image size")
    page.wait_for_selector("#draft :text('10')")
    keys.press("ArrowDown")
    watched.tab_to("σ, all factors")
    before = page.get_by_role("slider", name="σ, all factors").input_value()
    keys.press("ArrowRight")
    assert page.get_by_role("slider", name="σ, all factors").input_value() != before
    page.wait_for_selector("#preview[aria-busy=false] img:not([hidden])")
    shape = "e => [e.clientWidth / e.clientHeight, e.naturalWidth / e.naturalHeight]"
    for row in page.locator("#preview img").all():
        shown, made = row.evaluate(shape)
        assert shown == pytest.approx(made, rel=0.02)  # no face is stretched
    check(watched)
    watched.tab_to("Make this set")
    keys.press("Enter")

    page.wait_for_selector("h1:has-text('by <keyboard>')")
    dataset = page.url.rpartition("/")[2]
    check(watched)
    page.wait_for_selector(".pill.succeeded", timeout=120_000)
    check(watched)
    watched.tab_to("Gallery")
    keys.press("Enter")
    page.wait_for_selector("#samples [data-sample]")
    assert page.locator("#samples [data-sample]").count() == 10
    check(watched)
    watched.tab_to("S0000000_0000")
    keys.press("Enter")
    page.wait_for_selector("dialog[open] h2:text('S0000000_0000')")
    check(watched)
    keys.press("ArrowRight")
    page.wait_for_selector("dialog[open] h2:text('S0000000_0001')")
    keys.press("Escape")
    watched.tab_to("Report")
    keys.press("Enter")
    page.wait_for_selector("iframe.report")
    assert page.frame_locator("iframe.report").locator("h1").inner_text() == "by <keyboard>"

    watched.go(f"/datasets/{dataset}")
    watched.tab_to("Release it")
    keys.press("Enter")
    page.wait_for_selector("h1:has-text('Release')")
    watched.tab_to("Name")
    keys.type("gate-keys")
    keys.press("Enter")
    page.wait_for_url("**/releases/gate-keys/1.0.0")
    check(watched)
    watched.tab_to("Evaluate scores")
    keys.press("Enter")

    page.wait_for_selector("h1:has-text('Evaluate scores')")
    check(watched)
    scores = tmp_path / "scores.csv"
    listed = csv.DictReader(io.StringIO(http.get(f"/v1/datasets/{dataset}/comparisons").text))
    lines = [f"{row['reference']},{row['probe']},{0.9 if int(row['mated']) else 0.1}" for row in listed]
    scores.write_text("\n".join(["reference,probe,score", *lines, ""]))
    # The system's own dialog for files is not the page's.
    page.set_input_files("[data-file=scores] input[type=file]", scores)
    page.wait_for_selector("[data-file=scores] :text('handed in')")
    watched.tab_to("FNMR at most")
    keys.type("0.5")
    keys.press("Enter")
    page.wait_for_selector(".verdict.large", timeout=90_000)
    check(watched)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_page_can_be_read_by_everyone(watch: Callable[..., Any], made: str, scheme: str) -> None:
    watched = watch(color_scheme=scheme)
    if scheme == "dark":
        watched.page.set_viewport_size({"width": 390, "height": 844})
    paths = [
        "/",
        "/new",
        "/models",
        "/releases",
        "/verdicts",
        "/verdicts/new",
        "/promote",
        "/compare",
        "/service",
        "/service/keys",
        "/you",
    ]
    if scheme == "dark":
        paths = ["/new", "/models", f"/datasets/{made}/gallery"]
    for path in paths:
        watched.go(path)
        check(watched)


def test_a_telephone_shows_every_area_and_print_shows_no_button(watch: Callable[..., Any], made: str) -> None:
    watched = watch()
    watched.page.set_viewport_size({"width": 390, "height": 844})
    page = watched.go(f"/datasets/{made}/gallery")
    for strip in (".top nav", ".tabs"):
        assert page.locator(strip).evaluate("e => e.scrollWidth <= e.clientWidth"), strip
    page.emulate_media(media="print")
    assert page.locator("button:visible, .button:visible, .top:visible").count() == 0
    assert page.locator("h1:visible").count() == 1


def test_a_session_that_ends_in_mid_form_loses_nothing(watch: Callable[..., Any], stack: Any) -> None:
    watched = watch()
    page = watched.go("/new")
    page.fill("[name=name]", "long thought about")
    page.wait_for_selector("#draft pre:has-text('long thought about')", state="attached")
    page.context.clear_cookies()
    page.fill("[name=subjects]", "12345")
    page.wait_for_selector("dialog#signin-again[open]")
    page.fill("dialog [name=key]", "fcs_wrong")
    page.keyboard.press("Enter")
    page.wait_for_selector("dialog [data-refused]:has-text('not known')")
    page.fill("dialog [name=key]", stack.api_key)
    page.keyboard.press("Enter")
    page.wait_for_selector("#draft pre:has-text('12345')", state="attached")
    assert page.input_value("[name=name]") == "long thought about"
    page.context.clear_cookies()
    page.evaluate("document.getElementById('new').submit()")  # as without scripts
    page.wait_for_selector("text=What you typed is kept")
    page.fill("[name=key]", stack.api_key)
    page.keyboard.press("Enter")
    page.wait_for_selector("h1:has-text('New set')")
    assert page.input_value("[name=name]") == "long thought about"
    assert page.input_value("[name=subjects]") == "12345"


def test_a_service_that_is_away_keeps_the_page_and_goes_on(watch: Callable[..., Any]) -> None:
    watched = watch()
    page = watched.go("/new")
    page.context.set_offline(True)
    page.fill("[name=name]", "typed while away")
    page.wait_for_selector("#away:not([hidden])")
    page.context.set_offline(False)
    page.wait_for_selector("#draft pre:has-text('typed while away')", state="attached")
    page.wait_for_selector("#away", state="hidden")


def test_a_store_that_is_away_is_said_and_the_page_comes_when_it_is_back(watch: Callable[..., Any], stack: Any) -> None:
    watched = watch()
    page = watched.go("/new")
    page.fill("[name=name]", "typed before")
    page.wait_for_selector("#draft pre:has-text('typed before')", state="attached")
    stack.stop_child("s3")
    try:
        listed = page.context.new_page()
        listed.goto(f"{stack.url}/datasets")
        listed.wait_for_selector("h1:has-text('The service is not all there')")
        page.click("text=Make this set")
        page.wait_for_selector("text=This page tries again by itself")
    finally:
        stack.start_child("s3")
    listed.wait_for_selector("h1:has-text('Datasets')")
    page.wait_for_selector("h1:has-text('New set')")
    assert page.input_value("[name=name]") == "typed before"


def test_a_set_that_is_deleted_while_looked_at_is_said_to_be_gone(
    watch: Callable[..., Any], http: httpx.Client
) -> None:
    body = {"name": "short-lived", "model": "sdgan", "subjects": 2000, "samples_per_subject": 5, "seed": 1}
    dataset = http.post("/v1/datasets", json=body).json()["id"]
    watched = watch()
    page = watched.go(f"/datasets/{dataset}")
    page.wait_for_selector("#live")
    assert http.delete(f"/v1/datasets/{dataset}").status_code == 204
    page.wait_for_selector("h1:has-text('There is nothing here')")


def test_a_file_of_ten_gigabytes_is_stopped_at_once(watch: Callable[..., Any], tmp_path: Path) -> None:
    large = tmp_path / "scores.csv"
    with large.open("wb") as file:
        file.truncate(10 * 10**9)
    watched = watch()
    page = watched.go("/verdicts/new")
    page.set_input_files("[data-file=scores] input[type=file]", large)
    page.wait_for_selector("[data-file=scores] :text('reading')")
    page.click("[data-file=scores] [data-stop]")
    page.wait_for_selector("[data-file=scores] :text('nothing of it is kept')")
    assert page.input_value("[data-file=scores] input[type=hidden]") == ""


def test_an_upload_under_way_is_stopped_and_leaves_nothing(
    watch: Callable[..., Any], http: httpx.Client, tmp_path: Path
) -> None:
    file = tmp_path / "scores.csv"
    file.write_bytes(b"reference,probe,score\n" + b"x" * 3_000_000)
    watched = watch()
    page = watched.go("/verdicts/new")
    slow = {"offline": False, "latency": 0, "downloadThroughput": -1, "uploadThroughput": 50_000}
    network = page.context.new_cdp_session(page)
    network.send("Network.emulateNetworkConditions", slow)
    page.set_input_files("[data-file=scores] input[type=file]", file)
    page.wait_for_selector("[data-file=scores] :text('handing in')")
    page.click("[data-file=scores] [data-stop]")
    page.wait_for_selector("[data-file=scores] :text('nothing of it is kept')")
    digest = sha256(file.read_bytes()).hexdigest()
    assert http.get(f"/v1/uploads/{digest}").status_code == 404
    # Not a fault of ours: the same bytes handed in whole are taken, under the digest that the page reckoned.
    network.send("Network.emulateNetworkConditions", {**slow, "uploadThroughput": -1})
    page.set_input_files("[data-file=baseline] input[type=file]", file)
    page.wait_for_selector("[data-file=baseline] :text('handed in')")
    assert page.input_value("[data-file=baseline] input[type=hidden]") == digest
    assert http.delete(f"/v1/uploads/{digest}").status_code == 204
