"""What it takes to close a set: one pass over all shards' reports, comparisons, report, documents and the manifest.

    python tests/bench/bench_closing.py --samples 20000 100000

One task does it, whatever the set's size, so its seconds a sample decide how large a set may be. The shards' reports
are planted in a store in memory, as workers write them, with one picture for all samples. Prints CPU seconds, what of
a task's longest time a million samples would take at that rate, and the memory that the process had at most.
"""

import argparse
import json
import resource
import sys
import time
from typing import Any

import numpy as np
from doubles import load

from app.config import QueueSettings, WorkerSettings
from app.dataset.keys import DatasetKeys
from app.dataset.names import role, sample_file, sample_name, subject_name
from app.dataset.planning import make_plan
from app.dataset.request import DatasetRequest
from app.dataset.shard import SampleRow, ShardReport, StoredSample
from app.jobs.records import Accepted, write_json
from workers.generator.registry import model_cards
from workers.images import Mark, encode
from workers.pipeline.close import close
from workers.pipeline.store import ShardTar
from workers.provenance.marker import Sealed

SHARD = 192


def row_of(plan: Any, subject: int, sample: int, size: int) -> SampleRow:
    """A sample's row, as long as those of sdgan are."""
    digest = f"{subject * 1_000 + sample:064x}"
    return SampleRow.model_validate(
        {
            "id": sample_name(subject, sample),
            "subject": subject_name(subject),
            "role": role(plan, subject, sample),
            "file": sample_file(plan, subject, sample),
            "width": 64,
            "height": 64,
            "bytes": size,
            "pixel_sha256": digest,
            "file_sha256": digest,
            "identity_attempt": 0,
            "attempt": 0,
            "attributes": {"sex": "female", "age": 34.2, "skin_tone": "medium", "glasses": False},
            "shown": {"glasses": False, "age": 35.1, "yaw": 4.2, "pitch": -2.1, "smile": 0.2, "mouth_open": 0.0},
            "landmarks": [[20.1, 24.2], [42.3, 24.0], [31.0, 36.1], [23.4, 45.0], [40.2, 45.1]],
        }
    )


def closing(samples: int, selection: str) -> dict[str, Any]:
    """Close a set of so many samples."""
    store = load().MemoryStore()
    card = next(card for card in model_cards(WorkerSettings()) if card.name == "sdgan")
    body = {
        "name": "bench",
        "model": "sdgan",
        "subjects": samples // 10,
        "samples_per_subject": 10,
        "image": {"size": 64},
        "checks": {"unique": False},
        "comparisons": {"selection": selection},
        "report": {"judged_subjects": 0},
    }
    request = DatasetRequest.model_validate(body)
    plan = make_plan(request, card, dataset="ds", seed=1, shard_size=SHARD, max_comparisons=10**9).final()
    at = DatasetKeys("bench", "ds")
    write_json(store, at.plan, plan)
    mark = Mark(dataset="ds", sample="s", model="m", model_digest="0", source_type=plan.model.source_type)
    picture = encode(np.zeros((64, 64, 3), np.uint8), mark, quality=None)
    for shard in range(plan.shards):
        with ShardTar(plan.folder) as tar:
            for place in plan.places(plan.shard(shard)):
                tar.add(row_of(plan, *place, len(picture)), Sealed(picture, None))
            stored: tuple[StoredSample, ...] = tuple(tar.stored)
            if shard < 2:
                tar.put(store, at.shard_samples(shard))
            report = ShardReport(
                shard=shard, samples=stored, rejected=(), missing=(), tar_bytes=tar.bytes, device="cpu"
            )
        write_json(store, at.shard_report(shard), report)
    accepted = Accepted(
        id="ds", tenant="bench", name="bench", created_at="2026-01-01T00:00:00Z", request=request.model_dump()
    )
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    began = time.process_time()
    close(store, at, accepted, plan, card, matchers={})
    took = time.process_time() - began
    limit = QueueSettings().longest_task_s
    return {
        "samples": samples,
        "comparisons": selection,
        "cpu_s": round(took, 1),
        "a_million_of_a_tasks_time": round(took / samples * 1e6 / limit, 3),
        "manifest_mb": round(len(store.get(at.laid_aside)) / 1e6, 1),
        "more_resident_mib": (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024,
    }


def main() -> None:
    """Run it for every size."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samples", type=int, nargs="+", default=[20_000, 100_000])
    parser.add_argument("--comparisons", default="balanced", choices=["balanced", "crossed", "none"])
    asked = parser.parse_args()
    for samples in asked.samples:
        sys.stdout.write(json.dumps(closing(samples, asked.comparisons)) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
