"""Which service the quickstart uses: one that runs, one that starts just now, or its own; no server is started here."""

import contextlib
import io
import json
import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from app.stack import quickstart
from app.stack.errors import StackError
from app.stack.folder import DataFolder

URL = "http://127.0.0.1:8123"


@pytest.fixture
def console() -> Console:
    return Console(file=io.StringIO(), record=True, width=200)


@pytest.fixture
def held(tmp_path: Path) -> Iterator[DataFolder]:
    """A folder that a stack runs on: this process."""
    folder = DataFolder(tmp_path / "data")
    folder.acquire()
    folder.api_key.write_text("fcs_key\n")
    yield folder
    folder.release()


class OwnStack:
    """A stack that starts nothing."""

    url, api_key, interrupted = "http://127.0.0.1:1", "fcs_own", False

    def __init__(self, *_: Any, **__: Any) -> None:
        self.stopped = False

    def start(self) -> None:
        """Nothing."""

    def stop(self) -> None:
        """Nothing."""


@contextlib.contextmanager
def soon(call: Callable[[], Any]) -> Iterator[None]:
    """Does something in a moment, while the block runs."""
    timer = threading.Timer(0.3, call)
    timer.start()
    yield
    timer.join()


def ready(folder: DataFolder, pid: int) -> None:
    folder.service.write_text(json.dumps({"url": URL, "pid": pid}))


def test_a_service_that_runs_is_used(held: DataFolder, console: Console) -> None:
    ready(held, os.getpid())
    with quickstart._service(held.root, None, console) as service:
        assert (service.url, service.api_key, service.own) == (URL, "fcs_key", False)


def test_one_that_starts_is_waited_for_and_what_a_killed_one_left_is_not_believed(
    held: DataFolder, console: Console
) -> None:
    held.service.write_text(json.dumps({"url": "http://127.0.0.1:9", "pid": 1}))
    with soon(lambda: ready(held, os.getpid())), quickstart._service(held.root, None, console) as service:
        assert (service.url, service.own) == (URL, False)
    assert "starting or stopping on" in console.export_text()


def test_after_one_that_stops_an_own_one_is_started(
    held: DataFolder, console: Console, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(quickstart, "EmbeddedStack", OwnStack)
    monkeypatch.setattr(quickstart, "stop_on_signals", lambda stack: None)
    with soon(held.release), quickstart._service(held.root, None, console) as service:
        assert (service.url, service.own) == (OwnStack.url, True)


def test_one_that_never_gets_ready_is_named(
    held: DataFolder, console: Console, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(quickstart, "SETTLED_WITHIN_S", 0.2)
    with (
        pytest.raises(StackError, match=rf"process {os.getpid()}\) is not ready after 0.2 s; see .*logs"),
        quickstart._service(held.root, None, console),
    ):
        pass
