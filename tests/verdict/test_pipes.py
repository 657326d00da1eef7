"""A verdict's exit code is the verdict's, whatever becomes of what is printed."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(("limit", "code"), [("0.9", 0), ("0.001", 1)])
def test_printing_decides_nothing(make_set: Callable[..., Any], tmp_path: Path, limit: str, code: int) -> None:
    made = make_set(40, 4)
    made.write(tmp_path / "scores.csv", made.scores(1))
    program = f'"{sys.executable}" -c "from app.cli.main import main; main()"'
    script = f"""
set -o pipefail
E() {{ {program} evaluate --scores scores.csv --dataset {made.folder} --at-fmr 0.02 --max-fnmr {limit} "$@"; }}
E | true; echo $? >>codes
PYTHONUNBUFFERED=1 E | head -1; echo $? >>codes
E >/dev/full; echo $? >>codes
PYTHONIOENCODING=latin-1 E; echo $? >>codes
E 2>&-; echo $? >>codes
"""
    environment = {"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin"}
    ended = subprocess.run(
        ["bash", "-c", script], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert "Traceback" not in ended.stderr
    full = code or 2  # a PASS that nobody could read is none
    assert [int(line) for line in (tmp_path / "codes").read_text().split()] == [code, code, full, code, code]
