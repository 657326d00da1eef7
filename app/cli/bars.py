"""How far things are, for people: bars on a terminal, a line now and then elsewhere."""

import time

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
