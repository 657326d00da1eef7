"""Pictures of every page of the console, to be looked at, and the README's one; by chromium, on a stack of its own.

    python tests/browser/look.py FOLDER                 # every page at 390 and 1280 pixels, light and dark
    python tests/browser/look.py FOLDER --readme        # console.png alone: copy it to deploy/pictures
    python tests/browser/look.py FOLDER --only new,datasets --workers 2

Makes a set with `sdgan`, one with `parametric`, a release and two verdicts first: a few minutes of one core.
"""

import argparse
import csv
import hashlib
import io
import os
import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import httpx

from app.stack.embedded import EmbeddedStack
from app.stack.invitation import invite

CHROMIUM = os.environ.get("FACSIMILE_CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
README = (
    "/new?name=gate-7+smoke&subjects=200&samples_per_subject=5&seed=7&scale=1&factor.pose=0.5&factor.illumination=1.5"
)
WIDTHS = {390: 844, 1280: 900}
WAIT_MS = 300_000


def finished(http: httpx.Client, body: dict[str, Any]) -> str:
    """Id of a set, once it has succeeded."""
    answer = http.post("/v1/datasets", json=body)
    answer.raise_for_status()
    dataset = str(answer.json()["id"])
    while (state := http.get(f"/v1/datasets/{dataset}").json()["state"]) != "succeeded":
        if state in ("failed", "cancelled"):
            raise SystemExit(f"the set {body['name']} {state}")
        time.sleep(1)
    return dataset


def judged(http: httpx.Client, release: str, dataset: str, name: str, worse: int) -> str:
    """Id of an evaluation, finished, of scores of which some mated ones are low."""
    lines = ["reference,probe,score"]
    for number, row in enumerate(csv.DictReader(io.StringIO(http.get(f"/v1/datasets/{dataset}/comparisons").text))):
        low = number % 7 < worse
        score = (0.2 if low else 0.9) if row["mated"] == "1" else 0.1
        lines.append(f"{row['reference']},{row['probe']},{score + number % 13 * 0.01:.4f}")
    scores = "\n".join([*lines, ""]).encode()
    upload = hashlib.sha256(scores).hexdigest()
    http.put(f"/v1/uploads/{upload}", content=scores).raise_for_status()
    body: dict[str, Any] = {"name": name, "release": release, "scores": {"upload": upload}}
    earlier = http.get("/v1/evaluations", params={"limit": 1}).json()["evaluations"]
    if earlier:
        body["baseline"] = {"evaluation": earlier[0]["id"]}
    rule = {"at_fmr": 0.1, "max_fnmr": 0.3} | ({"max_fnmr_increase": "0.01"} if earlier else {})
    answer = http.post("/v1/evaluations", json=body | {"rule": rule})
    answer.raise_for_status()
    found = str(answer.json()["id"])
    while http.get(f"/v1/evaluations/{found}").json()["state"] not in ("succeeded", "failed"):
        time.sleep(1)
    return found


def furnished(http: httpx.Client) -> dict[str, str]:
    """Pages by name, once there is something on each."""
    small = {"comparisons": {"selection": "complete"}, "seed": 5}
    drawn = {"name": "drawn faces", "model": "parametric", "subjects": 4, "samples_per_subject": 3, **small}
    finished(http, drawn | {"report": {"judged_subjects": 0}})
    gate = {"name": "gate 7 nightly", "model": "sdgan", "subjects": 12, "samples_per_subject": 4, **small}
    dataset = finished(http, gate)
    for version in ("1.0.0", "1.1.0"):
        http.put(
            f"/v1/releases/gate-7/{version}", json={"dataset": dataset, "notes": "for the gate"}
        ).raise_for_status()
    verdicts = [judged(http, "gate-7@1.1.0", dataset, f"matcher 2.{number}.0", number * 2) for number in range(2)]
    return {
        "signin": "/signin",
        "datasets": "/datasets",
        "models": "/models",
        "new": README,
        "new-target": f"{README}&difficulty=target",
        "dataset": f"/datasets/{dataset}",
        "gallery": f"/datasets/{dataset}/gallery",
        "gallery-grid": f"/datasets/{dataset}/gallery?is.role=probe",
        "pairs": f"/datasets/{dataset}/pairs",
        "report": f"/datasets/{dataset}/report",
        "downloads": f"/datasets/{dataset}/downloads",
        "compare": f"/compare?a={dataset}&b=gate-7@1.0.0",
        "releases": "/releases",
        "versions": "/releases/gate-7",
        "release": "/releases/gate-7/1.0.0",
        "diff": "/releases/gate-7/1.0.0/diff?to=1.1.0",
        "promote": f"/promote?dataset={dataset}",
        "verdicts": "/verdicts?release=gate-7",
        "verdict-new": "/verdicts/new?release=gate-7@1.1.0",
        "verdict": f"/verdicts/{verdicts[1]}",
        "service": "/service",
        "keys": "/service/keys",
        "you": "/you",
        "problem": "/datasets/ds_00000000000000000000",
    }


def taken(page: Any, url: str, to: Path, *, whole: bool) -> None:
    """Open a page, wait for all that is drawn, and take its picture."""
    page.goto(url)
    for figure in page.query_selector_all("figure.preview:not([hidden])"):
        page.wait_for_function("e => e.getAttribute('aria-busy') === 'false'", arg=figure, timeout=WAIT_MS)
    page.wait_for_timeout(400)
    page.screenshot(path=str(to), full_page=whole)
    sys.stderr.write(f"{to}\n")


def main() -> int:
    """Make what is to be seen, and the pictures."""
    from playwright.sync_api import sync_playwright

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--readme", action="store_true")
    parser.add_argument("--only", default="", help="names of pages, with commas between")
    parser.add_argument("--workers", type=int, default=1)
    given = parser.parse_args()
    given.folder.mkdir(parents=True, exist_ok=True)
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    with (
        tempfile.TemporaryDirectory() as data,
        EmbeddedStack(Path(data) / "data", workers=given.workers) as stack,
        httpx.Client(base_url=stack.url, headers={"Authorization": f"Bearer {stack.api_key}"}, timeout=120) as http,
        sync_playwright() as playwright,
    ):
        paths = furnished(http)
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        looks = [(1280, "light")] if given.readme else [(width, s) for width in WIDTHS for s in ("light", "dark")]
        for width, scheme in looks:
            context = browser.new_context(viewport={"width": width, "height": WIDTHS[width]}, color_scheme=scheme)
            page = context.new_page()
            page.set_default_timeout(WAIT_MS)
            if not given.readme and "signin" in (given.only or "signin"):
                taken(page, stack.url + "/signin", given.folder / f"signin-{width}-{scheme}.png", whole=True)
            page.goto(invite(stack.folder))
            if given.readme:
                taken(page, stack.url + README, given.folder / "console.png", whole=False)
            for name, path in {} if given.readme else paths.items():
                if name != "signin" and (not given.only or name in given.only.split(",")):
                    taken(page, stack.url + path, given.folder / f"{name}-{width}-{scheme}.png", whole=True)
            context.close()
        browser.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
