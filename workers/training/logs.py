"""What a run writes of itself: `log.csv` always, TensorBoard's events where that is installed and asked for."""

import csv
from pathlib import Path
from typing import Any

from app.errors import Corrupt, Misconfigured
from workers.training.files import whole

COLUMNS = (
    *("iteration", "pyramid", "landmarks", "identity", "triplet", "fooled", "judge", "held_out"),
    *("repulsion", "mated", "held", "eyes", "r1"),
)
"""New ones come last: a run that an earlier version began goes on."""


class RunLog:
    """A run's losses. Rows from after a checkpoint that a run goes on from are dropped: they will come again."""

    def __init__(self, folder: Path, iteration: int, *, tensorboard: bool = False) -> None:
        """Raises Misconfigured where TensorBoard is asked for and not installed, Corrupt for another file's columns."""
        self._path = folder / "log.csv"
        self._keep_until(iteration)
        self._events: Any = _events(folder) if tensorboard else None

    def write(self, iteration: int, losses: dict[str, float]) -> None:
        """Add a row; what a method does not have stays empty."""
        new = not self._path.exists()
        with self._path.open("a", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, COLUMNS)
            if new:
                writer.writeheader()
            writer.writerow({"iteration": iteration, **{name: f"{value:.6g}" for name, value in losses.items()}})
        if self._events is not None:
            for name, value in losses.items():
                self._events.add_scalar(name, value, iteration)
            self._events.flush()

    def _keep_until(self, iteration: int) -> None:
        if not self._path.exists():
            return
        with self._path.open(newline="", encoding="utf-8") as file:
            reader = csv.DictReader(file)
            named = tuple(reader.fieldnames or ())
            if named != COLUMNS[: len(named)] or not named:
                raise Corrupt(f"{self._path} has other columns than a run's log; move it away")
            rows = [row for row in reader if row["iteration"].isdigit() and int(row["iteration"]) <= iteration]
        with whole(self._path) as unfinished, unfinished.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, COLUMNS)
            writer.writeheader()
            writer.writerows(rows)


def _events(folder: Path) -> Any:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as exc:
        raise Misconfigured("TensorBoard is not installed: bash deploy/setup.sh training, or leave it out") from exc
    return SummaryWriter(str(folder / "events"))
