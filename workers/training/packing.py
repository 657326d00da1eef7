"""A user's own photographs, a folder for each subject, made ready for training.

Packing them finds each face and frames it as our renders are framed (or takes pictures as they are), and writes parts:

    photographs.json          the settings
    part-000000.safetensors   some subjects: image uint8 [N, R, R, 3], subject int32 [N]; which files they are made of

A part that fits its files is never made again. Pictures that cannot be used, second copies among them, are named, all
of them at once, and nothing can be trained on until they are mended, moved away, or left out by `leave_out`; then they
are listed.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import cv2
import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from safetensors import SafetensorError, safe_open

from app.errors import Corrupt, RequestRefused
from workers.images import Pixels, pixel_sha256
from workers.matchers.alignment import align
from workers.matchers.detector import Detector
from workers.photographs import Unusable, copies, printable, read_photograph, subject_folders
from workers.training.files import save_whole, write_whole
from workers.training.framing import FRAME

PACKED = "photographs.json"

SUBJECTS_PER_PART = 32

NAMED = 20
"""So many unusable pictures are named in a message; all of them are in `unusable.txt`."""


class PackedSpec(BaseModel):
    """What decides every byte of packed photographs, beside the pictures."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    schema_version: int = 3
    """2: framed as the renders of parametric 2.0; 3: turned as the camera says, 16 bits scaled, no copies."""
    kind: Literal["photographs"] = "photographs"
    size: int = Field(64, ge=16, le=256)
    """Pixels a side; a power of two."""
    aligned: bool = True
    """Faces are found and framed; otherwise pictures are taken as they are, and must be square."""
    subjects: tuple[str, ...]
    """Names of their folders."""
    left_out: tuple[str, ...] = ()
    """Pictures that could not be used, by path within the folder."""


