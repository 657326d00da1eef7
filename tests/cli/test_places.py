"""Where commands write: a place that cannot be is told in one line, before the work; nothing is left lying about."""

import errno
import os
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
