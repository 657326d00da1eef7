"""What a set of templates alone costs to be joined and verified: seconds, memory and bytes. Random templates.

python tests/bench/bench_templates.py --samples 1000000
"""

import argparse
import hashlib
import resource
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from app.client.templates import template_rows
from app.config import WorkerSettings
from app.dataset.keys import DatasetKeys
from app.dataset.names import sample_name
from app.dataset.plan import Plan, PlannedMatcher
from app.dataset.planning import make_plan
from app.dataset.request import DatasetRequest
from workers.generator.registry import model_cards
from workers.pipeline.tables import pack
from workers.pipeline.templates import write_templates

NUMBERS = 128
AT = DatasetKeys("acme", "ds")


class Shards:
    """A store that makes a shard's templates when they are read, and writes what is joined into a folder."""

    def __init__(self, plan: Plan, folder: Path) -> None:
        self._plan, self._folder = plan, folder

    def get(self, key: str) -> bytes:
        number = int(key.split("/")[-2])
        indices = self._plan.shard(number)
        ids = np.array([sample_name(*self._plan.place(index)) for index in indices])
        table = np.random.default_rng(number).standard_normal((len(indices), NUMBERS)).astype(np.float32)
        return pack({"ids": ids, "template:sface": table}, {"failures": {}, "metrics": {}})

    def put_stream(self, key: str, stream: BinaryIO, media_type: str) -> None:
        with (self._folder / "templates.npz").open("wb") as file:
            while chunk := stream.read(1024 * 1024):
                file.write(chunk)


def planned(samples: int) -> Plan:
    """A plan of so many distractors, as templates."""
    body: dict[str, Any] = {"name": "x", "subjects": 1, "samples_per_subject": 1, "distractors": samples - 1}
    body |= {"checks": {"unique": False}, "comparisons": {"selection": "none"}, "report": {"judged_subjects": 0}}
    plan = make_plan(
        DatasetRequest.model_validate(body),
        model_cards(WorkerSettings())[0],
        dataset="ds_0123456789abcdefghjk",
        seed=1,
        shard_size=192,
        max_comparisons=10**9,
    )
    return plan.model_copy(update={"templates": PlannedMatcher(name="sface", digest="a" * 64)})


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--samples", type=int, default=1_000_000)
    samples = parser.parse_args().samples
    plan = planned(samples)
    with tempfile.TemporaryDirectory() as name:
        shards: Any = Shards(plan, Path(name))
        begun = time.process_time()
        for number in range(plan.shards):
            shards.get(AT.shard_templates(number))
        making = time.process_time() - begun
        begun = time.process_time()
        found = write_templates(shards, AT, plan, samples)
        joined = time.process_time() - begun - making
        begun = time.process_time()
        for _, row in template_rows(Path(name), 4 * NUMBERS):
            hashlib.sha256(row).digest()
        verified = time.process_time() - begun
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    sys.stdout.write(
        f"{samples:,} templates: joined in {joined:.1f} s of processor time, read and digested in {verified:.1f} s, "
        f"{found.bytes / 1e6:.0f} MB, {memory:.0f} MiB of memory\n"
    )


if __name__ == "__main__":
    main()
