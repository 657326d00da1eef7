"""Arrays of an .npz read piece by piece; what each declares is held against the file before anything is read of it.

A header of a hundred bytes can claim terabytes, and numpy would reserve them. Nothing is unpickled or evaluated.
"""

import math
import re
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from workers.biometrics.errors import ScoresRefused

MAGIC = b"\x93NUMPY"

LONGEST_HEADER = 4_096
"""Bytes; a plain array's header has about a hundred."""

PIECE_BYTES = 16 * 2**20
"""Of an array, read at once."""

_LENGTH_BYTES = {b"\x01\x00": 2, b"\x02\x00": 4}
"""Of the header's length, by the format's version; 3.0 is for structured arrays, which hold no scores."""

_HEADER = re.compile(
    r"\{'descr': '(?P<descr>[<>|=]?[A-Za-z][0-9]{0,9})', 'fortran_order': (?P<fortran>True|False), "
    r"'shape': \((?P<shape>(?:[0-9]{1,15}(?:, ?|(?=\))))*)\),? ?\} *\n?"
)


@dataclass(frozen=True, kw_only=True)
class Array:
    """An array in an .npz, of which only the header was read."""

    name: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    fortran: bool
    """Stored column by column."""
    _archive: zipfile.ZipFile
    _member: zipfile.ZipInfo
    _start: int

    @property
    def row_bytes(self) -> int:
        """Of one entry along the first axis."""
        return math.prod(self.shape[1:]) * self.dtype.itemsize

    def pieces(self, rows: int) -> Iterator[NDArray[Any]]:
        """The array along its first axis, `rows` at a time; raises ScoresRefused where it cannot be read."""
        if self.fortran and len(self.shape) > 1:
            yield from self._columns(rows)
            return
        with _refusing(), self._archive.open(self._member) as file:
            file.read(self._start)
            for first in range(0, self.shape[0], rows):
                count = min(rows, self.shape[0] - first)
                yield self._read(file, count * self.row_bytes).reshape(count, *self.shape[1:])

    def _columns(self, rows: int) -> Iterator[NDArray[Any]]:
        """The same of an array that has to be held whole, for its rows lie apart from each other."""
        if self.shape[0] * self.row_bytes > PIECE_BYTES * 16:
            raise ScoresRefused(
                f"{self.name[:100]} is stored column by column (Fortran order) and large; save "
                "numpy.ascontiguousarray of it"
            )
        with _refusing(), self._archive.open(self._member) as file:
            file.read(self._start)
            whole = self._read(file, self.shape[0] * self.row_bytes).reshape(self.shape, order="F")
        for first in range(0, self.shape[0], rows):
            yield whole[first : first + rows]

    def _read(self, file: Any, count: int) -> NDArray[Any]:
        data = file.read(count)
        if len(data) != count:
            raise ScoresRefused(f"this .npz cannot be read: the array {self.name[:100]} is cut off; write it anew")
        return np.frombuffer(data, self.dtype)


def open_npz(file: BinaryIO) -> dict[str, Array]:
    """The headers of all arrays, by name; raises ScoresRefused for anything that is no plain array of its size."""
    with _refusing():
        archive = zipfile.ZipFile(file)
        found = [_array(archive, member) for member in archive.infolist()]
    arrays = {array.name: array for array in found}
    if len(arrays) < len(found):
        raise ScoresRefused("this .npz has two arrays of one name; save each once")
    return arrays


def _array(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> Array:
    name = member.filename.removesuffix(".npy")
    if name == member.filename or member.flag_bits & 1:
        raise _no_array(name, "it is not a plain .npy")
    if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise _no_array(name, "it is compressed in another way than numpy does")
    with archive.open(member) as opened:
        wide = _LENGTH_BYTES.get(opened.read(len(MAGIC) + 2).removeprefix(MAGIC), 0)
        length = int.from_bytes(opened.read(wide), "little")
        if not wide or length > LONGEST_HEADER:
            raise _no_array(name, "it does not begin as one")
        header = opened.read(length).decode("latin-1")
    match = _HEADER.fullmatch(header)
    if match is None or match["descr"].lstrip("<>|=")[0] not in "fiubUS":
        raise _no_array(name, f"its type is {header[:100]!r}")
    try:
        dtype = np.dtype(match["descr"])
    except (TypeError, ValueError, OverflowError) as exc:
        raise _no_array(name, f"its type is {header[:100]!r}") from exc
    shape = tuple(map(int, match["shape"].replace(",", " ").split()))
    start = len(MAGIC) + 2 + wide + length
    declared = start + math.prod(shape) * dtype.itemsize
    if not shape or not dtype.itemsize or declared != member.file_size:
        raise _no_array(name, f"it is said to be {dtype} {list(shape)} and has {member.file_size:,} bytes")
    return Array(
        name=name,
        shape=shape,
        dtype=dtype,
        fortran=match["fortran"] == "True",
        _archive=archive,
        _member=member,
        _start=start,
    )


def _no_array(name: str, why: str) -> ScoresRefused:
    return ScoresRefused(f"this .npz cannot be read: {name[:100]!r}: {why}; save plain arrays with numpy.savez")


@contextmanager
def _refusing() -> Iterator[None]:
    """Whatever a damaged or hostile zip raises is a refusal."""
    try:
        yield
    except (ValueError, OSError, EOFError, KeyError, RuntimeError, zipfile.BadZipFile, zlib.error) as exc:
        raise ScoresRefused(f"this .npz cannot be read: {exc}; save plain arrays with numpy.savez") from exc
