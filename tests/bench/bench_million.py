"""A large set for real, checks off, WebDataset its product: memory, processor time by phase, cancelling, deleting.

    python tests/bench/bench_million.py --samples 100000 --data FOLDER   # hours; it goes on where it was broken off
    python tests/bench/bench_million.py --samples 2000 --data FOLDER --json

`--light` has a network of 11,000 parameters in the place of sdgan's 6 million, so that the machine's time goes to all
that is not the network: pictures are blots, everything else is as it is.

One worker process, `sdgan` at 64 × 64 pixels, no uniqueness check, no face check, no judges, no list of comparisons.
While it is made: processor seconds of each of the service's processes, by what the set's progress says is done, and
their resident memory by how much of it there is. Then the archive is read from end to end and its samples are counted;
a second set of the same size is cancelled in the midst of its shards; and both are deleted. FOLDER is left with the
service's own objects, and what was measured in `measured.json`.
"""

import argparse
import json
import os
import sys
import tarfile
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO, cast

import httpx
from rich.console import Console

from app.stack.embedded import EmbeddedStack
from app.storage import ChunkReader

EVERY_S = 5.0
TICKS = os.sysconf("SC_CLK_TCK")
PAGE = os.sysconf("SC_PAGE_SIZE")
NAMES = ("worker", "api", "s3", "valkey")
FINAL = ("succeeded", "failed", "cancelled")
out = Console(stderr=True)


def tree(pid: int) -> list[int]:
    """A process and all below it."""
    found = [pid]
    with suppress(OSError):
        for thread in Path(f"/proc/{pid}/task").iterdir():
            for child in (thread / "children").read_text().split():
                found += tree(int(child))
    return found


def processor_seconds(pid: int) -> float:
    """Of one process, and of its children that have ended."""
    with suppress(OSError, IndexError):
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return sum(map(int, fields[11:15])) / TICKS
    return 0.0


def resident_mib(pid: int) -> float:
    """Resident memory of one process."""
    with suppress(OSError):
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * PAGE / 2**20
    return 0.0


class Watch:
    """Adds up what the service's processes use, over several calls of this program."""

    def __init__(self, stack: EmbeddedStack, file: Path) -> None:
        self._stack, self._file = stack, file
        self.found: dict[str, Any] = json.loads(file.read_text()) if file.exists() else {}
        self._seen: dict[int, float] = {}
        self._at = time.monotonic()

    def look(self, phase: str, samples: int, total: int) -> None:
        """Count what was used since the last look for `phase`; memory is noted at each tenth of the samples."""
        now = time.monotonic()
        spent = self.found.setdefault("phases", {}).setdefault(phase, {"wall_s": 0.0})
        spent["wall_s"] = round(spent["wall_s"] + now - self._at, 1)
        self._at = now
        memory = {}
        for name in NAMES:
            pids = tree(pid) if (pid := self._stack.pid(name)) else []
            used = sum(self._used(pid) for pid in pids)
            spent[f"{name}_cpu_s"] = round(spent.get(f"{name}_cpu_s", 0.0) + used, 2)
            memory[name] = round(max(map(resident_mib, pids), default=0.0), 1)
        tenth = f"{samples * 10 // total * 10}%"
        most = self.found.setdefault("resident_mib", {}).setdefault(tenth, {})
        for name, value in memory.items():
            most[name] = max(value, most.get(name, 0.0))
        self.write()

    def _used(self, pid: int) -> float:
        now = processor_seconds(pid)
        # What a process had used before it was first seen, it used in the moments since the last look.
        used, self._seen[pid] = now - self._seen.get(pid, 0.0), now
        return max(0.0, used)

    def note(self, **found: Any) -> None:
        """Note something measured."""
        self.found |= found
        self.write()

    def write(self) -> None:
        """Keep it."""
        self._file.write_text(json.dumps(self.found, indent=1) + "\n")


def light_model(folder: Path) -> None:
    """Write a model of sdgan's kind, and hardly any work to draw with; the same each time."""
    import torch

    from workers.generator.sdgan.network import Architecture, GeneratorNetwork
    from workers.generator.weights import save_model

    sizes = {"identity": 64, "observation": 28, "flags": 0, "landmarks": 0, "resolution": 64, "base": 1, "width": 16}
    sizes |= {"colours": 3}
    torch.manual_seed(1)
    network = GeneratorNetwork(Architecture(**sizes))
    card = {
        "name": "light",
        "version": "1.0.0",
        "kind": "sdgan",
        "description": "Blots, for a load test",
        "sizes": [[64, 64]],
        "latent": {"identity": 64, "observation": {"residual": [0, 28]}},
        "architecture": sizes,
        "checks": {},
        "licence": "Apache-2.0",
        "provenance": "drawn by chance",
    }
    save_model(folder / "light", card, network.state_dict())


def request_of(samples: int, seed: int, model: str) -> dict[str, Any]:
    """The load-test profile: ten samples a subject, nothing checked, nothing judged, nothing listed."""
    return {
        "name": f"load {samples}",
        "model": model,
        "subjects": samples // 10,
        "samples_per_subject": 10,
        "seed": seed,
        "image": {"size": 64},
        "checks": {"unique": False, "face_found": False},
        "report": {"judged_subjects": 0},
        "comparisons": {"selection": "none"},
        "layouts": ["webdataset"],
    }


