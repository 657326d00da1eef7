"""Searches made here: FNIR, FPIR and ranks by hand, galleries of real and synthetic others, and whatever is odd."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import numpy as np
import pytest
from numpy.typing import NDArray

pytest.importorskip("pyarrow")

from app.charts.galleries import gallery_chart
from app.cli.main import run
from app.dataset.candidates import SearchRule
from app.dataset.evaluation import Verdict
from app.dataset.galleries import GalleriesFound
from workers.biometrics.bootstrap import Bootstrap
from workers.verdict.gallery import Asked, evaluate_galleries
from workers.verdict.gallery_files import Sides, read_named, sides_of
from workers.verdict.gallery_words import gallery_junit, gallery_markdown

ENROLLED = ("A", "B", "s1", "s2")

SEARCHES = {
    # A cosine with A, B, s1 and s2
    "A1": (0.5, 0.0, 0.1, 0.2),
    "A2": (0.15, 0.0, 0.3, 0.2),
    "B1": (0.0, 0.3, 0.3, 0.3),
    "X1": (0.0, 0.0, 0.35, 0.1),
    "Y1": (0.0, 0.0, 0.1, 0.25),
}
"""By hand: A and B are enrolled, X and Y are strangers, s1 and s2 are nobody."""

Rows = NDArray[np.float32]


def templates_of(cosines: Sequence[Sequence[float]]) -> Rows:
    """Templates [n, 5] that have these cosines with the axes; the last number fills up to length 1."""
    rows = np.array(cosines, np.float64)
    return np.hstack([rows, np.sqrt(1 - (rows**2).sum(1, keepdims=True))]).astype(np.float32)


def write(path: Path, ids: Sequence[str], templates: Rows, **more: Sequence[str]) -> Path:
    columns: dict[str, Any] = {name: np.array(column) for name, column in more.items()}
    np.savez(path, ids=np.array(ids), templates=templates, **columns)
    return path


@pytest.fixture
def by_hand(tmp_path: Path) -> tuple[Path, Path]:
    """The file of probes and references, and that of distractors."""
    axes = np.eye(5, dtype=np.float32)
    ids = [*ENROLLED[:2], *SEARCHES]
    own = write(
        tmp_path / "templates.npz",
        ids,
        np.vstack([axes[:2], templates_of(list(SEARCHES.values()))]),
        subjects=[name[0] for name in ids],
        roles=["reference"] * 2 + ["probe"] * len(SEARCHES),
    )
    return own, write(tmp_path / "distractors.npz", ["s1", "s2"], axes[2:4], subjects=["s1", "s2"])


def evaluated(capsys: pytest.CaptureFixture[str], *arguments: str) -> GalleriesFound:
    assert run(["evaluate", *arguments, "--json"]) == 0
    return GalleriesFound.model_validate(json.loads(capsys.readouterr().out))


def test_an_open_set_by_hand(by_hand: tuple[Path, Path], capsys: pytest.CaptureFixture[str]) -> None:
    own, others = (str(path) for path in by_hand)
    ask = ["--templates", own, "--distractors", others, "--at-fpir", "0.5", "--at-fpir", "0.4"]
    found = evaluated(capsys, *ask, "--sizes", "2")
    assert (found.probes, found.mated, found.references, found.synthetic) == (5, 3, 2, 2)
    assert found.non_mated_are == "probes without a mate"
    curves = {curve.others: curve for curve in found.curves}
    # Of A and B a gallery of two others cannot be made, for a mated search leaves the mate out of them.
    assert set(curves) == {"synthetic", "mixed"}
    half, none = curves["synthetic"].points
    # One of the two strangers may find somebody: above 0.25. Of the mates at 0.5, 0.15 and 0.3 one is lost.
    assert (half.fpir, half.fnir) == (0.5, pytest.approx(1 / 3))
    assert half.threshold is not None
    assert 0.25 < half.threshold < 0.2501
    # None may: above 0.35. The mate at 0.3 is lost as well.
    assert (none.fpir, none.fnir) == (0.0, pytest.approx(2 / 3))
    assert {half.resolved, none.resolved} == {False}
    # A2's mate at 0.15 is outranked by 0.3 or 0.2, B1's ties with 0.3, whichever is beside it in the gallery.
    (ranks,) = curves["synthetic"].ranks
    assert ranks.missed == pytest.approx(2 / 3)
    assert [(point.rank, point.found) for point in ranks.ranks] == [(1, pytest.approx(1 / 3)), (2, 1.0)]


def test_a_closed_set_is_searched_once_more_without_the_mate(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    axes = np.eye(5, dtype=np.float32)[:4]
    # The best others: 0.4, 0.6, 0.2, 0.1; mates at 0.5, 0.3, 0.7, 0.15.
    probes = templates_of([(0.5, 0.4, 0, 0), (0.6, 0.3, 0, 0), (0.2, 0, 0.7, 0), (0, 0, 0.1, 0.15)])
    path = write(tmp_path / "t.npz", list("ABCDabcd"), np.vstack([axes, probes]), subjects=list("ABCDABCD"))
    found = evaluated(capsys, "--templates", str(path), "--sizes", "all", "--at-fpir", "0.25")
    (curve,) = found.curves
    assert (curve.others, found.non_mated_are) == ("real", "mated searches, the mate put aside")
    (point,) = curve.points
    # One of four may reach the threshold: above 0.4, which mates at 0.3 and 0.15 do not.
    assert (point.size, point.fpir, point.fnir) == (3, 0.25, 0.5)


def crowd(seed: int, subjects: int, others: int, spread: float = 0.4) -> tuple[Rows, Rows, Rows]:
    """References [S, 16], a probe of each [S, 16], and distractors [others, 16]."""
    rng = np.random.default_rng(seed)
    who = rng.normal(size=(subjects, 16))

    def near() -> Rows:
        return (who + spread * rng.normal(size=who.shape)).astype(np.float32)

    return near(), near(), rng.normal(size=(others, 16)).astype(np.float32)


def sides(tmp_path: Path, references: Rows, probes: Rows, synthetic: Rows, real: Rows | None = None) -> Sides:
    number = len(references)
    subjects = [f"p{row}" for row in range(number)] + [f"p{row}" for row in range(len(probes))]
    ids = [f"{name}-{row}" for row, name in enumerate(subjects)]
    own = read_named(write(tmp_path / "own.npz", ids, np.vstack([references, probes]), subjects=subjects))
    files = []
    for name, table in (("synthetic", synthetic), ("real", real)):
        if table is not None and len(table):
            names = [f"{name}{row}" for row in range(len(table))]
            files.append((name, read_named(write(tmp_path / f"{name}.npz", names, table, subjects=names))))
    return sides_of(
        own, [file for name, file in files if name == "synthetic"], [file for name, file in files if name == "real"]
    )


def test_distractors_of_both_kinds_stand_beside_each_other_and_what_was_held_out_is_foretold(tmp_path: Path) -> None:
    references, probes, synthetic = crowd(1, 350, 3_400)
    how = Bootstrap(replicates=60)
    rule = SearchRule(at_fpir=(0.1,))
    asked = Asked(sizes=(100, 300, 3_000), extrapolate=(30_000,), rule=rule, draws=3, tails=how)
    found = evaluate_galleries("x", sides(tmp_path, references, probes, synthetic), None, asked)
    curves = {curve.others: curve for curve in found.curves}
    assert [curve.references for curve in found.curves] == [350, 3_400, 3_750]
    assert [point.size for point in curves["real"].points] == [100, 300, 30_000]
    assert [point.size for point in curves["mixed"].points] == [100, 300, 3_000]  # of two kinds: not extrapolated
    *measured, far = curves["synthetic"].points
    assert [point.size for point in measured] == [100, 300, 3_000]
    assert far.size == 30_000
    assert far.extrapolated
    assert not far.resolved
    assert measured[0].fnir < measured[1].fnir < measured[2].fnir < far.fnir
    widths = [point.interval.high - point.interval.low for point in (*measured, far)]
    assert widths[-1] > widths[-2]  # it knows less
    # The same kind of people and of nobody: one curve, as far as the intervals tell.
    assert curves["real"].points[1].fnir in curves["synthetic"].points[1].interval
    (held,) = curves["synthetic"].held_out
    assert (held.fitted, held.size) == (340, 3_400)
    assert abs(held.foretold - held.measured) < 0.1
    assert held.held
    text = gallery_markdown(found)
    assert "| others in the gallery, N | real | synthetic | mixed |" in text
    assert "| 30,000 (extrapolated) |" in text
    assert "N = 3,400 foretold from 340" in text
    svg = ET.fromstring(gallery_chart(found).document())
    assert len(svg.findall(".//{*}polygon")) == 3  # a band each
    assert len(svg.findall(".//{*}polyline")) == 5  # and two go on, dashed


def test_a_verdict_is_paired_with_the_version_before(tmp_path: Path) -> None:
    references, probes, synthetic = crowd(2, 300, 400)
    before = sides(tmp_path, references, probes, synthetic)
    noise = np.random.default_rng(3).normal(size=probes.shape).astype(np.float32)
    worse = sides(tmp_path, references, probes + noise * (np.arange(len(probes)) % 4 == 0)[:, None], synthetic)
    rule = SearchRule(at_fpir=(0.1,), max_fnir_increase="0.01")
    asked = Asked(sizes=(500,), rule=rule, draws=2)
    found = evaluate_galleries("x", worse, before, asked)
    assert found.verdict is Verdict.FAIL
    assert found.decided_on == "mixed galleries of 500"
    assert found.difference is not None
    assert found.difference.low > 0.01
    root = ET.fromstring(gallery_junit(found, 1.0, None))
    assert root.get("failures") == "1"
    same = evaluate_galleries("x", before, before, asked)
    assert (same.verdict, same.reason) == (Verdict.PASS, "every score is the baseline's")
    assert same.curves == same.baseline


def base(tmp_path: Path, **changed: Any) -> Path:
    """A file of three subjects' references and probes, with some of it changed; None leaves an array out."""
    arrays: dict[str, Any] = {
        "ids": ["a0", "a1", "b0", "b1", "c0", "c1"],
        "templates": np.random.default_rng(0).normal(size=(6, 4)),
        "subjects": list("aabbcc"),
        **changed,
    }
    path = tmp_path / "t.npz"
    np.savez(path, **{name: np.array(array) for name, array in arrays.items() if array is not None})
    return path


