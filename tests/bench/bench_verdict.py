"""False alarms and power of the verdict against a baseline, over simulated score sets.

    python tests/bench/bench_verdict.py [--runs 500] [--subjects 300] [--samples 5] [--fmr 1e-3] [--json FILE]

A script, not a test. Scores of 300 subjects with 5 samples each: every mated pair (3,000), and every reference with
every probe of another subject (358,800). A score is a sum of the subject's part, both samples' parts and the pair's
own, all normal, so that comparisons that share a subject or a sample are correlated. The new matcher's parts are
correlated with the baseline's: 0.999 is the same network after a change of the image pipeline, 0.99 one trained
again, 0.9 another network. Its mated scores are shifted so that its true FNMR at the true FMR is `planted` above the
baseline's. A limit of 0 asks for any increase, 10% allows so much: there +0%, +5% and +10% must not FAIL.
"""

import argparse
import json
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binomtest, norm

from app.dataset.evaluation import Verdict
from workers.biometrics.bootstrap import Bootstrap
from workers.biometrics.histogram import ScoreHistogram
from workers.biometrics.scores import Failures
from workers.verdict.bounds import bootstrap_for, increase_bounds
from workers.verdict.compared import ComparedScores
from workers.verdict.highest import Tail
from workers.verdict.outcomes import outcome_at_fmr
from workers.verdict.rule import decide

ALPHA = 0.01
CORRELATIONS = (0.999, 0.99, 0.9)
BASES = (0.05, 0.2)
PLANTED = (0.0, 0.05, 0.1, 0.2, 0.5)
LIMITS = (0.0, 0.1)
"""Relative increase allowed."""

Floats = NDArray[np.float64]

SUBJECT, SAMPLE, PAIR = np.sqrt([0.35, 0.15, 0.35])
"""Weights of a mated score's parts; the squares of one subject, two samples and one pair sum to 1."""
OTHER_SUBJECT, OTHER_SAMPLE, OTHER_PAIR = np.sqrt([0.1, 0.05, 0.7])
"""The same of a non-mated score, with two subjects."""


@dataclass
class Drawn:
    """The same bootstrap every time, its draws kept: a thousand runs need not draw them a thousand times."""

    bootstrap: Bootstrap
    kept: dict[int, list[tuple[slice, Floats]]] = field(default_factory=dict)

    @property
    def replicates(self) -> int:
        return self.bootstrap.replicates

    @property
    def seed(self) -> int:
        return self.bootstrap.seed

    @property
    def confidence(self) -> float:
        return self.bootstrap.confidence

    def multiplicities(self, subjects: int, width: int = 0) -> Iterator[tuple[slice, Floats]]:
        if subjects not in self.kept:
            self.kept[subjects] = list(self.bootstrap.multiplicities(subjects, width))
        yield from self.kept[subjects]


@dataclass(frozen=True, kw_only=True)
class Parts:
    """One matcher's draw: mated scores about 0, and the non-mated tail."""

    mated: Floats
    """[S · pairs]"""
    tail: Tail