def submitted(http: httpx.Client, samples: int, seed: int, model: str) -> str:
    """Ask for a set, or find the one that was asked for before."""
    key = f"load-{samples}-{seed}"
    answer = http.post("/v1/datasets", json=request_of(samples, seed, model), headers={"Idempotency-Key": key})
    answer.raise_for_status()
    return str(answer.json()["id"])


def made(http: httpx.Client, watch: Watch, dataset: str) -> dict[str, Any]:
    """Wait for its end."""
    told = -1
    while True:
        shown: dict[str, Any] = http.get(f"/v1/datasets/{dataset}").raise_for_status().json()
        progress = shown["progress"]
        done, total = progress["samples_done"], progress["samples_total"]
        watch.look(progress["phase"] or "assemble", done, total)
        if done * 20 // total > told:
            told = done * 20 // total
            out.print(f"{time.strftime('%H:%M:%S')} {progress['phase']}: {done:,} of {total:,}")
        if shown["state"] in FINAL:
            return shown
        time.sleep(EVERY_S)


def archive_read(http: httpx.Client, dataset: str) -> dict[str, Any]:
    """Read the WebDataset archive from end to end and count what is in its shards."""
    began, images, shards, size = time.monotonic(), 0, 0, 0
    with http.stream("GET", f"/v1/datasets/{dataset}/archive", params={"layout": "webdataset"}) as answer:
        answer.raise_for_status()
        with tarfile.open(fileobj=cast(BinaryIO, ChunkReader(answer.iter_bytes())), mode="r|") as outer:
            for member in outer:
                size += member.size
                if member.name.endswith(".tar"):
                    shards += 1
                    with tarfile.open(fileobj=outer.extractfile(member), mode="r|") as inner:
                        images += sum(one.name.endswith(".png") for one in inner)
    return {"images": images, "shards": shards, "bytes": size, "seconds": round(time.monotonic() - began, 1)}


def cancelled(http: httpx.Client, samples: int, model: str) -> dict[str, float]:
    """Cancel a second set in the midst of its shards: when the answer came, and when the last part was stored."""
    dataset = submitted(http, samples, 2, model)
    while http.get(f"/v1/datasets/{dataset}").json()["progress"]["samples_done"] == 0:
        time.sleep(0.2)
    began = time.monotonic()
    http.post(f"/v1/datasets/{dataset}/cancel").raise_for_status()
    answered = time.monotonic() - began
    last, count = answered, -1
    while time.monotonic() - began < 15:
        found = http.get(f"/v1/datasets/{dataset}").json()["progress"]["samples_done"]
        if found != count and count >= 0:
            last = time.monotonic() - began
        count = found
        time.sleep(0.1)
    return {"answered_s": round(answered, 2), "nothing_new_after_s": round(last, 2), **deleted(http, dataset)}


def deleted(http: httpx.Client, dataset: str) -> dict[str, float]:
    """Delete a set; it must be gone."""
    began = time.monotonic()
    http.delete(f"/v1/datasets/{dataset}", timeout=600).raise_for_status()
    took = time.monotonic() - began
    if http.get(f"/v1/datasets/{dataset}").status_code != 404:
        raise SystemExit(f"{dataset} is still there")
    return {"delete_s": round(took, 2)}


def main() -> None:
    """Make it, count it, cancel one, delete both."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samples", type=int, default=100_000)
    parser.add_argument("--data", type=Path, required=True, help="Folder of the service; kept, to go on with.")
    parser.add_argument("--light", action="store_true")
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    model = "light" if asked.light else "sdgan"
    with tempfile.TemporaryDirectory() as models:
        if asked.light:
            light_model(Path(models))
        run(asked.samples, asked.data, model, Path(models), as_json=asked.json)


def run(samples: int, data: Path, model: str, models: Path, *, as_json: bool) -> None:
    """Do it all on a service of its own."""
    settings = {
        "FACSIMILE_LIMITS__REQUESTS_PER_MINUTE_PER_TENANT": "1000000",
        "FACSIMILE_WORKER__MODELS_DIR": str(models),
    }
    with EmbeddedStack(data, workers=1, env_overrides=settings) as stack:
        headers = {"Authorization": f"Bearer {stack.api_key}"}
        http = httpx.Client(base_url=stack.url, headers=headers, timeout=60, trust_env=False)
        watch = Watch(stack, data / "measured.json")
        watch.look("start", 0, 1)
        dataset = submitted(http, samples, 1, model)
        shown = made(http, watch, dataset)
        if shown["state"] != "succeeded":
            raise SystemExit(f"the set {shown['state']}: {shown['failure']}")
        objects = sum(1 for _ in _objects(stack, dataset))
        watch.note(samples=samples, counts=shown["counts"], objects=objects)
        watch.note(archive=archive_read(http, dataset))
        watch.look("reading the archive", samples, samples)
        watch.note(cancel=cancelled(http, samples, model), delete=deleted(http, dataset))
        watch.note(objects_left=sum(1 for _ in _objects(stack, dataset)))
    if as_json:
        sys.stdout.write(json.dumps(watch.found, indent=1) + "\n")
    else:
        out.print_json(data=watch.found)


def _objects(stack: EmbeddedStack, dataset: str) -> Any:
    from app.dataset.keys import DatasetKeys
    from app.storage import open_store

    return open_store(stack.settings().store).list(DatasetKeys("local", dataset).prefix)


if __name__ == "__main__":
    main()
