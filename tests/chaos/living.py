"""A service that `facsimile up` started in a folder, as faults and clients find it: its processes, its requests."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import httpx

from app.config import Settings
from app.stack.embedded import settings_from
from app.stack.folder import DataFolder, read_json

T = TypeVar("T")

AWAY_S = 300.0
"""A service that answers nothing for so long has not recovered."""


class NotRecovered(Exception):
    """The service did not come back, or lost something; the run has failed."""


class Living:
    """The service on a folder: started and stopped by the command line, as people do, with its default settings."""

    def __init__(self, data: Path, *, workers: int, port: int, settings: dict[str, str]) -> None:
        self.folder = DataFolder(data)
        self._arguments = ("--data", str(data), "--workers", str(workers), "--port", str(port), "--detach")
        self._settings = settings
        self._url = f"http://127.0.0.1:{port}"

    def up(self) -> None:
        """Start it; returns when it is ready."""
        self._run("up", *self._arguments)

    def down(self) -> None:
        """Stop it in order."""
        self._run("down", "--data", str(self.folder.root))

    def _run(self, *arguments: str) -> None:
        command = (sys.executable, "-P", "-m", "app.cli.main", *arguments)
        found = subprocess.run(
            command, env={**os.environ, **self._settings}, capture_output=True, text=True, check=False
        )
        if found.returncode:
            raise NotRecovered(f"facsimile {arguments[0]} ended with {found.returncode}: {found.stderr[-2_000:]}")

    def settings(self) -> Settings:
        """The settings that its processes have."""
        lines = self.folder.settings.read_text().splitlines()
        return settings_from(dict(line.replace("'", "").split("=", 1) for line in lines))

    def supervisor(self) -> int:
        """The process that `up` left running."""
        holder = self.folder.holder()
        if holder is None:
            raise NotRecovered("no process holds the data folder")
        return holder

    def child(self, name: str) -> int:
        """Process id of valkey, s3, api or worker; waits for one that is just being started."""
        return within(AWAY_S, f"a process {name}", lambda: self._child(name))

    def _child(self, name: str) -> int | None:
        noted = read_json(self.folder.children).get(name)
        if noted is None or not Path(f"/proc/{noted['pid']}").exists():
            return None
        return int(noted["pid"])

    def pool(self) -> list[int]:
        """The worker's own children: the processes of its pool, and beat."""
        worker = self.child("worker")
        with contextlib.suppress(OSError):
            return [int(pid) for pid in Path(f"/proc/{worker}/task/{worker}/children").read_text().split()]
        return []

    def busiest(self) -> int:
        """The process of the pool that has worked most."""
        return within(AWAY_S, "a process of the pool", lambda: max(self.pool(), key=_seconds, default=None))

    def request(self, method: str, path: str, **more: Any) -> httpx.Response:
        """Ask until there is an answer that is neither a broken connection nor a 503."""

        def asked() -> httpx.Response | None:
            key = self.folder.api_key.read_text().strip()
            with contextlib.suppress(httpx.TransportError):
                answer = httpx.request(
                    method,
                    self._url + path,
                    headers={"Authorization": f"Bearer {key}"} | more.get("headers", {}),
                    json=more.get("json"),
                    timeout=30,
                )
                if answer.status_code < 500:
                    return answer
                if answer.status_code != 503:
                    raise NotRecovered(f"{method} {path} answered {answer.status_code}: {answer.text[:500]}")
            return None

        return within(AWAY_S, f"an answer to {method} {path}", asked)

    def submit(self, body: dict[str, Any], key: str) -> str:
        """Ask for a set, again until it is accepted; `key` makes one of however many times that took."""
        answer = self.request("POST", "/v1/datasets", json=body, headers={"Idempotency-Key": key})
        if answer.status_code not in (200, 202):
            raise NotRecovered(f"a request was refused: {answer.status_code} {answer.text[:500]}")
        return str(answer.json()["id"])

    def show(self, dataset: str) -> dict[str, Any]:
        """A set's state and progress; one that was accepted must be known for ever."""
        answer = self.request("GET", f"/v1/datasets/{dataset}")
        if answer.status_code != 200:
            raise NotRecovered(f"{dataset} was accepted, and is answered with {answer.status_code}")
        found: dict[str, Any] = answer.json()
        return found

    def finish(self, dataset: str, within_s: float) -> None:
        """Wait until a set has succeeded."""

        def ended() -> str | None:
            found = self.show(dataset)
            if found["state"] in ("failed", "cancelled"):
                raise NotRecovered(f"{dataset} has {found['state']}: {found['failure']}")
            return str(found["state"]) if found["state"] == "succeeded" else None

        within(within_s, f"success of {dataset}", ended, step_s=1.0)

    def digests(self, dataset: str) -> dict[str, str]:
        """Pixel digest by sample of a set that has succeeded."""
        manifest = self.request("GET", f"/v1/datasets/{dataset}/manifest").json()
        return {row["id"]: row["pixel_sha256"] for row in manifest["samples"]}


def within(seconds: float, what: str, look: Callable[[], T | None], step_s: float = 0.2) -> T:
    """What `look` finds once it finds something; raises NotRecovered after so many seconds."""
    deadline = time.monotonic() + seconds
    while (found := look()) is None:
        if time.monotonic() > deadline:
            raise NotRecovered(f"{what}: not within {seconds:g} s")
        time.sleep(step_s)
    return found


def send(pid: int, number: signal.Signals) -> None:
    """Signal a process, which may have ended of itself."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)


def _seconds(pid: int) -> float:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    except (OSError, IndexError):
        return -1.0
    return float(int(fields[11]) + int(fields[12]))
