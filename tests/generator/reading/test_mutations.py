"""A slice of the fuzz: whatever is changed in a checkpoint, reading ends in a refusal or a sound reading."""

import importlib.util
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

SCRIPT = Path(__file__).parents[2] / "fuzz" / "fuzz_reading.py"


def load() -> ModuleType:
    spec = importlib.util.spec_from_file_location("fuzz_reading", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_mutated_files_end_in_refusals_or_readings(forge: Any) -> None:
    pytest.importorskip("torch")
    script = load()
    weight = np.arange(6, dtype=np.float32).reshape(2, 3)
    network = {"version": 2, "build_func_name": "G", "static_kwargs": {}, "variables": [("a", forge.array(weight))]}
    one = forge.Call(forge.Name("tfutil", "Network"), (), b"\x81", state=network)
    whole = {"_init_args": (), "_init_kwargs": {}, "_parameters": {"a": forge.tensor(weight)}}
    seeds = [
        *script.made_seeds(),
        script.Seed("networks", forge.pickle((one, one, one))),
        script.Seed("modules", forge.pickle({"G_ema": forge.module("Generator", whole)})),
    ]
    for seed in seeds:
        assert script.read(seed.data).startswith("read"), seed.name
    ended = [(name, how) for name, _, how, _ in script.fuzz(seeds, 3_000, 7)]
    assert [one for one in ended if one[1].startswith("FAULT")] == []
    assert {how.split()[0] for _, how in ended} == {"read,", "refused:"}
