"""False alarms and power, simulated: the benchmark's cells in small. Seeds are fixed."""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest
from scipy.stats import binom

RUNS = 100


@pytest.fixture(scope="module")
def bench() -> ModuleType:
    path = Path(__file__).parents[1] / "bench" / "bench_verdict.py"
    spec = importlib.util.spec_from_file_location("bench_verdict", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["bench_verdict"] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


def test_false_alarms_are_rare_and_regressions_found(bench: ModuleType) -> None:
    world = bench.World(subjects=100, samples=5, fmr=1e-2)
    rows = bench.simulate(world, RUNS, correlations=(0.99,), bases=(0.2,), planted=(0.0, 0.1, 0.2, 0.5), seed=7)
    by = {(row["planted"], row["limit"]): row for row in rows}
    # So many false verdicts of 100 at 1% each would themselves be a one in a thousand chance.
    most = binom.isf(1e-3, RUNS, bench.ALPHA) / RUNS
    assert all(bench.wrong(row) <= most for row in rows), rows
    power = [by[planted, 0.0]["FAIL"] for planted in (0.0, 0.1, 0.2, 0.5)]
    assert power == sorted(power)
    assert power[-1] == 1.0
    assert power[1] > 0.2
    assert by[0.0, 0.1]["PASS"] > by[0.1, 0.1]["PASS"]
