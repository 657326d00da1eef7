"""How fast the service is, beside what its parts allow, all in one run on one machine.

    python tests/bench/bench_service.py              # everything: about a quarter of an hour on two cores
    python tests/bench/bench_service.py throughput submit memory --model sdgan --json

throughput  samples a second end to end (submit → succeeded, checks and judging off, as many worker processes as
            cores), over what the bare generator gives in as many processes at the same time, without files or store
submit      latency of POST /v1/datasets at 50 requests a second, while a worker is at work
memory      resident memory of a worker process after 1,000 and after 20,000 samples
"""

import argparse
import json
import multiprocessing
import os
import statistics
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import numpy as np
from rich.console import Console

from app.config import WorkerSettings
from app.stack.embedded import EmbeddedStack

UNCHECKED = {"unique": False, "face_found": False}
PROCESSES = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
out = Console(stderr=True)


class Client:
    """A client of one stack."""

    def __init__(self, stack: EmbeddedStack) -> None:
        limits = httpx.Limits(max_connections=64, max_keepalive_connections=64)
        headers = {"Authorization": f"Bearer {stack.api_key}"}
        self.http = httpx.Client(base_url=stack.url, headers=headers, timeout=60, limits=limits)

    def submit(self, **fields: Any) -> str:
        """Submit a dataset without checks, comparisons and judging."""
        without = {"checks": UNCHECKED, "comparisons": {"selection": "none"}, "report": {"judged_subjects": 0}}
        body = {"name": "bench", **without, **fields}
        answer = self.http.post("/v1/datasets", json=body)
        answer.raise_for_status()
        return str(answer.json()["id"])

    def finish(self, dataset: str) -> None:
        """Wait until it has succeeded."""
        while (state := self.http.get(f"/v1/datasets/{dataset}").json()["state"]) != "succeeded":
            if state in ("failed", "cancelled"):
                raise SystemExit(f"{dataset} has {state}")
            time.sleep(0.2)


def bare(model: str, seconds: float, barrier: Any, rates: Any) -> None:
    """Generate for so many seconds in this process, and nothing else."""
    from workers.generator.registry import load_generator

    generator = load_generator(model, WorkerSettings())
    card = generator.card
    rng = np.random.default_rng(os.getpid())
    batch = WorkerSettings().batch_size

    def once() -> None:
        identity = rng.standard_normal((batch, card.latent.identity), np.float32)
        observation = rng.standard_normal((batch, card.latent.observation_size), np.float32)
        generator.generate(identity, observation, *card.sizes[0])

    once()
    barrier.wait()
    began, count = time.perf_counter(), 0
    while time.perf_counter() - began < seconds:
        once()
        count += batch
    rates.put(count / (time.perf_counter() - began))


def bare_rate(model: str, seconds: float) -> float:
    """Images a second of the bare generator, in one process a core."""
    spawn = multiprocessing.get_context("spawn")
    barrier, rates = spawn.Barrier(PROCESSES), spawn.Queue()
    running = [spawn.Process(target=bare, args=(model, seconds, barrier, rates)) for _ in range(PROCESSES)]
    for process in running:
        process.start()
    total = sum(rates.get() for _ in running)
    for process in running:
        process.join()
    return float(total)


