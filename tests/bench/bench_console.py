"""How long the console takes at 10,000 datasets, until one can use it, and until one sees faces, on the real store.

    python tests/bench/bench_console.py                  # plants 10,000 sets: a minute or two
    python tests/bench/bench_console.py --sets 500 --rounds 3 --json
    python tests/bench/bench_console.py --sets 0         # previews alone

api       `GET /v1/datasets` as the console's pages ask: the newest, by name, by state, somewhere in the middle
page      the same as the page that a browser gets
browser   from the click until the page can be used (load event), by chromium, where there is one
preview   on the form of a new set, with `parametric` and as many workers as cores: from a slider's move until the first
          row of faces, and until the whole sheet; other faces each time. Beside it the same number of portraits drawn
          by this process alone, in wall and CPU time: what the machine is good for just then
"""

import argparse
import json
import secrets
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import httpx
import numpy as np
from doubles import load
from rich.console import Console

from app.config import WorkerSettings
from app.dataset.keys import DatasetKeys
from app.dataset.model import ModelCard
from app.jobs.catalogues.models import ModelCatalogue
from app.stack.embedded import EmbeddedStack
from app.stack.invitation import invite
from app.storage import ObjectStore, open_store
from app.web.draft import PREVIEW_SAMPLES, PREVIEW_SUBJECTS

TENANT = "local"
CROCKFORD = "0123456789abcdefghjkmnpqrstvwxyz"
LIMITS = {"FACSIMILE_LIMITS__REQUESTS_PER_MINUTE_PER_TENANT": "1000000"}
CARD = {
    "name": "toy",
    "version": "1",
    "kind": "parametric",
    "description": "For a benchmark",
    "sizes": [[128, 128]],
    "latent": {"identity": 4, "observation": {"pose": [0, 2]}},
    "checks": {},
    "licence": "Apache-2.0",
    "provenance": "none",
}
WARM = 2
"""Rounds that are not counted."""

MOVE = """value => {
  const slider = document.querySelector('[name=scale]');
  slider.value = value;
  slider.dispatchEvent(new Event('input', { bubbles: true }));
}"""
out = Console(stderr=True)


def planted(store: ObjectStore, http: httpx.Client, count: int) -> None:
    """Copies of one accepted set under ids and names of their own, most of them finished."""
    ModelCatalogue(store).publish([ModelCard.model_validate(CARD)], "toy")
    body = {"name": "planted", "subjects": 20, "samples_per_subject": 5, "checks": {"unique": False}}
    first = http.post("/v1/datasets", json=body).json()["id"]
    at = DatasetKeys(TENANT, first)
    load().finish_dataset(store, TENANT, first)
    kept = (at.request, at.plan, at.summary, at.manifest, at.shard_report(0))
    texts = {key.removeprefix(at.prefix): store.get(key).decode() for key in kept}

    def plant(number: int) -> None:
        stamp = (1_790_000_000_000 + number * 60_000) << 50 | secrets.randbits(50)
        dataset = "ds_" + "".join(CROCKFORD[(stamp >> shift) & 31] for shift in range(95, -1, -5))
        to = DatasetKeys(TENANT, dataset)
        for name, text in texts.items():
            mine = text.replace(first, dataset).replace('"planted"', f'"gate {number % 97} nightly {number}"')
            store.put(to.prefix + name, mine.encode())
        if number % 10 == 9:
            store.delete(to.manifest)
            store.put(to.failed, b'{"reason": "a worker was killed five times on shard 3"}')

    with ThreadPoolExecutor(16) as pool:
        list(pool.map(plant, range(count)))


def milliseconds(rounds: int, call: Callable[[], Any]) -> dict[str, float]:
    """Median and worst of some rounds; the first is told by itself, for it fills what is remembered."""
    times = []
    for _ in range(rounds):
        began = time.perf_counter()
        call()
        times.append((time.perf_counter() - began) * 1000)
    return {
        "first": round(times[0], 1),
        "median": round(statistics.median(times[1:] or times), 1),
        "worst": round(max(times[1:] or times), 1),
    }


def asked(http: httpx.Client, path: str, **query: Any) -> Callable[[], Any]:
    """A call that must succeed."""
    return lambda: http.get(path, params=query).raise_for_status()


def browsed(stack: EmbeddedStack, rounds: int) -> dict[str, Any]:
    """Milliseconds until the list can be used, as the browser itself has them."""
    chromium = shutil.which("chromium")
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        chromium = None
    if chromium is None:
        return {"left_out": "there is no playwright or no chromium here"}
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
        page = browser.new_page()
        page.goto(invite(stack.folder))
        times: dict[str, list[float]] = {}
        for path in ("/datasets", "/new"):
            for _ in range(rounds):
                page.goto(stack.url + path)
                found = page.evaluate("performance.getEntriesByType('navigation')[0].loadEventEnd")
                times.setdefault(path, []).append(found)
        browser.close()
    return {path: round(statistics.median(found)) for path, found in times.items()}


