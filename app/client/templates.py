"""The templates of a set of which no image is kept, read row by row without numpy: to be held against the manifest."""

import struct
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from app.client.errors import VerificationFailed
from app.dataset.products import TEMPLATES

MAGIC = b"\x93NUMPY\x01\x00"
LONGEST_HEADER = 4_096
LONGEST_ROW = 1024 * 1024
"""Bytes of a template; a stranger's file must not fill the memory."""


def template_rows(folder: Path, row_bytes: int) -> Iterator[tuple[str, bytes]]:
    """Yield id and template (little-endian float32, so many bytes each) of every row of a folder's templates.npz.

    Raises VerificationFailed for a file that cannot be read, or whose rows are of another size.
    """
    if not 0 < row_bytes <= LONGEST_ROW:
        raise _unreadable(f"a template of {row_bytes:,} bytes is none")
    try:
        with (
            zipfile.ZipFile(folder / TEMPLATES.file) as archive,
            archive.open("ids.npy") as ids,
            archive.open("templates.npy") as templates,
        ):
            name_bytes = _itemsize(_descr(ids), "<U") * 4
            if _itemsize(_descr(templates), "<f") != 4:
                raise _unreadable("its templates are no numbers of 4 bytes")
            while name := ids.read(name_bytes):
                row = templates.read(row_bytes)
                if len(row) != row_bytes:
                    raise _unreadable("it has fewer templates than ids")
                yield name.decode("utf-32-le").rstrip("\0"), row
            if templates.read(1):
                raise _unreadable("it has more templates than ids")
    except (OSError, KeyError, ValueError, EOFError, RuntimeError, zipfile.BadZipFile, zlib.error) as exc:
        raise _unreadable(str(exc)) from exc


def _descr(file: IO[bytes]) -> str:
    """The type in the header of a .npy, which is read up to its first row."""
    if file.read(len(MAGIC)) != MAGIC:
        raise _unreadable("it holds what is no array")
    (length,) = struct.unpack("<H", file.read(2))
    header = file.read(min(length, LONGEST_HEADER)).decode("latin-1")
    return header.partition("'descr': '")[2].partition("'")[0]


def _itemsize(descr: str, kind: str) -> int:
    size = descr.removeprefix(kind)
    if size == descr or not size.isdigit() or not 0 < int(size) <= LONGEST_HEADER:
        raise _unreadable(f"it holds an array of type {descr[:20]!r}")
    return int(size)


def _unreadable(why: str) -> VerificationFailed:
    return VerificationFailed(f"{TEMPLATES.file} cannot be read: {why}", [TEMPLATES.file])
