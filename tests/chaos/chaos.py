"""Random faults while sets are made with default settings: all is completed, nothing lost, and pixels are equal.

    python tests/chaos/chaos.py --samples 2000 --faults 30                      # some ten minutes on two cores
    python tests/chaos/chaos.py --samples 10000 --faults 100 --workers 2 --out chaos.json
    python tests/chaos/chaos.py --disk-mib 4096 …                               # as root: the disk fills, too

One fault after another strikes, each once the service makes progress again, in an order that --seed settles. Where the
set is complete before all faults have struck, another is begun with the next seed. Beside it a set of four samples is
asked for at every fault, while it lasts. Then an undisturbed service makes the same sets, and every pixel digest is
compared. Ends with 1, and keeps the logs, where anything was lost, failed, or differs.
"""

import argparse
import json
import random
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

from faults import FAULTS, NEEDS_ITS_OWN_DISK
from living import Living, NotRecovered, within

RECOVERS_WITHIN_S = 420.0
"""After a fault the next part must be done by then: a lost task comes back after a minute, a part takes another."""


class Run:
    """One run: the sets that were asked for, what struck, and how long each recovery took."""

    def __init__(self, asked: argparse.Namespace, service: Living) -> None:
        self.asked = asked
        self.service = service
        self.random = random.Random(asked.seed)
        self.sets: dict[int, str] = {}
        """Seed of a large set to its id."""
        self.small: dict[str, str] = {}
        """Key of a small set to its id."""
        self.rows: list[dict[str, Any]] = []

    def body(self, seed: int) -> dict[str, Any]:
        """The request for a large set."""
        asked = self.asked
        return {
            "name": f"chaos {seed}",
            "model": asked.model,
            "subjects": asked.samples // 10,
            "samples_per_subject": 10,
            "seed": seed,
            "image": {"size": asked.size},
            "report": {"judged_subjects": asked.judged},
        }

    def ask(self) -> str:
        """Ask for the next large set."""
        seed = self.asked.seed + len(self.sets)
        self.sets[seed] = self.service.submit(self.body(seed), f"large-{seed}")
        return self.sets[seed]

    def ask_small(self) -> None:
        """Ask for four samples, whatever befalls the service meanwhile."""
        body = {
            "name": "small",
            "model": self.asked.model,
            "subjects": 2,
            "samples_per_subject": 2,
            "image": {"size": self.asked.size},
            "report": {"judged_subjects": 0},
        }
        key = f"small-{len(self.small)}"
        self.small[key] = ""
        self.small[key] = self.service.submit(body, key)

    def kinds(self) -> list[str]:
        """As many faults as were asked for, every kind as often as others, in a random order."""
        kinds = [kind for kind in self.asked.kinds if kind not in NEEDS_ITS_OWN_DISK or self.asked.disk_mib]
        whole = kinds * -(-self.asked.faults // len(kinds))
        chosen = whole[: self.asked.faults]
        self.random.shuffle(chosen)
        return chosen

    def strike(self, kind: str, dataset: str) -> None:
        """Let one fault befall the service, and wait until it makes progress again."""
        before = self.service.show(dataset)
        client = threading.Thread(target=self.ask_small)
        began = time.monotonic()
        client.start()
        FAULTS[kind](self.service)
        struck = time.monotonic()
        self.service.request("GET", "/readyz")  # what it lacks is a 503, and asked again
        ready = time.monotonic()
        stood = self.service.show(dataset)

        def moved() -> dict[str, Any] | None:
            after = self.service.show(dataset)
            same = after["progress"] | {"eta_s": None} == stood["progress"] | {"eta_s": None}
            return None if same and after["state"] == stood["state"] != "succeeded" else after

        after = within(RECOVERS_WITHIN_S, f"progress after {kind}", moved, step_s=0.5)
        moved_at = time.monotonic()
        client.join(RECOVERS_WITHIN_S)
        if client.is_alive() or "" in self.small.values():
            raise NotRecovered(f"a request that was sent during {kind} was never accepted")
        self.rows.append(
            {
                "fault": kind,
                "phase": before["progress"]["phase"],
                "samples_done": before["progress"]["samples_done"],
                "lasted_s": round(struck - began, 1),
                "ready_after_s": round(ready - struck, 1),
                "progress_after_s": round(moved_at - struck, 1),
                "state": after["state"],
            }
        )
        print(f"{len(self.rows):3} {self.rows[-1]}", file=sys.stderr, flush=True)  # noqa: T201

    def disturbed(self) -> dict[int, dict[str, str]]:
        """All faults, and the pixel digests of the sets that they befell."""
        dataset = self.ask()
        for kind in self.kinds():
            if self.service.show(dataset)["state"] == "succeeded":
                dataset = self.ask()
            self.strike(kind, dataset)
            time.sleep(self.random.uniform(0, self.asked.pause))
        for accepted in (*self.sets.values(), *self.small.values()):
            self.service.finish(accepted, self.asked.samples + 600)
        return {seed: self.service.digests(accepted) for seed, accepted in self.sets.items()}


def by_kind(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """One row a kind of fault: how many, and how long until progress, at the median and at the most."""
    table = []
    for kind in FAULTS:
        waits = sorted(row["progress_after_s"] for row in rows if row["fault"] == kind)
        if waits:
            table.append(
                {"fault": kind, "struck": len(waits), "progress_median_s": waits[len(waits) // 2], "most_s": waits[-1]}
            )
    return table


def chaos(asked: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Run it in a folder, and return what was found; raises NotRecovered."""
    service = Living(folder / "data", workers=asked.workers, port=asked.port, settings={})
    run = Run(asked, service)
    service.up()
    try:
        began = time.monotonic()
        found = run.disturbed()
        took = time.monotonic() - began
    finally:
        service.down()
    calm = Living(folder / "calm", workers=asked.workers, port=asked.port, settings={})
    calm.up()
    try:
        began = time.monotonic()
        ids = {seed: calm.submit(run.body(seed), f"large-{seed}") for seed in run.sets}
        for dataset in ids.values():
            calm.finish(dataset, asked.samples + 600)
        took_calm = time.monotonic() - began
        differing = {
            seed: sum(found[seed].get(name) != digest for name, digest in calm.digests(dataset).items())
            + len(found[seed].keys() - calm.digests(dataset).keys())
            for seed, dataset in ids.items()
        }
    finally:
        calm.down()
    if any(differing.values()):
        raise NotRecovered(f"pixel digests differ from those of an undisturbed run: {differing}")
    return {
        "asked": {name: value for name, value in vars(asked).items() if name != "out"},
        "sets": len(run.sets),
        "samples": sum(map(len, found.values())),
        "small_sets": len(run.small),
        "faults": len(run.rows),
        "disturbed_s": round(took, 1),
        "undisturbed_s": round(took_calm, 1),
        "by_kind": by_kind(run.rows),
        "rows": run.rows,
    }


def main() -> int:
    """Run the script."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samples", type=int, default=2_000, help="of a large set, in tens")
    parser.add_argument("--faults", type=int, default=30)
    parser.add_argument("--kinds", nargs="+", choices=list(FAULTS), default=list(FAULTS), metavar="FAULT")
    parser.add_argument("--model", default="sdgan")
    parser.add_argument("--size", type=int, default=64, help="pixels a side")
    parser.add_argument("--judged", type=int, default=20, help="subjects that are judged for the report")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--port", type=int, default=18_480)
    parser.add_argument("--pause", type=float, default=8.0, help="seconds at most between two faults")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--disk-mib", type=int, default=0, help="a file system in memory of this size, which may fill")
    parser.add_argument("--folder", type=Path, help="keep everything here")
    parser.add_argument("--out", type=Path, help="write what was found there, as JSON")
    asked = parser.parse_args()
    folder = asked.folder or Path(tempfile.mkdtemp(prefix="chaos-"))
    asked.folder = str(folder)
    (folder / "data").mkdir(parents=True, exist_ok=True)
    if asked.disk_mib:
        size = f"size={asked.disk_mib}m,mode=700"
        subprocess.run(("mount", "-t", "tmpfs", "-o", size, "chaos", str(folder / "data")), check=True)
    try:
        found = chaos(asked, folder)
    except NotRecovered as exc:
        print(f"NOT RECOVERED: {exc}\nlogs: {folder}", file=sys.stderr)  # noqa: T201
        return 1
    finally:
        if asked.disk_mib:
            shutil.copytree(folder / "data" / "logs", folder / "logs", dirs_exist_ok=True)
            subprocess.run(("umount", "--lazy", str(folder / "data")), check=True)  # what ends may hold it still
    if asked.out:
        asked.out.write_text(json.dumps(found, indent=1) + "\n")
    print(json.dumps({name: value for name, value in found.items() if name != "rows"}, indent=1))  # noqa: T201
    return 0


if __name__ == "__main__":
    sys.exit(main())
