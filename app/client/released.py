"""A release's or dataset's folder as a matcher's test uses it: pairs of files to compare, and which are mated."""

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from app.client.errors import VerificationFailed
from app.client.manifest import Manifest
from app.client.paths import inside

COLUMNS = ("reference", "probe", "mated")


class Comparison(NamedTuple):
    """Two samples to be compared."""

    reference: Path
    probe: Path
    mated: bool
    """Whether both are of one subject."""
    reference_id: str
    """The sample's label, as score files name it."""
    probe_id: str


class Comparisons:
    """The comparisons of a folder, in the order of comparisons.csv; may be gone through again and again."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._count: int | None = None
        row = next(Manifest(folder / "manifest.json").samples(), None)
        # Files are named by their sample's label: so no list of them is held.
        self._suffix = Path(row.file).suffix if row else ""

    def __iter__(self) -> Iterator[Comparison]:
        """Each in turn; raises VerificationFailed for a line that is none."""
        for number, (reference, probe, mated) in enumerate(self._rows(), 2):
            if mated not in ("0", "1"):
                raise VerificationFailed(f"comparisons.csv, line {number}: mated is {mated!r}", ["comparisons.csv"])
            yield Comparison(self.path(reference), self.path(probe), mated == "1", reference, probe)

    def __len__(self) -> int:
        """How many there are; counted once."""
        if self._count is None:
            self._count = sum(1 for _ in self._rows())
        return self._count

    def path(self, sample: str) -> Path:
        """The file of a sample, by its label."""
        return inside(self._folder, f"samples/{sample.partition('_')[0]}/{sample}{self._suffix}")

    def _rows(self) -> Iterator[list[str]]:
        path = self._folder / "comparisons.csv"
        try:
            with path.open(newline="", encoding="utf-8") as file:
                rows = csv.reader(file, strict=True)
                header = next(rows, [])
                if tuple(header) != COLUMNS:
                    raise VerificationFailed(f"{path} has columns {header}, not {list(COLUMNS)}", [path.name])
                for number, row in enumerate(rows, 2):
                    if len(row) != len(COLUMNS):
                        raise VerificationFailed(f"{path}, line {number} has {len(row)} fields", [path.name])
                    yield row
        except (OSError, csv.Error, UnicodeDecodeError) as exc:
            raise VerificationFailed(f"{path} cannot be read: {exc}", [path.name]) from exc


@dataclass(frozen=True, kw_only=True)
class ReleasedDataset:
    """A release in a folder, verified."""

    ref: str
    """NAME@VERSION."""
    path: Path
    digest: str
    """Of the content."""

    @property
    def manifest(self) -> Manifest:
        """Its summary, and its samples one by one."""
        return Manifest(self.path / "manifest.json")

    @property
    def comparisons(self) -> Comparisons:
        """Pairs of files to compare."""
        return Comparisons(self.path)
