"""What the tests have for a store and for workers, for benchmarks that want those."""

import importlib.util
from pathlib import Path
from typing import Any


def load() -> Any:
    """The module `tests/conftest.py`."""
    spec = importlib.util.spec_from_file_location("doubles", Path(__file__).parents[1] / "conftest.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