def throughput(models: list[str], samples: dict[str, int]) -> list[dict[str, Any]]:
    """End to end over bare, alternating, twice each."""
    rows = []
    with tempfile.TemporaryDirectory() as folder, EmbeddedStack(Path(folder) / "data", workers=PROCESSES) as stack:
        client = Client(stack)
        for model in models:
            client.finish(client.submit(model=model, subjects=20, samples_per_subject=10))  # warm
            bares, ends = [], []
            for _ in range(2):
                bares.append(bare_rate(model, 15))
                began = time.perf_counter()
                client.finish(client.submit(model=model, subjects=samples[model] // 10, samples_per_subject=10))
                ends.append(samples[model] / (time.perf_counter() - began))
                out.print(f"{model}: bare {bares[-1]:.1f}/s, end to end {ends[-1]:.1f}/s")
            bare_mean, end_mean = statistics.mean(bares), statistics.mean(ends)
            rows.append(
                {
                    "model": model,
                    "samples": samples[model],
                    "bare_per_s": round(bare_mean, 1),
                    "end_to_end_per_s": round(end_mean, 1),
                    "ratio": round(end_mean / bare_mean, 3),
                }
            )
    return rows


def submit(model: str, seconds: float = 20.0, per_s: float = 50.0) -> dict[str, Any]:
    """Latency of submitting at a steady rate; every request is due at its time, whatever the ones before took."""
    with (
        tempfile.TemporaryDirectory() as folder,
        EmbeddedStack(
            Path(folder) / "data",
            workers=1,
            env_overrides={"FACSIMILE_LIMITS__UNFINISHED_DATASETS_PER_TENANT": "100000"},
        ) as stack,
    ):
        client = Client(stack)
        for _ in range(20):
            client.submit(subjects=1, samples_per_subject=1, model=model)
        took: list[float] = []
        lock = threading.Lock()
        began = time.perf_counter()

        def one(due: float) -> None:
            time.sleep(max(0.0, due - time.perf_counter()))
            client.submit(subjects=1, samples_per_subject=1, model=model)
            with lock:
                took.append(time.perf_counter() - due)

        with ThreadPoolExecutor(32) as pool:
            list(pool.map(one, (began + k / per_s for k in range(int(seconds * per_s)))))
    milliseconds = np.sort(took) * 1e3
    return {
        "requests": len(took),
        "per_s": per_s,
        "p50_ms": round(float(np.quantile(milliseconds, 0.5)), 1),
        "p99_ms": round(float(np.quantile(milliseconds, 0.99)), 1),
        "max_ms": round(float(milliseconds[-1]), 1),
    }


def memory(model: str) -> dict[str, Any]:
    """Resident memory (MiB) of the one process that generates, after 1,000 and after 20,000 samples."""
    with tempfile.TemporaryDirectory() as folder, EmbeddedStack(Path(folder) / "data", workers=1) as stack:
        client = Client(stack)
        made: dict[str, float] = {}
        total = 0
        for samples in (1_000, 19_000):
            client.finish(client.submit(model=model, subjects=samples // 10, samples_per_subject=10))
            total += samples
            made[str(total)] = _resident(stack.pid("worker") or 0)
    return {
        "model": model,
        "resident_mib": made,
        "growth": round(made["20000"] / made["1000"] - 1, 3),
    }


def _resident(worker: int) -> float:
    """Resident memory of the pool's process: the worker's child that uses most."""
    children = Path(f"/proc/{worker}/task/{worker}/children").read_text().split()
    pages = max(int(Path(f"/proc/{child}/statm").read_text().split()[1]) for child in children)
    return round(pages * os.sysconf("SC_PAGE_SIZE") / 2**20, 1)


def main() -> None:
    """Run what was asked for and print it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", nargs="*", default=[], choices=["throughput", "submit", "memory", []])
    parser.add_argument("--model", action="append", help="sdgan, parametric; both if left out")
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    what = asked.what or ["throughput", "submit", "memory"]
    models = asked.model or ["sdgan", "parametric"]
    found: dict[str, Any] = {"processes": PROCESSES}
    if "throughput" in what:
        found["throughput"] = throughput(models, {"sdgan": 4_000, "parametric": 1_200})
    if "submit" in what:
        found["submit"] = submit(models[0])
    if "memory" in what:
        found["memory"] = memory("sdgan")
    if asked.json:
        sys.stdout.write(json.dumps(found, indent=1) + "\n")
        return
    for name, value in found.items():
        for row in value if isinstance(value, list) else [value]:
            sys.stdout.write(f"{name:11} {row}\n")


if __name__ == "__main__":
    main()
