"""EmbeddedStack: the whole service on this machine, for `facsimile up`, the quickstart and the tests."""

import contextlib
import json
import os
import shlex
import shutil
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

from pydantic_settings import EnvSettingsSource

from app.config import Settings, variables_named
from app.stack import credentials, logs, ports, servers
from app.stack.child import ChildSpec
from app.stack.errors import ChildDied, StackError, StackInterrupted
from app.stack.folder import DataFolder, read_json, write_private
from app.stack.identity import stop_left_over
from app.stack.servers import Check
from app.stack.supervisor import Event, Supervisor

STARTS = 3
"""How often a child is started that dies before it is ready; what killed it once need not again."""

READY_WITHIN_S = {"valkey": 20.0, "s3": 60.0, "api": 60.0, "worker": 180.0}

DEFAULTS = {
    # Looking over the few datasets of one machine is cheap.
    "FACSIMILE_QUEUE__RECONCILE_INTERVAL_S": "5",
    # A killed worker's task goes on this much later; the machine is our own, so a beat is not lost on the way.
    "FACSIMILE_QUEUE__RUNNING_MARKER_S": "20",
    # Small sets are to be shared between the cores, too. No pixel depends on it.
    "FACSIMILE_SHARD_SIZE": "64",
}
"""For a service on one machine; variables of the same name win."""