def spoilt(row: int, value: float, whole: bool = False) -> NDArray[np.float64]:
    templates = np.random.default_rng(0).normal(size=(6, 4))
    templates[row, slice(None) if whole else 1] = value
    return templates


@pytest.mark.parametrize(
    ("changed", "what"),
    [
        ({"ids": ["a0", "a1", "b0", "b1", "a0", "a1"]}, "2 ids stand twice (a0, a1)"),
        ({"templates": spoilt(2, np.nan)}, "1 templates hold NaN, infinity or numbers too large for float32 (b0)"),
        ({"templates": spoilt(3, np.inf)}, "(b1)"),
        ({"templates": spoilt(3, 1e300)}, "(b1)"),
        ({"templates": spoilt(4, 1e25)}, "(c0)"),
        ({"templates": spoilt(5, 0, whole=True)}, "1 templates are all zeros (c1)"),
        ({"templates": np.full((6, 4), np.nan)}, "no probe has a template"),
        ({"subjects": ["a"] * 6}, "there are 0 references of others, and a gallery needs 2"),
        ({"subjects": list("abcdef")}, "no probe"),
        ({"subjects": None}, "6 ids are no samples of a dataset of ours (a0, a1, b0, b1, c0, c1)"),
        ({"subjects": ["a", "a"]}, "subjects must be a list of 6"),
        ({"roles": ["reference", "probe"] * 2 + ["mate", "probe"]}, "1 roles are not known (c0 'mate')"),
        ({"roles": ["reference"] * 6}, "3 subjects have several references (a, b, c)"),
        ({"templates": np.zeros((6, 4, 2))}, "templates must be numbers [6, D]"),
        ({"templates": np.zeros((6, 0))}, "0 dimensions"),
        ({"templates": np.array([["x"] * 4] * 6)}, "templates must be numbers"),
        ({"templates": None}, "there must be ids and templates"),
        ({"ids": np.array(["a0"] * 6, dtype=object)}, "t.npz: this .npz cannot be read"),
        ({"ids": [], "templates": np.zeros((0, 4)), "subjects": []}, "holds no template"),
    ],
)
def test_what_is_odd_is_named(
    changed: dict[str, Any], what: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = base(tmp_path, **changed)
    assert run(["evaluate", "--templates", str(path), "--sizes", "all", "--at-fpir", "0.4"]) == 2
    assert what in " ".join(capsys.readouterr().err.split())


@pytest.mark.parametrize(
    ("arguments", "what"),
    [
        (["--sizes", "many"], "'many' is no number of references"),
        (["--sizes", "1"], "a gallery of 1 is none"),
        (["--sizes", "5000"], "a gallery of 5,000 cannot be searched: sizes lie between 2 and"),
        (["--distractors", "{wide}"], "has templates of 7 numbers"),
        (["--distractors", "{known}"], "1 of its subjects are there already (b)"),
        (["--distractors", "{wide}", "--distractors", "{wide}"], "all must be of one matcher"),
        (["--distractors", "/nowhere.npz"], "is no file"),
        (["--sizes", "2", "--draws", "0"], "--draws"),
        (["--sizes", "2", "--max-fnir-increase", "10%"], "an increase is over a baseline"),
        (["--sizes", "2", "--baseline-distractors", "{wide}"], "a baseline's distractors need --baseline-templates"),
        (["--sizes", "2", "--baseline-templates", "{fewer}"], "the baseline's templates are of other samples"),
        (["--sizes", "2", "--at-fmr", "0.1", "--max-fnmr", "0.1"], "go with --templates"),
        (["--sizes", "2", "--dataset", "/nowhere"], "is no folder"),
    ],
)
def test_what_is_asked_wrongly_is_said(
    arguments: list[str], what: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rng = np.random.default_rng(5)
    files = {
        "wide": write(tmp_path / "wide.npz", ["w"], rng.normal(size=(1, 7)).astype(np.float32), subjects=["w"]),
        "known": write(tmp_path / "known.npz", ["x"], rng.normal(size=(1, 4)).astype(np.float32), subjects=["b"]),
    }
    (tmp_path / "fewer").mkdir()
    templates = rng.normal(size=(5, 4))
    files["fewer"] = base(
        tmp_path / "fewer", ids=["a0", "a1", "b0", "b1", "c0"], templates=templates, subjects=list("aabbc")
    )
    asked = [text.format(**files) for text in arguments]
    assert run(["evaluate", "--templates", str(base(tmp_path)), *asked]) == 2
    assert what in " ".join(capsys.readouterr().err.split())


def test_failures_are_counted_and_left_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    templates = np.random.default_rng(0).normal(size=(8, 4))
    templates[[1, 4]] = np.nan  # a probe of a, the reference of c
    ids = ["a0", "a1", "b0", "b1", "c0", "c1", "d0", "d1"]
    path = base(tmp_path, ids=ids, templates=templates, subjects=list("aabbccdd"))
    found = evaluated(capsys, "--templates", str(path), "--sizes", "2", "--at-fpir", "0.4")
    assert (found.probes, found.probes_failed, found.mated, found.references_failed) == (3, 1, 2, 1)
    # c could not be enrolled; that makes its probe no stranger, over whom alone FPIR would be taken.
    assert found.non_mated_are == "mated searches, the mate put aside"
    assert any("failure to extract: 1 probes" in note for note in found.notes)


def test_the_templates_of_a_set_need_no_subjects(
    make_set: Callable[..., Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made = make_set(6, 2)
    ids = [f"S{subject:07d}_{sample:04d}" for subject in range(6) for sample in range(2)]
    templates = np.random.default_rng(0).normal(size=(12, 4)).astype(np.float32)
    path = write(tmp_path / "t.npz", ids, templates)
    ask = ["--templates", str(path), "--dataset", str(made.folder), "--sizes", "2,5", "--at-fpir", "0.4"]
    found = evaluated(capsys, *ask)
    # A set's references are of nobody.
    assert [(curve.others, curve.references) for curve in found.curves] == [("synthetic", 6)]
    write(path, [*ids[:-1], "S0000099_0000"], templates)
    assert run(["evaluate", *ask]) == 2
    assert "1 ids are no samples of the set (S0000099_0000)" in capsys.readouterr().err
