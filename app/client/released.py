"""A release's or dataset's folder as a matcher's test uses it: pairs of files to compare, and which are mated."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from app.client.errors import VerificationFailed
from app.client.manifest import Manifest
from app.client.paths import inside
from app.dataset.comparisons import ComparisonsFile, ListedPair
from app.dataset.manifest import Summary
from app.errors import Corrupt

CHUNK = 1024 * 1024


class FilePair(NamedTuple):
    """Two samples to be compared."""

    reference: Path
    probe: Path
    mated: bool
    """Whether both are of one subject."""
    reference_id: str
    """The sample's label, as score files name it."""
    probe_id: str


def comparisons_file(folder: Path, summary: Summary) -> ComparisonsFile:
    """A folder's comparisons.csv, with the digest that its manifest's summary has for it."""
    return ComparisonsFile(open=lambda: _chunks(folder / "comparisons.csv"), sha256=summary.comparisons_sha256)


class Comparisons:
    """The comparisons of a folder, in the order of comparisons.csv; may be gone through again and again."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._count: int | None = None
        manifest = Manifest(folder / "manifest.json")
        self._file = comparisons_file(folder, manifest.summary)
        row = next(manifest.samples(), None)
        # Files are named by their sample's label: so no list of them is held.
        self._suffix = Path(row.file).suffix if row else ""

    def __iter__(self) -> Iterator[FilePair]:
        """Each in turn; raises VerificationFailed for a file that is not the manifest's, before the first of them."""
        for reference, probe, mated in self._pairs():
            yield FilePair(self.path(reference), self.path(probe), mated, reference, probe)

    def __len__(self) -> int:
        """How many there are; counted once."""
        if self._count is None:
            self._count = sum(1 for _ in self._pairs())
        return self._count

    def _pairs(self) -> Iterator[ListedPair]:
        try:
            self._file.check()
            yield from self._file.pairs()
        except Corrupt as exc:
            raise VerificationFailed(str(exc), ["comparisons.csv"]) from exc

    def path(self, sample: str) -> Path:
        """The file of a sample, by its label."""
        return inside(self._folder, f"samples/{sample.partition('_')[0]}/{sample}{self._suffix}")


def _chunks(path: Path) -> Iterator[bytes]:
    try:
        with path.open("rb") as file:
            while chunk := file.read(CHUNK):
                yield chunk
    except FileNotFoundError as exc:
        raise Corrupt(f"{path.name} is not there; fetch the dataset anew") from exc
    except OSError as exc:
        raise Corrupt(f"{path.name} cannot be read: {exc.strerror}") from exc


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
