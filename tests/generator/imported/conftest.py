"""Networks with weights drawn for a test, and those of files."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from workers.generator.imported.importer import convert
from workers.generator.imported.taking import Converted
from workers.generator.progan.network import ProGan
from workers.generator.reading.contents import read_contents
from workers.generator.stylegan1.network import StyleGan1
from workers.generator.stylegan2.network import StyleGan2
from workers.generator.stylegan3.network import StyleGan3

torch.set_num_threads(1)

NETWORKS = {"stylegan1": StyleGan1, "stylegan2": StyleGan2, "stylegan3": StyleGan3, "progan": ProGan}


@pytest.fixture(scope="session")
def drawn() -> Callable[[str, Any], Any]:
    """(kind, architecture) → a network of random numbers, none of them nought."""

    def make(kind: str, architecture: Any) -> Any:
        network = NETWORKS[kind](architecture)
        rng = np.random.default_rng(11)
        state = {}
        for name, value in network.state_dict().items():
            made = rng.standard_normal(tuple(value.shape)) * (0.3 if name.endswith("bias") else 1.0)
            if name.endswith("magnitude"):
                made = np.abs(made) + 0.5
            if name.endswith("_filter"):
                line = np.hanning(value.shape[0] + 2)[1:-1]
                kernel = line if value.ndim == 1 else np.outer(line, line)
                made = kernel / kernel.sum()
            state[name] = torch.tensor(np.asarray(made), dtype=torch.float32)
        network.load_state_dict(state)
        return network.eval().requires_grad_(requires_grad=False)

    return make


@pytest.fixture(scope="session")
def build() -> Callable[[Converted], Any]:
    """What an importer gives → the network."""

    def make(converted: Converted) -> Any:
        network = NETWORKS[converted.kind](converted.architecture)
        state = {name: torch.from_numpy(np.array(values, order="C")) for name, values in converted.tensors.items()}
        if network.average is not None:
            state.setdefault("w_average", torch.zeros(network.width))
        network.load_state_dict(state)
        return network.eval().requires_grad_(requires_grad=False)

    return make


@pytest.fixture(scope="session")
def converted() -> Callable[..., Converted]:
    """(path, network) → what the importer makes of a file."""

    def make(path: Path, wanted: str | None = None) -> Converted:
        return convert(read_contents(memoryview(path.read_bytes()), wanted))

    return make