@dataclass(frozen=True, kw_only=True)
class World:
    """The set that is compared."""

    subjects: int
    samples: int
    fmr: float

    @cached_property
    def mated_subjects(self) -> NDArray[np.int64]:
        return np.repeat(np.arange(self.subjects), self.samples * (self.samples - 1) // 2)

    @property
    def non_mated(self) -> int:
        return self.subjects * (self.subjects - 1) * (self.samples - 1)

    def draw(self, rng: np.random.Generator, correlation: float) -> tuple[Parts, Parts]:
        """The baseline's scores and the new matcher's, as alike as `correlation` says in each part."""
        count, samples = self.subjects, self.samples
        first, second = np.triu_indices(samples, 1)
        parts = [
            rng.standard_normal(count),
            rng.standard_normal((count, samples)),
            rng.standard_normal((count, len(first))),
            rng.standard_normal(count),
            rng.standard_normal((count, count * (samples - 1)), np.float32),
        ]
        rest = np.sqrt(1 - correlation**2)
        changed = [
            correlation * part + part.dtype.type(rest) * rng.standard_normal(part.shape, part.dtype.type)
            for part in parts
        ]
        found = []
        for own, quality, pair, likeness, other in (parts, changed):
            mated = SUBJECT * own[:, None] + SAMPLE * (quality[:, first] + quality[:, second]) + PAIR * pair
            left = OTHER_SUBJECT * likeness + OTHER_SAMPLE * quality[:, 0]
            right = (OTHER_SUBJECT * likeness[:, None] + OTHER_SAMPLE * quality[:, 1:]).ravel()
            scores = left[:, None] + right + OTHER_PAIR * other
            owners = np.repeat(np.arange(count), samples - 1)
            scores[np.arange(count)[:, None] == owners] = -np.inf
            found.append(Parts(mated=mated.ravel(), tail=self._tail(scores.ravel(), owners)))
        return found[0], found[1]

    def _tail(self, scores: Floats, owners: NDArray[np.int64]) -> Tail:
        keep = int(2 * self.fmr * self.non_mated) + 200
        top = np.argpartition(scores, len(scores) - keep)[-keep:]
        top = top[np.argsort(-scores[top])]
        references, probes = np.divmod(top, len(owners))
        return Tail(scores=scores[top], references=references, probes=owners[probes])

    def scores(self, parts: Parts, fnmr: float) -> ComparedScores:
        """Scores whose true FNMR at the true FMR is `fnmr`."""
        histogram = ScoreHistogram.over(0.0, 1.0, 2)
        return ComparedScores(
            mated=parts.mated + norm.isf(self.fmr) - norm.ppf(fnmr),
            mated_subjects=self.mated_subjects,
            tail=parts.tail,
            histogram=histogram,
            non_mated_total=self.non_mated,
            compared=np.full(self.subjects, 2 * (self.subjects - 1) * (self.samples - 1)),
            subjects=self.subjects,
            failures=Failures(),
            digest=0,
        )


def simulate(
    world: World,
    runs: int,
    *,
    correlations: tuple[float, ...] = CORRELATIONS,
    bases: tuple[float, ...] = BASES,
    planted: tuple[float, ...] = PLANTED,
    limits: tuple[float, ...] = LIMITS,
    alpha: float = ALPHA,
    seed: int = 0,
) -> list[dict[str, Any]]:
    """Count verdicts in every cell; the cells of one run share their draws."""
    bootstrap: Any = Drawn(bootstrap_for(alpha))
    counts: dict[tuple[float, float, float, float], dict[str, int]] = {}
    for correlation in correlations:
        for run in range(runs):
            old, new = world.draw(np.random.default_rng([seed, run, int(1e4 * correlation)]), correlation)
            for base in bases:
                before = outcome_at_fmr(world.scores(old, base), world.fmr)
                for rise in planted:
                    after = outcome_at_fmr(world.scores(new, base * (1 + rise)), world.fmr)
                    assert before is not None
                    assert after is not None
                    for limit in limits:
                        bounds = increase_bounds(after, before, bootstrap, relative=limit)
                        verdict = decide(bounds, limit="max_fnmr_increase", allowed="", told="").verdict
                        cell = counts.setdefault((correlation, base, rise, limit), dict.fromkeys(Verdict, 0))
                        cell[verdict] += 1
    return [
        {
            "correlation": correlation,
            "base_fnmr": base,
            "planted": rise,
            "limit": limit,
            "runs": runs,
            "within_the_limit": rise <= limit + 1e-12,
            **{str(verdict): count / runs for verdict, count in cell.items()},
        }
        for (correlation, base, rise, limit), cell in counts.items()
    ]


def wrong(row: dict[str, Any]) -> float:
    """Share of runs with a verdict that is false: FAIL within the limit, PASS beyond it."""
    return float(row["FAIL"] if row["within_the_limit"] else row["PASS"])


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=500)
    parser.add_argument("--subjects", type=int, default=300)
    parser.add_argument("--samples", type=int, default=5)
    parser.add_argument("--fmr", type=float, default=1e-3)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    begun = time.perf_counter()
    world = World(subjects=options.subjects, samples=options.samples, fmr=options.fmr)
    rows = simulate(world, options.runs)
    took = time.perf_counter() - begun
    lines = [
        f"{options.subjects} subjects x {options.samples}, FMR {options.fmr:g}, alpha {ALPHA}, {options.runs} runs a "
        f"cell, {took:.0f} s",
        "correlation  FNMR   planted  limit   FAIL   PASS   UNDECIDED  wrong",
    ]
    lines += [
        f"{row['correlation']:<11}  {row['base_fnmr']:<5}  {row['planted']:+7.0%}  {row['limit']:5.0%}  "
        f"{row['FAIL']:5.3f}  {row['PASS']:5.3f}  {row['UNDECIDED']:9.3f}  {wrong(row):5.3f}"
        for row in rows
    ]
    total = sum(round(wrong(row) * row["runs"]) for row in rows if row["within_the_limit"])
    tried = sum(row["runs"] for row in rows if row["within_the_limit"])
    interval = binomtest(total, tried).proportion_ci()
    worst = max(wrong(row) for row in rows if row["within_the_limit"])
    lines.append(
        f"false alarms over all cells within the limit: {total} of {tried:,} = {total / tried:.4f} "
        f"({interval.low:.4f} ... {interval.high:.4f}); in the worst cell {worst:.4f}"
    )
    sys.stdout.write("\n".join(lines) + "\n")
    if options.json:
        options.json.write_text(json.dumps({"seconds": took, "alpha": ALPHA, "cells": rows}, indent=1))


if __name__ == "__main__":
    main()
