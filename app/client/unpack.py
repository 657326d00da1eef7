"""Unpacking an archive that came over a network: only plain files, none outside of its folder, none cut short."""

import hashlib
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, NamedTuple

from app.client.errors import VerificationFailed
from app.client.paths import in_archive, inside, make_parents

CHUNK = 1024 * 1024
END = bytes(2 * tarfile.BLOCKSIZE)
PARENTS = 4096


class Unpacked(NamedTuple):
    """One file that was unpacked."""

    name: str
    bytes: int
    sha256: str


def unpack(archive: Path, into: Path, on_bytes: Callable[[int], None] = lambda count: None) -> Iterator[Unpacked]:
    """Write the files of a .zip or uncompressed .tar into an empty folder, without its top folder, yielding each.

    Raises VerificationFailed for links and devices, for names that lead elsewhere or come twice, and for an archive
    that is damaged or cut short. `on_bytes` is told how many more bytes are written.
    """
    known: set[Path] = set()
    members = _zip if zipfile.is_zipfile(archive) else _tar
    try:
        for member, content in members(archive):
            name = in_archive(member)
            path = inside(into, name)
            if len(known) > PARENTS:
                known.clear()
            make_parents(into, path, known)
            digest, size = hashlib.sha256(), 0
            try:
                with path.open("xb") as file:
                    while chunk := content.read(CHUNK):
                        file.write(chunk)
                        digest.update(chunk)
                        size += len(chunk)
                        on_bytes(len(chunk))
            except FileExistsError:
                raise VerificationFailed(f"the archive holds {name!r} twice", [name]) from None
            yield Unpacked(name, size, digest.hexdigest())
    except (tarfile.TarError, zipfile.BadZipFile, EOFError) as exc:
        raise VerificationFailed(f"the archive is damaged or cut short: {exc}", []) from exc


def _tar(archive: Path) -> Iterator[tuple[str, IO[bytes]]]:
    with archive.open("rb") as file:
        file.seek(-min(len(END), archive.stat().st_size), 2)
        if file.read() != END:  # else a tar that breaks off between two files would look whole
            raise VerificationFailed("the archive is cut short: a tar ends in two blocks of zeros", [])
    with tarfile.open(archive, "r:") as tar:
        for member in tar:
            if member.isdir():
                continue
            content = tar.extractfile(member) if member.isreg() else None
            if content is None:
                raise _no_file(member.name)
            yield member.name, content
            tar.members.clear()  # type: ignore[attr-defined]  # it would remember every member


def _zip(archive: Path) -> Iterator[tuple[str, IO[bytes]]]:
    with zipfile.ZipFile(archive) as packed:
        for info in packed.infolist():
            if info.is_dir():
                continue
            kind = info.external_attr >> 28  # of the Unix mode: 8 is a regular file, 10 a link, 0 not said
            if kind not in (0, 8):
                raise _no_file(info.filename)
            with packed.open(info) as content:
                yield info.filename, content


def _no_file(name: str) -> VerificationFailed:
    return VerificationFailed(
        f"the archive holds {name!r}, which is no plain file; nothing of that kind is unpacked", [name]
    )
