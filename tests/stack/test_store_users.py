"""`facsimile store`: the users are written as asked, and a set-up that would keep nobody apart is refused."""

import json
import stat
import tomllib
from pathlib import Path

import pytest

from app.cli.main import run
from app.stack.rights import actions, policy

GOOD = {
    "S3_API_ACCESS_KEY": "facsimile-api",
    "S3_API_SECRET_KEY": "api-secret-0123456789",
    "S3_WORKER_ACCESS_KEY": "facsimile-worker",
    "S3_WORKER_SECRET_KEY": "worker-secret-0123456789",
}


def write(folder: Path, monkeypatch: pytest.MonkeyPatch, **other: str) -> int:
    for name, value in (GOOD | other).items():
        monkeypatch.setenv(name, value)
    return run(["store", "users", str(folder), "--bucket", "box"])


def test_they_are_for_the_owner_only_and_can_be_written_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "users"
    assert write(folder, monkeypatch) == 0
    security = (folder / "security.toml").read_text()
    certificate = (folder / "tls" / "certificate.pem").read_text()
    assert write(folder, monkeypatch, S3_WORKER_SECRET_KEY="another-secret-0123456789") == 0
    assert (folder / "security.toml").read_text() == security
    assert (folder / "tls" / "certificate.pem").read_text() == certificate
    assert tomllib.loads(security)["grpc"]["ca"] == str(folder / "tls" / "ca.pem")
    for path in folder.rglob("*"):
        assert stat.S_IMODE(path.stat().st_mode) == (0o700 if path.is_dir() else 0o600), path
    found = json.loads((folder / "identities.json").read_text())["identities"]
    assert {user["name"]: tuple(user["actions"]) for user in found} == {
        "api": actions("api", "box"),
        "worker": actions("worker", "box"),
    }
    assert found[1]["credentials"] == [{"accessKey": "facsimile-worker", "secretKey": "another-secret-0123456789"}]


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"S3_API_SECRET_KEY": "change-me"}, "S3_API_SECRET_KEY is not set, or left at its placeholder"),
        ({"S3_WORKER_ACCESS_KEY": ""}, "S3_WORKER_ACCESS_KEY is not set"),
        ({"S3_WORKER_SECRET_KEY": "short"}, "S3_WORKER_SECRET_KEY is shorter than 16"),
        ({"S3_WORKER_SECRET_KEY": GOOD["S3_API_SECRET_KEY"]}, "must differ"),
        ({"S3_WORKER_ACCESS_KEY": "facsimile-api"}, "must differ"),
    ],
)
def test_what_keeps_nobody_apart_is_refused(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    wrong: dict[str, str],
    told: str,
) -> None:
    assert write(tmp_path / "users", monkeypatch, **wrong) == 2
    assert told in capsys.readouterr().err.replace("\n", " ")
    assert not (tmp_path / "users").exists()


def test_a_policy_is_written_for_other_servers(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["store", "policy", "worker", "--bucket", "box"]) == 0
    assert json.loads(capsys.readouterr().out) == policy("worker", "box")
