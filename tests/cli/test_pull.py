"""`facsimile pull`, `lock`, `verify`, `diff`: releases out of a service, folders, archives and mirrors."""

import errno
import http.server
import io
import json
import os
import tarfile
import threading
import zipfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest

from app.cli import verify as verify_module
from app.cli.endings import ENDINGS, FAILED, OK, UNLOCKED, UNREACHABLE, UNVERIFIED, USAGE
from app.cli.main import run
from app.client import cache as cache_module
from app.client import samples

Pull = Callable[..., int]


@pytest.fixture(autouse=True)
def _here(service: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A project's folder, without an image reader (the fake's samples are no images), and small runs."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(verify_module, "pixel_digest", lambda: None)
    monkeypatch.setattr(samples, "RUN_BYTES", 5000)


@pytest.fixture
def pull() -> Pull:
    return lambda *more, out="gate": run(["pull", "gate-smoke@1.2.0", "--out", out, *more])


@pytest.fixture
def archives(service: Any) -> Callable[[], int]:
    """How often something of an archive was asked for."""
    return lambda: sum(path.endswith("/archive") for _, path in service.calls)


def files(folder: str = "gate") -> set[str]:
    return {path.relative_to(folder).as_posix() for path in Path(folder).rglob("*") if path.is_file()}


def whole(service: Any) -> set[str]:
    products = {"release.json", "manifest.json", "comparisons.csv", "contact-sheet.png", "report.json", "report.html"}
    return products | {row.file for row in service.rows}


