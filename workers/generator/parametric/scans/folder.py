"""Reading a folder of ICT-FaceKit: its neutral mesh and its identity modes. Every fault of it is named.

ICT-FaceKit (USC Institute for Creative Technologies, MIT) is a repository whose folder FaceXModel holds one OBJ file a
shape, all of one topology. Legend: M = 26,719 vertices, centimetres, y up, z towards the viewer.
"""

import gzip
import re
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from app.errors import RequestRefused
from workers.digests import file_sha256

NEUTRAL = "generic_neutral_mesh.obj"
VERTICES, FACES = 26_719, 26_384
MODES = 100
MAX_BYTES = 64 * 1024 * 1024
"""No file of the folder has a tenth of this."""

FARTHEST_CM = 60.0
"""From the origin: the model is a head with its neck."""

OnProgress = Callable[[int, int], None]


@dataclass(frozen=True, kw_only=True)
class FaceKit:
    """What is read of the folder."""

    neutral: NDArray[np.float64]
    """[M, 3]"""
    quads: NDArray[np.int64]
    """[F, 4]; -1 ends a triangle."""
    modes: NDArray[np.float32]
    """[100, M, 3]: how far one standard deviation moves each vertex."""
    digests: dict[str, str]
    """SHA-256 of every file that was read, by name."""


def is_facekit(folder: Path) -> bool:
    """Whether a folder looks like ICT-FaceKit's, or like a clone of its repository."""
    return any(_there(place, NEUTRAL) is not None for place in (folder, folder / "FaceXModel"))


def read_facekit(folder: Path, on_progress: OnProgress = lambda done, total: None) -> FaceKit:
    """Read neutral mesh and identity modes of `folder`, or of FaceXModel in it; some seconds.

    Files may be gzipped one by one (`.obj.gz`). Raises RequestRefused for the field `source`, naming the file.
    """
    place = folder if _there(folder, NEUTRAL) is not None else folder / "FaceXModel"
    path = _there(place, NEUTRAL)
    if path is None:
        raise _refused(folder, f"no {NEUTRAL} lies in it: name a clone of ICT-FaceKit, or its folder FaceXModel")
    found = {name: _there(place, name) for name in (f"identity{number:03d}.obj" for number in range(MODES))}
    lacking = [name for name, file in found.items() if file is None]
    if lacking:
        some = ", ".join(lacking[:3]) + (", …" if len(lacking) > 3 else "")
        raise _refused(place, f"{len(lacking)} of its {MODES} identity modes are missing: {some}; clone it whole")
    text = _text(path)
    neutral = _vertices(path, text)
    quads = _faces(path, text)
    digests = {path.name: file_sha256(path)}
    modes = np.empty((MODES, VERTICES, 3), np.float32)
    for number, path in enumerate(file for file in found.values() if file is not None):
        on_progress(number, MODES)
        modes[number] = _vertices(path, _text(path)) - neutral
        digests[path.name] = file_sha256(path)
        if not 1e-4 < float(np.abs(modes[number]).max()) < 10:
            raise _refused(
                path, "it hardly differs from the neutral mesh, or by more than 10 cm: it is no identity mode"
            )
    on_progress(MODES, MODES)
    return FaceKit(neutral=neutral, quads=quads, modes=modes, digests=digests)


def _refused(path: Path, problem: str) -> RequestRefused:
    return RequestRefused([("source", f"{path}: {problem}")])


def _there(folder: Path, name: str) -> Path | None:
    return next((path for path in (folder / name, folder / f"{name}.gz") if path.is_file()), None)


def _text(path: Path) -> str:
    try:
        if path.stat().st_size > MAX_BYTES:
            raise _refused(path, f"it has more than {MAX_BYTES:,} bytes; no file of ICT-FaceKit has")
        data = path.read_bytes()
        if path.suffix == ".gz":
            opened = zlib.decompressobj(wbits=31)
            data = opened.decompress(data, MAX_BYTES)
            if not opened.eof:
                raise _refused(path, "it is cut short, or larger than any file of ICT-FaceKit")
        return data.decode("ascii")
    except (OSError, zlib.error, gzip.BadGzipFile) as exc:
        raise _refused(path, f"it cannot be read: {exc}") from exc
    except UnicodeDecodeError as exc:
        raise _refused(path, "it is no OBJ file: it holds other bytes than text") from exc


_VERTEX = re.compile(r"^v[ \t]+(\S+)[ \t]+(\S+)[ \t]+(\S+)[ \t]*\r?$", re.MULTILINE)
_FACE = re.compile(r"^f[ \t]+(.+?)[ \t]*\r?$", re.MULTILINE)


def _vertices(path: Path, text: str) -> NDArray[np.float64]:
    rows = _VERTEX.findall(text)
    faces = text.count("\nf ")
    if len(rows) != VERTICES or faces != FACES:
        raise _refused(
            path,
            f"it has {len(rows):,} vertices and {faces:,} faces; ICT-FaceKit's have {VERTICES:,} and {FACES:,}: "
            "it is cut short, or of another topology",
        )
    try:
        points = np.array(rows, np.float64)
    except ValueError as exc:
        raise _refused(path, f"a vertex of it is not three numbers: {exc}") from exc
    if not np.isfinite(points).all() or np.abs(points).max() > FARTHEST_CM:
        raise _refused(path, f"a vertex of it lies beyond {FARTHEST_CM:g} cm, or nowhere")
    return points


def _faces(path: Path, text: str) -> NDArray[np.int64]:
    quads = np.full((FACES, 4), -1, np.int64)
    for number, line in enumerate(_FACE.findall(text)):
        try:
            corners = [int(part.split("/")[0]) for part in line.split()]
        except ValueError:
            corners = []
        if len(corners) not in (3, 4) or not all(1 <= corner <= VERTICES for corner in corners):
            raise _refused(path, f"face {number + 1} is not three or four of its vertices: {line[:40]!r}")
        quads[number, : len(corners)] = np.array(corners) - 1
    return quads
