"""A downloaded folder into another layout, by the same writers; and what is wrong with a folder."""

import errno
import io
import json
import os
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from app.cli.main import run
from app.dataset.layout import Layout
from workers.commands import convert as convert_command


@pytest.fixture
def folder(made: Any, tmp_path: Path) -> Path:
    """The set as `facsimile generate` leaves it."""
    pulled: Path = made.unpacked(Layout.PLAIN, tmp_path / "unpacked").rename(tmp_path / "pulled")
    (tmp_path / "unpacked").rmdir()
    return pulled


@pytest.mark.parametrize("layout", [layout for layout in Layout if layout is not Layout.PLAIN])
def test_the_same_bytes_as_the_service_makes(made: Any, folder: Path, tmp_path: Path, layout: Layout) -> None:
    out = tmp_path / f"out{layout.suffix}"
    assert run(["convert", str(folder), "--layout", layout, "--out", str(out)]) == 0
    assert out.read_bytes() == made.archive(layout)


def test_into_a_folder(made: Any, folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "deep" / "lfw"
    assert run(["convert", str(folder), "--layout", "lfw", "--out", str(out)]) == 0
    with tarfile.open(fileobj=io.BytesIO(made.archive(Layout.LFW))) as tar:
        for member in tar:
            assert (out / member.name.removeprefix("ds_test/")).read_bytes() == tar.extractfile(member).read()  # type: ignore[union-attr]
    assert [path.name for path in out.parent.iterdir()] == ["lfw"]


def test_a_folder_in_which_an_archive_was_unpacked_will_do(made: Any, tmp_path: Path) -> None:
    made.unpacked(Layout.PLAIN, tmp_path / "unpacked")
    out = tmp_path / "out.tar"
    assert run(["verify", str(tmp_path / "unpacked")]) == 0
    assert run(["convert", str(tmp_path / "unpacked"), "--layout", "lfw", "--out", str(out)]) == 0
    assert out.read_bytes() == made.archive(Layout.LFW)


def flip(folder: Path) -> None:
    path = folder / "samples" / "S0000003" / "S0000003_0001.png"
    data = bytearray(path.read_bytes())
    data[-20] ^= 1
    path.write_bytes(data)


def cut_comparisons(folder: Path) -> None:
    path = folder / "comparisons.csv"
    path.write_bytes(path.read_bytes()[:-5])


def drop_comparisons(folder: Path) -> None:
    """Whole lines are gone: what is left is a list as well, of fewer pairs."""
    path = folder / "comparisons.csv"
    path.write_text("".join(path.read_text().splitlines(keepends=True)[:-2]))


def spoil_manifest(folder: Path) -> None:
    path = folder / "manifest.json"
    path.write_text(path.read_text().replace('"asked"', '"asket"'))


@pytest.mark.parametrize(
    ("spoil", "told", "code"),
    [
        (flip, "S0000003_0001.png is not the file that the manifest lists", 4),
        (lambda folder: (folder / "samples/S0000002/S0000002_0000.png").unlink(), "_0000.png cannot be read", 4),
        (cut_comparisons, "comparisons.csv has another digest", 4),
        (drop_comparisons, "comparisons.csv has another digest", 4),
        (lambda folder: (folder / "comparisons.csv").unlink(), "comparisons.csv is not there", 4),
        (lambda folder: (folder / "manifest.json").unlink(), "manifest.json is not there", 4),
        (spoil_manifest, "manifest.json is not a whole manifest: asked: Field required", 4),
    ],
)
def test_a_folder_that_is_not_right_is_named_and_leaves_nothing(
    folder: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    spoil: Callable[[Path], None],
    told: str,
    code: int,
) -> None:
    spoil(folder)
    for name in ("out", "out.tar"):
        assert run(["convert", str(folder), "--layout", "lfw", "--out", str(tmp_path / name)]) == code
        assert told in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["pulled"]


def test_a_name_that_leads_out_of_the_folder(folder: Path, tmp_path: Path) -> None:
    path = folder / "manifest.json"
    path.write_text(path.read_text().replace("samples/S0000000/S0000000_0000.png", "../S0000000_0000.png"))
    assert run(["convert", str(folder), "--layout", "zip", "--out", str(tmp_path / "o.zip")]) == 4


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["nowhere", "--layout", "lfw", "--out", "x"], "nowhere is no folder"),
        (["pulled", "--layout", "zip", "--out", "x"], "let --out end in .zip"),
        (["pulled", "--layout", "lfw", "--out", "pulled"], "pulled is there already"),
    ],
)
def test_what_cannot_be_meant(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], arguments: list[str], told: str
) -> None:
    monkeypatch.chdir(folder.parent)
    assert run(["convert", *arguments]) == 2
    assert told in capsys.readouterr().err


def test_a_set_that_cannot_be_had_in_a_layout(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = folder / "manifest.json"
    path.write_text(path.read_text().replace(json.dumps("balanced"), json.dumps("none")))
    assert run(["convert", str(folder), "--layout", "lfw", "--out", str(tmp_path / "out")]) == 2
    assert "cannot be laid out so: 'lfw' lists comparisons" in capsys.readouterr().err


@pytest.mark.parametrize("out", ["new/set", "new/set.tar"])
def test_a_full_disk_is_one_line_and_leaves_nothing(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, out: str
) -> None:
    def full(*args: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))  # as write() has it: without a file's name

    monkeypatch.setattr(convert_command, "_write_file", full)
    monkeypatch.setattr(convert_command, "_write_folder", full)
    assert run(["convert", str(folder), "--layout", "frte", "--out", str(tmp_path / out)]) == 2
    assert capsys.readouterr().err == f"facsimile: {tmp_path / out} cannot be written: No space left on device\n"
    assert not (tmp_path / "new").exists()