def result(capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(capsys.readouterr().out)["releases"][0]
    return found


def test_a_release_is_pulled_and_the_second_time_everything_is_there(
    service: Any, pull: Pull, archives: Callable[[], int], capsys: pytest.CaptureFixture[str]
) -> None:
    assert pull("--json") == OK
    first = result(capsys)
    assert files() == whole(service)
    assert (first["there"], first["cached"], first["fetched"]) == (0, 0, 6)
    assert first["release"] == "gate-smoke@1.2.0"
    assert first["digest"] == service.release().digest
    asked = archives()
    assert pull("--json") == OK
    second = result(capsys)
    assert (second["there"], second["cached"], second["fetched"]) == (6, 0, 0)
    assert archives() == asked
    assert pull("--json", out="other") == OK
    third = result(capsys)
    assert (third["there"], third["cached"], third["fetched"]) == (0, 6, 0)
    assert run(["verify", "gate"]) == OK
    assert run(["verify", "other"]) == OK


def test_latest_is_told(service: Any, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["pull", "gate-smoke", "--out", "gate"]) == OK
    assert "gate-smoke@latest is gate-smoke@1.2.0" in capsys.readouterr().err
    assert files() == whole(service)


def test_samples_are_fetched_in_ranges(service: Any, pull: Pull) -> None:
    assert pull() == OK
    runs = [asked for asked in service.ranges if not asked.startswith("bytes=0-")]  # but what comes before samples
    assert len(runs) == 3  # two files each


def test_an_archive_of_before_has_no_top_folder(service: Any, pull: Pull) -> None:
    service.top = ""
    service.no_ranges = True  # read from end to end
    assert pull() == OK
    service.no_ranges = False
    assert pull(out="by-ranges") == OK
    assert files() == files("by-ranges") == whole(service)


@pytest.mark.parametrize("after", [[100], [700, 0, 1], [9000, 100, 1000, 513, 1700]])
def test_broken_connections_are_made_again(service: Any, pull: Pull, after: list[int]) -> None:
    service.break_after = after
    assert pull("--workers", "1") == OK
    assert files() == whole(service)
    assert run(["verify", "gate"]) == OK


def test_what_came_before_a_break_is_kept(
    service: Any, pull: Pull, archives: Callable[[], int], capsys: pytest.CaptureFixture[str]
) -> None:
    served = 0

    def gone_after_a_run(request: httpx.Request) -> httpx.Response | None:
        nonlocal served
        if request.headers.get("Range", "bytes=0-").startswith("bytes=0-"):
            return None
        served += 1
        if served > 1:
            raise httpx.ConnectError("refused")
        return None

    service.fault = gone_after_a_run
    assert pull("--workers", "1") == UNREACHABLE
    assert "repeat the command to go on where it stopped" in capsys.readouterr().err
    there = files()
    assert "manifest.json" not in there  # it is not whole, and does not look so
    assert sum(name.startswith("samples/") for name in there) == 2
    assert not any(name.endswith(".part") for name in there)
    service.fault = lambda request: None
    assert pull("--json") == OK
    assert result(capsys)["there"] == 2
    assert files() == whole(service)


def test_a_full_disk_is_told_and_gone_on_from(
    service: Any, pull: Pull, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    room = 3

    def write(descriptor: int, data: bytes) -> int:
        nonlocal room
        if room == 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        room -= 1
        return real(descriptor, data)

    real = os.write
    with monkeypatch.context() as full:
        full.setattr(cache_module.os, "write", write)
        assert pull("--workers", "1") == USAGE
    assert "there is no room left" in capsys.readouterr().err
    assert sum(name.startswith("samples/") for name in files()) == 3
    cache = Path(os.environ["FACSIMILE_CACHE"])
    assert list((cache / "staged").iterdir()) == []
    assert pull("--json") == OK
    assert result(capsys)["there"] == 3


def test_a_flipped_byte_is_named_and_pulled_anew(service: Any, pull: Pull, capsys: pytest.CaptureFixture[str]) -> None:
    assert pull() == OK
    victim = Path("gate") / service.rows[4].file
    data = bytearray(victim.read_bytes())
    data[100] ^= 1
    victim.chmod(0o644)
    victim.write_bytes(data)  # through the hard link: the cache is changed with it
    assert run(["verify", "gate"]) == UNVERIFIED
    told = capsys.readouterr().err
    assert f"{service.rows[4].file}: its bytes have another digest" in told
    assert told.count("samples/") == 1
    assert pull("--json") == OK
    assert result(capsys)["fetched"] == 1
    assert run(["verify", "gate"]) == OK


@pytest.mark.parametrize(
    ("damage", "told"),
    [
        (lambda at, row: (at / row.file).unlink(), "it is missing"),
        (lambda at, row: (at / "samples" / "more.png").write_bytes(b"x"), "the manifest does not list it"),
        (lambda at, row: (at / "comparisons.csv").write_bytes(b"x"), "comparisons.csv: its bytes have another digest"),
        (lambda at, row: edit(at / "manifest.json", '"probe"', '"reference"'), "json: the digest of the content"),
        (lambda at, row: edit(at / "manifest.json", '"seed": 7', '"seed": 8'), "json: the digest of the manifest"),
        (lambda at, row: edit(at / "release.json", "1.2.0", "1.x"), "release.json: "),
    ],
)
def test_verify_names_what_is_wrong_and_pull_repairs_it(
    service: Any, pull: Pull, damage: Callable[..., Any], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert pull() == OK
    damage(Path("gate"), service.rows[2])
    assert run(["verify", "gate"]) == UNVERIFIED
    assert told in capsys.readouterr().err
    if "does not list" not in told:
        assert pull() == OK
        assert run(["verify", "gate"]) == OK


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


def test_a_sample_that_the_service_has_wrong_is_named_and_the_others_come(
    service: Any, pull: Pull, capsys: pytest.CaptureFixture[str]
) -> None:
    row = service.rows[3]
    service.changed = {row.id: b"?" * row.bytes}
    assert pull() == UNVERIFIED
    assert f"{row.file}: what the service" in capsys.readouterr().err.replace("http://service.test/v1", "the service")
    assert sum(name.startswith("samples/") for name in files()) == 5
    assert "manifest.json" not in files()


def test_another_release_is_not_laid_over_one(service: Any, pull: Pull, capsys: pytest.CaptureFixture[str]) -> None:
    assert pull() == OK
    service.rows = service.rows[:4]
    service.version = "1.3.0"
    assert run(["pull", "gate-smoke@1.3.0", "--out", "gate"]) == USAGE
    assert "holds gate-smoke@1.2.0 already" in capsys.readouterr().err
    Path("strange/samples").mkdir(parents=True)
    assert run(["pull", "gate-smoke@1.3.0", "--out", "strange"]) == USAGE
    assert "of another origin" in capsys.readouterr().err


def test_lock_pins_and_pull_fetches_what_is_locked(
    service: Any, archives: Callable[[], int], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["pull"]) == USAGE
    assert "holds none" in capsys.readouterr().err
    assert run(["lock", "gate-smoke"]) == OK
    text = Path("facsimile.lock").read_text()
    assert service.release().digest in text
    assert 'version = "1.2.0"' in text
    assert run(["pull"]) == OK
    assert files("facsimile-datasets/gate-smoke@1.2.0") == whole(service)
    assert run(["lock", "--check"]) == OK
    calls = len(service.calls)
    assert run(["pull"]) == OK  # with everything there no service is needed
    assert len(service.calls) == calls
    assert run(["lock", "gate-smoke@1.2.0", "--remove"]) == OK
    assert service.release().digest not in Path("facsimile.lock").read_text()


def test_what_does_not_fit_the_lock_is_refused(
    service: Any, pull: Pull, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert run(["lock", "gate-smoke@1.2.0"]) == OK
    assert pull(out="before") == OK
    monkeypatch.setenv("FACSIMILE_CACHE", str(tmp_path / "another-cache"))  # with its own, nobody would be asked
    service.rows = service.rows[:4]  # the service has changed what must not change
    capsys.readouterr()
    assert run(["lock", "--check"]) == UNLOCKED
    assert "gate-smoke@1.2.0 is locked with digest" in capsys.readouterr().err
    assert pull() == UNLOCKED
    assert "has another gate-smoke@1.2.0 than is locked" in capsys.readouterr().err
    assert not (Path("gate") / "manifest.json").exists()
    assert run(["verify", "before", "--lock", "facsimile.lock"]) == OK
    edit(Path("facsimile.lock"), 'digest = "', 'digest = "' + "0" * 64 + '"\n#')
    assert run(["verify", "before"]) == UNLOCKED
    service.version = "2.0.0"
    assert run(["pull", "gate-smoke@2.0.0", "--locked"]) == UNLOCKED
    assert "lock it: facsimile lock gate-smoke@2.0.0" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("no = [toml", "cannot be read"),
        ("version = 2\n", "newer than this program"),
        ('version = 1\n[[release]]\nname = "../x"\n', "is no lock file"),
    ],
)
def test_a_lock_that_is_none_is_told(text: str, told: str, capsys: pytest.CaptureFixture[str]) -> None:
    Path("facsimile.lock").write_text(text)
    assert run(["pull"]) == USAGE
    assert told in capsys.readouterr().err


@pytest.fixture
def mirror(service: Any, tmp_path: Path) -> Path:
    """The release's files as anybody may publish them."""
    folder = tmp_path / "mirror"
    with tarfile.open(fileobj=io.BytesIO(service.release_tar())) as tar:
        tar.extractall(folder, filter="data")
    return folder / "ds_1"


@pytest.fixture
def serve() -> Iterator[Callable[[Path], str]]:
    """Serves folders by Python's own server, which knows no ranges."""
    servers: list[http.server.ThreadingHTTPServer] = []

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_: Any) -> None:
            pass

    def begin(folder: Path) -> str:
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder)))
        threading.Thread(target=server.serve_forever, daemon=True).start()
        servers.append(server)
        return f"http://127.0.0.1:{server.server_port}"

    yield begin
    for server in servers:
        server.shutdown()
        server.server_close()


