"""How fast `facsimile pull` is, beside what the bare S3 client reaches with the same bytes, in one run on one machine.

    python tests/bench/bench_pull.py                       # about three minutes on two cores
    python tests/bench/bench_pull.py --samples 20000 --rounds 5 --json

raw     the minio client reads the release's objects (the shards' tars) into files, as many at a time as pull has
        connections: nothing is unpacked, checked or made durable
files   the minio client brings the same samples as single objects into single files, as many at a time
pull    a pull into an empty folder, with an empty cache: every sample's digest checked, every file durable;
        read from the store directly
service the same, every byte through the API
mirror  the same out of a presigned URL of the archive, without the service
again   the pull repeated: everything is there, and every digest is checked again

Shares are of bytes a second, medians of rounds that alternate. `files` ends with what `pull` ends with, but unchecked.
"""

import argparse
import io
import json
import statistics
import sys
import tarfile
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
from rich.console import Console

from app.cli.output import megabytes
from app.client.cache import Cache
from app.client.connect import Lazily
from app.client.pull import Puller
from app.client.service import Client
from app.dataset.keys import DatasetKeys
from app.dataset.layout import Layout
from app.dataset.version import ReleaseRef
from app.stack.embedded import EmbeddedStack
from app.storage import S3Store, open_store

REF = ReleaseRef("bench", "1.0.0")
WORKERS = 8
out = Console(stderr=True)


class Through(Client):
    """A client that is told of no parts."""

    def release_parts(self, name: str, version: str) -> dict[str, Any]:
        """None."""
        return {"parts": None}


def make_release(stack: EmbeddedStack, samples: int, model: str, size: int) -> DatasetKeys:
    """Make a dataset and release it; returns where its objects lie."""
    headers = {"Authorization": f"Bearer {stack.api_key}"}
    with httpx.Client(base_url=stack.url, headers=headers, timeout=60) as http:
        body = {
            "name": "bench",
            "model": model,
            "subjects": samples // 10,
            "samples_per_subject": 10,
            "image": {"size": size},
            "checks": {"unique": False, "face_found": False},
            "comparisons": {"selection": "none"},
            "report": {"judged_subjects": 0},
        }
        dataset = http.post("/v1/datasets", json=body).raise_for_status().json()["id"]
        while (state := http.get(f"/v1/datasets/{dataset}").json()["state"]) != "succeeded":
            if state in ("failed", "cancelled"):
                raise SystemExit(f"{dataset} has {state}")
            time.sleep(0.5)
        http.put(f"/v1/releases/{REF.name}/{REF.version}", json={"dataset": dataset}).raise_for_status()
        store = open_store(stack.settings().store)
        return next(
            DatasetKeys(found.key.split("/")[1], dataset)
            for found in store.list("tenants/")
            if f"/datasets/{dataset}/" in found.key
        )


def raw(store: S3Store, at: DatasetKeys, folder: Path) -> int:
    """Read the release's objects into files; returns their bytes."""
    keys = [at.manifest, at.comparisons, at.contact_sheet]
    keys += [found.key for found in store.list(at.shards) if found.key.endswith("/samples.tar")]
    folder.mkdir()

    def read(numbered: tuple[int, str]) -> int:
        with (folder / str(numbered[0])).open("wb") as file:
            return sum(file.write(chunk) for chunk in store.read(numbered[1]))

    with ThreadPoolExecutor(WORKERS) as pool:
        return sum(pool.map(read, enumerate(keys)))


def store_files(store: S3Store, at: DatasetKeys) -> list[str]:
    """Put every sample into an object of its own; returns their keys."""
    keys = []
    for found in list(store.list(at.shards)):
        if found.key.endswith("/samples.tar"):
            with tarfile.open(fileobj=io.BytesIO(store.get(found.key))) as tar:
                for member in tar:
                    keys.append(f"mirrored/{member.name}")
                    store.put(keys[-1], tar.extractfile(member).read())  # type: ignore[union-attr]
    return keys


def raw_files(store: S3Store, keys: list[str], folder: Path) -> None:
    """Read single objects into single files."""
    for parent in {(folder / key).parent for key in keys}:
        parent.mkdir(parents=True)

    def read(key: str) -> None:
        with (folder / key).open("wb") as file:
            for chunk in store.read(key):
                file.write(chunk)

    with ThreadPoolExecutor(WORKERS) as pool:
        list(pool.map(read, keys))


