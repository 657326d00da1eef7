"""The pytest plugin, in a test run of its own, on a service in memory."""

import importlib.metadata
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest

from app.cli.main import run

pytest_plugins = ["pytester"]

TESTS = """
def test_it(facsimile_dataset):
    gate = facsimile_dataset("gate-smoke@1.2.0")
    assert gate is facsimile_dataset("gate-smoke@1.2.0")
    pairs = list(gate.comparisons)
    assert len(pairs) == len(gate.comparisons) == 2
    assert [pair.mated for pair in pairs] == [True, False]
    assert pairs[1].probe == gate.path / "samples/S0000001/S0000001_0001.png"
    assert all(pair.reference.is_file() and pair.probe.is_file() for pair in pairs)
    assert gate.manifest.summary.counts.samples == 6
    assert [row.id for row in gate.manifest.samples()][:1] == ["S0000000_0000"]
    assert len(gate.digest) == 64
"""


@pytest.fixture
def project(service: Any, pytester: pytest.Pytester) -> pytest.Pytester:
    """A project with one test."""
    assert "facsimile" in importlib.metadata.entry_points(group="pytest11").names
    pytester.makepyfile(TESTS)
    return pytester


def test_what_is_not_locked_is_refused_and_what_is_comes(service: Any, project: pytest.Pytester) -> None:
    refused = project.runpytest_inprocess()
    refused.assert_outcomes(failed=1)
    refused.stdout.fnmatch_lines(["*does not hold gate-smoke@1.2.0*lock it: facsimile lock gate-smoke@1.2.0*"])
    assert service.calls == []
    project.runpytest_inprocess("--facsimile-update-lock").assert_outcomes(passed=1)
    assert service.release().digest in Path("facsimile.lock").read_text()
    project.runpytest_inprocess().assert_outcomes(passed=1)
    assert run(["lock", "--check"]) == 0


def test_once_cached_it_works_offline(service: Any, project: pytest.Pytester) -> None:
    project.runpytest_inprocess("--facsimile-update-lock").assert_outcomes(passed=1)

    def away(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("there is no network")

    service.fault = away
    project.runpytest_inprocess().assert_outcomes(passed=1)


def test_without_a_service_and_a_cache_it_fails_and_does_not_skip(
    service: Any, project: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    project.runpytest_inprocess("--facsimile-update-lock").assert_outcomes(passed=1)
    monkeypatch.setenv("FACSIMILE_CACHE", str(tmp_path / "empty"))
    monkeypatch.delenv("FACSIMILE_URL")
    failed = project.runpytest_inprocess()
    failed.assert_outcomes(failed=1)
    failed.stdout.fnmatch_lines(["*facsimile_dataset('gate-smoke@1.2.0'): no service was named*"])


def test_a_release_that_is_not_what_is_locked_fails(service: Any, project: pytest.Pytester) -> None:
    assert run(["lock", "gate-smoke@1.2.0"]) == 0
    service.rows = service.rows[:4]
    failed = project.runpytest_inprocess()
    failed.assert_outcomes(failed=1)
    failed.stdout.fnmatch_lines(["*has another gate-smoke@1.2.0 than is locked*"])


def test_a_folder_will_do_and_a_name_alone_where_one_version_is_locked(
    service: Any, project: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run(["pull", "gate-smoke@1.2.0", "--out", "mirror"]) == 0
    assert run(["lock", "gate-smoke", "--from", "mirror"]) == 0
    project.makepyfile('def test_it(facsimile_dataset): assert facsimile_dataset("gate-smoke", source="mirror").path')
    service.fault = lambda request: pytest.fail("the service was asked")
    project.runpytest_inprocess().assert_outcomes(passed=1)


def test_nothing_is_loaded_before_it_is_needed() -> None:
    heavy = "{'httpx', 'pydantic', 'typer', 'rich', 'numpy', 'minio'}"
    code = f"import sys, app.client.pytest_plugin; sys.exit(sorted({heavy} & set(sys.modules)) or 0)"
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stderr) == (0, "")