def pack_photographs(
    folder: Path,
    packed: Path,
    *,
    size: int,
    detector: Detector | None,
    leave_out: bool = False,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> PackedSpec:
    """Pack FOLDER/SUBJECT/PICTURE; broken off, it goes on where it stopped. `on_progress` gets subjects done, in all.

    With a detector faces are found and framed; without one pictures are taken as they are, and must be square.
    Raises RequestRefused for a folder that cannot be one of subjects, Unusable for pictures that cannot be used
    (with `leave_out` they are left out and listed instead, and their subjects with them where one picture remains).
    """
    if size & (size - 1) or not 16 <= size <= 256:
        raise RequestRefused([("size", f"{size} is not a power of two from 16 to 256")])
    listed = subject_folders(folder)
    again = {path: f"is a copy of {printable(first.relative_to(folder))}" for path, first in _copies(listed).items()}
    packed.mkdir(parents=True, exist_ok=True)
    (packed / PACKED).unlink(missing_ok=True)  # whatever is there is not whole until the end
    problems: dict[str, str] = {}
    kept: list[str] = []
    parts = [listed[start : start + SUBJECTS_PER_PART] for start in range(0, len(listed), SUBJECTS_PER_PART)]
    done = 0
    for number, part in enumerate(parts):
        found, bad = _part(folder, packed, number, part, again, size=size, detector=detector)
        problems |= bad
        kept += found
        done += len(part)
        on_progress(done, len(listed))
    for stale in packed.glob("part-*.safetensors"):
        if stale not in {_part_path(packed, number) for number in range(len(parts))}:
            stale.unlink()
    listing = packed / "unusable.txt"
    listing.write_text("".join(f"{name}: {why}\n" for name, why in sorted(problems.items())), encoding="utf-8")
    if problems and not leave_out:
        shown = "; ".join(f"{name}: {why}" for name, why in sorted(problems.items())[:NAMED])
        raise Unusable(
            f"{len(problems)} of the pictures in {folder} cannot be used ({shown}). All are listed in {listing}. "
            "Mend or move them and start again: what was packed stays; or leave them out with --leave-out"
        )
    if len(kept) < 2:
        raise RequestRefused([("folder", f"{len(kept)} subjects in {folder} have two usable pictures; 2 must")])
    spec = PackedSpec(size=size, aligned=detector is not None, subjects=tuple(kept), left_out=tuple(sorted(problems)))
    write_whole(packed / PACKED, spec.model_dump_json(indent=1).encode())
    return spec


def read_packed(packed: Path) -> PackedSpec:
    """Read what packed photographs are; raises Corrupt."""
    path = packed / PACKED
    try:
        return PackedSpec.model_validate_json(path.read_bytes())
    except FileNotFoundError as exc:
        raise Corrupt(f"{packed} holds no photographs that are packed to the end: there is no {PACKED}") from exc
    except ValidationError as exc:
        raise Corrupt(f"{path} cannot be read: {exc}") from exc


def _copies(listed: list[tuple[str, list[Path]]]) -> dict[Path, Path]:
    return copies(path for _, pictures in listed for path in pictures)


def _part(
    folder: Path,
    packed: Path,
    number: int,
    subjects: list[tuple[str, list[Path]]],
    refused: dict[Path, str],
    *,
    size: int,
    detector: Detector | None,
) -> tuple[list[str], dict[str, str]]:
    """Make a part, unless it is there and fits; returns subjects with two pictures or more, and problems."""
    wanted = {
        "size": size,
        "aligned": detector is not None,
        "files": [[printable(p.relative_to(folder)), *_state(p), refused.get(p)] for _, s in subjects for p in s],
    }
    path = _part_path(packed, number)
    told = told_of(path)
    if told is None or told["made_of"] != wanted:
        images: list[Pixels] = []
        owners: list[str] = []
        problems: dict[str, str] = {}
        for name, pictures in subjects:
            if printable(name) != name:
                problems[printable(name)] = "its name has characters that cannot be written down; rename the folder"
                continue
            made: dict[str, Pixels] = {}
            for picture in pictures:
                try:
                    if why := refused.get(picture):
                        raise Unusable(why)
                    pixels = _picture(picture, size=size, detector=detector)
                    digest = pixel_sha256(pixels)
                    if digest in made:
                        raise Unusable("shows the same pixels as another picture of its subject")
                    made[digest] = pixels
                except Unusable as exc:
                    problems[printable(picture.relative_to(folder))] = str(exc)
            if len(made) < 2:
                problems[name] = f"{len(made)} usable pictures; a subject needs 2"
                continue
            images += made.values()
            owners += [name] * len(made)
        told = {"made_of": wanted, "owners": owners, "problems": problems}
        stacked = np.stack(images) if images else np.zeros((0, size, size, 3), np.uint8)
        save_whole(path, {"image": stacked}, {"told": json.dumps(told)})
    return sorted(set(told["owners"])), told["problems"]


def _picture(path: Path, *, size: int, detector: Detector | None) -> Pixels:
    """One picture, uint8 [size, size, 3]; raises Unusable with the reason."""
    pixels = read_photograph(path)
    if detector is not None:
        face = detector.detect(pixels)
        if face is None:
            raise Unusable("no face was found")
        # Made large and then smaller: a small chip out of a large picture would skip pixels.
        large = align(pixels, face.points, 4 * size, FRAME * 4 * size)
        return np.asarray(cv2.resize(large, (size, size), interpolation=cv2.INTER_AREA))
    height, width = pixels.shape[:2]
    if height != width:
        raise Unusable(f"{width}×{height} is not square, and it is to be taken as it is")
    if height < size:
        raise Unusable(f"{width}×{height} is smaller than {size}×{size}")
    return np.asarray(cv2.resize(pixels, (size, size), interpolation=cv2.INTER_AREA))


def _state(path: Path) -> tuple[int, int]:
    """Size and time of a file, which say whether it is the one that was packed; zeros for one that is not there."""
    try:
        status = path.stat()
    except OSError:
        return 0, 0
    return status.st_size, status.st_mtime_ns


def told_of(path: Path) -> dict[str, Any] | None:
    """What a part says of itself; None if there is none, or it is broken."""
    try:
        with safe_open(path, framework="np") as file:
            told: dict[str, Any] = json.loads(file.metadata()["told"])
    except (OSError, SafetensorError, KeyError, TypeError, ValueError):
        return None
    return told


def _part_path(packed: Path, number: int) -> Path:
    return packed / f"part-{number:06d}.safetensors"
