"""`facsimile generate` from the request to the verified folder, and everything that can come in between."""

import io
import json
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from app.cli import generate as generate_module
from app.cli import verify as verify_module
from app.cli.main import run
from app.client import samples

Refuse = Callable[..., httpx.Response]


def generate(out: Path, *more: str) -> int:
    return run(["generate", "--subjects", "3", "--samples", "2", "--out", str(out), *more])


def files(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def whole(service: Any) -> set[str]:
    beside = {"manifest.json", "comparisons.csv", "contact-sheet.png", "report.json", "report.html"}
    return beside | {row.file for row in service.rows}


@pytest.fixture(autouse=True)
def _no_pixels(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (generate_module, verify_module):
        monkeypatch.setattr(module, "pixel_digest", lambda: None)


def test_a_dataset_is_made_downloaded_and_verified(
    service: Any, whole: set[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "faces"
    assert generate(out, "--factor", "pose=0.5", "--age", "18-70", "--sex", "female", "--json") == 0
    assert files(out) == whole
    result = json.loads(capsys.readouterr().out)
    assert result["verified"] == {
        "product": "images",
        "files": 6,
        "pixels": None,
        "wrong": [],
        "digest": service.release().digest,
        "release": None,
    }
    (request,) = service.keys.values()
    assert request == {
        "name": "faces",
        "subjects": 3,
        "samples_per_subject": 2,
        "variability": {"factors": {"pose": 0.5}},
        "attributes": {"sex": {"female": 1.0}, "age": {"min": 18.0, "max": 70.0}},
    }


def test_without_an_image_reader_it_says_that_pixels_were_not_checked(
    service: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert generate(tmp_path / "faces") == 0
    assert "pixel digests NOT checked" in capsys.readouterr().out


def test_pixels_are_checked_where_a_reader_is_installed(
    service: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    right = {row.file.rsplit("/", 1)[-1]: row.pixel_sha256 for row in service.rows}
    monkeypatch.setattr(generate_module, "pixel_digest", lambda: lambda path: right[path.name])
    assert generate(tmp_path / "a") == 0
    assert "6 pixel digests are right" in capsys.readouterr().out
    right["S0000001_0001.png"] = "0" * 64
    assert generate(tmp_path / "b") == 4
    assert "S0000001_0001.png: its pixels have another digest" in capsys.readouterr().err


def test_a_file_and_options_together_make_the_request(service: Any, tmp_path: Path) -> None:
    (tmp_path / "r.json").write_text('{"name": "n", "subjects": 9, "samples_per_subject": 2, "seed": 1}')
    assert run(["generate", str(tmp_path / "r.json"), "--seed", "2", "--out", str(tmp_path / "o")]) == 0
    (request,) = service.keys.values()
    assert (request["subjects"], request["seed"], request["name"]) == (9, 2, "n")


def test_the_same_command_is_the_same_dataset_and_downloads_nothing_twice(service: Any, tmp_path: Path) -> None:
    assert generate(tmp_path / "a") == 0
    asked = len(service.ranges)
    assert generate(tmp_path / "a") == 0
    assert len(service.keys) == 1
    assert len(service.ranges) == asked
    assert generate(tmp_path / "b") == 0
    assert generate(tmp_path / "b", "--new") == 0
    assert len(service.keys) == 3


def test_a_failed_dataset_is_told_and_the_next_call_asks_anew(
    service: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    service.states = ["running", "failed"]
    assert generate(tmp_path / "a") == 1
    assert "a shard died five times" in capsys.readouterr().err
    (key,) = service.keys
    service.final[key] = "failed"
    service.states = ["running", "succeeded"]
    assert generate(tmp_path / "a") == 0
    assert len(service.keys) == 2


def test_a_shortfall_is_told_after_everything_is_there(service: Any, whole: set[str], tmp_path: Path) -> None:
    service.shortfall = 2
    assert generate(tmp_path / "a") == 1
    assert files(tmp_path / "a") == whole
    assert generate(tmp_path / "a", "--allow-shortfall") == 0


def test_a_broken_event_stream_is_gone_on_with_after_what_was_heard(service: Any, tmp_path: Path) -> None:
    service.states = ["accepted", "running", "running", "running", "succeeded"]
    service.break_events = 1
    assert generate(tmp_path / "faces") == 0
    assert service.heard == ["", "told-accepted"]


def test_a_command_given_again_says_that_the_set_was_asked_for_before(
    service: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "faces"
    assert generate(out) == 0
    assert "already asked for" not in capsys.readouterr().err
    assert generate(out) == 0
    assert "ds_1: faces, already asked for and succeeded (--new asks for another)" in capsys.readouterr().err


def test_without_an_event_stream_it_asks_again_and_again(service: Any, tmp_path: Path) -> None:
    service.events_work = False
    service.states = ["accepted"] + ["running"] * 8 + ["succeeded"]
    assert generate(tmp_path / "a") == 0
    assert sum(path.endswith("/events") for _, path in service.calls) == 3  # then it is given up


def test_a_service_that_is_away_for_a_while_is_waited_for(
    service: Any, tmp_path: Path, refuse: Refuse, clock: Any
) -> None:
    def away(request: httpx.Request) -> httpx.Response | None:
        if request.method == "GET" and clock.now < 100:
            raise httpx.ConnectError("refused")
        return None

    service.fault = away
    assert generate(tmp_path / "a") == 0
    assert clock.now >= 100


def test_a_broken_download_goes_on_where_it_broke(service: Any, whole: set[str], tmp_path: Path) -> None:
    service.break_after = [3000, 2000, 1]
    assert generate(tmp_path / "a") == 0
    assert len(service.ranges) > 3
    assert files(tmp_path / "a") == whole


def test_a_broken_off_command_goes_on_at_the_next_file(
    service: Any,
    whole: set[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(samples, "RUN_BYTES", 1024)
    monkeypatch.setattr(samples, "KEEP_FILES", 1)
    out = tmp_path / "a"
    broken = False

    def gone(request: httpx.Request) -> httpx.Response | None:
        nonlocal broken
        if request.url.path.endswith("/archive"):
            if broken:
                raise httpx.ConnectError("refused")
            broken = any(out.rglob("*.png"))
        return None

    service.fault = gone
    assert generate(out) == 3
    assert "repeat the command to go on" in capsys.readouterr().err
    there = files(out)
    assert "manifest.json" not in there  # it is not whole, and does not look so
    assert not any(name.endswith(".part") for name in there)
    assert sum(name.endswith(".png") for name in there) > 1
    service.fault = lambda request: None
    assert generate(out) == 0
    assert files(out) == whole
    assert all((out / name).stat().st_mode & 0o200 for name in files(out)), "they are the user's, not a cache's"


def test_damaged_and_missing_files_are_fetched_anew(
    service: Any, whole: set[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "a"
    assert generate(out) == 0
    (out / service.rows[0].file).write_bytes(b"damaged")
    (out / service.rows[3].file).unlink()
    (out / "comparisons.csv").write_text("x")
    (out / "report.html").write_text("x")
    assert run(["verify", str(out)]) == 4
    told = capsys.readouterr().err
    assert f"{service.rows[0].file}: it has 7 bytes instead of" in told
    assert f"{service.rows[3].file}: it is missing" in told
    assert "comparisons.csv: its bytes have another digest" in told
    assert "report.html: its bytes have another digest" in told
    assert generate(out) == 0
    assert files(out) == whole
    assert run(["verify", str(out)]) == 0


def test_what_the_service_itself_has_wrong_is_named(
    service: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bad = service.rows[2]
    service.changed[bad.id] = bytes(bad.bytes)
    assert generate(tmp_path / "a") == 4
    assert f"{bad.file}: what http" in capsys.readouterr().err.replace("what /v1", "what http")
    assert not (tmp_path / "a" / "manifest.json").exists()


def test_a_manifest_other_than_the_service_reports_is_refused(
    service: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tar = service.tar()
    service.tar = lambda: tar
    service.rows = service.rows[:-1]
    assert generate(tmp_path / "a") == 4
    assert "that the service reports" in capsys.readouterr().err


def test_a_file_that_no_manifest_lists_is_named(
    service: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert generate(tmp_path / "a") == 0
    (tmp_path / "a" / "samples" / "S0000000" / "extra.png").write_bytes(b"x")
    assert generate(tmp_path / "a") == 4
    assert "samples/S0000000/extra.png: the manifest does not list it" in capsys.readouterr().err


def member(name: str, kind: bytes = tarfile.REGTYPE, link: str = "") -> tuple[tarfile.TarInfo, bytes]:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, link
    content = b"evil" if kind == tarfile.REGTYPE else b""
    info.size = len(content)
    return info, content


@pytest.mark.parametrize(
    "evil",
    [
        member("../evil"),
        member("samples/../../evil"),
        member("/tmp/evil-of-a-test"),
        member("a\\..\\evil"),
        member("samples/link", tarfile.SYMTYPE, "/etc/passwd"),
        member("samples/hard", tarfile.LNKTYPE, "x"),
        member("samples/device", tarfile.CHRTYPE),
        member(".facsimile/pull.json"),
        member(".bashrc"),
    ],
)
def test_no_path_leads_out_of_the_folder(
    service: Any, tmp_path: Path, evil: tuple[tarfile.TarInfo, bytes], capsys: pytest.CaptureFixture[str]
) -> None:
    service.more_members = [evil]
    out = tmp_path / "deep" / "faces"
    inert = evil[0].name == "samples/../../evil"  # taken for a sample, and nothing asks for a sample of that name
    assert generate(out) == (0 if inert else 4)
    assert inert or evil[0].name in capsys.readouterr().err.replace("\\\\", "\\")
    assert not [path for path in tmp_path.rglob("*") if "evil" in path.name or path.is_symlink()]
    assert not Path("/tmp/evil-of-a-test").exists()
    assert inert or not (out / "manifest.json").exists()


def test_nothing_is_written_through_a_link(service: Any, tmp_path: Path) -> None:
    out, elsewhere = tmp_path / "faces", tmp_path / "elsewhere"
    elsewhere.mkdir()
    (out / ".facsimile").mkdir(parents=True)
    (out / ".facsimile" / "pull.json").write_text('{"release": "", "digest": "", "dataset": "ds_1"}')
    (out / "samples").symlink_to(elsewhere)
    assert generate(out) == 4
    assert not list(elsewhere.iterdir())


def test_a_folder_that_holds_something_else_is_left_alone(
    service: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "faces"
    (out / "samples").mkdir(parents=True)
    assert generate(out) == 2
    assert "of another origin" in capsys.readouterr().err
    with tarfile.open(fileobj=io.BytesIO(service.tar())) as tar:
        content = tar.extractfile("ds_1/manifest.json")
        assert content
        (out / "manifest.json").write_bytes(content.read().replace(b"ds_1", b"ds_2"))
    assert generate(out) == 2
    assert "holds dataset ds_2" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--subjects", "3"], "--samples"),
        (["--subjects", "3", "--samples", "2", "--factor", "pose"], "--factor pose=0.5"),
        (["--subjects", "3", "--samples", "2", "--age", "old"], "--age 20-65"),
        (["--subjects", "3", "--samples", "2", "--size", "big"], "--size 128"),
        (["--subjects", "none"], "--subjects"),
        (["/no/such/file.json"], "cannot be read"),
    ],
)
def test_wrong_usage_is_told(
    service: Any, tmp_path: Path, arguments: list[str], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["generate", *arguments, "--out", str(tmp_path / "a")]) == 2
    shown = capsys.readouterr().err
    assert told in shown
    assert "Traceback" not in shown
    assert not service.calls


def test_a_refused_request_is_told_and_leaves_nothing(
    service: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "r.json").write_text('{"subjects": 3, "samples_per_subject": 2, "bogus": 1}')
    assert run(["generate", str(tmp_path / "r.json"), "--out", str(tmp_path / "a")]) == 2
    assert "bogus: Extra inputs are not permitted" in capsys.readouterr().err
    assert not (tmp_path / "a").exists()


def test_interrupted_it_says_how_to_go_on(service: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def interrupt(request: httpx.Request) -> None:
        if request.url.path.endswith("/events"):
            raise KeyboardInterrupt

    service.fault = interrupt
    assert generate(tmp_path / "a") == 130
    assert "facsimile cancel ds_1" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "asked"),
    [
        (["--product", "templates", "--matcher", "m"], {"product": "templates", "matcher": "m"}),
        (
            ["--product", "templates", "--matcher", "m", "--fnmr", "0.1", "--fmr", "0.01"],
            {
                "product": "templates",
                "matcher": "m",
                "variability": {"target": {"fnmr": 0.1, "fmr": 0.01, "matcher": "m"}},
            },
        ),
        (["--matcher", "m"], {"variability": {"target": {"matcher": "m"}}}),
    ],
)
def test_the_matcher_is_of_the_templates_of_the_target_or_of_both(
    service: Any, tmp_path: Path, options: list[str], asked: dict[str, Any]
) -> None:
    assert generate(tmp_path / "faces", *options) == 0
    (request,) = service.keys.values()
    assert request == {"name": "faces", "subjects": 3, "samples_per_subject": 2, **asked}
