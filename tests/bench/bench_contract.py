"""Difficulty by contract, as it is kept: FNMR asked and delivered on the named matcher, and the drift on the other.

    python tests/bench/bench_contract.py --out FOLDER [--seeds 1 2 3 4 5] [--fnmr 0.01 0.05] [--fmr 1e-3] [--model NAME]
        [--subjects 300] [--samples 5] [--tolerance 0.1] [--judge dlib-resnet] [--judge-subjects 60] [--table]

A script, not a test. Each seed is a dataset of its own: its identities are surveyed and chosen, and its samples are
made, checked, written to a file, read back and templated by the functions that the workers run. Calibration is that
of the service; targets of one seed share the scales measured before. What is delivered is measured on the files at
the scale found. The other matcher judges the first `--judge-subjects` at that scale.

FOLDER keeps templates by seed and scale, and a line of JSON a cell in cells.jsonl: broken off, it goes on. `--table`
prints what is there and measures nothing. At full size about 75 s a scale and 45 s a judged cell on one core:
6 to 9 scales and a survey come before the first of a seed's ten targets are met, 1 to 2 scales with each after that.
"""

import argparse
import json
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import numpy as np
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from app.config import WorkerSettings
from app.dataset.calibration import MOST_SCALES, Measured
from app.dataset.plan import Plan
from app.dataset.planning import make_plan
from app.dataset.request import DatasetRequest
from app.dataset.shard import IdentityChoice
from workers.biometrics.bootstrap import Bootstrap
from workers.biometrics.calibration import Limits, measure, next_scale
from workers.biometrics.rates import fnmr_at_fmr
from workers.biometrics.templates import TemplateTable
from workers.generator.base import Generator
from workers.generator.registry import default_model, load_generator
from workers.images import Mark, decode, encode
from workers.matchers.base import Failure, Matcher, Role
from workers.matchers.detector import load_detector
from workers.matchers.extraction import extract_one
from workers.matchers.registry import card_of, load_matcher
from workers.pipeline.calibrate import target_of
from workers.pipeline.identities import choose_identities, survey_block
from workers.pipeline.run import passing
from workers.pipeline.scoring import compare_all, metric_of
from workers.pipeline.tables import pack_table, unpack_table

BATCH = 32
FNMRS = (0.01, 0.02, 0.05, 0.1, 0.2)
FMRS = (1e-2, 1e-3)
BOOTSTRAP = Bootstrap(replicates=1_000)


