"""Datasets as dependencies, on real servers: released, pulled, broken, mirrored, locked, and a gate in CI."""

import functools
import http.server
import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
import xml.etree.ElementTree as ET
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from app.cli.endings import FAILED, OK, UNLOCKED, UNVERIFIED
from app.cli.main import run
from app.client.service import Client
from app.storage import open_store

pytestmark = pytest.mark.integration
pytest_plugins = ["pytester"]

RELEASE = "gate-smoke@1.0.0"
UNCHECKED = {"unique": False, "face_found": False}


@pytest.fixture(scope="module")
def released(service: Any) -> str:
    """A small set of the default kind of model, released; returns its digest."""
    dataset = service.submit(model="sdgan", subjects=8, samples_per_subject=3, seed=5, checks=UNCHECKED)
    service.finish(dataset)
    answer = service.http.put("/v1/releases/gate-smoke/1.0.0", json={"dataset": dataset})
    assert answer.status_code == 201, answer.text
    return str(answer.json()["digest"])


@pytest.fixture
def here(service: Any, released: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project's folder with a cache of its own, and the service in the environment."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FACSIMILE_URL", service.stack.url)
    monkeypatch.setenv("FACSIMILE_API_KEY", service.stack.api_key)
    monkeypatch.setenv("FACSIMILE_CACHE", str(tmp_path / "cache"))
    return tmp_path


def pulled(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, Any]:
    capsys.readouterr()
    assert run(["pull", RELEASE, "--json", *arguments]) == OK
    found: dict[str, Any] = json.loads(capsys.readouterr().out)["releases"][0]
    return found


def test_pull_verify_break_and_repair(here: Path, released: str, capsys: pytest.CaptureFixture[str]) -> None:
    first = pulled(capsys, "--out", "gate", "--verify-pixels")
    assert first["digest"] == released
    assert (first["fetched"], first["verified"]) == (24, {"files": 24, "pixels": 24})
    second = pulled(capsys, "--out", "gate")
    assert (second["there"], second["fetched"]) == (24, 0)
    other = pulled(capsys, "--out", "other")
    assert (other["cached"], other["fetched"]) == (24, 0)
    assert run(["verify", "gate"]) == OK
    assert released in capsys.readouterr().err

    victim = next(Path("gate/samples").rglob("S0000003_0001.png"))
    data = bytearray(victim.read_bytes())
    data[len(data) // 2] ^= 1
    victim.unlink()
    victim.write_bytes(data)
    assert run(["verify", "gate"]) == UNVERIFIED
    told = capsys.readouterr().err
    assert "S0000003_0001.png: its bytes have another digest" in told
    assert told.count("samples/") == 1
    victim.write_bytes(data[:100])
    assert run(["verify", "gate"]) == UNVERIFIED
    assert "S0000003_0001.png: it has 100 bytes instead of" in capsys.readouterr().err
    assert pulled(capsys, "--out", "gate")["cached"] == 1
    assert run(["verify", "gate"]) == OK


def test_samples_come_from_the_store_directly(
    here: Path, service: Any, released: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    streamed: list[str] = []
    stream = Client.stream

    def noted(client: Client, method: str, path: str, **more: Any) -> Any:
        streamed.append(path)
        return stream(client, method, path, **more)

    monkeypatch.setattr(Client, "stream", noted)
    found = pulled(capsys, "--out", "by-parts")
    assert (found["fetched"], found["digest"]) == (24, released)
    assert streamed == [], "something was read through the API"

    monkeypatch.setenv("FACSIMILE_CACHE", str(here / "another-cache"))
    monkeypatch.setattr(Client, "release_parts", lambda *_: {"parts": None})
    assert pulled(capsys, "--out", "by-service")["fetched"] == 24
    assert streamed
    by_parts, by_service = (
        {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
        for folder in (Path("by-parts"), Path("by-service"))
    )
    assert by_parts == by_service
    assert len(by_parts) > 24


def test_what_is_signed_for_the_store_holds_for_reading_one_object(service: Any, released: str) -> None:
    listed = service.http.get("/v1/releases/gate-smoke/1.0.0/parts").json()
    url = next(part["url"] for part in listed["parts"] if part["url"])
    with httpx.Client(trust_env=False) as anybody:
        assert anybody.get(url, headers={"Range": "bytes=0-9"}).status_code == 206
        assert anybody.delete(url).status_code == 403
        assert anybody.put(url, content=b"x").status_code == 403
        assert anybody.get(url.replace("manifest.json", "report.json")).status_code == 403
        assert anybody.get(url.partition("?")[0]).status_code == 403


def test_a_pull_killed_at_any_moment_goes_on(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code = "import sys; from app.cli.main import run; from app.client import samples; "
    code += "samples.RUN_BYTES = samples.KEEP_FILES = 1; "
    code += f"sys.exit(run(['pull', '{RELEASE}', '--out', 'gate', '--workers', '1']))"
    counts = [0]
    for _ in range(4):
        puller = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        while puller.poll() is None and len(list(Path("gate").rglob("*.png"))) <= counts[-1] + 2:
            time.sleep(0.002)
        time.sleep(random.uniform(0, 0.01))
        puller.send_signal(signal.SIGKILL)
        puller.wait()
        counts.append(sum(1 for _ in Path("gate/samples").rglob("[!.]*.png")))
    assert counts[1] < 24, "it was never killed in the middle"
    found = pulled(capsys, "--out", "gate")
    assert found["there"] >= counts[-1]
    assert found["samples"] == 24
    assert run(["verify", "gate"]) == OK


def test_a_lock_holds_what_is_pulled_and_refuses_another(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["lock", "gate-smoke"]) == OK
    assert run(["pull"]) == OK
    assert run(["lock", "--check"]) == OK
    assert run(["verify", f"facsimile-datasets/{RELEASE}", "--lock", "facsimile.lock"]) == OK
    lock = Path("facsimile.lock")
    lock.write_text(lock.read_text().replace('digest = "', 'digest = "' + "0" * 64 + '"\n#', 1))
    for command in (["pull", "--out", "elsewhere"], ["lock", "--check"]):
        assert run(command) == UNLOCKED
        assert "0000000000000000…" in capsys.readouterr().err


@pytest.fixture
def serve() -> Iterator[Callable[[Path], str]]:
    """Serves a folder over HTTP, as a public mirror does."""
    servers: list[http.server.ThreadingHTTPServer] = []

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_: Any) -> None:
            pass

    def begin(folder: Path) -> str:
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(folder)))
        threading.Thread(target=server.serve_forever, daemon=True).start()
        servers.append(server)
        return f"http://127.0.0.1:{server.server_port}"

    yield begin
    for server in servers:
        server.shutdown()
        server.server_close()


def test_mirrors_and_presigned_urls_need_no_key(
    here: Path,
    service: Any,
    released: str,
    serve: Callable[[Path], str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    pulled(capsys, "--out", "mirror")
    assert run(["lock", RELEASE]) == OK
    store = open_store(service.stack.settings().store)
    archive = service.http.get("/v1/releases/gate-smoke/1.0.0/archive").content
    store.put("mirrored/gate.tar", archive, "application/x-tar")
    presigned = store._client.presigned_get_object("facsimile", "mirrored/gate.tar", expires=timedelta(minutes=5))
    monkeypatch.delenv("FACSIMILE_URL")
    monkeypatch.delenv("FACSIMILE_API_KEY")
    for number, source in enumerate(("mirror", serve(here / "mirror"), presigned)):
        monkeypatch.setenv("FACSIMILE_CACHE", str(here / f"cache-{number}"))
        found = pulled(capsys, "--out", f"out-{number}", "--from", source, "--locked")
        assert (found["fetched"], found["digest"]) == (24, released)
    store.put("mirrored/gate.tar", archive[:-20_000], "application/x-tar")
    monkeypatch.setenv("FACSIMILE_CACHE", str(here / "cache-cut"))
    assert run(["pull", RELEASE, "--out", "cut", "--from", presigned]) == UNVERIFIED
    assert "cut short" in capsys.readouterr().err
    store.delete("mirrored/gate.tar")


@pytest.mark.parametrize(("layout", "some"), [("imagefolder", "metadata.jsonl"), ("zip", "manifest.json")])
def test_another_layout_is_pulled_as_folders(here: Path, released: str, layout: str, some: str) -> None:
    assert run(["lock", RELEASE, "--layout", layout]) == OK
    for _ in range(2):
        assert run(["pull"]) == OK
    folder = Path(f"facsimile-datasets/{RELEASE}.{layout}")
    assert list(folder.rglob(some))
    assert json.loads((folder / "facsimile-layout.json").read_text())["digest"] == released
    assert run(["verify", str(folder)]) == OK
    next(folder.rglob("*.png")).unlink()
    assert run(["verify", str(folder)]) == UNVERIFIED


def test_diff(here: Path, service: Any, capsys: pytest.CaptureFixture[str]) -> None:
    dataset = service.submit(
        model="sdgan", subjects=8, samples_per_subject=3, seed=5, checks=UNCHECKED, variability={"scale": 1.2}
    )
    service.finish(dataset)
    assert service.http.put("/v1/releases/gate-smoke/1.1.0", json={"dataset": dataset}).status_code == 201
    assert run(["diff", RELEASE, RELEASE]) == OK
    assert run(["diff", RELEASE, "gate-smoke@1.1.0"]) == FAILED
    assert "variability.scale" in capsys.readouterr().out
    assert run(["diff", RELEASE, "gate-smoke@1.1.0", "--json"]) == FAILED
    by_service = json.loads(capsys.readouterr().out)
    pulled(capsys, "--out", "a")
    assert run(["pull", "gate-smoke@1.1.0", "--out", "b"]) == OK
    capsys.readouterr()
    assert run(["diff", "a", "b", "--json"]) == FAILED
    by_folders = json.loads(capsys.readouterr().out)
    for found in (by_service, by_folders):
        del found["measures"]  # a report need not be in a folder
    assert by_folders == by_service
    assert run(["diff", "a", RELEASE]) == OK


def test_the_fixture_of_the_pytest_plugin(here: Path, pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        f"""
        from workers.images import decode

        def test_it(facsimile_dataset):
            gate = facsimile_dataset("{RELEASE}")
            assert len(gate.comparisons) == 276  # every pair of 24 samples
            for comparison in gate.comparisons:
                assert decode(comparison.reference.read_bytes()).shape == (128, 128, 3)
                assert comparison.mated == (comparison.reference.parent == comparison.probe.parent)
        """
    )
    pytester.runpytest_inprocess().assert_outcomes(failed=1)
    pytester.runpytest_inprocess("--facsimile-update-lock").assert_outcomes(passed=1)
    pytester.runpytest_inprocess().assert_outcomes(passed=1)


BLURRED = """
# A matcher that lost what it could do: it sees faces of 8 pixels.
import sys
from pathlib import Path

import cv2

from workers.commands.match import match
from workers.matchers.sface import SFace, load_sface


class Blurred(SFace):
    def template(self, chip):
        small = cv2.resize(chip, (8, 8), interpolation=cv2.INTER_AREA)
        return super().template(cv2.resize(small, (112, 112), interpolation=cv2.INTER_LINEAR))


made = load_sface()
made.__class__ = Blurred
match(Path(sys.argv[1]), made, Path(sys.argv[2]), form="simple")
"""


@pytest.fixture(scope="module")
def gate_release(service: Any) -> str:
    """A set that resolves FMR 0.01: 40 subjects' references against 80 probes."""
    dataset = service.submit(
        model="sdgan",
        subjects=40,
        samples_per_subject=3,
        seed=8,
        checks={"unique": False, "face_found": True},
        comparisons={"selection": "crossed"},
        variability={"scale": 0.5},
    )
    service.finish(dataset)
    assert service.http.put("/v1/releases/ci-gate/2.0.0", json={"dataset": dataset}).status_code == 201
    return "ci-gate@2.0.0"


def test_the_gate_in_ci_passes_what_is_as_good_and_fails_what_is_not(here: Path, gate_release: str) -> None:
    script = Path(__file__).parents[2] / "deploy/ci/gate.sh"
    bin_folder = Path(sys.executable).parent
    assert (bin_folder / "facsimile").exists(), "the CLI is not installed beside this Python"

    def gate(**more: str) -> int:
        environment = {**os.environ, "PATH": f"{bin_folder}:{os.environ['PATH']}", "RELEASE": gate_release, **more}
        ended = subprocess.run(["bash", str(script)], env=environment, capture_output=True, text=True, check=False)
        Path("log").write_text(ended.stdout + ended.stderr)
        return ended.returncode

    assert gate() == 2  # nothing is locked
    assert "does not hold ci-gate@2.0.0" in Path("log").read_text()
    assert run(["lock", gate_release]) == OK
    assert gate() == 2, Path("log").read_text()  # the first time there is no baseline, and nothing to judge
    assert "scores to accept as the first baseline" in Path("log").read_text()
    Path("facsimile-results/scores.csv").rename("accepted.csv")
    assert gate(BASELINE="accepted.csv", GITHUB_STEP_SUMMARY="steps.md") == 0, Path("log").read_text()
    assert "PASS" in Path("steps.md").read_text()
    assert ET.parse("facsimile-results/junit.xml").getroot().find(".//failure") is None

    Path("my_matcher.py").write_text(BLURRED)
    mine = f"{sys.executable} my_matcher.py"
    assert gate(BASELINE="accepted.csv", MATCHER_COMMAND=mine) == 1, Path("log").read_text()
    assert ET.parse("facsimile-results/junit.xml").getroot().find(".//failure") is not None
    assert "FAIL" in Path("facsimile-results/summary.md").read_text()
    assert gate(BASELINE="accepted.csv", MATCHER_COMMAND="false") == 2
