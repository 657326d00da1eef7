"""How far things are, for people: bars on a terminal, a line now and then elsewhere."""

import math
import time
from collections.abc import Callable

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

from app.cli.output import err, megabytes, say
from app.client.http import Json
from app.client.watch import FINAL

SPEAK_EVERY_S = 10.0
"""Where there is no terminal, so often a line is written."""

ETA_AFTER_S = 5.0
"""What has gone on for less is no basis for saying how long the rest takes."""


MAKING = "making samples"


class Bars:
    """A Reporter for people: progress bars on a terminal, a line now and then elsewhere. A context manager.

    What is counted never goes backwards: an older word that arrives late is not shown.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._console = err()
        self._live = self._console.is_terminal
        self._clock = clock
        self._progress: Progress | None = None
        self._task: TaskID | None = None
        self._what = ""
        self._total = -1
        self._done = 0
        self._first = (0.0, 0)
        """When this began to be counted, and from what on."""
        self._said: float | None = None
        self._over = False
        """Whether a dataset's end was told; a second word of it brings nothing new."""

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
            checked = f" ({progress['identities_checked']} checked)"
            self._amount("choosing identities", checked, progress["samples_done"], progress["samples_total"], "")
        elif phase == "calibrate":
            self.amount("calibrating, scales tried", progress["scales_tried"], progress["scales_most"])
        elif phase == "judge":
            self.amount("judging samples", progress["judged_done"], progress["judged_total"])
        elif state in FINAL and (self._over or self._what not in ("", MAKING)):
            self.end()  # what came after the samples was the last
            self._over = True
        elif state not in FINAL or progress["samples_done"]:
            what = "putting the set together" if state == "assembling" else MAKING
            self.amount(what, progress["samples_done"], progress["samples_total"])

    def amount(self, what: str, done: int, total: int, *, unit: str = "") -> None:
        """See Reporter."""
        self._amount(what, "", done, total, unit)

    def end(self) -> None:
        """The next amount is of something else and gets its own bar."""
        self._end()
        self._what = ""

    def _amount(self, what: str, more: str, done: int, total: int, unit: str) -> None:
        now = self._clock()
        if (what, total) != (self._what, self._total):
            self._end()
            self._what, self._total, self._done, self._first, self._said = what, total, done, (now, done), None
        self._done = max(self._done, done)
        if self._live:
            self._bar(what + more, total, unit)
        else:
            self._line(what + more, total, unit, now)

    def _bar(self, text: str, total: int, unit: str) -> None:
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
            self._task = self._progress.add_task(text, total=total)
            self._progress.start()
        if self._task is not None:
            self._progress.update(self._task, description=text, completed=self._done, total=total)

    def _line(self, text: str, total: int, unit: str, now: float) -> None:
        ended = self._done >= total
        if self._said is not None and (now - self._said < SPEAK_EVERY_S or self._said == math.inf) and not ended:
            return
        if ended and self._said == math.inf:
            return  # said already
        self._said = math.inf if ended else now
        amount = f"{megabytes(self._done)} of {megabytes(total)}" if unit == "B" else f"{self._done} of {total}"
        say(f"{text}: {amount}{self._left(total, now)}")

    def _left(self, total: int, now: float) -> str:
        """How long the rest takes, by what came so far; empty where nothing can be said."""
        begun, first = self._first
        if self._done >= total or self._done <= first or now - begun < ETA_AFTER_S:
            return ""
        seconds = (total - self._done) * (now - begun) / (self._done - first)
        return f", about {seconds:.0f} s left" if seconds < 90 else f", about {seconds / 60:.0f} min left"

    def _end(self) -> None:
        if self._progress:
            self._progress.stop()
            self._progress = self._task = None
