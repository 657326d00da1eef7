"""Children: started again when they die, ended in order, and never left behind."""

import errno
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from app.stack.child import ChildSpec
from app.stack.errors import StackError
from app.stack.folder import DataFolder, read_json
from app.stack.identity import MARK, identity_of, stop_left_over
from app.stack.supervisor import Event, Supervisor

SLEEPER = "import time; time.sleep(60)"
STUBBORN = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('on', flush=True); time.sleep(60)"
WITH_POOL = "import subprocess, sys, time; print(subprocess.Popen(['sleep', '60']).pid, flush=True); time.sleep(60)"


def until(condition: Callable[[], object], timeout_s: float = 10.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "it did not come about in time"
        time.sleep(0.02)


def gone(pid: int) -> bool:
    return identity_of(pid) is None


@pytest.fixture
def folder(tmp_path: Path) -> DataFolder:
    made = DataFolder(tmp_path / "data")
    made.acquire()
    return made


@pytest.fixture
def events() -> list[Event]:
    return []


@pytest.fixture
def supervisor(folder: DataFolder, events: list[Event]) -> Iterator[Supervisor]:
    made = Supervisor(folder, events.append)
    made.start()
    yield made
    made.hurry.set()
    made.finish(("a", "b"))


def spec(folder: DataFolder, name: str, code: str) -> ChildSpec:
    return ChildSpec(
        name=name,
        command=(sys.executable, "-c", code),
        environment={**os.environ, MARK: str(folder.root)},
        directory=folder.run,
        log=folder.log(name),
        stop=((signal.SIGTERM, 0.5),),
    )


def test_a_child_that_dies_is_started_again(supervisor: Supervisor, folder: DataFolder, events: list[Event]) -> None:
    supervisor.start_child(spec(folder, "a", SLEEPER))
    supervisor.keep_alive("a")
    first = supervisor.pid("a")
    supervisor.kill("a")
    until(lambda: len(events) == 2)  # the event is the last that happens
    assert supervisor.pid("a") not in (None, first)
    assert supervisor.restarts("a") == 1
    assert [event.kind for event in events] == ["died", "restarted"]
    assert "SIGKILL" in events[0].text


def test_a_child_that_is_not_ready_yet_is_not_started_again(supervisor: Supervisor, folder: DataFolder) -> None:
    supervisor.start_child(spec(folder, "a", "raise SystemExit(3)"))
    until(lambda: supervisor.death_of("a"))
    assert supervisor.death_of("a") == "ended with exit status 3"
    assert supervisor.pid("a") is None


def test_a_stopped_child_stays_stopped_and_a_stubborn_one_is_killed(supervisor: Supervisor, folder: DataFolder) -> None:
    supervisor.start_child(spec(folder, "a", STUBBORN))
    supervisor.keep_alive("a")
    until(lambda: folder.log("a").read_text())
    supervisor.stop_child("a")
    assert supervisor.death_of("a") == "was ended by SIGKILL"
    time.sleep(0.5)
    assert supervisor.pid("a") is None
    with pytest.raises(StackError, match="does not run"):
        supervisor.kill("a")


def test_what_a_killed_child_leaves_is_killed_too(supervisor: Supervisor, folder: DataFolder) -> None:
    supervisor.start_child(spec(folder, "a", WITH_POOL))
    until(lambda: folder.log("a").read_text())
    member = int(folder.log("a").read_text())
    supervisor.kill("a")
    until(lambda: gone(member))


def test_running_children_are_noted(supervisor: Supervisor, folder: DataFolder) -> None:
    supervisor.start_child(spec(folder, "a", SLEEPER))
    pid = supervisor.pid("a")
    assert pid is not None
    assert read_json(folder.children) == {"a": {"pid": pid, "identity": identity_of(pid)}}
    supervisor.stop_child("a")
    assert read_json(folder.children) == {}


def test_a_note_that_a_full_disk_refused_is_made_later(
    supervisor: Supervisor, folder: DataFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(path: Path, text: str) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("app.stack.supervisor.ROTATE_EVERY_S", 0.1)
    with monkeypatch.context() as full:
        full.setattr("app.stack.supervisor.write_private", refuse)
        supervisor.start_child(spec(folder, "a", SLEEPER))
        assert read_json(folder.children) == {}
    until(lambda: read_json(folder.children).get("a", {}).get("pid") == supervisor.pid("a"))


OWNER = """
import sys, time
from pathlib import Path
sys.path.insert(0, {tests!r})
from test_supervisor import SLEEPER, WITH_POOL, spec
from app.stack.folder import DataFolder
from app.stack.supervisor import Supervisor
folder = DataFolder(Path({data!r}))
folder.acquire()
supervisor = Supervisor(folder, lambda event: None)
supervisor.start()
supervisor.start_child(spec(folder, "a", WITH_POOL))
supervisor.start_child(spec(folder, "b", SLEEPER))
print(supervisor.pid("a"), supervisor.pid("b"), flush=True)
time.sleep(60)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="the leash is Linux's")
def test_nothing_survives_a_supervisor_that_is_killed(tmp_path: Path) -> None:
    code = OWNER.format(tests=str(Path(__file__).parent), data=str(tmp_path / "data"))
    owner = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert owner.stdout
    first, second = map(int, owner.stdout.readline().split())
    log = tmp_path / "data" / "logs" / "a.log"
    until(lambda: log.read_text())
    member = int(log.read_text())
    owner.kill()
    owner.wait()
    until(lambda: gone(first) and gone(second) and gone(member))


def start_marked(data: Path) -> subprocess.Popen[bytes]:
    return subprocess.Popen(["sleep", "60"], env={**os.environ, MARK: str(data)}, start_new_session=True)


def test_a_left_over_is_ended(tmp_path: Path) -> None:
    process = start_marked(tmp_path)
    identity = identity_of(process.pid)
    assert identity
    assert stop_left_over(process.pid, identity, tmp_path)
    assert process.wait() == -signal.SIGTERM
    assert not stop_left_over(process.pid, identity, tmp_path)


@pytest.mark.skipif(sys.platform != "linux", reason="sessions are read from /proc")
def test_members_of_a_dead_childs_session_are_ended(tmp_path: Path) -> None:
    leader = subprocess.Popen(
        ["sh", "-c", "sleep 60 & echo $!"],
        env={**os.environ, MARK: str(tmp_path)},
        start_new_session=True,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert leader.stdout
    member = int(leader.stdout.readline())
    leader.wait()
    # Until it has become another program, a process may show no environment at all.
    until(lambda: b"sleep" in Path(f"/proc/{member}/cmdline").read_bytes())
    assert not stop_left_over(leader.pid, "an identity", tmp_path / "another")
    assert not gone(member)
    assert stop_left_over(leader.pid, "an identity", tmp_path)
    until(lambda: gone(member))


@pytest.mark.skipif(sys.platform != "linux", reason="a process's folder is read from /proc")
def test_a_process_of_the_folder_that_was_copied_is_left_alone(tmp_path: Path) -> None:
    process = start_marked(tmp_path / "original")
    try:
        identity = identity_of(process.pid)
        assert identity
        assert not stop_left_over(process.pid, identity, tmp_path / "copy")
        assert process.poll() is None
    finally:
        process.kill()
        process.wait()


def test_a_process_that_only_has_the_same_id_is_left_alone(tmp_path: Path) -> None:
    process = start_marked(tmp_path)
    try:
        assert not stop_left_over(process.pid, "boot:123", tmp_path)
        assert process.poll() is None
    finally:
        process.kill()
        process.wait()
