"""Where commands write: a place that cannot be is told in one line, before the work; nothing is left lying about."""

import errno
import os
import re
from pathlib import Path
from typing import Any

import pytest

from app.cli.main import run
from app.client import files


@pytest.mark.parametrize(
    "command",
    [
        ["generate", "--subjects", "3", "--samples", "2", "--out", ""],
        ["generate", "", "--out", "x"],
        ["preview", "--out", ""],
        ["pull", "gate-smoke@1.2.0", "--out", ""],
        ["pull", "gate-smoke@1.2.0", "--from", ""],
        ["lock", "gate-smoke@1.2.0", "--lock", ""],
        ["verify", ""],
        ["match", ".", "--out", ""],
        ["convert", ".", "--layout", "lfw", "--out", ""],
        ["evaluate", "--scores", "", "--dataset", "."],
        ["up", "--data", ""],
        ["keys", "issue", "acme", "--data", ""],
    ],
)
def test_an_empty_path_is_not_the_folder_one_stands_in(
    service: Any,
    command: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run(command) == 2
    assert "is empty, where a path is wanted" in capsys.readouterr().err
    assert service.calls == []
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("out", ["/dev/null/x", "/proc/nothing/here", "a-file/x", "x" * 300])
@pytest.mark.parametrize(
    "command",
    [
        ["generate", "--subjects", "3", "--samples", "2", "--out"],
        ["preview", "--out"],
        ["pull", "gate-smoke@1.2.0", "--out"],
        ["report", "ds_1", "--out"],
        ["fetch", "ds_1", "--layout", "lfw", "--out"],
    ],
)
def test_an_impossible_place_is_told_in_one_line(
    service: Any,
    command: list[str],
    out: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("a-file").write_text("mine")
    out += ".html" if command[0] == "report" else ""
    assert run([*command, out]) in (2, 4)  # 4: a link or file where a folder should be
    told = [line for line in capsys.readouterr().err.splitlines() if line.startswith("facsimile:")]
    assert len(told) == 1
    assert "Traceback" not in told[0]
    assert ("POST", "/v1/datasets") not in service.calls
    assert [path.name for path in tmp_path.iterdir()] == ["a-file"]


def test_a_disk_that_fills_up_leaves_no_half_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, service: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    def full(path: Path, target: Path) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(files.Path, "replace", full)
    assert run(["report", "ds_1", "--out", str(tmp_path / "deep" / "r.json")]) == 2
    assert "cannot be written: No space left on device" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_what_was_there_stays_when_a_request_is_refused(service: Any, tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    (tmp_path / "r.json").write_text('{"subjects": 3, "samples_per_subject": 2, "bogus": 1}')
    for out in ("there", "new/deep"):
        assert run(["generate", str(tmp_path / "r.json"), "--out", str(tmp_path / out)]) == 2
    assert sorted(path.name for path in tmp_path.iterdir()) == ["r.json", "there"]


WRITES = {
    "preview": ["preview", "--out", "{out}"],
    "report": ["report", "ds_1", "--out", "{out}"],
    "match": ["match", "gallery", "--out", "{out}"],
    "match --templates": ["match", "gallery", "--templates", "{out}"],
    "profile": ["profile", "gallery", "--out", "{out}"],
    "twin compare": ["twin", "compare", "profile.json", "gallery", "--out", "{out}"],
    "matchers reference": ["matchers", "reference", "gallery", "--out", "{out}"],
    **{
        f"evaluate {option}": ["evaluate", "--scores", "s.csv", "--dataset", "gallery", option, "{out}"]
        for option in ("--junit", "--markdown", "--det")
    },
    "evaluate --plot": [
        "evaluate",
        "--templates",
        "s.csv",
        "--sizes",
        "all",
        "--dataset",
        "gallery",
        "--plot",
        "{out}",
    ],
    "fetch": ["fetch", "ds_1", "--layout", "lfw", "--out", "{out}"],
    "convert": ["convert", "gallery", "--layout", "lfw", "--out", "{out}"],
}
"""Every command that writes a file where it is told to."""

OF_SETS = ("fetch", "convert")
"""Those that write whole sets."""


@pytest.fixture
def stood(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where somebody stands who has done it all before: with files of each kind, and a set."""
    monkeypatch.chdir(tmp_path)
    for name in ("there.html", "s.csv", "profile.json", "gallery/manifest.json", "gallery/report.html"):
        Path(name).parent.mkdir(exist_ok=True)
        Path(name).write_text("mine")
    return tmp_path


def test_every_command_that_writes_a_file_settles_that_before() -> None:
    root = Path(__file__).parents[2]
    writing = [
        path
        for folder in ("app/cli", "workers/commands")
        for path in sorted((root / folder).glob("*.py"))
        if "write_whole" in path.read_text()
    ]
    assert len(writing) > 5
    assert [path.name for path in writing if "demand_outputs" not in path.read_text()] == []
    for path in writing:
        assert any(name.split()[0] in path.stem for name in WRITES), f"{path.name} has no row in WRITES"


@pytest.mark.parametrize("name", WRITES)
def test_a_file_that_is_there_is_replaced_and_that_is_said_unless_it_is_a_sets(
    service: Any, stood: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    code = run([word.format(out="there.html") for word in WRITES[name]])
    told = capsys.readouterr().err
    if name in OF_SETS:
        assert code == 2
        assert "there.html is there already; choose another" in told
    else:
        assert told.count("there.html is there, and will be replaced") == 1
    if code:  # what it was given is no gallery: nothing came of it, so nothing is lost
        assert Path("there.html").read_text() == "mine" or "<testsuite" in Path("there.html").read_text()
    else:
        assert Path("there.html").read_text(errors="replace") != "mine"
    assert not list(stood.glob(".*"))

    for own in ("gallery/manifest.json", "gallery/report.html"):
        if name == "report" and own.endswith("manifest.json"):
            continue  # it takes .html and .json alone, and both are tried
        assert run([word.format(out=own) for word in WRITES[name]]) in (2, 4)
        told = capsys.readouterr().err
        assert f"{own} is there already" in told or "it is a file of the set in" in told
        assert Path(own).read_text() == "mine"


@pytest.mark.parametrize(
    ("command", "what"),
    [
        (["evaluate", "--scores", "s.csv", "--dataset", "gallery", "--junit", "s.csv"], "--junit s.csv .* it is read"),
        (["evaluate", "--scores", "s.csv", "--dataset", "gallery", "--det", "s.csv"], "--det s.csv .* it is read"),
        (
            ["evaluate", "--scores", "s.csv", "--dataset", "gallery", "--junit", "a", "--markdown", "./a"],
            "--junit writes",
        ),
        (["match", "gallery", "--out", "a", "--templates", "a"], "--out writes it already"),
        (["profile", "s.csv", "--out", "s.csv"], "--out s.csv .* it is read"),
        (["twin", "compare", "profile.json", "gallery", "--out", "profile.json"], "--out profile.json .* it is read"),
    ],
)
def test_no_file_is_both_read_and_written_or_written_twice(
    stood: Path, capsys: pytest.CaptureFixture[str], command: list[str], what: str
) -> None:
    before = {path: path.read_bytes() for path in stood.rglob("*") if path.is_file()}
    assert run(command) == 2
    (told,) = (line for line in capsys.readouterr().err.splitlines() if line.startswith("facsimile:"))
    assert re.search(what, told)
    after = {path: path.read_bytes() for path in stood.rglob("*") if path.is_file()}
    assert {path: data for path, data in after.items() if path.name != "a"} == before


@pytest.mark.parametrize("junit", ["nowhere/v.xml", "gallery", "gallery/manifest.json"])
def test_a_file_of_test_results_that_cannot_be_written_is_told_once(
    stood: Path, capsys: pytest.CaptureFixture[str], junit: str
) -> None:
    assert run(["evaluate", "--scores", "s.csv", "--dataset", "gallery", "--junit", junit]) == 2
    (told,) = (line for line in capsys.readouterr().err.splitlines() if line.startswith("facsimile:"))
    assert told.startswith(f"facsimile: {junit} cannot be written: ")


def test_a_disk_that_is_full_for_the_test_results_is_told_once(
    stood: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(path: Path, target: Path) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(files.Path, "replace", full)
    assert run(["evaluate", "--scores", "s.csv", "--dataset", "gallery", "--junit", "v.xml"]) == 2
    told = [line for line in capsys.readouterr().err.splitlines() if line.startswith("facsimile:")]
    assert [line for line in told if "No space left" in line] == [told[-1]]
    assert len(told) == 2, "what is wrong with the scores, and that there is no room to say so in v.xml"
