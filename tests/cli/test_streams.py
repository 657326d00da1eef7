"""What becomes of a command's output never decides how the command ends."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from app.cli.main import run
from app.cli.output import clean

COMMAND = f'"{sys.executable}" -c "from app.cli.main import main; main()"'


def shell(script: str, folder: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run a shell script in which $F is the program."""
    script = f'set -o pipefail\nF() {{ {COMMAND} "$@"; }}\n{script}'
    environment = {"PYTHONPATH": str(Path(__file__).parents[2]), "PATH": "/usr/bin:/bin", **variables}
    return subprocess.run(
        ["bash", "-c", script], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )


@pytest.fixture
def folders(service: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two folders that are the same, a and b, and another, c: diff ends on 0 and on 1."""
    monkeypatch.chdir(tmp_path)
    for out in ("a", "b"):
        assert run(["pull", "gate-smoke@1.2.0", "--out", out]) == 0
    service.rows = service.rows[:4]
    service.version = "1.3.0"
    assert run(["pull", "gate-smoke@1.3.0", "--out", "c"]) == 0
    return tmp_path


@pytest.mark.parametrize(
    ("to", "same", "differ"),
    [
        ("| true", 0, 1),
        ("2>&- >/dev/null", 0, 1),
        (">&- 2>&- <&-", 0, 1),
        ("> /dev/full", 2, 1),
        ("> /dev/null 2> /dev/full", 0, 1),
    ],
)
def test_the_code_is_the_answers_own(folders: Path, to: str, same: int, differ: int) -> None:
    ended = shell(f"F diff a b {to}; echo $? >> codes\nF diff a c {to}; echo $? >> codes", folders)
    assert (folders / "codes").read_text().split() == [str(same), str(differ)]
    assert "Traceback" not in ended.stderr
    assert ("could not be written" in ended.stderr) == (to == "> /dev/full")


def test_a_terminal_that_knows_few_letters_is_written_to(folders: Path) -> None:
    ended = shell("F diff a c; echo $?; F diff a c --json | tail -1", folders, PYTHONIOENCODING="ascii")
    assert "1" in ended.stdout.splitlines()
    assert "\\u2026" in ended.stdout  # the … of a digest that is cut
    found = shell("F status --help; F diff a c --json; true", folders, PYTHONIOENCODING="latin-1")
    assert json.loads(found.stdout[found.stdout.index("\n{") :])["same_content"] is False
    assert (ended.stderr, found.stderr) == ("", "")


def test_an_unforeseen_fault_does_not_look_like_an_answer(
    service: Any, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(request: object) -> None:
        raise ZeroDivisionError("a fault")

    service.fault = broken
    assert run(["status"]) == 2
    assert "fault of Facsimile's own" in capsys.readouterr().err


def test_names_out_of_files_steer_no_terminal() -> None:
    assert clean("a\x1b[2Jb\x9bc\rd\u202ee\tf\ng") == "a\\x1b[2Jb\\x9bc\\x0dd\\x202ee\tf\ng"
