"""The child process: what comes back is what lies in the file, or one refusal, within limits."""

import os
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from workers.generator.reading import apart
from workers.generator.reading.apart import read_apart
from workers.generator.reading.contents import read_contents
from workers.generator.reading.refusals import FileRefused

STATE = {"a": np.arange(6, dtype=np.float32).reshape(2, 3), "b": np.float32([7])}


def test_both_ways_of_reading_give_the_same(forge: Any, tmp_path: Path) -> None:
    data = forge.archive(STATE)
    (tmp_path / "x.pt").write_bytes(data)
    found, here = read_apart(tmp_path / "x.pt"), read_contents(memoryview(data))
    assert found.bytes == len(data)
    assert (found.contents.form, found.contents.label) == (here.form, here.label)
    for name, values in here.tensors.items():
        np.testing.assert_array_equal(found.contents.tensors[name], values)


def test_a_refusal_comes_back_with_its_place(tmp_path: Path) -> None:
    (tmp_path / "x.pkl").write_bytes(b"\x80\x04N0cos\nsystem\n.")
    with pytest.raises(FileRefused) as caught:
        read_apart(tmp_path / "x.pkl")
    assert (caught.value.problem, caught.value.at) == ("global `os.system` is not allowed", 4)


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path, words in (
        (tmp_path / "none", "No such file"),
        (tmp_path / "pipe", "regular"),
        (tmp_path, "regular|directory"),
    ):
        with pytest.raises(FileRefused, match=words):
            read_apart(path)


def test_too_little_memory_is_a_refusal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "x.pkl").write_bytes(pickle.dumps(["x" * 5] * 10))
    monkeypatch.setattr(apart, "MEMORY", 1024 * 1024)
    with pytest.raises(FileRefused, match=r"memory|signal|failed"):
        read_apart(tmp_path / "x.pkl")
    assert not list(tmp_path.glob("facsimile*"))


def test_too_little_time_is_a_refusal(forge: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "x.pt").write_bytes(forge.archive(STATE))
    monkeypatch.setattr(apart, "SECONDS", 0)
    with pytest.raises(FileRefused, match="took more than"):
        read_apart(tmp_path / "x.pt")
