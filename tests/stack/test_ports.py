"""Ports: free, kept, and told when taken."""

import socket
from collections.abc import Iterator
from dataclasses import astuple
from pathlib import Path

import pytest

from app.stack import ports
from app.stack.errors import StackError
from app.stack.folder import DataFolder


@pytest.fixture
def folder(tmp_path: Path) -> DataFolder:
    made = DataFolder(tmp_path / "data")
    made.acquire()
    return made


@pytest.fixture
def taken() -> Iterator[int]:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        yield server.getsockname()[1]


def test_ports_are_kept_while_they_are_free(folder: DataFolder) -> None:
    first = ports.choose(folder, None)
    assert len(set(astuple(first))) == 7
    assert ports.choose(folder, None) == first


def test_a_port_that_another_program_took_is_replaced(folder: DataFolder) -> None:
    first = ports.choose(folder, None)
    with socket.socket() as server:
        server.bind(("127.0.0.1", first.valkey))
        server.listen()
        second = ports.choose(folder, None)
    assert second.valkey != first.valkey
    assert second.s3 == first.s3


def test_the_usual_port_is_the_first_free_one(taken: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ports, "USUAL", taken)
    assert taken < ports.usual() < taken + 100


def test_the_api_port_that_was_asked_for_is_not_exchanged(folder: DataFolder, taken: int) -> None:
    with pytest.raises(StackError, match=f"port {taken} on 127.0.0.1 is taken.*--port"):
        ports.choose(folder, taken)
