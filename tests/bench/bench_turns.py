"""How tenants fare beside each other, and what many unfinished and one huge set cost. Figures of one run, as JSON.

python tests/bench/bench_turns.py FOLDER [--workers 1] [--backlog 2000] [--unfinished 2000] [--shards 15625]

Starts a stack of its own in FOLDER. Fairness: a set of 20 samples and a preview of tenant b, alone and beside a backlog
of tenant a. Reconciler: CPU seconds of a pass over so many unfinished sets that all have something on their way.
Status: of a set of so many shards, by what workers told.
"""

import argparse
import json
import shutil
import sys
import time
from pathlib import Path
from statistics import median
from typing import Any

import httpx

from app.access import ApiKeys
from app.config import LimitSettings
from app.dataset import keys
from app.dataset.keys import DatasetKeys
from app.jobs.phases import GENERATE
from app.jobs.reconcile import reconcile
from app.jobs.records import Accepted, read_plan, write_json
from app.jobs.uploads import UploadService
from app.queue import open_queue
from app.stack.embedded import EmbeddedStack
from app.storage import open_store

SMALL: dict[str, Any] = {
    "name": "small",
    "model": "parametric",
    "subjects": 10,
    "samples_per_subject": 2,
    "image": {"size": 64},
    "report": {"judged_subjects": 0},
}
PREVIEW = {"model": "parametric", "subjects": 2, "samples_per_subject": 2, "image": {"size": 64}}


class Tenant:
    """A client of the stack."""

    def __init__(self, url: str, key: str) -> None:
        self._http = httpx.Client(base_url=url, headers={"Authorization": f"Bearer {key}"}, timeout=120)

    def submit(self, **fields: Any) -> str:
        """Submit a set; returns its id."""
        answer = self._http.post("/v1/datasets", json=SMALL | fields)
        answer.raise_for_status()
        return str(answer.json()["id"])

    def show(self, dataset: str) -> dict[str, Any]:
        """Look at a set."""
        found: dict[str, Any] = self._http.get(f"/v1/datasets/{dataset}").json()
        return found

    def finish(self, **fields: Any) -> float:
        """Seconds that a set takes."""
        began = time.monotonic()
        dataset = self.submit(**fields)
        while (state := self.show(dataset)["state"]) != "succeeded":
            if state in ("failed", "cancelled") or time.monotonic() - began > 900:
                raise SystemExit(f"the set is {state}")
            time.sleep(0.1)
        return time.monotonic() - began

    def preview(self, seed: int) -> float:
        """Seconds that a preview takes."""
        began = time.monotonic()
        while self._http.post("/v1/previews", json=PREVIEW | {"seed": seed}).status_code != 200:
            if time.monotonic() - began > 300:
                raise SystemExit("no preview came")
        return time.monotonic() - began


def fairness(stack: EmbeddedStack, backlog: int) -> dict[str, float]:
    """Tenant b alone, and beside a's backlog."""
    issued = ApiKeys(open_store(stack.settings().store)).issue("b", "bench")
    b, a = Tenant(stack.url, issued), Tenant(stack.url, stack.api_key)
    b.finish(seed=1)  # the model is loaded, whatever comes
    alone, alone_preview = b.finish(seed=2), b.preview(1)
    big = a.submit(subjects=backlog // 4, samples_per_subject=4, seed=3, checks={"unique": False, "face_found": False})
    while not a.show(big)["progress"]["samples_done"]:
        time.sleep(0.2)
    beside, beside_preview = b.finish(seed=4), b.preview(2)
    left = a.show(big)["progress"]
    a._http.post(f"/v1/datasets/{big}/cancel")
    return {
        "set_alone_s": alone,
        "set_beside_s": beside,
        "preview_alone_s": alone_preview,
        "preview_beside_s": beside_preview,
        "backlog_done": left["fraction"],
    }


def reconciler(stack: EmbeddedStack, unfinished: int) -> dict[str, float]:
    """A pass over sets that all have something on their way."""
    store, queue = open_store(stack.settings().store), open_queue(stack.settings().queue)
    uploads = UploadService(store, LimitSettings())
    for number in range(unfinished):
        dataset = f"ds_{number:020d}"
        store.put(keys.unfinished("c", dataset), b"")
        queue.working(GENERATE.task("c", dataset, "000000"))
    while not queue.only_one("reconcile", 120):  # the stack's own passes wait
        time.sleep(0.1)
    queue.free("reconcile")
    began, cpu = time.monotonic(), time.process_time()
    counts = reconcile(store, queue, uploads)
    found = {"pass_s": time.monotonic() - began, "pass_cpu_s": time.process_time() - cpu, **counts}
    store.delete_prefix(f"{keys.UNFINISHED}c/")
    return found


def status(stack: EmbeddedStack, shards: int) -> dict[str, float]:
    """A look at a set of so many shards of which half are done."""
    store, queue = open_store(stack.settings().store), open_queue(stack.settings().queue)
    owner = Tenant(stack.url, stack.api_key)
    model = owner.submit(seed=9)
    plan = read_plan(store, "local", model)
    dataset = "ds_0" + "huge".ljust(19, "0").replace("u", "v")
    at = DatasetKeys("local", dataset)
    write_json(store, at.plan, plan.model_copy(update={"dataset": dataset, "subjects": shards * 32, "shard_size": 64}))
    accepted = Accepted(
        id=dataset, tenant="local", name="huge", created_at="2026-01-01T00:00:00.000+00:00", request=SMALL
    )
    write_json(store, at.request, accepted)
    done = [(GENERATE.kind.name, f"{shard:06d}") for shard in range(shards // 2)]
    queue.tell("local", dataset, done, all_of_it=True)
    times = []
    for _ in range(20):
        began = time.monotonic()
        shown = owner.show(dataset)
        times.append(time.monotonic() - began)
    store.delete_prefix(at.prefix)
    return {"status_s": median(times), "slowest_s": max(times), "fraction": shown["progress"]["fraction"]}


def main() -> None:
    """Run all three and print what came out."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--backlog", type=int, default=2000)
    parser.add_argument("--unfinished", type=int, default=2000)
    parser.add_argument("--shards", type=int, default=15_625)
    asked = parser.parse_args()
    shutil.rmtree(asked.folder / "data", ignore_errors=True)
    with EmbeddedStack(asked.folder / "data", workers=asked.workers) as stack:
        found: dict[str, Any] = {
            "reconciler": reconciler(stack, asked.unfinished),
            "status": status(stack, asked.shards),
            "fairness": fairness(stack, asked.backlog),
        }
    sys.stdout.write(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
