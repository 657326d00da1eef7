"""Log files: bounded, with a tail for error texts."""

from pathlib import Path

from app.stack import logs


def test_a_grown_log_is_put_aside_and_its_writer_goes_on(tmp_path: Path) -> None:
    log = tmp_path / "api.log"
    with log.open("ab", buffering=0) as writer:
        writer.write(b"old\n" * 30)
        logs.rotate(log, limit_bytes=100)
        writer.write(b"new\n")
    assert log.read_bytes() == b"new\n"
    assert log.with_name("api.log.1").read_bytes() == b"old\n" * 30
    logs.rotate(log, limit_bytes=100)
    assert log.read_bytes() == b"new\n"


def test_the_tail_has_the_last_lines(tmp_path: Path) -> None:
    log = tmp_path / "api.log"
    assert "empty" in logs.tail(log)
    log.write_text("".join(f"line {number}\n" for number in range(5000)))
    assert logs.tail(log, lines=2) == "    line 4998\n    line 4999"
