"""A manifest in a folder, read without holding it: its summary, and its samples one by one."""

from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from app.client.errors import VerificationFailed
from app.dataset.manifest import Summary, read_manifest
from app.dataset.shard import SampleRow
from app.errors import Corrupt

CHUNK = 64 * 1024


class Manifest:
    """A manifest file."""

    def __init__(self, path: Path) -> None:
        """Read the summary; raises VerificationFailed if this is no manifest."""
        self.path = path
        try:
            with path.open("rb") as file:
                self.summary: Summary = read_manifest(_chunks(file))[0]
        except FileNotFoundError as exc:
            raise VerificationFailed(f"{path} is not there", [path.name]) from exc
        except Corrupt as exc:
            raise _broken(path, exc) from exc
        self.dataset = self.summary.dataset
        self.digests: dict[str, str] = self.summary.digests.model_dump()

    def files(self) -> Iterator[SampleRow]:
        """Yield every file below samples/ in the archive's order: each sample's, and the C2PA manifest beside it.

        Of a manifest's row only file, bytes and file_sha256 are its own. None where templates are all that is kept.
        """
        if self.summary.kind == "templates":
            return
        for row in self.samples():
            yield row
            if row.c2pa is not None:
                beside = row.c2pa
                yield row.model_copy(
                    update={"file": beside.file, "bytes": beside.bytes, "file_sha256": beside.sha256, "c2pa": None}
                )

    def samples(self) -> Iterator[SampleRow]:
        """Yield the samples in order; raises VerificationFailed where the manifest is broken."""
        try:
            with self.path.open("rb") as file:
                yield from read_manifest(_chunks(file))[1]
        except Corrupt as exc:
            raise _broken(self.path, exc) from exc


def _chunks(file: BinaryIO) -> Iterator[bytes]:
    while chunk := file.read(CHUNK):
        yield chunk


def _broken(path: Path, why: Corrupt) -> VerificationFailed:
    return VerificationFailed(
        f"{path.name} is not a whole manifest: {str(why).removeprefix('this is no manifest: ')}", [path.name]
    )
