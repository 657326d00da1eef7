"""Which programs are run."""

from pathlib import Path

import pytest

from app.stack import binaries
from app.stack.errors import StackError


def test_a_variable_names_another_program(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    program = tmp_path / "my-server"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    monkeypatch.setenv("FACSIMILE_STACK_VALKEY", str(program))
    assert binaries.valkey() == program
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("FACSIMILE_STACK_WEED", "my-server")
    assert binaries.weed() == program


def test_a_variable_that_names_nothing_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FACSIMILE_STACK_WEED", "/no/such/weed")
    with pytest.raises(StackError, match="FACSIMILE_STACK_WEED"):
        binaries.weed()


def test_the_wheels_are_found() -> None:
    assert binaries.valkey().name == "valkey-server"
    assert binaries.weed().name == "weed"
