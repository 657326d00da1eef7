"""Distances are never taken for scores, and what is printed of a threshold has the rates that are printed."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from app.cli.main import run
from app.dataset.evaluation import EvaluatedSet, Rule, Verdict
from workers.biometrics.errors import ScoresRefused
from workers.verdict.compared import compare
from workers.verdict.evaluate import evaluate
from workers.verdict.score_rows import read_csv

CASES = Path(__file__).parents[3] / "shared" / "cases"


@pytest.fixture
def files(make_set: Callable[..., Any], tmp_path: Path) -> dict[str, Path]:
    """Scores of a good matcher, its distances, and a matcher without any idea."""
    made = make_set(20, 3, "complete")
    good = made.scores(1, shift=4.0)
    made.write(tmp_path / "good.csv", good)
    made.write(tmp_path / "far.csv", np.round(10 - good, 1))
    made.write(tmp_path / "useless.csv", made.scores(2, shift=0.0))
    return {"set": made.folder, **{name: tmp_path / f"{name}.csv" for name in ("good", "far", "useless")}}


def ask(files: dict[str, Path], new: str, *more: object) -> int:
    given = ["--scores", files[new], "--dataset", files["set"], "--at-fmr", "0.02", *more]
    return run(["evaluate", *map(str, given)])


def test_distances_are_refused_unless_said_to_be(files: dict[str, Path], capsys: pytest.CaptureFixture[str]) -> None:
    limit = ("--max-fnmr-increase", "10%")
    assert ask(files, "useless", "--baseline", files["far"], *limit) == 2
    assert "NO VERDICT: these look like DISTANCES, not scores: in the baseline" in capsys.readouterr().err
    assert ask(files, "far", "--baseline", files["far"], *limit) == 2
    assert "if they are distances, say so: --distances" in capsys.readouterr().err
    assert ask(files, "far") == 2  # rates of distances taken for scores are wrong as well
    capsys.readouterr()
    assert ask(files, "far", "--baseline", files["far"], *limit, "--distances") == 0
    assert ask(files, "useless", "--baseline", files["far"], *limit, "--distances") == 1
    capsys.readouterr()
    assert ask(files, "good", "--distances") == 2
    assert "these are scores" in capsys.readouterr().err


def test_a_matcher_without_any_idea_is_told(files: dict[str, Path], capsys: pytest.CaptureFixture[str]) -> None:
    assert ask(files, "useless") == 0
    assert "hardly tell mated from non-mated" in capsys.readouterr().out


def test_templates_are_no_distances(files: dict[str, Path], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["evaluate", "--templates", str(files["good"]), "--dataset", str(files["set"]), "--distances"]) == 2
    assert "--distances is for files of distances" in capsys.readouterr().err


@pytest.mark.parametrize("distances", [(), ("--distances",)])
@pytest.mark.parametrize("kind", ["whole", "rounded", "exact"])
def test_the_printed_threshold_has_the_printed_rates(
    distances: tuple[str, ...],
    kind: str,
    make_set: Callable[..., Any],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    made = make_set(20, 3, "complete")
    scores = made.scores(1, shift=2.0)
    scores = {"whole": np.round(10 * scores), "rounded": np.round(scores, 2), "exact": scores}[kind]
    made.write(tmp_path / "scores.csv", -scores if distances else scores)
    files = {"set": made.folder, "scores": tmp_path / "scores.csv"}

    def point(*more: str) -> dict[str, Any]:
        assert ask(files, "scores", *distances, *more, "--json") == 0
        found: dict[str, Any] = json.loads(capsys.readouterr().out)["scores"]["points"][0]
        return found

    at_fmr = point()
    assert ask(files, "scores", *distances) == 0
    printed = capsys.readouterr().out.split("threshold " if not distances else "at distance ")[1].split(",")[0]
    again = point(f"--threshold={printed}")
    for rate in ("fmr", "fnmr"):
        assert again[rate]["errors"] == at_fmr[rate]["errors"]
    assert at_fmr["fmr"]["value"] <= 0.02


def test_constant_scores(make_set: Callable[..., Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made = make_set(20, 3, "complete")
    made.write(tmp_path / "scores.csv", np.full(len(made.pairs), 5.0))
    files = {"set": made.folder, "scores": tmp_path / "scores.csv"}
    assert ask(files, "scores") == 0
    told = capsys.readouterr().out
    printed = told.split("threshold ")[1].split(",")[0]
    assert "FMR 0%" in told
    assert ask(files, "scores", f"--threshold={printed}") == 0
    assert "FMR 0%" in capsys.readouterr().out


def test_the_cases_that_users_tried(make_set: Callable[..., Any]) -> None:
    if not CASES.exists():
        pytest.skip("the cases that users tried are not here")
    made = make_set(20, 3, "complete")

    def compared(name: str, *, distances: bool = False) -> Any:
        return compare(made.listed, read_csv([(CASES / name).read_bytes()]), distances=distances)

    of = EvaluatedSet(dataset="ds", release=None, name="S", comparisons=1_770, comparisons_sha256=None)
    rule = Rule(at_fmr=0.02, max_fnmr_increase="10%")
    useless, perfect = compared("distance_useless_new.csv"), compared("distance_baseline.csv")
    with pytest.raises(ScoresRefused, match="DISTANCES"):
        evaluate(of, rule, made.listed, useless, perfect)
    useless, perfect = (compared(f"distance_{name}.csv", distances=True) for name in ("useless_new", "baseline"))
    said = rule.model_copy(update={"distances": True})
    assert evaluate(of, said, made.listed, useless, perfect).verdict is Verdict.FAIL
    whole = compared("integer_scores.csv")
    found = evaluate(of, Rule(at_fmr=0.02), made.listed, whole, None).scores.points[0]
    again = evaluate(of, Rule(threshold=found.threshold), made.listed, whole, None).scores.points[0]
    assert found.threshold == 51
    for one, other in ((again.fmr, found.fmr), (again.fnmr, found.fnmr)):
        # Intervals by subject differ: a threshold that is given has no uncertainty of its own.
        assert (one.value, one.errors, one.trials, one.exact) == (other.value, other.errors, other.trials, other.exact)