class Bench:
    """One model, one matcher, and a folder that keeps what was measured."""

    def __init__(self, arguments: argparse.Namespace, tell: Callable[[str, int, int], None]) -> None:
        settings = WorkerSettings(device="cpu")
        self.asked, self.tell = arguments, tell
        self.generator: Generator = load_generator(arguments.model or default_model(settings), settings)
        self.detector = load_detector()
        self.matcher: Matcher = load_matcher(arguments.matcher, settings)
        self.judge: Matcher | None = load_matcher(arguments.judge, settings) if arguments.judge_subjects else None
        self.card = card_of(self.matcher)
        digest = self.generator.card.digest[:12]
        size = f"{arguments.subjects}x{arguments.samples}"
        self.folder = Path(arguments.out) / f"{self.generator.card.name}-{digest}-{size}"
        self.folder.mkdir(parents=True, exist_ok=True)

    def plan(self, seed: int, fmr: float, fnmr: float) -> Plan:
        """What the service would plan."""
        target = {"matcher": self.matcher.name, "fmr": fmr, "fnmr": fnmr, "tolerance": self.asked.tolerance}
        body = {
            "name": "contract",
            "model": self.generator.card.name,
            "subjects": self.asked.subjects,
            "samples_per_subject": self.asked.samples,
            "variability": {"target": target},
            "report": {"judged_subjects": self.asked.subjects},
        }
        return make_plan(
            DatasetRequest.model_validate(body),
            self.generator.card,
            dataset=f"contract-{seed}",
            seed=seed,
            shard_size=192,
            max_comparisons=10**9,
            matchers={self.card.name: self.card},
        )

    def choice(self, plan: Plan) -> IdentityChoice | None:
        """Identities that are not alike, surveyed once a seed."""
        if plan.unique is None:
            return None
        kept = self.folder / f"seed-{plan.seed}-identities.json"
        if not kept.exists():
            self.tell(f"seed {plan.seed}: survey", 0, plan.identities)
            blocks = [
                survey_block(plan, number, generator=self.generator, batch_size=BATCH)
                for number in range(plan.survey_blocks)
            ]
            kept.write_text(choose_identities(plan, blocks, generator=self.generator).model_dump_json())
        return IdentityChoice.model_validate_json(kept.read_bytes())

    def table(self, plan: Plan, scale: float, matcher: Matcher, subjects: int) -> TemplateTable:
        """Templates of the first subjects' samples as their files have them at a scale; made once."""
        kept = self._path(plan.seed, matcher, scale, subjects)
        if not kept.exists():
            beside = kept.with_suffix(".part")
            beside.write_bytes(pack_table(self._extract(plan, scale, matcher, subjects)))
            beside.replace(kept)
        return unpack_table(kept.read_bytes(), str(kept))

    def _path(self, seed: int, matcher: Matcher, scale: float, subjects: int) -> Path:
        return self.folder / f"seed-{seed}-{matcher.name}-{subjects}-{scale:.4f}.npz"

    def _extract(self, plan: Plan, scale: float, matcher: Matcher, subjects: int) -> TemplateTable:
        choice, scaled = self.choice(plan), plan.final(scale)
        places = list(plan.places(range(subjects * plan.samples_per_subject)))
        templates, owners = [], []
        for start in range(0, len(places), BATCH):
            for passed in passing(scaled, self.generator, choice, self.detector, places[start : start + BATCH], [], []):
                mark = Mark(
                    dataset=plan.dataset, sample="", model="", model_digest="", source_type="trainedAlgorithmicMedia"
                )
                pixels = decode(encode(passed.pixels, mark, quality=plan.image.quality))
                if not np.array_equal(pixels, passed.pixels):
                    raise SystemExit("a PNG file does not hold the pixels that went in")
                role = Role.PROBE if passed.draw.place.sample else Role.REFERENCE
                found = extract_one(matcher, pixels, role, face=passed.face)
                templates.append(np.full(matcher.dimensions, np.nan) if isinstance(found, Failure) else found)
                owners.append(passed.draw.place.subject)
            done = min(start + BATCH, len(places))
            self.tell(f"seed {plan.seed}: {matcher.name} at scale {scale:g}", done, len(places))
        return TemplateTable(templates=np.array(templates, np.float32), subjects=np.array(owners))

    def cell(self, seed: int, fmr: float, fnmr: float) -> dict[str, Any]:
        """Calibrate for one target, and measure what is delivered."""
        began = time.monotonic()
        plan = self.plan(seed, fmr, fnmr)
        target, metric, subjects = target_of(plan), metric_of(self.matcher), self.asked.subjects
        pattern = f"seed-{seed}-{self.matcher.name}-{subjects}-*.npz"
        known = {float(path.stem.rpartition("-")[2]) for path in self.folder.glob(pattern)}
        points = {}

        def take(scale: float) -> None:
            table = self.table(plan, scale, self.matcher, subjects)
            points[scale] = fnmr_at_fmr(compare_all(table, subjects=subjects, metric=metric, fmr=fmr), fmr)

        for scale in sorted(known):
            take(scale)
        limits = Limits(high=plan.largest_scale, budget=len(known) + MOST_SCALES)
        while not isinstance(step := next_scale(points, target, limits), str):
            take(step)
        scale = min(points, key=lambda scale: (abs(points[scale].fnmr.value - fnmr), scale))
        table = self.table(plan, scale, self.matcher, subjects)
        delivered = measure(compare_all(table, subjects=subjects, metric=metric, fmr=fmr), fmr, BOOTSTRAP)
        found = {
            "model": self.generator.card.name,
            "model_digest": self.generator.card.digest,
            "matcher": self.matcher.name,
            "seed": seed,
            "fmr": fmr,
            "fnmr": fnmr,
            "tolerance": target.tolerance,
            "subjects": subjects,
            "samples_per_subject": plan.samples_per_subject,
            "outcome": step,
            "scale": scale,
            "delivered": delivered.model_dump(),
            "off": delivered.fnmr.value / fnmr - 1,
            "met": abs(delivered.fnmr.value - fnmr) <= target.slack,
            "new_scales": len(points) - len(known),
        }
        if self.judge:
            found |= {"judge": self.judge.name, "judged": self._drift(plan, scale, fmr).model_dump()}
        return found | {"seconds": round(time.monotonic() - began, 1)}

    def _drift(self, plan: Plan, scale: float, fmr: float) -> Measured:
        assert self.judge
        subjects = min(self.asked.judge_subjects, plan.subjects)
        table = self.table(plan, scale, self.judge, subjects)
        scores = compare_all(table, subjects=subjects, metric=metric_of(self.judge), fmr=fmr)
        return measure(scores, fmr, BOOTSTRAP)