def test_mirrors_need_no_service(
    service: Any,
    mirror: Path,
    serve: Callable[[Path], str],
    pull: Pull,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (tmp_path / "tars").mkdir()
    (tmp_path / "tars/as-it-comes.tar").write_bytes(service.release_tar())
    with tarfile.open(tmp_path / "tars/made-again.tar", "w", format=tarfile.PAX_FORMAT) as tar:
        tar.add(mirror, arcname=".")  # other order, folders, ./ before every name
    service.fault = lambda request: pytest.fail("the service was asked")
    monkeypatch.delenv("FACSIMILE_API_KEY")
    url = serve(tmp_path)
    sources = [
        str(mirror),
        str(mirror.parent),  # where the archive was unpacked
        f"{url}/mirror/ds_1/",
        f"{url}/mirror/ds_1",
        str(tmp_path / "tars/as-it-comes.tar"),
        f"{url}/tars/as-it-comes.tar?X-Signature=secret",
        str(tmp_path / "tars/made-again.tar"),
        f"{url}/tars/made-again.tar",
    ]
    for number, source in enumerate(sources):
        monkeypatch.setenv("FACSIMILE_CACHE", str(tmp_path / f"cache-{number}"))
        out = f"out-{number}"
        assert pull("--from", source, out=out) == OK, source
        assert files(out) == whole(service), source
        assert run(["verify", out]) == OK


def test_a_mirror_that_was_changed_does_not_fit_the_lock(
    service: Any, mirror: Path, pull: Pull, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["lock", "gate-smoke@1.2.0", "--from", str(mirror)]) == OK
    (mirror / "release.json").unlink()
    edit(mirror / "manifest.json", '"probe"', '"reference"')
    assert pull("--from", str(mirror)) == UNLOCKED
    assert "was asked for by facsimile.lock" in capsys.readouterr().err
    assert not Path("gate/samples").exists()


def test_a_mirror_of_another_release_is_told(mirror: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["pull", "gate-smoke@1.1.0", "--out", "gate", "--from", str(mirror)]) == USAGE
    assert "holds gate-smoke@1.2.0, not gate-smoke@1.1.0" in capsys.readouterr().err
    assert run(["pull", "gate-smoke@1.1.0", "--out", "gate", "--from", "nowhere"]) == USAGE


def away(request: httpx.Request) -> httpx.Response:
    raise httpx.ConnectError("there is no network")


def test_what_is_locked_and_cached_needs_no_service(
    service: Any, pull: Pull, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["lock", "gate-smoke@1.2.0"]) == OK
    assert pull(out="first") == OK
    service.fault = away
    service.calls.clear()
    assert pull("--locked", out="second") == OK
    assert pull("--locked", "--offline", out="third") == OK
    assert service.calls == []
    assert files("second") == files("third") == whole(service)
    assert run(["verify", "third"]) == OK
    assert Path("third/manifest.json").stat().st_mode & 0o200  # a copy, not the cache's own
    Path("third/comparisons.csv").write_text("x")
    Path("third", service.rows[0].file).unlink()
    assert pull("--offline", out="third") == OK
    assert files("third") == whole(service)
    assert run(["verify", "third"]) == OK


def test_offline_asks_nobody_and_says_what_is_missing(
    service: Any, pull: Pull, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert pull("--offline") == UNREACHABLE  # not locked: nobody knows its digest
    assert run(["lock", "gate-smoke@1.2.0"]) == OK
    service.calls.clear()
    assert pull("--offline", "--locked") == UNREACHABLE
    assert "the cache" in capsys.readouterr().err
    assert service.calls == []
    assert pull("--locked") == OK
    cache = Path(os.environ["FACSIMILE_CACHE"])
    first = service.rows[0]
    (cache / "files" / first.file_sha256[:2] / first.file_sha256).unlink()
    service.calls.clear()
    assert pull("--offline", "--locked", out="other") == UNREACHABLE
    assert not Path("other/manifest.json").exists()
    assert service.calls == []
    assert pull("--offline", "--from", "gate") == USAGE


@pytest.mark.parametrize("cut", [1, 512, 1024, 2000, 9000])
def test_an_archive_cut_short_is_told(
    service: Any, pull: Pull, tmp_path: Path, cut: int, capsys: pytest.CaptureFixture[str]
) -> None:
    tar = service.release_tar()
    end = len(tar.rstrip(b"\0")) // 512 * 512 + 512 + 1024  # tarfile fills up to 10 kB
    (tmp_path / "cut.tar").write_bytes(tar[: end - cut])
    assert pull("--from", str(tmp_path / "cut.tar")) == UNVERIFIED
    assert "cut short" in capsys.readouterr().err


@pytest.mark.parametrize("kept", [0, 100, 512, 700, 1024, 4096, 6000])
def test_an_archive_cut_before_its_samples_ends_too(
    service: Any, pull: Pull, tmp_path: Path, kept: int, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "cut.tar").write_bytes(service.release_tar()[:kept])
    assert pull("--from", str(tmp_path / "cut.tar")) == UNVERIFIED
    assert len(capsys.readouterr().err.splitlines()) < 5
    assert not Path("gate/manifest.json").exists()
    assert "manifest.json" not in files()


@pytest.mark.parametrize(
    "name", ["../evil", "/evil", "samples/../../evil", "a/../b", ".hidden", "ds_1/../evil", "ds_1//evil"]
)
def test_no_name_leads_out_of_the_folder(
    service: Any, pull: Pull, tmp_path: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with tarfile.open(tmp_path / "evil.tar", "w", format=tarfile.USTAR_FORMAT) as tar:
        info = tarfile.TarInfo(name)
        info.size = 4
        tar.addfile(info, io.BytesIO(b"evil"))
    assert pull("--from", str(tmp_path / "evil.tar")) == UNVERIFIED
    assert not list(tmp_path.parent.rglob("evil"))


def test_links_are_refused(service: Any, pull: Pull, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with tarfile.open(tmp_path / "evil.tar", "w") as tar:
        info = tarfile.TarInfo("comparisons.csv")
        info.type, info.linkname = tarfile.SYMTYPE, "/etc/passwd"
        tar.addfile(info)
    assert pull("--from", str(tmp_path / "evil.tar")) == UNVERIFIED
    assert "no plain file" in capsys.readouterr().err
    Path("gate/samples").mkdir(parents=True, exist_ok=True)
    Path("gate/samples/S0000000").symlink_to(tmp_path)
    assert pull() == UNVERIFIED
    assert "is a link" in capsys.readouterr().err


def packed(kind: str, names: dict[str, bytes]) -> bytes:
    """An archive of a layout."""
    out = io.BytesIO()
    if kind == "zip":
        with zipfile.ZipFile(out, "w") as archive:
            for name, content in names.items():
                archive.writestr(name, content)
    else:
        with tarfile.open(fileobj=out, mode="w") as tar:
            for name, content in names.items():
                info = tarfile.TarInfo(name)
                info.size = len(content)
                tar.addfile(info, io.BytesIO(content))
    return out.getvalue()


LFW = {"A/A_0001.png": b"one" * 999, "A/A_0002.png": b"two" * 999, "pairs.txt": b"A 1 2\n"}


@pytest.mark.parametrize(
    ("layout", "kind", "top"), [("lfw", "tar", "ds_1/"), ("lfw", "tar", ""), ("zip", "zip", "ds_1/")]
)
def test_another_layout_is_waited_for_and_unpacked(
    service: Any,
    pull: Pull,
    archives: Callable[[], int],
    clock: Any,
    layout: str,
    kind: str,
    top: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    service.layouts = {layout: packed(kind, {top + name: data for name, data in LFW.items()})}
    service.being_made = 3
    service.break_after = [1000, 500]
    assert pull("--layout", layout) == OK
    assert clock.slept[:3] == [2.0, 2.0, 2.0]
    assert files() == {*LFW, "facsimile-layout.json"}
    assert Path("gate/A/A_0002.png").read_bytes() == LFW["A/A_0002.png"]
    assert any(asked.startswith("bytes=1000-") for asked in service.ranges)
    asked = archives()
    assert pull("--layout", layout) == OK
    assert archives() == asked
    assert run(["verify", "gate"]) == OK
    Path("gate/A/A_0001.png").write_bytes(b"onE" * 999)
    Path("gate/more").touch()
    capsys.readouterr()
    assert run(["verify", "gate"]) == UNVERIFIED
    told = capsys.readouterr().err
    assert "A/A_0001.png: its bytes have another digest" in told
    assert "more: facsimile-layout.json does not list it" in told
    assert pull("--layout", layout) == UNVERIFIED
    assert pull("--layout", "bob") == USAGE  # another layout is not laid over it


@pytest.mark.parametrize(
    "archive",
    [
        packed("tar", LFW)[:3000],
        packed("tar", {"a": b"x" * 512})[:1024],
        packed("zip", LFW)[:-40],
        packed("tar", {"../evil": b"x"}),
        packed("tar", {"ds_1/../../evil": b"x"}),
        packed("tar", {"ds_1/a": b"x", "a": b"y"}),
        packed("zip", {"/evil": b"x"}),
        packed("tar", {"a": b"x"}).replace(b"ustar", b"usxxx"),
    ],
)
def test_a_layout_that_is_damaged_or_evil_leaves_nothing(service: Any, pull: Pull, archive: bytes) -> None:
    service.layouts = {"lfw": archive}
    assert pull("--layout", "lfw") == UNVERIFIED
    assert not any(not name.startswith(".facsimile/") for name in files())
    service.layouts = {"lfw": packed("tar", LFW)}
    assert pull("--layout", "lfw") == OK


def test_many_pulls_at_once_share_one_cache(service: Any, pull: Pull) -> None:
    ended: list[int] = []
    threads = [
        threading.Thread(target=lambda out=out: ended.append(pull(out=out))) for out in ("a", "b", "c", "a", "b", "c")
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert ended == [OK] * 6
    for out in ("a", "b", "c"):
        assert files(out) == whole(service)
        assert run(["verify", out]) == OK


def test_diff(service: Any, pull: Pull, capsys: pytest.CaptureFixture[str]) -> None:
    assert pull(out="a") == OK
    assert pull(out="b") == OK
    capsys.readouterr()
    assert run(["diff", "a", "b"]) == OK
    assert "the same" in capsys.readouterr().out
    assert run(["diff", "a", "gate-smoke@1.2.0"]) == OK
    service.rows = service.rows[:4]
    service.version = "1.3.0"
    assert run(["pull", "gate-smoke@1.3.0", "--out", "c"]) == OK
    capsys.readouterr()
    assert run(["diff", "a", "c", "--json"]) == FAILED
    found = json.loads(capsys.readouterr().out)
    assert found["samples"]["removed"] == {"count": 2, "first": ["S0000002_0000", "S0000002_0001"]}
    assert found["subjects"]["unchanged"] == 2
    assert run(["diff", "a", "c"]) == FAILED
    assert "removed" in capsys.readouterr().out
    for other in ("nowhere", "gate-smoke@9.9.9", "no such@thing"):
        assert run(["diff", "a", other]) == USAGE
    Path("empty").mkdir()
    assert run(["diff", "a", "empty"]) == USAGE


def test_the_table_of_exit_codes_is_whole(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--help"]) == OK
    shown = " ".join(capsys.readouterr().out.split())
    for code, meaning in ENDINGS:
        assert f"{code} {' '.join(meaning.split())}" in shown
