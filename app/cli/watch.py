"""Watching a dataset being made: over its event stream, or by asking again where that does not work."""

import json
import time
from collections.abc import Callable
from typing import Any, Protocol

from rich.progress import (
    BarColumn,
    DownloadColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from app.cli.client import Client
from app.cli.errors import ServiceRefused, ServiceUnreachable
from app.cli.output import err, megabytes, say

Json = dict[str, Any]

FINAL = frozenset({"succeeded", "failed", "cancelled"})
STREAM_TRIES = 3
"""An event stream that breaks this often in a row without a word is given up for polling."""
POLL_S = 1.0
GIVE_UP_AFTER_S = 120.0
"""A service silent for this long is given up; the dataset goes on without us."""


class Reporter(Protocol):
    """Is told how far things are."""

    def dataset(self, dataset: Json) -> None:
        """A dataset's state and progress."""

    def amount(self, what: str, done: int, total: int, *, unit: str = "") -> None:
        """How much of something (`unit` "B": bytes) is done."""


def watch(
    client: Client,
    dataset: Json,
    report: Reporter,
    *,
    sleep: Callable[[float], None] = time.sleep,
    clock: Callable[[], float] = time.monotonic,
) -> Json:
    """Follow a dataset to its end and return it; raises ServiceUnreachable after a long silence."""
    failures = 0
    heard = clock()
    report.dataset(dataset)
    while dataset["state"] not in FINAL:
        if failures < STREAM_TRIES:
            try:
                for event in client.events(dataset["id"]):
                    if event.name in ("progress", "end") and event.data.startswith("{"):
                        found = json.loads(event.data)
                        if "state" in found:
                            dataset, failures, heard = found, 0, clock()
                            report.dataset(dataset)
                    if event.name == "end" or dataset["state"] in FINAL:
                        break
            except (ServiceUnreachable, ServiceRefused, ValueError):
                pass  # whether the dataset itself is there is asked below
            failures += 1
        try:
            # Asked also after a stream that ended: its last word may have been lost.
            dataset = client.dataset(dataset["id"])
            heard = clock()
            report.dataset(dataset)
        except (ServiceUnreachable, ServiceRefused) as exc:
            if isinstance(exc, ServiceRefused) and exc.status < 500 and exc.status != 429:
                raise
            if clock() - heard > GIVE_UP_AFTER_S:
                raise
        if dataset["state"] not in FINAL:
            sleep(POLL_S)
    return dataset


class Bars:
    """A Reporter for people: progress bars on a terminal, a line now and then elsewhere. A context manager."""

    def __init__(self) -> None:
        self._console = err()
        self._live = self._console.is_terminal
        self._progress: Progress | None = None
        self._task: TaskID | None = None
        self._what = ""
        self._said = 0.0

    def __enter__(self) -> "Bars":
        """Nothing yet: a bar begins with its first amount."""
        return self

    def __exit__(self, *_: object) -> None:
        """End the bar."""
        self._end()

    def dataset(self, dataset: Json) -> None:
        """See Reporter."""
        progress, state = dataset["progress"], dataset["state"]
        phase = progress.get("phase")  # what no service of before tells
        if state == "accepted":
            self.amount("waiting for a worker", 0, progress["samples_total"])
        elif phase in ("survey", "choose"):
            checked = f"choosing identities ({progress['identities_checked']} checked)"
            self.amount(checked, progress["samples_done"], progress["samples_total"])
        elif phase == "calibrate":
            self.amount("calibrating, scales tried", progress["scales_tried"], progress["scales_most"])
        elif phase == "judge":
            self.amount("judging samples", progress["judged_done"], progress["judged_total"])
        elif state not in FINAL or progress["samples_done"]:
            what = "putting the set together" if state == "assembling" else "making samples"
            self.amount(what, progress["samples_done"], progress["samples_total"])

    def amount(self, what: str, done: int, total: int, *, unit: str = "") -> None:
        """See Reporter."""
        if not self._live:
            self._line(what, done, total, unit)
            return
        if self._progress and self._task is not None and self._progress.tasks[0].total != total:
            self._end()  # of something else
        if self._progress is None:
            count = DownloadColumn() if unit == "B" else MofNCompleteColumn()
            self._progress = Progress(
                TextColumn("{task.description:<26}"),
                BarColumn(),
                count,
                TimeElapsedColumn(),
                TimeRemainingColumn(),
                console=self._console,
            )
            self._task = self._progress.add_task(what, total=total)
            self._progress.start()
        if self._task is not None:
            self._progress.update(self._task, description=what, completed=done, total=total)

    def end(self) -> None:
        """The next amount is of something else and gets its own bar."""
        self._end()
        self._what = ""

    def _end(self) -> None:
        if self._progress:
            self._progress.stop()
            self._progress = self._task = None

    def _line(self, what: str, done: int, total: int, unit: str) -> None:
        now = time.monotonic()
        if what == self._what and now - self._said < 10 and done < total:
            return
        if what == self._what and done >= total and self._said == 0.0:
            return
        self._what, self._said = what, 0.0 if done >= total else now
        say(f"{what}: {megabytes(done)} of {megabytes(total)}" if unit == "B" else f"{what}: {done} of {total}")