def default_workers() -> int:
    """One worker process a core that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


class EmbeddedStack:
    """valkey, S3, a worker and the API on loopback, over one data folder; a context manager.

    `workers` is the number of worker processes (0: no worker at all, None: one a core); `port` is the API's
    (None: any free one); `env_overrides` are further FACSIMILE_* variables for the API and the worker;
    `on_event` is called with each Event, mostly from the supervisor's thread. Children are called valkey, s3,
    worker and api.
    """

    def __init__(
        self,
        data: Path | str = "facsimile-data",
        *,
        workers: int | None = None,
        port: int | None = None,
        env_overrides: Mapping[str, str] | None = None,
        on_event: Callable[[Event], None] = lambda event: None,
    ) -> None:
        self.folder = DataFolder(Path(data))
        self.workers = default_workers() if workers is None else workers
        self._port = port
        self._overrides = dict(env_overrides or {})
        self._on_event = on_event
        self._interrupted = threading.Event()
        self._supervisor: Supervisor | None = None
        self._handed: dict[str, str] = {}
        self._specs: dict[str, Callable[[], ChildSpec]] = {}
        self._checks: dict[str, Check] = {}
        self._began: dict[str, float] = {}
        self._settings: Settings | None = None
        self._url = ""
        self._api_key = ""

    def __enter__(self) -> Self:
        """Start."""
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop."""
        self.stop()

    @property
    def url(self) -> str:
        """Where the API is."""
        self._running()
        return self._url

    @property
    def api_key(self) -> str:
        """A key of the tenant `local`."""
        self._running()
        return self._api_key

    def settings(self) -> Settings:
        """The settings that the API and the worker run with."""
        if self._settings is None:
            raise StackError("the stack has not been started")
        return self._settings

    def start(self) -> Self:
        """Start everything; return when it is ready. Raises StackError, and leaves nothing running then."""
        if self._supervisor:
            raise StackError("the stack runs already")
        self.folder.acquire()
        try:
            self._stop_left_overs()
            self._configure()
            self._supervisor = Supervisor(self.folder, self._on_event)
            self._supervisor.start()
            # The API connects nothing until it is asked: it is read in while the store comes up.
            self._begin("valkey", "s3", "api")
            self._await("valkey", "s3")
            self._api_key = servers.known_api_key(self.settings(), self.folder.api_key)
            if self.workers:
                self._begin("worker")
            self._await(*(("api", "worker") if self.workers else ("api",)))
            write_private(self.folder.service, json.dumps({"url": self._url, "pid": os.getpid()}) + "\n")
        except BaseException:
            self.stop()
            raise
        return self

    def stop(self) -> None:
        """End every child in order and give the folder free; no error if nothing runs."""
        self.folder.service.unlink(missing_ok=True)
        if self._supervisor:
            self._supervisor.finish(servers.ORDER_OF_STOPPING)
            self._supervisor = None
        self.folder.release()

    def interrupt(self, *, hurry: bool = False) -> None:
        """Make a start() that is under way give up; `hurry` kills the children. Fit for signal handlers."""
        self._interrupted.set()
        if hurry and self._supervisor:
            self._supervisor.hurry.set()

    @property
    def interrupted(self) -> bool:
        """Whether interrupt() was called."""
        return self._interrupted.is_set()

    def wait_interrupted(self) -> None:
        """Return after interrupt() was called."""
        while not self._interrupted.wait(0.5):  # in steps, so that signals are handled
            pass

    def pid(self, name: str) -> int | None:
        """Process id of a child, None while it does not run."""
        return self._running().pid(name)

    def restarts(self, name: str) -> int:
        """How often a child has died and been started again."""
        return self._running().restarts(name)

    def kill(self, name: str) -> None:
        """Kill a child as kill -9 would; the supervisor starts it again."""
        self._running().kill(name)

    def stop_child(self, name: str) -> None:
        """End a child and leave it ended until start_child()."""
        self._running().stop_child(name)

    def start_child(self, name: str, *, wait: bool = True) -> None:
        """Start a child that stop_child() ended; a worker with as many processes as `workers` is now."""
        self._running().start_child(self._specs[name]())
        if wait:
            self.wait_ready(name)
        self._running().keep_alive(name)

    def wait_ready(self, name: str, timeout_s: float | None = None) -> None:
        """Return when a child answers; raises StackError with its last log lines if it does not in time."""
        supervisor = self._running()
        deadline = time.monotonic() + (timeout_s or READY_WITHIN_S[name])
        while True:
            if self._interrupted.is_set():
                raise StackInterrupted("asked to stop")
            if end := supervisor.death_of(name):
                raise ChildDied(f"{name} {end} before it was ready{self._log_lines(name)}")
            missing = self._checks[name]()
            # An answer counts only from our own child: on its port, another program might answer.
            if missing is None and supervisor.pid(name):
                return
            if time.monotonic() > deadline:
                raise StackError(f"{name} is not ready in time: {missing}{self._log_lines(name)}")
            time.sleep(0.05)

    def _begin(self, *names: str) -> None:
        for name in names:
            self._on_event(Event("starting", name, ""))
            self._began[name] = time.monotonic()
            self._running().start_child(self._specs[name]())

    def _await(self, *names: str) -> None:
        supervisor = self._running()
        for name in names:
            for left in reversed(range(STARTS)):
                try:
                    self.wait_ready(name)
                    break
                except ChildDied:
                    if not left:
                        raise
                    supervisor.start_child(self._specs[name]())
                    self._on_event(Event("restarted", name, "it was not ready yet, and is started again"))
            supervisor.keep_alive(name)
            self._on_event(Event("ready", name, f"after {time.monotonic() - self._began[name]:.1f} s"))

    def _configure(self) -> None:
        """Settle secrets, ports and settings; write down the settings for operators' commands."""
        folder = self.folder
        if original := folder.original():
            credentials.renew(folder)
            folder.ports.unlink(missing_ok=True)
            self._on_event(Event("note", "", f"a copy of {original}: it gets ports and secrets of its own"))
        folder.settle()
        secret = credentials.load_or_make(folder)
        at = ports.choose(folder, self._port)
        self._url = f"http://127.0.0.1:{at.api}"
        # Who reaches the API on loopback reaches the store there, too; set it empty to send every byte by the API.
        reached = {"FACSIMILE_STORE__PUBLIC_ENDPOINT": f"http://127.0.0.1:{at.s3}"}
        defaults = {**DEFAULTS, **reached, **self._marks(secret)}
        self._handed = {
            **{name: os.environ.get(name, value) for name, value in defaults.items()},
            **self._overrides,
            "FACSIMILE_ENVIRONMENT": "embedded",
            "FACSIMILE_STORE__ENDPOINT": f"127.0.0.1:{at.s3}",
            "FACSIMILE_STORE__ACCESS_KEY": secret.api_access_key,
            "FACSIMILE_STORE__SECRET_KEY": secret.api_secret_key,
            "FACSIMILE_STORE__BUCKET": servers.BUCKET,
            "FACSIMILE_STORE__REGION": "us-east-1",
            "FACSIMILE_STORE__SECURE": "false",
            "FACSIMILE_QUEUE__URL": f"redis://:{secret.valkey_password}@127.0.0.1:{at.valkey}/0",
        }
        self._settings = settings_from({**os.environ, **self._handed})
        lines = [f"{name}={shlex.quote(value)}" for name, value in sorted(self._handed.items())]
        write_private(folder.settings, "\n".join(lines) + "\n")
        # The store is the record: whatever the queue still held is put there anew by the reconciler, and so
        # nothing is done twice, nor waited for because a worker that is no more was working on it.
        shutil.rmtree(folder.valkey / "appendonlydir", ignore_errors=True)
        for left in folder.root.glob(f"{folder.beat_schedule.name}*"):
            left.unlink()
        workers_own = {
            "FACSIMILE_STORE__ACCESS_KEY": secret.worker_access_key,
            "FACSIMILE_STORE__SECRET_KEY": secret.worker_secret_key,
        }
        self._specs = {
            "valkey": lambda: servers.valkey(folder, at, secret),
            "s3": lambda: servers.s3(folder, at, secret),
            "worker": lambda: servers.worker(folder, self._handed | workers_own, self.workers),
            "api": lambda: servers.api(folder, self._handed, at.api),
        }
        self._checks = {
            "valkey": servers.valkey_ready(self.settings()),
            "s3": servers.s3_ready(self.settings(), secret),
            "worker": servers.worker_ready(self.settings()),
            "api": servers.api_ready(at.api),
        }

    def _marks(self, secret: credentials.Credentials) -> dict[str, str]:
        """With what samples are marked: a key of our own, and a C2PA certificate that vouches for nobody."""
        return {
            "FACSIMILE_WORKER__WATERMARK_KEY": secret.watermark_key,
            "FACSIMILE_WORKER__C2PA__SELF_MADE": str(self.folder.c2pa),
        }

    def _stop_left_overs(self) -> None:
        """End what a stack that was killed may have left running on this folder."""
        noted = read_json(self.folder.children)
        moved_from = None if self.folder.original() else self.folder.recorded_root()
        root = moved_from or self.folder.root  # a folder that was moved: its processes know the place of before
        for name in (name for name in servers.ORDER_OF_STOPPING if name in noted):
            with contextlib.suppress(KeyError, TypeError, ValueError):
                pid, identity = int(noted[name]["pid"]), str(noted[name]["identity"])
                if stop_left_over(pid, identity, root):
                    self._on_event(Event("left-over", name, f"ended process {pid} of a former run"))
        self.folder.children.unlink(missing_ok=True)

    def _running(self) -> Supervisor:
        if self._supervisor is None:
            raise StackError("the stack does not run")
        return self._supervisor

    def _log_lines(self, name: str) -> str:
        log = self.folder.log(name)
        return f"; the end of its log ({log}):\n{logs.tail(log)}"


def settings_from(environment: Mapping[str, str]) -> Settings:
    """Settings as a process with this environment would read them."""
    source = EnvSettingsSource(Settings)
    source.env_vars = {name.lower(): value for name, value in environment.items()}
    with variables_named():
        values = source()
    return Settings(**values)
