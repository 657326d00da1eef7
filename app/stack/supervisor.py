"""The thread that owns the children: starts them, again with back-off when they die, and ends them."""

import contextlib
import json
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, wait
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeVar

from app.stack import guardian, logs
from app.stack.child import Child, ChildSpec
from app.stack.errors import StackError
from app.stack.folder import DataFolder, write_private
from app.stack.identity import identity_of

T = TypeVar("T")

TICK_S = 0.1
ROTATE_EVERY_S = 5.0
BACK_OFF_S = (0.2, 1.0, 2.0, 5.0, 10.0, 30.0)
"""How long to wait before a start, by how often in a row a child died soon after its start."""
SETTLED_S = 30.0
"""A child that has run this long has started well."""


class Event(NamedTuple):
    """Something that happened to a child (or to the stack, where `child` is empty)."""

    kind: str
    """starting, ready, died, restarted, stopped, left-over, note."""
    child: str
    text: str


@dataclass
class _Place:
    """Where a child belongs: running or to be started again at some time."""

    spec: ChildSpec
    child: Child | None = None
    keep_alive: bool = False
    """Start it again when it dies."""
    quick_deaths: int = 0
    restarts: int = 0
    start_at: float | None = None
    last_end: str = ""


class Supervisor:
    """Owns all children. Others ask its thread by `do`: a leashed child dies with the thread it was born in."""

    def __init__(self, folder: DataFolder, on_event: Callable[[Event], None]) -> None:
        self._thread = threading.Thread(target=self._run, name="facsimile-supervisor", daemon=True)
        self._folder = folder
        self._on_event = on_event
        self._places: dict[str, _Place] = {}
        self._asked: queue.Queue[tuple[Callable[[], Any], Future[Any]]] = queue.Queue()
        self._over = threading.Event()
        self.hurry = threading.Event()
        """Set: children are killed rather than asked to end."""
        self._guardian: subprocess.Popen[str] | None = None
        self._rotated = 0.0
        self._noted = True
        """Whether the note of who runs is as it should be."""

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def _run(self) -> None:
        """Serve what is asked and look after the children until `finish`."""
        self._guardian = subprocess.Popen(
            [sys.executable, "-I", "-S", guardian.__file__],
            stdin=subprocess.PIPE,
            text=True,
            start_new_session=True,
            cwd="/",
        )
        while not self._over.is_set():
            try:
                action, answer = self._asked.get(timeout=TICK_S)
            except queue.Empty:
                pass
            else:
                try:
                    answer.set_result(action())
                except BaseException as exc:  # noqa: BLE001 - handed to the thread that asked
                    answer.set_exception(exc)
            self._look_after()
        self._tell_guardian("bye")
        if self._guardian.stdin:
            with contextlib.suppress(OSError):
                self._guardian.stdin.close()
        self._guardian.wait()

    def do(self, action: Callable[[], T]) -> T:
        """Have the supervisor's thread do something and return what it returned, or raise what it raised."""
        answer: Future[T] = Future()
        self._asked.put((action, answer))
        while not wait([answer], timeout=1).done:
            if not self._thread.is_alive():
                raise StackError("the stack has been stopped")
        return answer.result()

    def start_child(self, spec: ChildSpec) -> None:
        """Start a child, which is not yet started again by itself; see `keep_alive`."""
        self.do(lambda: self._start_new(spec))

    def keep_alive(self, name: str) -> None:
        """From now on, start the child again whenever it dies."""
        self.do(lambda: setattr(self._places[name], "keep_alive", True))

    def stop_child(self, name: str) -> None:
        """End a child and leave it ended."""
        self.do(lambda: self._stop(name))

    def kill(self, name: str) -> None:
        """Kill a child's process with SIGKILL, as an accident would."""
        self.do(lambda: self._running(name).signal(signal.SIGKILL))

    def pid(self, name: str) -> int | None:
        """Process id of a child, None while it does not run."""
        place = self._places.get(name)
        child = place.child if place else None
        return child.pid if child else None

    def restarts(self, name: str) -> int:
        """How often a child has been started again since it was first started."""
        return self._places[name].restarts

    def death_of(self, name: str) -> str | None:
        """How a child ended that is neither running nor to be started again."""
        place = self._places[name]
        return place.last_end if place.child is None and place.start_at is None else None

    def finish(self, order: tuple[str, ...]) -> None:
        """End every child in this order, then the thread itself."""
        for name in order:
            if name in self._places:
                self.stop_child(name)
        self._over.set()
        self._thread.join()

    def _start_new(self, spec: ChildSpec) -> None:
        place = self._places.get(spec.name)
        if place and place.child:
            raise StackError(f"{spec.name} runs already")
        self._places[spec.name] = _Place(spec=spec)
        self._spawn(self._places[spec.name])

    def _spawn(self, place: _Place) -> None:
        place.start_at = None
        place.spec.prepare(place.quick_deaths)
        place.child = Child(place.spec)
        self._tell_guardian(f"+{place.child.pid}")
        self._note_children()

    def _stop(self, name: str) -> None:
        place = self._places[name]
        place.keep_alive = False
        place.start_at = None
        if place.child:
            place.child.stop(self.hurry.is_set)
            place.last_end = place.child.ended() or "could not be ended"
            self._forget(place)
            self._on_event(Event("stopped", name, place.last_end))

    def _running(self, name: str) -> Child:
        place = self._places.get(name)
        if place is None or place.child is None:
            raise StackError(f"{name} does not run")
        return place.child

    def _look_after(self) -> None:
        now = time.monotonic()
        for name, place in self._places.items():
            if place.child and (end := place.child.ended()):
                self._died(name, place, end, now)
            if place.start_at is not None and now >= place.start_at:
                try:
                    self._spawn(place)
                except (StackError, OSError) as exc:
                    place.start_at = now + BACK_OFF_S[-1]
                    self._on_event(Event("died", name, str(exc)))
                else:
                    place.restarts += 1
                    self._on_event(Event("restarted", name, f"started again (process {self.pid(name)})"))
        if now - self._rotated > ROTATE_EVERY_S:
            self._rotated = now
            if not self._noted:
                self._note_children()
            for place in self._places.values():
                with contextlib.suppress(OSError):  # a full disk must not end the supervision
                    logs.rotate(place.spec.log)

    def _died(self, name: str, place: _Place, end: str, now: float) -> None:
        child = place.child
        if child is None:
            return
        child.sweep()  # a pool whose parent was killed would wait for ever
        place.quick_deaths = 0 if now - child.started > SETTLED_S else place.quick_deaths + 1
        place.last_end = end
        if place.keep_alive:
            wait_s = BACK_OFF_S[min(place.quick_deaths, len(BACK_OFF_S) - 1)]
            place.start_at = now + wait_s
            end = f"{end}; it is started again in {wait_s:g} s (log: {place.spec.log})"
        self._forget(place)
        self._on_event(Event("died", name, end))

    def _forget(self, place: _Place) -> None:
        if place.child:
            self._tell_guardian(f"-{place.child.pid}")
            place.child = None
            self._note_children()

    def _tell_guardian(self, line: str) -> None:
        if self._guardian and self._guardian.stdin:
            with contextlib.suppress(OSError):  # somebody killed it; the leash is left
                self._guardian.stdin.write(f"{line}\n")
                self._guardian.stdin.flush()

    def _note_children(self) -> None:
        """Write down who runs, so that the next stack can end what this one leaves if it is killed."""
        noted = {
            name: {"pid": place.child.pid, "identity": identity_of(place.child.pid)}
            for name, place in self._places.items()
            if place.child
        }
        self._noted = False
        with contextlib.suppress(OSError):  # the disk may be full for a while: it is tried again
            write_private(self._folder.children, json.dumps(noted) + "\n")
            self._noted = True