def cells(path: Path) -> list[dict[str, Any]]:
    """What was measured before."""
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def wanted(arguments: argparse.Namespace) -> Iterator[tuple[int, float, float]]:
    """Cells, the middle targets of a seed first: the others then lie between or near what is known."""
    for seed in arguments.seeds:
        for fmr in sorted(arguments.fmr, reverse=True):
            for fnmr in sorted(arguments.fnmr, key=lambda fnmr: abs(np.log(fnmr / 0.05))):
                yield seed, fmr, fnmr


def as_table(found: list[dict[str, Any]]) -> str:
    """Markdown: a row a target, over all seeds."""
    lines = [
        "| asked FNMR | at FMR | delivered, each seed | furthest off | met | scale | FNMR by the other matcher |",
        "|---|---|---|---|---|---|---|",
    ]
    for fmr, fnmr in sorted({(cell["fmr"], cell["fnmr"]) for cell in found}, key=lambda key: (-key[0], key[1])):
        some = [cell for cell in found if (cell["fmr"], cell["fnmr"]) == (fmr, fnmr)]
        delivered = ", ".join(f"{100 * cell['delivered']['fnmr']['value']:.2f}" for cell in some)
        judged = [100 * cell["judged"]["fnmr"]["value"] for cell in some if "judged" in cell]
        scales = [cell["scale"] for cell in some]
        lines.append(
            f"| {fnmr:.0%} | {fmr:g} | {delivered} % | {max(abs(cell['off']) for cell in some):.1%} | "
            f"{sum(cell['met'] for cell in some)} of {len(some)} | {min(scales):.2f} … {max(scales):.2f} | "
            + (f"{min(judged):.1f} … {max(judged):.1f} %" if judged else "")
            + " |"
        )
    return "\n".join(lines) + "\n"


def main() -> int:
    """Measure what is missing, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", required=True)
    parser.add_argument("--model", default=None)
    parser.add_argument("--matcher", default="sface")
    parser.add_argument("--judge", default="dlib-resnet")
    parser.add_argument("--judge-subjects", type=int, default=60, help="0: no drift is measured")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3, 4, 5])
    parser.add_argument("--fnmr", type=float, nargs="+", default=list(FNMRS))
    parser.add_argument("--fmr", type=float, nargs="+", default=list(FMRS))
    parser.add_argument("--subjects", type=int, default=300)
    parser.add_argument("--samples", type=int, default=5)
    parser.add_argument("--tolerance", type=float, default=0.1)
    parser.add_argument("--table", action="store_true", help="print what is there and measure nothing")
    arguments = parser.parse_args()
    todo = list(wanted(arguments))
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, TimeRemainingColumn(), console=console) as bar:
        every, one = bar.add_task("cells", total=len(todo)), bar.add_task("", total=None)

        def tell(what: str, done: int, total: int) -> None:
            bar.update(one, description=what, completed=done, total=total)

        bench = Bench(arguments, tell)
        path = bench.folder / "cells.jsonl"
        known = cells(path)
        there = {(cell["matcher"], cell["tolerance"], cell["seed"], cell["fmr"], cell["fnmr"]) for cell in known}
        for seed, fmr, fnmr in [] if arguments.table else todo:
            if (arguments.matcher, arguments.tolerance, seed, fmr, fnmr) not in there:
                cell = bench.cell(seed, fmr, fnmr)
                known.append(cell)
                with path.open("a") as file:
                    file.write(json.dumps(cell) + "\n")
            bar.advance(every)
    sys.stdout.write(as_table(known))
    return 0


if __name__ == "__main__":
    sys.exit(main())