def looked(rounds: int, model: str) -> dict[str, Any]:
    """Seconds until faces are seen after σ was moved, and what drawing them takes without a service."""
    chromium = shutil.which("chromium")
    if chromium is None or find_spec("playwright") is None:
        return {"left_out": "there is no playwright or no chromium here"}
    from playwright.sync_api import sync_playwright

    first, whole = [], []
    with (
        tempfile.TemporaryDirectory() as folder,
        EmbeddedStack(Path(folder) / "data", env_overrides=LIMITS) as stack,
        sync_playwright() as playwright,
    ):
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
        page = browser.new_page()
        page.set_default_timeout(300_000)
        page.goto(invite(stack.folder))
        page.goto(f"{stack.url}/new?name=x&subjects=20&samples_per_subject=5&scale=1&model={model}")
        done = "document.querySelector('#preview').getAttribute('aria-busy') === 'false'"
        page.wait_for_function(f"() => {done}")
        for number in range(WARM + rounds):  # the first ones find workers that have drawn nothing yet
            before = page.get_attribute("#draft", "data-preview")
            page.evaluate(MOVE, str(0.5 + 0.05 * number))
            page.wait_for_function(f"e => e !== document.getElementById('draft').dataset.preview && {done}", arg=before)
            if number >= WARM:
                first.append(float(page.get_attribute("#preview", "data-first")) / 1000)
                whole.append(float(page.get_attribute("#preview", "data-took")) / 1000)
        browser.close()
        workers = stack.workers
    return {
        "portraits": PREVIEW_SUBJECTS * PREVIEW_SAMPLES,
        "workers": workers,
        "first_row_s": seconds(first),
        "whole_sheet_s": seconds(whole),
        "bare": bare(model, rounds),
    }


def bare(model: str, rounds: int) -> dict[str, Any]:
    """Seconds, of the clock and of a core, that as many portraits take in this process, one after the other."""
    from workers.generator.registry import load_generator

    generator = load_generator(model, WorkerSettings(device="cpu"))
    card, chance = generator.card, np.random.default_rng(7)
    observed = max(end for _, end in card.latent.observation.values())
    width, height = card.sizes[0]
    clock, core = [], []
    for _ in range(WARM + rounds):
        subjects = chance.standard_normal((PREVIEW_SUBJECTS, card.latent.identity), np.float32)
        identity = np.repeat(subjects, PREVIEW_SAMPLES, 0)
        observation = chance.standard_normal((len(identity), observed), np.float32)
        began, had = time.perf_counter(), time.process_time()
        generator.generate(identity, observation, width, height)
        clock.append(time.perf_counter() - began)
        core.append(time.process_time() - had)
    return {"wall_s": seconds(clock[WARM:]), "cpu_s": seconds(core[WARM:])}


def seconds(times: list[float]) -> dict[str, float]:
    """Median and worst."""
    return {"median": round(statistics.median(times), 2), "worst": round(max(times), 2)}


def measured(sets: int, rounds: int) -> dict[str, Any]:
    """Everything, on a stack of its own."""
    with (
        tempfile.TemporaryDirectory() as folder,
        EmbeddedStack(Path(folder) / "data", workers=0, env_overrides=LIMITS) as stack,
        httpx.Client(base_url=stack.url, timeout=120) as http,
    ):
        store = open_store(stack.settings().store)
        http.headers["Authorization"] = f"Bearer {stack.api_key}"
        began = time.perf_counter()
        planted(store, http, sets)
        out.print(f"{sets:,} sets planted in {time.perf_counter() - began:.0f} s")
        answer = http.get("/v1/datasets", params={"limit": 100})
        if answer.is_error:
            raise SystemExit(f"the list cannot be had: {answer.text}")
        middle = answer.json()["next"]
        queries: dict[str, dict[str, Any]] = {
            "newest": {},
            "by_state": {"state": "failed"},
            "by_name": {"name": f"nightly {sets - 30}"},
            "by_rare_name": {"name": "nightly 17"},
            "after": {"after": middle} if middle else {},
        }
        api = {
            name: milliseconds(rounds, asked(http, "/v1/datasets", limit=25, **query))
            for name, query in queries.items()
        }
        del http.headers["Authorization"]
        http.get(invite(stack.folder), follow_redirects=True).raise_for_status()
        page = {name: milliseconds(rounds, asked(http, "/datasets", **query)) for name, query in queries.items()}
        return {"sets": sets, "api_ms": api, "page_ms": page, "browser_ms": browsed(stack, rounds)}


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sets", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--model", default="parametric", help="whose previews")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    found = measured(given.sets, given.rounds) if given.sets else {}
    found["preview"] = looked(given.rounds, given.model)
    sys.stdout.write(json.dumps(found, indent=None if given.json else 1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
