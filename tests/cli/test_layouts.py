"""`facsimile fetch`, and layouts beside a generated set."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from app.cli import generate as generate_module
from app.cli.main import run


def expected(layout: str) -> bytes:
    return f"the set as {layout}; ".encode() * 1000


def test_it_waits_until_the_layout_is_made(service: Any, clock: Any, tmp_path: Path) -> None:
    service.being_made = 3
    out = tmp_path / "lfw.tar"
    assert run(["fetch", "ds_1", "--layout", "lfw", "--out", str(out)]) == 0
    assert out.read_bytes() == expected("lfw")
    assert clock.slept[:3] == [2, 2, 2]
    assert [path.name for path in tmp_path.iterdir()] == ["lfw.tar"]


def test_without_a_file_it_has_the_services_own_name(
    service: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run(["fetch", "ds_1", "--layout", "zip"]) == 0
    assert run(["fetch", "ds_1"]) == 0
    assert {path.name for path in tmp_path.iterdir()} == {"ds_1-zip.zip", "ds_1.tar"}


def test_a_broken_download_goes_on_where_it_broke(service: Any, tmp_path: Path) -> None:
    service.break_after = [5_000, 3_000]
    out = tmp_path / "bob.tar"
    assert run(["fetch", "ds_1", "--layout", "bob", "--out", str(out)]) == 0
    assert out.read_bytes() == expected("bob")


def test_a_second_command_goes_on_with_what_is_there(
    service: Any, tmp_path: Path, refuse: Callable[..., httpx.Response]
) -> None:
    out = tmp_path / "bob.tar"
    service.break_after = [7_000]
    calls = iter(range(100))
    service.fault = lambda request: refuse(404, "NotFound", "gone") if next(calls) > 1 else None
    assert run(["fetch", "ds_1", "--layout", "bob", "--out", str(out)]) == 1
    assert not out.exists()
    service.fault = lambda request: None
    assert run(["fetch", "ds_1", "--layout", "bob", "--out", str(out)]) == 0
    assert out.read_bytes() == expected("bob")
    assert "bytes=7000-" in service.ranges


@pytest.mark.parametrize(("status", "code"), [(409, 1), (422, 2), (404, 1)])
def test_what_the_service_refuses_is_shown(
    service: Any,
    tmp_path: Path,
    refuse: Callable[..., httpx.Response],
    capsys: pytest.CaptureFixture[str],
    status: int,
    code: int,
) -> None:
    service.fault = lambda request: refuse(status, "Conflict", "layout 'lfw' could not be made: no ink")
    assert run(["fetch", "ds_1", "--layout", "lfw", "--out", str(tmp_path / "o.tar")]) == code
    assert "no ink" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_nothing_is_overwritten_and_names_are_checked(
    service: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "there.tar"
    out.write_bytes(b"mine")
    assert run(["fetch", "ds_1", "--out", str(out)]) == 2
    assert out.read_bytes() == b"mine"
    assert run(["fetch", "ds_1", "--layout", "tgz"]) == 2
    assert "imagefolder" in capsys.readouterr().err


def test_generate_downloads_layouts_beside_the_samples(
    service: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(generate_module, "pixel_digest", lambda: None)
    out = tmp_path / "set"
    service.being_made = 1
    command = [
        "generate",
        "--subjects",
        "3",
        "--samples",
        "2",
        "--layout",
        "lfw",
        "--layout",
        "plain",
        "--layout",
        "zip",
        "--out",
        str(out),
        "--json",
    ]
    assert run(command) == 0
    (body,) = service.keys.values()
    assert body["layouts"] == ["lfw", "plain", "zip"]
    files = [out / "layouts" / "ds_1-lfw.tar", out / "layouts" / "ds_1-zip.zip"]
    assert json.loads(capsys.readouterr().out)["layouts"] == [str(path) for path in files]
    assert [path.read_bytes() for path in files] == [expected("lfw"), expected("zip")]
    asked = len(service.ranges)
    assert run(command) == 0
    assert len(service.ranges) == asked, "what is there is not fetched again"
