"""deploy/ci/gate.sh with a `facsimile` that ends as it is told: only a PASS is green."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

CI = Path(__file__).parents[2] / "deploy" / "ci"

FACSIMILE = """#!/usr/bin/env bash
echo "$@" >>calls
case $1 in
    pull) exit "${PULL:-0}" ;;
    match) touch "${@: -1}"; exit "${MATCH:-0}" ;;
    evaluate) exit "${EVALUATE:-0}" ;;
esac
"""


@pytest.fixture
def gate(tmp_path: Path) -> Path:
    """A folder with the program on a path of its own."""
    program = tmp_path / "bin" / "facsimile"
    program.parent.mkdir()
    program.write_text(FACSIMILE)
    program.chmod(0o755)
    (tmp_path / "accepted.csv").touch()
    return tmp_path


def run(gate: Path, **more: str) -> tuple[int, str]:
    variables = {"PATH": f"{gate / 'bin'}:{os.environ['PATH']}", "RELEASE": "gate-smoke@1.2.0", **more}
    ended = subprocess.run(
        ["bash", str(CI / "gate.sh")], cwd=gate, env=variables, capture_output=True, text=True, check=False
    )
    return ended.returncode, ended.stderr


@pytest.mark.parametrize(
    ("more", "code", "told"),
    [
        ({"BASELINE": "accepted.csv"}, 0, ""),
        ({"MAX_FNMR": "0.1"}, 0, ""),
        ({}, 2, "scores to accept as the first baseline are in facsimile-results/scores.csv"),
        ({"BASELINE": "missing.csv"}, 2, "missing.csv is not there"),
        ({"BASELINE": "accepted.csv", "EVALUATE": "1"}, 1, ""),
        ({"BASELINE": "accepted.csv", "EVALUATE": "3"}, 3, ""),
        ({"BASELINE": "accepted.csv", "EVALUATE": "2"}, 2, "evaluating ended with 2"),
        ({"BASELINE": "accepted.csv", "EVALUATE": "137"}, 2, "evaluating ended with 137"),
        ({"EVALUATE": "3"}, 3, ""),
        ({"RELEASE": "", "BASELINE": "accepted.csv"}, 2, "RELEASE names no release"),
        ({"RESULTS": "accepted.csv/in", "BASELINE": "accepted.csv"}, 2, "there can be no folder accepted.csv/in"),
        ({"BASELINE": "accepted.csv", "GITHUB_STEP_SUMMARY": "/nowhere/x", "EVALUATE": "1"}, 1, ""),
        ({"BASELINE": "accepted.csv", "PULL": "3"}, 2, "could not be pulled"),
        ({"BASELINE": "accepted.csv", "MATCH": "1"}, 2, "matching failed"),
        ({"BASELINE": "accepted.csv", "MATCHER_COMMAND": "false"}, 2, "the matcher ended with an error"),
    ],
)
def test_only_a_pass_is_green(gate: Path, more: dict[str, str], code: int, told: str) -> None:
    ended, shown = run(gate, **more)
    assert ended == code
    assert told in shown


def test_offline_and_source_reach_the_pull(gate: Path) -> None:
    run(gate, OFFLINE="1", BASELINE="accepted.csv")
    run(gate, SOURCE="a folder", BASELINE="accepted.csv")
    pulls = [line for line in (gate / "calls").read_text().splitlines() if line.startswith("pull")]
    assert pulls[0].endswith("--locked --out facsimile-datasets/gate-smoke@1.2.0 --offline")
    assert pulls[1].endswith("--from a folder")


def test_the_examples_let_nothing_else_pass() -> None:
    gitlab = yaml.safe_load((CI / "gitlab-ci.yml").read_text())["face-matching-gate"]
    github = yaml.safe_load((CI / "github-actions.yml").read_text())["jobs"]["gate"]
    assert "allow_failure" not in gitlab
    assert "continue-on-error" not in str(github)
    assert gitlab["script"] == ["bash ci/gate.sh"]


@pytest.mark.parametrize("system", ["gitlab", "github"])
@pytest.mark.parametrize(("ended", "code"), [("0", 0), ("1", 1), ("3", 3)])
def test_the_examples_steps_run_as_they_stand(gate: Path, system: str, ended: str, code: int) -> None:
    (gate / "ci").mkdir()
    (gate / "ci" / "gate.sh").write_bytes((CI / "gate.sh").read_bytes())
    (gate / "ci" / "accepted-scores.csv").touch()
    (gate / "ci" / "my_matcher.py").write_text("import sys; open(sys.argv[2], 'w').write('reference,probe,score')")
    if system == "gitlab":
        job = yaml.safe_load((CI / "gitlab-ci.yml").read_text())["face-matching-gate"]
        variables, lines, kept = job["variables"], job["script"], job["artifacts"]["paths"]
    else:
        steps = yaml.safe_load((CI / "github-actions.yml").read_text())["jobs"]["gate"]["steps"]
        (step,) = (one for one in steps if "gate.sh" in one.get("run", ""))
        variables, lines, kept = step["env"], [step["run"]], [steps[-1]["with"]["path"]]
    paths = f"{gate / 'bin'}:{Path(sys.executable).parent}:{os.environ['PATH']}"
    found = subprocess.run(
        ["bash", "-e", "-c", "\n".join(lines)],
        cwd=gate,
        env={**variables, "PATH": paths, "EVALUATE": ended},
        check=False,
    )
    assert found.returncode == code
    pulled, judged = (gate / "calls").read_text().splitlines()
    assert pulled.startswith(f"pull {variables['RELEASE']} --locked")
    assert f"--at-fmr {variables['AT_FMR']}" in judged
    assert f"--baseline {variables['BASELINE']} --max-fnmr-increase {variables['MAX_FNMR_INCREASE']}" in judged
    assert [(gate / folder / "scores.csv").read_text() for folder in kept] == ["reference,probe,score"]
