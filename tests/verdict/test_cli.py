"""`facsimile evaluate` as a pipeline calls it: exit codes, files written, and nothing that looks like success."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import httpx
import numpy as np
import pytest

from app.charts.det import det_chart
from app.cli.main import run
from app.client import connect
from app.dataset.evaluation import Evaluation
from workers.verdict.junit import junit_xml
from workers.verdict.wording import markdown


@pytest.fixture
def files(make_set: Callable[..., Any], tmp_path: Path) -> dict[str, str]:
    made = make_set(40, 4)
    old = made.scores(1)
    made.write(tmp_path / "old.csv", old)
    made.write(tmp_path / "worse.csv", old - 1.5 * made.mated)
    close = made.scores(2, alike=made.scores(1, shift=0.0), correlation=0.97)
    made.write(tmp_path / "close.csv", close)
    return {"set": str(made.folder), **{name: str(tmp_path / f"{name}.csv") for name in ("old", "worse", "close")}}


def evaluate(files: dict[str, str], new: str, *more: str) -> int:
    return run(["evaluate", "--scores", files[new], "--dataset", files["set"], "--at-fmr", "0.02", *more])


def test_exit_codes(files: dict[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    against = ("--baseline", files["old"], "--max-fnmr-increase")
    assert evaluate(files, "old", *against, "0.01") == 0
    assert evaluate(files, "worse", *against, "10%") == 1
    assert evaluate(files, "close", *against, "0") == 3
    assert evaluate(files, "close") == 0  # metrics alone
    assert capsys.readouterr().out.count("FNMR new") == 4


@pytest.mark.parametrize(
    ("arguments", "what"),
    [
        (["--scores", "none.csv", "--dataset", "{set}"], "none.csv is no file"),
        (["--dataset", "{set}"], "give --scores, --templates or --candidates"),
        (["--scores", "{old}", "--templates", "{old}", "--dataset", "{set}"], "not both"),
        (["--scores", "{old}"], "say what the scores are of"),
        (["--scores", "{old}", "--dataset", "/nowhere"], "manifest.json is not there"),
        (["--scores", "{old}", "--dataset", "{set}", "--max-fnmr-increase", "0.1"], "an increase is over a baseline"),
        (["--scores", "{old}", "--dataset", "{set}", "--max-fnmr-increase", "much"], "--max-fnmr-increase: String"),
        (["--scores", "{old}", "--dataset", "{set}", "--at-fmr", "2"], "--at-fmr: Input should be less than 1"),
        (["--templates", "{old}", "--dataset", "{set}"], "neither"),
        (["--scores", "{old}", "--release", "gate"], "write NAME@VERSION"),
        (["--scores", "{set}/comparisons.csv", "--dataset", "{set}"], "the header is"),
    ],
)
def test_whatever_is_wrong_ends_on_2(
    arguments: list[str], what: str, files: dict[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    junit = tmp_path / "out.xml"
    assert run(["evaluate", *(text.format(**files) for text in arguments), "--junit", str(junit)]) == 2
    assert what in capsys.readouterr().err
    assert ET.parse(junit).find(".//error") is not None


def test_a_crash_does_not_look_like_fail(
    files: dict[str, str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("workers.verdict.compared.compare", lambda *args, **more: 1 / 0)
    assert evaluate(files, "old") == 2
    assert "ZeroDivisionError" in capsys.readouterr().err


def test_comparisons_that_were_changed_are_refused(
    files: dict[str, str], make_set: Callable[..., Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made = make_set(40, 4)
    for name in ("manifest.json", "comparisons.csv"):
        (tmp_path / name).write_bytes((made.folder / name).read_bytes())
    with (tmp_path / "comparisons.csv").open("a") as file:
        file.write("S0000001_0000,S0000002_0000,0\n")
    assert run(["evaluate", "--scores", files["old"], "--dataset", str(tmp_path)]) == 2
    assert "another digest than the manifest says" in capsys.readouterr().err


def tables(text: str) -> list[list[str]]:
    """The tables of a text in Markdown, their lines."""
    blocks = (block.splitlines() for block in text.split("\n\n"))
    return [block for block in blocks if block[0].startswith("|")]


def test_what_is_written(files: dict[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    paths = {name: tmp_path / name for name in ("out.xml", "out.md", "out.svg")}
    outputs = ["--junit", str(paths["out.xml"]), "--markdown", str(paths["out.md"]), "--det", str(paths["out.svg"])]
    limits = ["--max-fnmr-increase", "10%", "--max-fnmr", "0.9"]
    assert evaluate(files, "worse", "--baseline", files["old"], *limits, "--json", *outputs) == 1
    found = Evaluation.model_validate(json.loads(capsys.readouterr().out))
    assert [limit.verdict for limit in found.limits] == ["PASS", "FAIL"]
    root = ET.parse(paths["out.xml"]).getroot()
    assert (root.tag, root.get("tests"), root.get("failures"), root.get("errors")) == ("testsuites", "2", "1", "0")
    assert [len(case) for case in root.iter("testcase")] == [0, 1]
    failure = root.find(".//failure")
    assert failure is not None
    assert failure.get("message") == found.limits[1].reason
    text = paths["out.md"].read_text()
    assert text.startswith("### ❌ FAIL: made for tests\n")
    widths = {len(table): {line.count("|") for line in table} for table in tables(text)}
    assert all(len(counts) == 1 for counts in widths.values())
    worst = found.worse.listed[0] if found.worse else None
    assert worst is not None
    image = f"{files['set']}/samples/{worst.subject}/{worst.pairs[0].probe}.png"
    assert worst.pairs[0].probe_image == image
    assert f"[{worst.pairs[0].probe}](<{image}>)" in text
    assert image in str(failure.text)
    svg = ET.parse(paths["out.svg"]).getroot()
    assert len(svg.findall(".//{*}polyline")) == 2
    assert len(svg.findall(".//{*}polygon")) == 2  # a band each
    assert found.baseline is not None
    for scores in (found.scores, found.baseline):
        assert all(point.by_subject and point.low is not None for point in scores.det if 0 < point.fmr < 0.1)


def test_names_from_outside_are_escaped(files: dict[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    evaluate(files, "old", "--max-fnmr", "0.5", "--json")
    found = Evaluation.model_validate(json.loads(capsys.readouterr().out))
    evil = '<script>|"&]]>\x00 *x*'
    found = found.model_copy(
        update={"set": found.set.model_copy(update={"release": evil, "name": evil}), "notes": (evil,)}
    )
    root = ET.fromstring(junit_xml(found))
    assert root[0].get("name") == 'facsimile evaluate <script>|"&]]>\ufffd *x*'
    assert "<script>" not in det_chart(found).document().replace("&lt;script&gt;", "")
    ET.fromstring(det_chart(found).document().replace("\x00", ""))
    assert "<script>" not in markdown(found)
    assert "\\|" in markdown(found)


def test_the_set_of_a_release_is_fetched(
    files: dict[str, str],
    make_set: Callable[..., Any],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    folder = make_set(40, 4).folder
    there_is = "/v1/releases/gate/1.2.0"
    paths = {f"{there_is}/comparisons": "comparisons.csv", f"{there_is}/manifest": "manifest.json"}
    digest = hashlib.sha256((folder / "comparisons.csv").read_bytes()).hexdigest()
    record = {"name": "gate", "version": "1.2.0", "comparisons_sha256": digest}

    def answer(request: httpx.Request) -> httpx.Response:
        name = paths.get(request.url.path)
        if request.url.path in (there_is, "/v1/releases/gate/latest"):
            return httpx.Response(200, json=record)
        if name is None:
            return httpx.Response(404, json={"error": "NotFound", "detail": "there is no release", "request_id": "r"})
        return httpx.Response(200, content=(folder / name).read_bytes())

    monkeypatch.setattr(connect, "TRANSPORT", httpx.MockTransport(answer))
    there = ["--url", "http://here", "--key", "k"]
    arguments = ["evaluate", "--scores", files["old"], "--at-fmr", "0.02", *there]
    for version in ("1.2.0", "latest"):
        assert run([*arguments, "--release", f"gate@{version}"]) == 0
        assert "gate@1.2.0" in capsys.readouterr().out
    assert run([*arguments, "--release", "gate@9.9.9"]) == 2
    assert "there is no release" in capsys.readouterr().err
    record["comparisons_sha256"] = "0" * 64
    assert run([*arguments, "--release", "gate@1.2.0"]) == 2
    assert "not those of the release" in capsys.readouterr().err


def test_a_picture_with_no_errors_at_all(make_set: Callable[..., Any], tmp_path: Path) -> None:
    made = make_set(8, 3)
    path = made.write(tmp_path / "s.csv", np.where(made.mated, 1.0, 0.0))
    svg = tmp_path / "d.svg"
    assert run(["evaluate", "--scores", str(path), "--dataset", str(made.folder), "--det", str(svg)]) == 0
    assert "nan" not in svg.read_text()