def measure(stack: EmbeddedStack, folder: Path, samples: int, model: str, size: int, rounds: int) -> dict[str, Any]:
    """All of them, `rounds` times."""
    at = make_release(stack, samples, model, size)
    store = open_store(stack.settings().store)
    with Client(stack.url, stack.api_key).stream("GET", f"/v1/releases/{REF.name}/{REF.version}/archive") as answer:
        archive = answer.read()
    store.put("mirrored/bench.tar", archive, "application/x-tar")
    url = store._client.presigned_get_object("facsimile", "mirrored/bench.tar", expires=timedelta(hours=1))
    seconds: dict[str, list[float]] = {"raw": [], "files": [], "pull": [], "service": [], "again": [], "mirror": []}
    fetched, keys = 0, store_files(store, at)

    def timed(what: str, action: Callable[[], Any]) -> Any:
        begun = time.perf_counter()
        result = action()
        seconds[what].append(time.perf_counter() - begun)
        return result

    # Nothing is removed in between: ext4 makes files slowly for some seconds after many were.
    for number in range(rounds):
        timed("raw", lambda: raw(store, at, folder / f"raw-{number}"))  # noqa: B023  (called at once)
        timed("files", lambda: raw_files(store, keys, folder / f"files-{number}"))  # noqa: B023
        for what, source, kind in (("pull", None, Client), ("service", None, Through), ("mirror", url, Client)):
            puller = Puller(
                cache=Cache(folder / f"cache-{what}-{number}"),
                workers=WORKERS,
                client=Lazily(lambda kind=kind: kind(stack.url, stack.api_key)),
            )
            into = folder / f"{what}-{number}"

            def pull(puller: Puller = puller, into: Path = into, source: str | None = source) -> dict[str, Any]:
                return puller.pull(REF, into, layout=Layout.PLAIN, source=source, locked=None)

            found = timed(what, pull)
            fetched += found["fetched"]
            if what == "pull" and timed("again", pull)["there"] != found["samples"]:
                raise SystemExit("a second pull found something missing")
    medians = {what: statistics.median(times) for what, times in seconds.items()}
    per_s = {what: len(archive) / taken for what, taken in medians.items()}
    return {
        "samples": samples,
        "archive_bytes": len(archive),
        "bytes_per_sample": round(len(archive) / samples),
        "verified_share": fetched / (3 * rounds * samples),
        **{f"{what}_mb_per_s": round(rate / 1e6, 1) for what, rate in per_s.items()},
        "pull_over_raw": round(per_s["pull"] / per_s["raw"], 3),
        "pull_over_files": round(per_s["pull"] / per_s["files"], 3),
        "service_over_raw": round(per_s["service"] / per_s["raw"], 3),
        "service_over_files": round(per_s["service"] / per_s["files"], 3),
        "mirror_over_raw": round(per_s["mirror"] / per_s["raw"], 3),
        "seconds": {what: [round(taken, 3) for taken in times] for what, times in seconds.items()},
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--samples", type=int, default=6_000)
    parser.add_argument("--model", default="sdgan")
    parser.add_argument("--size", type=int, default=64, help="pixels a side")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, EmbeddedStack(Path(folder) / "data", workers=2) as stack:
        found = measure(stack, Path(folder), asked.samples, asked.model, asked.size, asked.rounds)
    if asked.json:
        sys.stdout.write(json.dumps(found, indent=1) + "\n")
        return
    size = f"{megabytes(found['archive_bytes'])}, {found['bytes_per_sample']:,} bytes a sample"
    out.print(f"{found['samples']:,} samples, {size}, verified {found['verified_share']:.0%}")
    for what in ("raw", "files", "pull", "service", "mirror", "again"):
        out.print(f"{what:<7} {found[f'{what}_mb_per_s']:>8} MB/s   seconds {found['seconds'][what]}")
    shares = ("pull_over_raw", "pull_over_files", "service_over_raw", "service_over_files", "mirror_over_raw")
    out.print("; ".join(f"{share.replace('_', ' ')} {found[share]}" for share in shares))


if __name__ == "__main__":
    main()
