"""The data folder: whose it is, who may read it, and one stack at a time."""

import json
import shutil
import stat
import tomllib
from pathlib import Path

import pytest

from app.stack import credentials
from app.stack.errors import StackError
from app.stack.folder import DataFolder, write_private
from app.stack.rights import actions


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_new_folder_and_its_secrets_are_for_the_owner_only(tmp_path: Path) -> None:
    folder = DataFolder(tmp_path / "data")
    folder.acquire()
    made = credentials.load_or_make(folder)
    assert mode(folder.root) == 0o700
    assert mode(folder.credentials) == 0o600
    assert mode(folder.s3 / "security.toml") == 0o600
    assert made.secret_key not in repr(made)
    assert made.valkey_password not in repr(made)


def test_secrets_are_made_once_and_differ_between_folders(tmp_path: Path) -> None:
    first, second = DataFolder(tmp_path / "a"), DataFolder(tmp_path / "b")
    first.acquire()
    second.acquire()
    made = credentials.load_or_make(first)
    security = (first.s3 / "security.toml").read_text()
    first.credentials.chmod(0o644)
    assert credentials.load_or_make(first) == made
    assert (first.s3 / "security.toml").read_text() == security
    assert mode(first.credentials) == 0o600
    assert credentials.load_or_make(second) != made


def test_certificates_follow_a_folder_that_was_moved_and_keys_stay(tmp_path: Path) -> None:
    first = DataFolder(tmp_path / "a")
    first.acquire()
    credentials.load_or_make(first)
    before = tomllib.loads((first.s3 / "security.toml").read_text())
    certificate = (first.s3_tls / "certificate.pem").read_text()
    first.release()
    first.root.rename(tmp_path / "b")
    second = DataFolder(tmp_path / "b")
    second.acquire()
    credentials.load_or_make(second)
    after = tomllib.loads((second.s3 / "security.toml").read_text())
    assert after["jwt"] == before["jwt"]
    assert after["grpc"]["ca"] == str(second.s3_tls / "ca.pem")
    assert (second.s3_tls / "certificate.pem").read_text() == certificate
    assert {mode(path) for path in second.s3_tls.iterdir()} == {0o600}


def test_a_folder_of_before_gets_certificates_and_keeps_its_keys(tmp_path: Path) -> None:
    folder = DataFolder(tmp_path / "data")
    folder.acquire()
    keys = "".join(f'[{section}]\nkey = "{section} of before"\n' for section in credentials.JWT_SECTIONS)
    write_private(folder.s3 / "security.toml", keys)
    credentials.load_or_make(folder)
    found = tomllib.loads((folder.s3 / "security.toml").read_text())
    assert found["jwt"]["signing"]["key"] == "jwt.signing of before"
    assert found["jwt"]["signing"]["read"]["key"] == "jwt.signing.read of before"
    assert Path(found["grpc"]["filer"]["key"]).exists()


def test_a_copy_gets_secrets_of_its_own_and_marks_as_its_original(tmp_path: Path) -> None:
    first = DataFolder(tmp_path / "a")
    first.acquire()
    assert first.original() is None
    first.settle()
    made = credentials.load_or_make(first)
    security = (first.s3 / "security.toml").read_text()
    first.release()
    shutil.copytree(first.root, tmp_path / "b")
    copy = DataFolder(tmp_path / "b")
    copy.acquire()
    assert copy.original() == first.root
    credentials.renew(copy)
    renewed = credentials.load_or_make(copy)
    assert renewed.watermark_key == made.watermark_key
    for name in ("access_key", "secret_key", "api_secret_key", "worker_secret_key", "valkey_password"):
        assert getattr(renewed, name) != getattr(made, name)
    assert tomllib.loads((copy.s3 / "security.toml").read_text())["jwt"] != tomllib.loads(security)["jwt"]
    copy.settle()
    assert copy.original() is None
    assert credentials.load_or_make(first) == made


def test_secrets_of_a_version_before_stay_and_new_ones_are_added(tmp_path: Path) -> None:
    folder = DataFolder(tmp_path / "data")
    folder.acquire()
    before = {"access_key": "FCS1", "secret_key": "of before", "valkey_password": "p", "watermark_key": "w" * 16}
    write_private(folder.credentials, json.dumps(before))
    made = credentials.load_or_make(folder)
    assert {name: getattr(made, name) for name in before} == before
    assert len({made.secret_key, made.api_secret_key, made.worker_secret_key}) == 3
    assert credentials.load_or_make(folder) == made
    file = credentials.write_users(folder, made, "facsimile")
    assert mode(file) == 0o600
    known = {one["name"]: one["actions"] for one in json.loads(file.read_text())["identities"]}
    assert known == {
        "administrator": ["Admin"],
        "api": ["Read:facsimile", "Write:facsimile", "List:facsimile"],
        "worker": list(actions("worker", "facsimile")),
    }


def test_damaged_secrets_are_told_rather_than_replaced(tmp_path: Path) -> None:
    folder = DataFolder(tmp_path / "data")
    folder.acquire()
    write_private(folder.credentials, "{")
    with pytest.raises(StackError, match="delete it"):
        credentials.load_or_make(folder)


def test_a_second_stack_on_the_same_folder_is_refused(tmp_path: Path) -> None:
    first, second = DataFolder(tmp_path / "data"), DataFolder(tmp_path / "data")
    assert first.holder() is None
    first.acquire()
    with pytest.raises(StackError, match=r"in use by another stack \(process \d+\)"):
        second.acquire()
    assert second.holder() is not None
    first.release()
    assert second.holder() is None
    second.acquire()


def test_a_folder_with_other_files_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("x")
    with pytest.raises(StackError, match="holds other files"):
        DataFolder(tmp_path).acquire()
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


def test_a_file_in_the_place_of_the_folder_is_told(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("x")
    with pytest.raises(StackError, match="cannot be used"):
        DataFolder(tmp_path / "data").acquire()
