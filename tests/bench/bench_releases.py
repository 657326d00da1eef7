"""Whether repeats and races make anything twice, in numbers, on the real store.

    python tests/bench/bench_releases.py                       # 10,000 submissions and 200 racing PUTs: minutes
    python tests/bench/bench_releases.py --submits 300 --races 5 --json

submits   the same request with the same Idempotency-Key so often, 16 at a time: how many datasets there are then
races     rounds of 200 PUTs of one version for two datasets in turn, 50 at a time: winners, repeats, conflicts of each
"""

import argparse
import json
import statistics
import sys
import tempfile
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
from rich.console import Console

from app.stack.embedded import EmbeddedStack

SMALL = {
    "model": "parametric",
    "subjects": 2,
    "samples_per_subject": 2,
    "checks": {"unique": False, "face_found": False},
    "report": {"judged_subjects": 0},
}
LIMITS = {"FACSIMILE_LIMITS__REQUESTS_PER_MINUTE_PER_TENANT": "1000000"}
out = Console(stderr=True)


def timed(http: httpx.Client, method: str, path: str, **more: Any) -> tuple[int, Any, float]:
    """Status, body and milliseconds of a call."""
    began = time.perf_counter()
    answer = http.request(method, path, **more)
    return answer.status_code, answer.json(), (time.perf_counter() - began) * 1000


def submits(http: httpx.Client, count: int) -> dict[str, Any]:
    """Submit the same thing again and again."""
    body, headers = {"name": "again", **SMALL, "seed": 1}, {"Idempotency-Key": "again"}
    with ThreadPoolExecutor(16) as pool:
        began = time.perf_counter()
        answers = list(
            pool.map(lambda _: timed(http, "POST", "/v1/datasets", json=body, headers=headers), range(count))
        )
        took_s = time.perf_counter() - began
    listed = http.get("/v1/datasets", params={"name": "again", "limit": 100}).json()["datasets"]
    return {
        "submits": count,
        "statuses": dict(Counter(status for status, _, _ in answers)),
        "ids": len({found["id"] for status, found, _ in answers if status == 202}),
        "datasets": len(listed),
        "per_s": round(count / took_s, 1),
        "median_ms": round(statistics.median(ms for _, _, ms in answers), 1),
    }


def races(http: httpx.Client, rounds: int, writers: int = 200) -> dict[str, Any]:
    """Let many put one version, round after round."""
    pair = [http.post("/v1/datasets", json={"name": "raced", **SMALL, "seed": 2}).json()["id"] for _ in range(2)]
    for dataset in pair:
        while http.get(f"/v1/datasets/{dataset}").json()["state"] != "succeeded":
            time.sleep(0.2)
    told: list[Counter[int]] = []
    times: list[float] = []
    for number in range(rounds):
        path = f"/v1/releases/race/1.0.{number}"
        with ThreadPoolExecutor(50) as pool:
            answers = list(
                pool.map(lambda i, path=path: timed(http, "PUT", path, json={"dataset": pair[i % 2]}), range(writers))
            )
        told.append(Counter(status for status, _, _ in answers))
        times.extend(ms for _, _, ms in answers)
    return {
        "rounds": rounds,
        "puts_a_round": writers,
        "winners_a_round": sorted({counted[201] for counted in told}),
        "statuses": dict(sum(told, Counter())),
        "versions": len(http.get("/v1/releases/race").json()["releases"]),
        "median_ms": round(statistics.median(times), 1),
    }


def main() -> None:
    """Run what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--submits", type=int, default=10_000)
    parser.add_argument("--races", type=int, default=5)
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    with (
        tempfile.TemporaryDirectory() as folder,
        EmbeddedStack(Path(folder) / "data", workers=1, env_overrides=LIMITS) as stack,
        httpx.Client(
            base_url=stack.url,
            headers={"Authorization": f"Bearer {stack.api_key}"},
            timeout=120,
            limits=httpx.Limits(max_connections=64),
        ) as http,
    ):
        found = {"submits": submits(http, asked.submits), "races": races(http, asked.races)}
    if asked.json:
        sys.stdout.write(json.dumps(found, indent=2) + "\n")
        return
    for name, row in found.items():
        out.print(name, row)


if __name__ == "__main__":
    main()
