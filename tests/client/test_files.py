"""Files that commands write: whole, or into the stream that was named."""

import os
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from app.client.errors import FolderProblem, UsageProblem
from app.client.files import demand_place, write_whole

PROGRAM = """
import sys
from pathlib import Path
from app.client.files import demand_place, write_whole
print("before", flush=True)
demand_place(Path(sys.argv[1]))
write_whole(Path(sys.argv[1]), b"written\\n")
print("after")
"""


@pytest.mark.skipif(not Path("/dev/stdout").exists(), reason="there is no /dev/stdout here")
def test_standard_output_is_written_into_by_its_name(tmp_path: Path) -> None:
    command = [sys.executable, "-c", PROGRAM, "/dev/stdout"]
    piped = subprocess.run(command, capture_output=True, text=True, check=True)
    assert piped.stdout == "before\nwritten\nafter\n"
    file = tmp_path / "log.txt"
    with file.open("w") as log:
        log.write("first\n")
        log.flush()
        subprocess.run(command, stdout=log, check=True)
    assert file.read_text() == "first\nbefore\nwritten\nafter\n"
    assert Path("/dev/stdout").is_symlink()


def test_a_named_pipe_stays_one(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    read: list[bytes] = []
    reader = threading.Thread(target=lambda: read.append(pipe.read_bytes()))
    reader.start()
    write_whole(pipe, [b"one ", b"two"])
    reader.join(10)
    assert read == [b"one two"]
    assert stat.S_ISFIFO(pipe.stat().st_mode)
    assert list(tmp_path.iterdir()) == [pipe]


def test_a_link_stays_one_and_what_it_names_is_whole(tmp_path: Path) -> None:
    (tmp_path / "results").mkdir()
    link = tmp_path / "latest.xml"
    link.symlink_to(tmp_path / "results" / "verdict.xml")
    write_whole(link, b"<ok/>")
    assert link.is_symlink()
    assert (tmp_path / "results" / "verdict.xml").read_bytes() == b"<ok/>"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full here")
def test_a_full_device_is_told_and_stays_one(tmp_path: Path) -> None:
    full = tmp_path / "full"
    full.symlink_to("/dev/full")
    with pytest.raises(FolderProblem, match="No space left"):
        write_whole(full, b"x" * 100_000)
    assert stat.S_ISCHR(full.stat().st_mode)


def test_a_place_that_cannot_be_is_told_before(tmp_path: Path) -> None:
    with pytest.raises(UsageProblem, match="it is a folder"):
        demand_place(tmp_path)
    with pytest.raises(UsageProblem, match="is no folder"):
        demand_place(tmp_path / "none" / "file")
    demand_place(tmp_path / "file")
