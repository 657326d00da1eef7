"""Numbers in texts are in plain digits, wherever a text becomes a number."""

from collections.abc import Iterator
from typing import Any

import pytest
import typer

from app.cli.main import app, run
from app.config import Settings
from app.errors import Misconfigured
from app.numerals import is_count, number, whole

STRANGE = ("1_0", "\u0661\u0660", "\uff11\uff10", "1\u00b2", "0x10", "1,5", "nan", "inf", "", "\u2212" + "1")
"""What Python's int or float reads, or people write: underscores, Arabic and full-width digits, other signs."""


@pytest.mark.parametrize("text", STRANGE)
def test_what_is_no_number_in_plain_digits(text: str) -> None:
    for read in (number, whole):
        with pytest.raises(ValueError, match="in plain digits"):
            read(text)
    assert not is_count(text)


def test_what_is_one() -> None:
    assert [number(text) for text in ("10", "-1.5", ".5", "5.", "+1e-3", "1E3")] == [10, -1.5, 0.5, 5, 0.001, 1000]
    assert [whole(text) for text in ("10", "-3", "+4", "007")] == [10, -3, 4, 7]


def numeric(command: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], str]]:
    """Every option that takes a number, with the command that it is of."""
    if hasattr(command, "list_commands"):
        context = command.make_context("facsimile", ["status"], resilient_parsing=True)
        for name in command.list_commands(context):
            if (inner := command.get_command(context, name)) is not None:
                yield from numeric(inner, (*path, name))
    for parameter in command.params:
        if parameter.type_descriptor.annotation in (int, float, list[int], list[float]):
            yield path, max(parameter.opts, key=len)


def test_every_option_that_takes_a_number_wants_plain_digits(capsys: pytest.CaptureFixture[str]) -> None:
    options = list(numeric(typer.main.get_command(app)))
    assert len(options) > 60
    assert (("evaluate",), "--threshold") in options
    for path, option in options:
        for text in ("1_0", "\uff11\uff10"):
            assert run([*path, option, text]) == 2, (path, option)
            assert f"{option}: {text!r} is no number in plain digits" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("option", "text"),
    [
        ("--age", "2_0-30"),
        ("--age", "\uff12\uff10-30"),
        ("--factor", "pose=1_0"),
        ("--factor", "pose=inf"),
        ("--sex", "female=0_1,male=0.9"),
        ("--size", "1_28"),
        ("--size", "128x1_28"),
    ],
)
def test_texts_with_numbers_in_them(option: str, text: str, capsys: pytest.CaptureFixture[str], tmp_path: Any) -> None:
    arguments = ["--out", str(tmp_path / "out"), "--subjects", "2", "--samples", "2"]
    assert run(["generate", *arguments, option, text]) == 2
    assert f"{option} {text.partition(',')[0]!r}" in capsys.readouterr().err


@pytest.mark.parametrize("text", STRANGE)
def test_settings(
    text: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Any
) -> None:
    for variable in ("FACSIMILE_SHARD_SIZE", "FACSIMILE_LIMITS__UPLOAD_HOURS", "FACSIMILE_WORKER__BATCH_SIZE"):
        with monkeypatch.context() as patch:
            patch.setenv(variable, text)
            with pytest.raises(Misconfigured, match=f"^{variable}: "):
                Settings(environment="development")
            # On a command line it is one line and a code, not a traceback.
            assert run(["match", str(tmp_path), "--out", str(tmp_path / "scores.csv")]) == 2
            told = capsys.readouterr().err
            assert told.startswith(f"facsimile: {variable}: ")
            assert told.count("\n") == 1


def test_a_setting_that_there_is_not_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FACSIMILE_LIMITS__NO_SUCH", "1")
    with pytest.raises(Misconfigured, match=r"^FACSIMILE_LIMITS__NO_SUCH: "):
        Settings(environment="development")
