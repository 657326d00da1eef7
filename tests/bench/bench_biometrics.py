"""Speed and memory of the measures, beside scikit-learn and pyeer on the same scores in the same run.

    python tests/bench/bench_biometrics.py [--json] [--templates 20000] [--scores 1000000]

A script, not a test. Each case runs in a process of its own, so that its peak memory is its own; of three runs the
fastest counts. scikit-learn and pyeer are left out, and that is said, where they are not installed.
"""

import argparse
import json
import multiprocessing
import os
import resource
import sys
import time
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import numpy as np

from workers.biometrics import bootstrap, rates
from workers.biometrics.bootstrap import Bootstrap
from workers.biometrics.crossed import compare_crossed
from workers.biometrics.eer import eer
from workers.biometrics.score_files import ScoredPair, write_scores
from workers.biometrics.scores import ScoreSet
from workers.biometrics.templates import TemplateTable
from workers.verdict.score_rows import read_csv

TARGET = 1e-3


def drawn(count: int) -> tuple[np.ndarray, np.ndarray]:
    """Mated and non-mated scores, one to twenty."""
    rng = np.random.default_rng(1)
    return rng.normal(4, 1, count // 21), rng.normal(0, 1, count - count // 21)


def ours(count: int) -> dict[str, Any]:
    """EER and FNMR at an FMR."""
    mated, non_mated = drawn(count)

    def run() -> tuple[float, float]:
        scores = ScoreSet(mated=mated, non_mated=non_mated)
        return eer(scores).value, rates.fnmr_at_fmr(scores, TARGET).fnmr.value

    return timed(run, count)


def scikit_learn(count: int) -> dict[str, Any]:
    """The same from scikit-learn's ROC curve; the EER is where its corners, joined by lines, cross."""
    from sklearn.metrics import roc_curve

    mated, non_mated = drawn(count)
    labels = np.concatenate([np.ones(len(mated)), np.zeros(len(non_mated))])

    def run() -> tuple[float, float]:
        fmr, matched, _ = roc_curve(labels, np.concatenate([mated, non_mated]), drop_intermediate=False)
        gap = 1 - matched - fmr
        after = int(np.argmax(gap <= 0))
        share = gap[after - 1] / (gap[after - 1] - gap[after])
        equal = fmr[after - 1] + share * (fmr[after] - fmr[after - 1])
        return float(equal), float(1 - matched[np.searchsorted(fmr, TARGET, "right") - 1])

    return timed(run, count)


def pyeer(count: int) -> dict[str, Any]:
    """The same from pyeer, which computes more besides."""
    from pyeer.eer_info import get_eer_stats

    mated, non_mated = drawn(count)

    def run() -> tuple[float, float]:
        found = get_eer_stats(mated, non_mated)
        return float(found.eer), float(found.fmr1000)

    return timed(run, count, runs=1)


def resampled(count: int) -> dict[str, Any]:
    """A thousand bootstrap replicates of FNMR at an FMR over fully crossed subjects."""
    subjects = int(np.sqrt(2 * count))
    references, probes = np.triu_indices(subjects, 1)
    rng = np.random.default_rng(1)
    owners = np.repeat(np.arange(subjects), 5)
    scores = ScoreSet(
        mated=rng.normal(4, 1, len(owners)),
        mated_subjects=owners,
        non_mated=rng.normal(0, 1, len(references)),
        non_mated_references=references,
        non_mated_probes=probes,
        subjects=subjects,
    )

    def run() -> float:
        return bootstrap.at_fmr(scores, TARGET, Bootstrap(replicates=1_000)).fnmr.value

    return timed(run, len(references), runs=1)


def reading(count: int) -> dict[str, Any]:
    """Reading a score file in Bob's form."""
    chunks = list(
        write_scores(
            ScoredPair(f"S{left:07d}_0000", f"S{left:07d}", f"S{right:07d}_0001", f"S{right:07d}", 0.1)
            for left, right in (divmod(row, 500) for row in range(count))
        )
    )
    blob = b"".join(chunks)
    blocks = [blob[start : start + 65_536] for start in range(0, len(blob), 65_536)]
    return timed(lambda: sum(len(block.values) for block in read_csv(blocks)), count, runs=1)


def crossed(count: int, metric: str = "cosine") -> dict[str, Any]:
    """Every template of 128 dimensions with every other, five samples a subject, with FNMR at an FMR."""
    rng = np.random.default_rng(1)
    centre = rng.normal(size=(count // 5, 1, 128))
    templates = (centre + 0.9 * rng.normal(size=(count // 5, 5, 128))).reshape(-1, 128).astype(np.float32)
    templates /= np.linalg.norm(templates, axis=1, keepdims=True)
    table = TemplateTable(templates=templates, subjects=np.repeat(np.arange(count // 5), 5))

    def run() -> float:
        return rates.fnmr_at_fmr(compare_crossed(table, metric=metric), 1e-4).threshold  # type: ignore[arg-type]

    return timed(run, len(table) * (len(table) - 1) // 2, runs=1)


def crossed_euclidean(count: int) -> dict[str, Any]:
    """As above, by distance."""
    return crossed(count, "euclidean")


def timed(run: Callable[[], Any], comparisons: int, runs: int = 3) -> dict[str, Any]:
    """Seconds of the fastest run, and what it gave."""
    seconds = []
    for _ in range(runs):
        began = time.perf_counter()
        result = run()
        seconds.append(time.perf_counter() - began)
    return {
        "comparisons": comparisons,
        "seconds": round(min(seconds), 3),
        "comparisons_per_s": round(comparisons / min(seconds)),
        "peak_mib": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
        "result": result,
    }


def _child(case: Callable[[int], dict[str, Any]], size: int, pipe: Any) -> None:
    try:
        pipe.send(case(size))
    except ImportError as exc:
        pipe.send({"left_out": str(exc)})


def alone(case: Callable[[int], dict[str, Any]], size: int) -> dict[str, Any]:
    """Run a case in a fresh process."""
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe(duplex=False)
    process = context.Process(target=_child, args=(case, size, there))
    process.start()
    there.close()
    try:
        found: dict[str, Any] = here.recv()
    except EOFError:
        found = {"left_out": "it died"}
    process.join()
    return found


def versions() -> dict[str, str]:
    """What was measured with."""
    found = {"python": sys.version.split()[0], "cpus": str(os.cpu_count())}
    for name in ("numpy", "scipy", "scikit-learn", "pyeer"):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "not installed"
    return found


def main() -> int:
    """Run all cases and print them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="one JSON object instead of a table")
    parser.add_argument("--templates", type=int, default=20_000)
    parser.add_argument("--scores", type=int, default=1_000_000)
    wanted = parser.parse_args()
    cases: list[tuple[str, Callable[[int], dict[str, Any]], int]] = [
        ("EER and FNMR at FMR 1e-3: Facsimile", ours, wanted.scores),
        ("EER and FNMR at FMR 1e-3: scikit-learn", scikit_learn, wanted.scores),
        ("EER and FNMR at FMR 1e-3: pyeer", pyeer, wanted.scores),
        ("FNMR at FMR 1e-3, 1,000 replicates by subject", resampled, wanted.scores),
        ("reading a score file", reading, wanted.scores),
        ("crossed templates, cosine", crossed, wanted.templates),
        ("crossed templates, Euclidean", crossed_euclidean, wanted.templates),
    ]
    results = {}
    for name, case, size in cases:
        results[name] = found = alone(case, size)
        if not wanted.json:
            if "left_out" in found:
                line = f"left out: {found['left_out']}"
            else:
                line = (
                    f"{found['comparisons']:>12,} in {found['seconds']:>8.3f} s = {found['comparisons_per_s']:>12,}/s, "
                    f"peak {found['peak_mib']:,} MiB"
                )
            sys.stdout.write(f"{name:<48} {line}\n")
            sys.stdout.flush()
    if wanted.json:
        sys.stdout.write(json.dumps({"versions": versions(), "cases": results}, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
