"""What one task takes to write a layout's archive, and how much of a task's longest time the largest set would.

    python tests/bench/bench_layouts.py [--samples 300] [--size 128] [--json]

Everything lies in memory: a set of the shipped `sdgan`'s pictures, closed, its faces found beforehand (that goes on in
steps, task by task). Processor seconds of the archive alone, a million samples reckoned from them, or as many as the
layout is offered for; with a store the transfers come on top.
"""

import argparse
import json
import sys
import time
from typing import Any

import numpy as np
from doubles import load
from rich.console import Console
from rich.table import Table

from app.config import QueueSettings, WorkerSettings
from app.dataset.keys import DatasetKeys
from app.dataset.layout import MOST_RENDERED, Layout, why_not
from app.dataset.naming import Naming
from app.dataset.planning import make_plan
from app.dataset.request import DatasetRequest
from app.jobs.records import Accepted, write_json
from workers.generator.registry import load_generator
from workers.layouts.landmarks import pack
from workers.matchers.detector import Face, load_detector
from workers.pipeline.close import close, publish
from workers.pipeline.lay_out import lay_out
from workers.pipeline.run import run_shard
from workers.pipeline.store import ShardTar

AT = DatasetKeys("bench", "ds")
MILLION = 1_000_000
POINTS = np.array([[38, 45], [90, 45], [64, 72], [44, 96], [84, 96]], np.float32) / 128
NAMING = Naming(folders=True, subject="{word}_{word}", file="{subject}_{number:04}", first=1, suffix=".JPG")


def made(samples: int, size: int) -> tuple[Any, Any]:
    """A closed set in a store in memory, and its plan."""
    store = load().MemoryStore()
    generator = load_generator("sdgan", WorkerSettings())
    body = {
        "name": "bench",
        "model": "sdgan",
        "subjects": samples // 10,
        "samples_per_subject": 10,
        "image": {"size": size},
        "checks": {"unique": False, "face_found": False},
        "comparisons": {"selection": "balanced"},
        "report": {"judged_subjects": 0},
    }
    request = DatasetRequest.model_validate(body)
    plan = make_plan(request, generator.card, dataset="ds", seed=1, shard_size=192, max_comparisons=10**9)
    plan = plan.model_copy(update={"naming": NAMING})
    write_json(store, AT.plan, plan)
    detector = load_detector()
    for shard in range(plan.shards):
        with ShardTar(plan.folder) as tar:
            report = run_shard(
                plan.final(),
                shard,
                generator=generator,
                choice=None,
                detector=detector,
                tar=tar,
                batch_size=32,
                encoder_threads=1,
            )
            tar.put(store, AT.shard_samples(shard))
        write_json(store, AT.shard_report(shard), report)
        face = Face(box=(20, 20, 70, 70), points=POINTS * size, score=1.0)
        store.put(AT.landmarks(shard), pack([face] * len(report.samples)))
    accepted = Accepted(id="ds", tenant="bench", name="bench", created_at="2026-01-01T00:00:00Z", request=body)
    close(store, AT, accepted, plan.final(), generator.card, matchers={})
    publish(store, AT, lambda: True)
    return store, plan


def measured(samples: int, size: int) -> list[dict[str, Any]]:
    """One row a layout."""
    store, plan = made(samples, size)
    detector, limit = load_detector(), QueueSettings().longest_task_s
    rows = []
    for layout in Layout:
        if not layout.stored or (reason := why_not(layout, plan.shape)):
            if layout.stored:
                rows.append({"layout": layout.value, "left_out": reason})
            continue
        for _ in range(2):  # the first time modules are loaded
            began = time.process_time()
            lay_out(store, AT, plan, layout, detector=detector)
            each = (time.process_time() - began) / samples
        # Beyond that, `lfw` is the images as they are.
        rendered = layout is Layout.LFW or why_not(layout, plan.shape._replace(subjects=MILLION // 10))
        most = MOST_RENDERED if rendered else MILLION
        rows.append(
            {
                "layout": layout.value,
                "cpu_ms_a_sample": round(each * 1000, 3),
                "most_samples": most,
                "cpu_s_of_most": round(each * most),
                "of_a_tasks_time": round(each * most / limit, 3),
            }
        )
    return rows


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samples", type=int, default=300)
    parser.add_argument("--size", type=int, default=128)
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    rows = measured(asked.samples, asked.size)
    if asked.json:
        sys.stdout.write(json.dumps(rows, indent=1) + "\n")
        return
    table = Table("layout", "CPU ms a sample", "most samples", "CPU s", "of a task's time")
    for row in rows:
        table.add_row(*(str(value) for value in row.values()))
    Console().print(table)


if __name__ == "__main__":
    main()
